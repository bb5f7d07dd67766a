"""Writing a column of precomputed vectors of items, and measuring those of items that train.

Choices: items of equal vectors share a token (that of the first such item, those with training
events before others), so that equal features are equal tokens and one column of scores; whether
vectors are equal is told by 64 bits of a hash.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.item_values import Vectors
from behavior_scaling.data.npy import NpyWriter

_EMPTY_ROWS = 4096  # written at once

Bools = NDArray[np.bool_]


class VectorColumn:
    """Writes one column's vectors batch by batch, and measures them."""

    def __init__(self, path: Path, name: str, n_items: int, files: ExitStack) -> None:
        """Begin; `files` closes the array at `path`."""
        self._path, self._name, self._files = path, name, files
        self._writer: NpyWriter | None = None
        self._rows = self._dim = self._n_trained = 0
        self._squares = 0.0
        self._keys = np.zeros(n_items, dtype=np.uint64)
        self._present = np.zeros(n_items, dtype=bool)

    def add(self, vectors: Vectors, trained: Bools) -> None:
        """Write the vectors of the next items.

        Raises:
            DataError: their length is not that of the vectors before.
        """
        dim, first = vectors.values.shape[1], self._rows
        self._rows += len(vectors.missing)
        if len(vectors.values) and self._writer is None:
            self._writer = self._files.enter_context(NpyWriter(self._path, "<f4", dim))
            self._dim = dim
            for start in range(0, first, _EMPTY_ROWS):
                self._writer.append(np.zeros((min(_EMPTY_ROWS, first - start), dim)))
        if len(vectors.values) and dim != self._dim:
            row = first + int(np.argmin(vectors.missing)) + 1
            raise DataError(
                f"{self._name}: row {row}: the vector has {dim} entries, others have {self._dim}"
            )
        if self._writer is None:
            return
        rows = np.zeros((len(vectors.missing), self._dim), dtype=np.float32)
        rows[~vectors.missing] = vectors.values.reshape(-1, self._dim)
        self._writer.append(rows)
        present = slice(first, self._rows)
        self._present[present] = ~vectors.missing
        self._keys[present][~vectors.missing] = [_key(row) for row in vectors.values]
        chosen = trained[~vectors.missing]
        self._n_trained += int(chosen.sum())
        self._squares += float(np.square(vectors.values[chosen].astype(np.float64)).sum())

    def scale(self) -> float:
        """Root mean square norm of the trained items' vectors; 1 where all of them are zero.

        Raises:
            DataError: no item has a vector.
        """
        if self._writer is None:
            raise DataError(f"{self._name}: no item has a vector; leave the column out")
        return float(np.sqrt(self._squares / max(1, self._n_trained))) or 1.0

    def owners(self, trained: Bools) -> NDArray[np.int64]:
        """The item whose token stands for each item's vector [V]; -1: none.

        Without a trained item's vector nothing is known of the column: every value is missing.
        """
        owners = np.full(len(self._keys), -1, dtype=np.int64)
        if self._n_trained:
            has = np.flatnonzero(self._present)
            has = has[np.argsort(~trained[has], kind="stable")]
            _, first, number = np.unique(self._keys[has], return_index=True, return_inverse=True)
            owners[has] = has[first[number]]
        return owners


def _key(vector: NDArray[np.float32]) -> int:
    return int.from_bytes(hashlib.blake2b(vector.tobytes(), digest_size=8).digest(), "little")
