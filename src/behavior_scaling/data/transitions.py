"""Counts of consecutive train events of one user, taken block by block.

Choices: events are read a block at a time; the pairs of a range of first items are gathered, sorted
and counted together, as many items a pass as have _PAIRS pairs, so that memory holds a pass and
the distinct transitions (at most 8 bytes each), whatever the number of events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.ragged import chunks
from behavior_scaling.data.store import TRAIN, Dataset

_EVENTS = 4_000_000  # read at a time
_PAIRS = 16_000_000  # counted at a time

Ints = NDArray[np.int64]
Pairs = tuple[NDArray[np.int32], NDArray[np.int32]]  # first items, next items


def event_blocks(dataset: Dataset) -> Iterator[slice]:
    """Stretches of events that are read at a time."""
    for first in range(0, dataset.n_events, _EVENTS):
        yield slice(first, min(first + _EVENTS, dataset.n_events))


def train_pairs(
    dataset: Dataset, since: int | None = None, until: int | None = None
) -> Iterator[Pairs]:
    """Train events that a train event of the same user precedes, in order: (item before, item).

    Args:
        dataset: the prepared data.
        since: earliest time of the later event.
        until: its time is before this one.
    """
    for block in event_blocks(dataset):
        kept = dataset.split[block] == TRAIN
        kept[1:] &= dataset.split[block][:-1] == TRAIN
        # Across the block's edge the event before is in the block before.
        kept[0] &= block.start > 0 and bool(dataset.split[block.start - 1] == TRAIN)
        opening = dataset.offsets[
            slice(*np.searchsorted(dataset.offsets, [block.start, block.stop]))
        ]
        kept[opening - block.start] = False
        if since is not None:
            kept &= dataset.times[block] >= since
        if until is not None:
            kept &= dataset.times[block] < until
        later = np.flatnonzero(kept) + block.start
        yield dataset.items[later - 1], dataset.items[later]


@dataclass(frozen=True)
class Transitions:
    """Counts c(x, y) as sorted rows."""

    pointer: Ints  # [V + 1] row x is following[pointer[x]:pointer[x + 1]]
    following: NDArray[np.int32]  # [nonzeros] y, ascending within a row
    counts: NDArray[Any]  # [nonzeros] of the narrowest unsigned type
    totals: Ints  # [V] c(x)

    @classmethod
    def count(cls, pairs: Callable[[], Iterator[Pairs]], n_items: int) -> Transitions:
        """Count transitions from one item to the next.

        Args:
            pairs: gives all transitions, anew at every call.
            n_items: V.
        """
        totals = np.zeros(n_items, dtype=np.int64)
        for before, _ in pairs():
            totals += np.bincount(before, minlength=n_items)
        lengths = np.zeros(n_items, dtype=np.int64)
        following, counts = [], []
        for part in chunks(totals, _PAIRS):
            keys, found = np.unique(_keys(pairs(), part, n_items), return_counts=True)
            lengths[part] = np.bincount(keys // n_items, minlength=part.stop - part.start)
            following.append((keys % n_items).astype(np.int32))
            counts.append(found.astype(np.min_scalar_type(found.max(initial=0))))
        pointer = np.concatenate(([0], np.cumsum(lengths)))
        return cls(pointer, np.concatenate(following), np.concatenate(counts), totals)

    def lengths(self, rows: Ints) -> Ints:
        """Distinct items that follow each of some items."""
        return np.asarray(self.pointer[rows + 1] - self.pointer[rows])

    def shares(
        self, before: NDArray[np.integer[Any]], after: NDArray[np.integer[Any]]
    ) -> NDArray[np.float64]:
        """c(x, y) / c(x) for pairs, 0 where x was never left [P]."""
        low, high = self.pointer[before], self.pointer[before + 1]
        end = high
        following = np.append(self.following, -1)  # what a full or empty row's end points at
        while (low < high).any():
            middle = (low + high) // 2
            less = (low < high) & (following[middle] < after)
            low, high = np.where(less, middle + 1, low), np.where(less, high, middle)
        found = (low < end) & (following[low] == after)
        counts = np.append(self.counts, self.counts.dtype.type(0))[np.where(found, low, -1)]
        return np.asarray(counts / np.maximum(self.totals[before], 1))


def _keys(pairs: Iterator[Pairs], rows: slice, n_items: int) -> Ints:
    """Row and next item as one number, of every transition that leaves one of the rows."""
    parts = []
    for before, after in pairs:
        own = (before >= rows.start) & (before < rows.stop)
        parts.append((before[own].astype(np.int64) - rows.start) * n_items + after[own])
    return np.concatenate(parts)
