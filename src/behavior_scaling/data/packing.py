"""Packing windows into rows: best fit, longest first; and the rows as a small plan.

Choices: a longer window fills the tightest row that has room for it, rows opened last come first;
windows of one length are placed together, room by room, so the cost is that of a few hundred array
operations whatever the number of windows. Packed rows keep a start and a length for each window,
not for each position; the positions of a batch are written out when it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.ragged import ragged

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Packing:
    """Where each of W windows lies."""

    row: Ints  # [W]
    column: Ints  # [W] first position within the row
    rows: int


def pack(lengths: NDArray[np.integer], capacity: int) -> Packing:
    """Pack windows of 1 to `capacity` positions into rows of `capacity`.

    Windows of equal length are placed in the order given, so a caller that wants other
    neighbours from epoch to epoch shuffles before it calls.
    """
    rows = _Rows(len(lengths), capacity)
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    counts = np.bincount(lengths, minlength=capacity + 1)
    first = 0
    for length in range(capacity, 0, -1):
        rows.place(order[first : first + counts[length]], length)
        first += counts[length]
    return Packing(rows.row, rows.column, rows.count)


class _Rows:
    """Rows being filled, by the room that is left in them."""

    def __init__(self, windows: int, capacity: int):
        self.row = np.zeros(windows, dtype=np.int64)
        self.column = np.zeros(windows, dtype=np.int64)
        self.count = 0
        self._capacity = capacity
        self._open = [np.zeros(0, dtype=np.int64)] * (capacity + 1)  # stacks, by positions left

    def place(self, windows: Ints, length: int) -> None:
        """Place windows of one length, one after the other, each in the tightest row.

        A row with room for several takes them in a row: what it has left after the first is
        less than what any other row with room for it has.
        """
        room = length
        while len(windows):
            while room <= self._capacity and not len(self._open[room]):
                room += 1
            each = min(room, self._capacity) // length
            wanted = -(-len(windows) // each)
            if room <= self._capacity:
                stack = self._open[room]
                rows = stack[::-1][:wanted]
                self._open[room] = stack[: len(stack) - len(rows)]
                left = room
            else:
                rows = np.arange(self.count, self.count + wanted)
                self.count += wanted
                left = self._capacity
            placed = windows[: len(rows) * each]
            windows = windows[len(placed) :]
            nth = np.arange(len(placed))
            self.row[placed] = rows[nth // each]
            self.column[placed] = self._capacity - left + nth % each * length
            full = len(placed) // each  # rows that took as many as they could
            self._reopen(rows[:full], left - each * length)
            self._reopen(rows[full:], left - len(placed) % each * length)

    def _reopen(self, rows: Ints, left: int) -> None:
        if left and len(rows):
            self._open[left] = np.concatenate([self._open[left], rows])


@dataclass(frozen=True)
class Grid:
    """Packed rows, position by position; padding is -1."""

    event: Ints  # [rows, L] index of the input event
    window: Ints  # [rows, L] which of the windows it belongs to

    def documents(self) -> NDArray[np.int32]:
        """The windows numbered 0, 1, ... in reading order [rows, L]; padding -1."""
        starts = self.window >= 0
        starts[:, 1:] &= self.window[:, 1:] != self.window[:, :-1]
        document = (np.cumsum(starts) - 1).reshape(starts.shape).astype(np.int32)
        document[self.window < 0] = -1
        return document


@dataclass(frozen=True)
class PackedRows:
    """Rows of windows of consecutive events; a window stands where its row has it."""

    start: Ints  # [W] first event of each window, row by row
    length: NDArray[np.int32]  # [W]
    window: NDArray[np.int32]  # [W] which of the windows given it is
    offsets: Ints  # [rows + 1] row r holds windows offsets[r]:offsets[r + 1]
    capacity: int  # L

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, rows: slice | Ints) -> PackedRows:
        """Some of the rows, in the order given, a row as often as it is named."""
        first = self.offsets[:-1][rows]
        count = self.offsets[1:][rows] - first
        chosen: slice | Ints
        if isinstance(rows, slice) and rows.step is None:  # neighbours: their windows are, too
            chosen = slice(first[0], first[-1] + count[-1]) if len(first) else slice(0)
        else:
            _, chosen = ragged(first, count)
        return PackedRows(
            self.start[chosen],
            self.length[chosen],
            self.window[chosen],
            np.concatenate([[0], np.cumsum(count)]),
            self.capacity,
        )

    @property
    def positions(self) -> int:
        """Positions that are not padding."""
        return int(self.length.sum())

    def grid(self) -> Grid:
        """Write the rows out."""
        ends = np.cumsum(self.length, dtype=np.int64)
        held = np.diff(np.concatenate([[0], ends])[self.offsets])  # positions of each row
        taken = np.arange(self.capacity) < held[:, None]
        event = np.full(taken.shape, -1, dtype=np.int64)
        window = event.copy()
        shift = np.repeat(self.start - ends + self.length, self.length)
        event[taken] = shift + np.arange(len(shift))
        window[taken] = np.repeat(self.window, self.length)
        return Grid(event, window)


def packed_rows(starts: Ints, lengths: Ints, capacity: int) -> PackedRows:
    """Pack windows of consecutive events.

    Args:
        starts: first event of each window [W].
        lengths: events of each window [W].
        capacity: L, positions of a row.
    """
    packing = pack(lengths, capacity)
    order = np.argsort(packing.row * capacity + packing.column)
    windows_of_row = np.bincount(packing.row, minlength=packing.rows)
    return PackedRows(
        starts[order],
        lengths[order].astype(np.int32),
        order.astype(np.int32),
        np.concatenate([[0], np.cumsum(windows_of_row)]),
        capacity,
    )
