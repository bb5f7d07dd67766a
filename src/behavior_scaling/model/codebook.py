"""The fixed codebook: code index to vector, the same for every run of every study.

Choices: columns are drawn one by one, each from a generator of its own, so that the table of
width e is the first e columns of any wider one; nothing is stored or trained, only the rows that
a data set uses are kept. Gaussian entries keep different codes nearly orthogonal at any width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from behavior_scaling.model.seeding import seeded


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
