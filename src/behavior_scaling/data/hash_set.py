"""Which 64-bit hashes have occurred, and how often up to a limit, in 8 bytes each.

Choices: copies stand in one sorted array, more than the limit dropped; what is added waits until it
is as long as that array, so that sorting costs little however many parts there are. Texts are not
kept: two of ten million share a hash with a probability of 3e-6.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
WAITING = 1 << 20  # hashes that wait at least


class HashSet:
    """Hashes added so far, each at most `copies` times."""

    def __init__(self, copies: int = 1) -> None:
        self._copies = copies
        self._sorted: Hashes = np.empty(0, dtype=np.uint64)
        self._waiting: list[Hashes] = []
        self._n_waiting = 0

    def add(self, hashes: Hashes) -> None:
        """Add hashes, repeats included."""
        self._waiting.append(hashes)
        self._n_waiting += len(hashes)
        if self._n_waiting >= max(WAITING, len(self._sorted)):
            self._merge()

    def often(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Whether each hash was added `copies` times or more."""
        self._merge()
        first = np.searchsorted(self._sorted, hashes)
        return np.searchsorted(self._sorted, hashes, side="right") - first >= self._copies

    def all(self) -> Hashes:
        """Every hash, ascending, as many copies of each as are kept."""
        self._merge()
        return self._sorted

    def _merge(self) -> None:
        if self._n_waiting:
            merged = np.sort(np.concatenate([self._sorted, *self._waiting]))
            kept = np.ones(len(merged), dtype=bool)
            before = len(merged) - self._copies
            if before > 0:
                kept[self._copies :] = merged[self._copies :] != merged[:before]
            self._sorted = merged[kept]
            self._waiting, self._n_waiting = [], 0
