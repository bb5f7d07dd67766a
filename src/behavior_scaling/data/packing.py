"""Packing windows into rows: best fit, longest first.

Choices: rooms are kept in one integer whose bit r says that some row has r positions left, so
that the best fit is one shift and the packing of thousands of windows costs milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.ragged import ragged


@dataclass(frozen=True)
class Packing:
    """Where each of W windows lies."""

    row: NDArray[np.int64]  # [W]
    column: NDArray[np.int64]  # [W] first position within the row
    rows: int


def pack(lengths: NDArray[np.int64], capacity: int) -> Packing:
    """Pack windows of 1 to `capacity` positions into rows of `capacity`.

    Windows of equal length are placed in the order given, so a caller that wants other
    neighbours from epoch to epoch shuffles before it calls.
    """
    order = np.argsort(-lengths, kind="stable")
    row = [0] * len(lengths)
    column = [0] * len(lengths)
    open_rows: list[list[int]] = [[] for _ in range(capacity + 1)]  # by positions left
    rooms = 0
    rows = 0
    for window, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        fitting = rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            place = open_rows[room].pop()
            if not open_rows[room]:
                rooms ^= 1 << room
        else:
            room, place = capacity, rows
            rows += 1
        row[window] = place
        column[window] = capacity - room
        left = room - length
        if left:
            open_rows[left].append(place)
            rooms |= 1 << left
    return Packing(np.array(row, dtype=np.int64), np.array(column, dtype=np.int64), rows)


@dataclass(frozen=True)
class Grid:
    """Packed rows, position by position; padding is -1."""

    event: NDArray[np.int64]  # [rows, L] index of the input event
    window: NDArray[np.int64]  # [rows, L] which of the windows it belongs to

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Grid:
        """Some of the rows."""
        return Grid(self.event[rows], self.window[rows])


def spread(starts: NDArray[np.int64], lengths: NDArray[np.int64], capacity: int) -> Grid:
    """Pack windows of consecutive events and write them out position by position.

    Args:
        starts: first event of each window [W].
        lengths: events of each window [W].
        capacity: L, positions of a row.
    """
    packing = pack(lengths, capacity)
    window, source = ragged(starts, lengths)
    _, cells = ragged(packing.row * capacity + packing.column, lengths)
    event = np.full(packing.rows * capacity, -1, dtype=np.int64)
    owner = event.copy()
    event[cells] = source
    owner[cells] = window
    shape = (packing.rows, capacity)
    return Grid(event.reshape(shape), owner.reshape(shape))
