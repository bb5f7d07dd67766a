"""Ragged ranges in numpy: many stretches or rows at once, without a loop."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


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


def evenly(values: Ints, most: int) -> Ints:
    """The values, or `most` of them evenly spread."""
    if len(values) <= most:
        return values
    return values[np.arange(most) * len(values) // most]


def placed(row: Ints, value: Floats, asked_row: Ints, asked: Floats) -> tuple[Ints, Ints]:
    """Where values would stand in rows of other values.

    Args:
        row: row of each entry [N].
        value: the entries [N]; no NaN.
        asked_row: row in which a value is looked up [Q].
        asked: the values looked up [Q].

    Returns:
        Entries of the row above each, and entries that are the very same [Q].
    """
    levels, code = np.unique(np.concatenate([value, asked]), return_inverse=True)
    entries = np.sort(row * len(levels) + code[: len(row)])
    wanted = asked_row * len(levels) + code[len(row) :]
    upto = np.searchsorted(entries, wanted, side="right")
    end = np.searchsorted(entries, (asked_row + 1) * len(levels))
    return end - upto, upto - np.searchsorted(entries, wanted)
