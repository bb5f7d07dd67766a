"""Arrays on disk, a chunk at a time: .npy files that grow, and that are read in pieces.

Choices: pieces are read and written with ordinary file calls, not through a map, so that a pass
over a file of any size holds one piece in memory; the header has room for any length and is
written last, so a file that was not closed is no readable array.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

CHUNK = 2_000_000  # events of a piece

_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = 128  # bytes in all


class NpyWriter:
    """A .npy file of rows that are appended; a context manager."""

    def __init__(self, path: Path, dtype: DTypeLike, width: int | None = None):
        """Open `path`; `width` columns, None for a flat array."""
        self._dtype = np.dtype(dtype)
        self._width = width
        self._rows = 0
        self._file = path.open("wb")
        self._file.write(b"\0" * _HEADER)

    def append(self, rows: NDArray[Any]) -> None:
        """Write rows at the end."""
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).data)
        self._rows += len(rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            shape = (self._rows,) if self._width is None else (self._rows, self._width)
            text = f"{{'descr': {self._dtype.str!r}, 'fortran_order': False, 'shape': {shape}, }}"
            padded = text.encode().ljust(_HEADER - len(_MAGIC) - 3) + b"\n"
            self._file.seek(0)
            self._file.write(_MAGIC + len(padded).to_bytes(2, "little") + padded)
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()


def pieces(path: Path, rows: int = CHUNK) -> Iterator[NDArray[Any]]:
    """The rows of a .npy file in order, at most `rows` at a time; the arrays are writable."""
    header = np.load(path, mmap_mode="r", allow_pickle=False)
    shape, dtype = header.shape, header.dtype
    width = int(np.prod(shape[1:], dtype=np.int64))
    begin = header.offset
    del header
    with path.open("rb") as file:
        file.seek(begin)
        for first in range(0, shape[0], rows):
            count = min(rows, shape[0] - first)
            yield np.fromfile(file, dtype, count * width).reshape(count, *shape[1:])
