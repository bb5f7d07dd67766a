"""The fixed codebook: code index to vector, the same for every run of every study.

Choices: columns are drawn one by one, each from a generator of its own, so that the table of
width e is the first e columns of any wider one; nothing is stored or trained, only the rows that
a data set uses are kept. Gaussian entries keep different codes nearly orthogonal at any width.
Precomputed vectors of items go through a Gaussian matrix that is drawn the same way: their inner
products are kept on average (Johnson and Lindenstrauss 1984), and entries have the codes' size.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from behavior_scaling.data.item_vectors import ItemVectors
from behavior_scaling.model.seeding import seeded

PROJECTED = 8192  # items whose vectors are read at once


def code_vectors(codes: Tensor, rows: int, width: int) -> Tensor:
    """Vectors of some codes.

    Args:
        codes: int [n], each in 0..rows-1.
        rows: rows of the whole codebook.
        width: e.

    Returns:
        float32 [n, e], entries N(0, 1); row i depends on (codes[i], rows) and not on the others.
    """
    index = codes.long()
    columns = [
        torch.randn(rows, generator=seeded("codebook", column)).index_select(0, index)
        for column in range(width)
    ]
    return torch.stack(columns, dim=1)


def projected_vectors(vectors: ItemVectors, items: Tensor, width: int) -> Tensor:
    """Precomputed vectors of some items at width e, read from the memory map in blocks.

    Args:
        vectors: a column of the items' vectors, of any length.
        items: int [n], rows of the array.
        width: e.

    Returns:
        float32 [n, e]: the vectors over their scale times a matrix of N(0, 1) entries that depends
        on the column's name and the vectors' length alone.
    """
    dim = vectors.array.shape[1]
    columns = [
        torch.randn(dim, generator=seeded("vector", vectors.name, dim, column))
        for column in range(width)
    ]
    matrix = torch.stack(columns, dim=1)
    blocks = [
        torch.from_numpy(vectors.array[block.numpy()] / np.float32(vectors.scale)) @ matrix
        for block in torch.split(items.long(), PROJECTED)
    ]
    return torch.cat(blocks)
