"""Ragged ranges in numpy: many stretches of consecutive indexes at once, without a loop."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def ragged(starts: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """Lay out the stretches starts[i] .. starts[i] + lengths[i] - 1 one after the other.

    Returns:
        owner [sum of lengths]: i of each element; index [sum of lengths]: the element itself.
    """
    owner = np.repeat(np.arange(len(lengths)), lengths)
    offset = starts - (np.cumsum(lengths) - lengths)
    return owner, np.arange(len(owner)) + offset[owner]


def chunks(lengths: Ints, limit: int) -> Iterator[slice]:
    """Consecutive slices of the stretches that lay out at most `limit` elements each.

    A stretch that is longer than the limit comes alone.
    """
    ends = np.cumsum(lengths)
    first = 0
    while first < len(lengths):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + limit, side="right")))
        yield slice(first, last)
        first = last
