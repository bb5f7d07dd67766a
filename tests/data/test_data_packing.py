"""Packing against the plain loop, plans against their full expansion, padding by distribution."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from behavior_scaling.data.packing import pack, packed_rows
from behavior_scaling.data.ragged import ragged
from behavior_scaling.data.store import Dataset
from behavior_scaling.data.windows import TrainSampler


def pack_one_by_one(lengths: np.ndarray, capacity: int) -> tuple[list[int], list[int], int]:
    """Best fit, longest first, a window at a time: row and column of each, and the rows."""
    rooms: list[list[int]] = [[] for _ in range(capacity + 1)]  # open rows by positions left
    row, column, rows = [0] * len(lengths), [0] * len(lengths), 0
    for window in np.argsort(-lengths, kind="stable"):
        length = int(lengths[window])
        room = next((r for r in range(length, capacity + 1) if rooms[r]), None)
        if room is None:
            room, place = capacity, rows
            rows += 1
        else:
            place = rooms[room].pop()
        row[window], column[window] = place, capacity - room
        rooms[room - length].append(place)
        rooms[0].clear()
    return row, column, rows


def expand(starts: np.ndarray, lengths: np.ndarray, capacity: int) -> tuple[np.ndarray, np.ndarray]:
    """Event and window of every position of an epoch [rows, L], all written out at once."""
    row, column, rows = pack_one_by_one(lengths, capacity)
    event = np.full((rows, capacity), -1)
    window = event.copy()
    for number, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        place = (row[number], slice(column[number], column[number] + length))
        event[place] = np.arange(start, start + length)
        window[place] = number
    return event, window


@pytest.mark.parametrize("seed", range(40))
def test_packing_is_that_of_the_plain_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    capacity, n = int(rng.integers(1, 70)), int(rng.integers(1, 300))
    lengths = rng.integers(1, capacity + 1, n)
    if seed % 2:  # most windows short, as those of short histories
        lengths = np.minimum(capacity, rng.geometric(0.15, n))
    packing = pack(lengths, capacity)
    row, column, rows = pack_one_by_one(lengths, capacity)
    assert packing.row.tolist() == row
    assert packing.column.tolist() == column
    assert packing.rows == rows


@pytest.mark.parametrize("seed", range(10))
def test_rows_are_written_out_as_in_the_full_expansion(seed: int) -> None:
    rng = np.random.default_rng(seed)
    capacity, n = int(rng.integers(1, 40)), int(rng.integers(1, 200))
    lengths = rng.integers(1, capacity + 1, n)
    starts = rng.integers(0, 10_000, n)
    event, window = expand(starts, lengths, capacity)
    packed = packed_rows(starts, lengths, capacity)
    assert len(packed) == len(event)
    assert packed.positions == lengths.sum()
    anywhere = rng.integers(0, len(event), 7)  # with repeats
    for rows in (slice(None), slice(1, 3), slice(2, 2), anywhere, rng.permutation(len(event))):
        grid = packed[rows].grid()
        assert np.array_equal(grid.event, event[rows])
        assert np.array_equal(grid.window, window[rows])
        again = packed[rows][:2].grid()  # some rows of some rows
        assert np.array_equal(again.event, event[rows][:2])


def test_no_window_no_row() -> None:
    packed = packed_rows(np.zeros(0, np.int64), np.zeros(0, np.int64), 8)
    assert len(packed) == 0
    assert packed.grid().event.shape == (0, 8)


def expanded_batches(
    dataset: Dataset, context: int, batch: int, positions: int, seed: int
) -> Iterator[tuple[np.ndarray, ...]]:
    """The batches of a run from epochs that are written out whole: inputs, targets, document."""
    counts = dataset.train_lengths - 1
    users = np.flatnonzero(counts > 0)
    counts, heads = counts[users], dataset.offsets[users]
    rows: list[np.ndarray] = []
    windows: list[np.ndarray] = []
    epoch = left = 0
    while left < positions:
        rng = np.random.default_rng([seed, epoch])
        cut = rng.integers(1, context + 1, len(users))
        cut = np.where(counts <= context // 2, context, cut)
        pieces = 1 + np.maximum(counts - cut + context - 1, 0) // context
        owner, nth = ragged(np.zeros_like(pieces), pieces)
        end = np.minimum(cut[owner] + nth * context, counts[owner])
        start = np.where(nth == 0, 0, cut[owner] + (nth - 1) * context)
        order = rng.permutation(len(owner))
        event, window = expand((heads[owner] + start)[order], (end - start)[order], context)
        order = rng.permutation(len(event))
        rows += list(event[order])
        windows += list(window[order])
        left += int((event >= 0).sum())
        epoch += 1
    for first in range(0, len(rows) - batch + 1, batch):
        event, window = np.stack(rows[first : first + batch]), np.stack(windows[first:][:batch])
        padding = event < 0
        opens = ~padding
        opens[:, 1:] &= window[:, 1:] != window[:, :-1]
        document = np.where(padding, -1, np.cumsum(opens).reshape(opens.shape) - 1)
        yield (
            np.where(padding, 0, dataset.items[event]),
            np.where(padding, 0, dataset.items[event + 1]),
            document,
        )


@pytest.mark.parametrize(("context", "batch"), [(4, 3), (16, 2), (64, 5)])
def test_batches_are_those_of_epochs_written_out(
    prepared, random_lines, context: int, batch: int
) -> None:
    dataset = prepared(random_lines(n_users=30, most=60), 12)
    positions = int(2.5 * dataset.unique_positions)
    sampler = TrainSampler(dataset, context, batch, positions, seed=4)
    n = 0
    for made, wanted in zip(
        sampler, expanded_batches(dataset, context, batch, positions, 4), strict=False
    ):
        for found, expected in zip((made.inputs, made.targets, made.document), wanted, strict=True):
            assert np.array_equal(found, expected)
        n += 1
    assert sampler.state_dict()["epoch"] == 2
    assert n == sampler.state_dict()["step"] > 4


def test_a_plan_keeps_windows_not_positions(prepared, random_lines) -> None:
    dataset = prepared(random_lines(n_users=30, most=100), 12)
    sampler = TrainSampler(dataset, 64, 4, 10**6, seed=0)
    plan = sampler.epoch_plan(0)
    held = plan.start.nbytes + plan.length.nbytes + plan.window.nbytes + plan.offsets.nbytes
    assert held <= 16 * len(plan.start) + 8 * (len(plan) + 1)


def test_an_epoch_is_planned_when_its_first_row_is_asked_for(prepared, monkeypatch) -> None:
    dataset = prepared([(u, k % 9, k) for u in range(5) for k in range(30)] + [(0, 0, 100)], 9)
    planned: list[int] = []
    plan = TrainSampler.epoch_plan
    monkeypatch.setattr(
        TrainSampler, "epoch_plan", lambda self, epoch: planned.append(epoch) or plan(self, epoch)
    )
    sampler = TrainSampler(dataset, 8, 2, 10**6, seed=0)
    state = sampler.state_dict() | {"epoch": 7}
    sampler.load_state_dict(state)
    assert planned == []
    next(iter(sampler))
    assert planned == [7]


def windows_of(histories: np.ndarray, context: int, seed: int) -> np.ndarray:
    """Lengths of the windows of one epoch, cut at a random offset, as the sampler cuts them."""
    rng = np.random.default_rng(seed)
    counts = histories[histories > 1] - 1
    cut = rng.integers(1, context + 1, len(counts))
    lengths = [np.minimum(cut, counts)]
    left = counts - lengths[0]
    while left.any():
        lengths.append(np.minimum(left, context)[left > 0])
        left = np.maximum(left - context, 0)
    return np.concatenate(lengths)


HISTORIES = {
    "heavy tail": lambda rng: np.minimum(5_000, 2 + rng.pareto(1.1, 20_000) * 5).astype(int),
    "log-normal": lambda rng: np.maximum(2, rng.lognormal(3.5, 1.2, 5_000)).astype(int),
    "all shorter than L": lambda rng: rng.integers(2, 12, 5_000),
    "all of L and half": lambda rng: np.full(3_000, 97),
    "all of one position more than half of L": lambda rng: np.full(3_000, 34),
    "all very long": lambda rng: np.full(50, 20_000),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_padding_stays_below_a_twentieth(name: str) -> None:
    histories = HISTORIES[name](np.random.default_rng(1))
    lengths = windows_of(histories, 64, seed=2)
    assert lengths.sum() == (histories[histories > 1] - 1).sum()
    packing = pack(lengths, 64)
    assert lengths.sum() / (packing.rows * 64) > 0.95


def test_padding_is_no_more_than_the_last_rows_of_short_histories() -> None:
    # Nothing but windows of 5 positions in rows of 64: twelve a row, four positions lost.
    packing = pack(np.full(1_200, 5), 64)
    assert packing.rows == 100
    # With a few single positions they fill up: best fit leaves one row open, at most.
    packing = pack(np.concatenate([np.full(1_200, 5), np.ones(400, int)]), 64)
    assert packing.rows == 100
