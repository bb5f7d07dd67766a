"""Precomputed vectors of items: raw on disk, one token of the item each, projected by the model.

Choices: the vectors are kept as they came, so that any width can be projected from one data set;
vector_column.py writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.errors import DataError

SCALES = "vector_scales.npy"


@dataclass(frozen=True)
class ItemVectors:
    """One column of precomputed vectors.

    The token of item i's vector has the code codebook + k V + i in the k-th such column.
    """

    name: str
    array: NDArray[np.float32]  # [V, dim], a memory map; 0 where missing, which no code names
    scale: float  # root mean square norm over the items that have training events


def open_item_vectors(folder: Path, names: Sequence[str]) -> tuple[ItemVectors, ...]:
    """Map the vector columns of a prepared folder into memory.

    Args:
        folder: prepared data.
        names: of the vector columns, in the schema's order (meta.vectors).

    Raises:
        DataError: a file is missing.
    """
    if not names:
        return ()
    files = [folder / f"vectors_{number}.npy" for number in range(len(names))]
    for file in (*files, folder / SCALES):
        if not file.is_file():
            raise DataError(f"{file}: missing from the prepared data; prepare it again")
    scales = np.load(folder / SCALES, allow_pickle=False).tolist()
    return tuple(
        ItemVectors(name, np.load(file, mmap_mode="r", allow_pickle=False), scale)
        for name, file, scale in zip(names, files, scales, strict=True)
    )
