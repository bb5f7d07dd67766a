"""Training windows: cut by hand, packed, exact in number, resumable, reproducible."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.event_columns import EventColumns
from behavior_scaling.data.packing import pack, packed_rows
from behavior_scaling.data.store import CONTEXT, TRAIN, Dataset
from behavior_scaling.data.windows import Batch, TrainSampler


def pairs_of(batches: list[Batch]) -> Counter[tuple[int, int]]:
    """How often each (input, target) bears a loss."""
    found: Counter[tuple[int, int]] = Counter()
    for batch in batches:
        found.update(
            zip(
                batch.inputs[batch.valid].tolist(),
                batch.targets[batch.valid].tolist(),
                strict=True,
            )
        )
    return found


def same(one: Batch, other: Batch) -> bool:
    arrays = ("inputs", "targets", "document", "valid")
    return all(np.array_equal(getattr(one, n), getattr(other, n)) for n in arrays) and (
        (one.step, one.consumed) == (other.step, other.consumed)
    )


# Every event has an item of its own (100 * user + place), so that an item names an event.
def own_items(sizes: list[int]) -> list[tuple[int, int, int]]:
    return [(u, 20 * u + k, k) for u, size in enumerate(sizes) for k in range(size)]


def test_best_fit_decreasing_by_hand() -> None:
    # Capacity 10. In order 7, 6, 4, 3, 2: 7 opens row 0 (3 left), 6 opens row 1 (4 left), 4 fits
    # row 1 alone, 3 fits row 0, and 2 opens row 2.
    packing = pack(np.array([3, 7, 2, 6, 4]), 10)

    assert packing.row.tolist() == [0, 0, 2, 1, 1]
    assert packing.column.tolist() == [7, 0, 0, 0, 6]
    assert packing.rows == 3


def test_best_fit_prefers_the_tightest_row() -> None:
    # 8 leaves 2 and 6 leaves 4: the 2 belongs into the row of 8, the 1 then into that of 6.
    packing = pack(np.array([6, 8, 2, 1]), 10)

    assert packing.row.tolist() == [1, 0, 0, 1]


def test_windows_are_written_where_they_were_packed() -> None:
    grid = packed_rows(np.array([30, 10]), np.array([2, 3]), 4).grid()

    assert grid.event.tolist() == [[10, 11, 12, -1], [30, 31, -1, -1]]
    assert grid.window.tolist() == [[1, 1, 1, -1], [0, 0, -1, -1]]


def test_positions_by_hand(prepared) -> None:
    # Users with 3, 1 and 2 train events have 2, 0 and 1 positions; the last event has no follower.
    lines = [(0, 5, 1), (0, 6, 2), (0, 7, 3), (1, 8, 1), (2, 5, 4), (2, 9, 5), (0, 4, 100)]
    dataset = prepared(lines, 10)

    batches = list(TrainSampler(dataset, context=4, batch=1, positions=3, seed=0))

    assert dataset.unique_positions == 3
    assert pairs_of(batches) == {(5, 6): 1, (6, 7): 1, (5, 9): 1}


@pytest.mark.parametrize("context", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_every_position_once_an_epoch(prepared, context: int, epoch: int) -> None:
    sizes = [1, 2, 3, 9, 17, 20]
    dataset = prepared([*own_items(sizes), (0, 0, 100)], 120)

    plan = TrainSampler(dataset, context, 2, 1, seed=3).epoch_plan(epoch).grid()

    inputs = Counter(dataset.items[plan.event[plan.event >= 0]].tolist())
    expected = [20 * user + place for user, size in enumerate(sizes) for place in range(size - 1)]
    assert inputs == Counter(expected)


def test_windows_are_runs_of_one_user(prepared) -> None:
    dataset = prepared([*own_items([20] * 6), (0, 0, 100)], 120)

    for batch in TrainSampler(dataset, context=8, batch=4, positions=400, seed=1):
        for number in range(batch.document.max() + 1):
            rows, columns = np.nonzero(batch.document == number)
            assert len(set(rows)) == 1
            assert np.array_equal(columns, np.arange(columns[0], columns[0] + len(columns)))
            events = batch.inputs[rows, columns]
            assert np.array_equal(np.diff(events), np.ones(len(events) - 1))  # no event skipped
            assert len(set(events // 20)) == 1  # no user mixed in
            assert np.array_equal(batch.targets[rows, columns], events + 1)


def test_two_windows_of_one_user_in_a_row_stay_two_documents(prepared) -> None:
    # 6 positions in rows of 4: where the cut falls after 1, the pieces are 0, 1-4 and 5, and the
    # first and the last share a row.
    dataset = prepared([*own_items([7]), (0, 0, 100)], 20)
    sampler = TrainSampler(dataset, context=4, batch=1, positions=6 * 60, seed=0)

    shared = {
        (tuple(batch.inputs[0].tolist()), tuple(batch.document[0].tolist()))
        for batch in sampler
        if batch.document.max() > 0
    }

    assert shared == {((0, 5, 0, 0), (0, 1, -1, -1)), ((5, 0, 0, 0), (0, 1, -1, -1))}


def test_positions_that_fit_half_a_window_are_never_cut(prepared) -> None:
    sizes = [2, 3, 5, 6, 9, 20]  # of which 1, 2, 4, 5, 8 and 19 positions; L = 8
    dataset = prepared([*own_items(sizes), (0, 0, 100)], 120)
    sampler = TrainSampler(dataset, context=8, batch=1, positions=1, seed=2)

    found: list[set[int]] = [set() for _ in sizes]
    for epoch in range(60):
        plan = sampler.epoch_plan(epoch).grid()
        user = dataset.items[plan.event] // 20
        for number, seen in enumerate(found):
            seen.add(len(set(plan.window[(plan.event >= 0) & (user == number)])))

    assert found == [{1}, {1}, {1}, {1, 2}, {1, 2}, {3, 4}]


def test_history_of_users_left_out_is_never_trained_on(prepared) -> None:
    # Users 1 and 3 are left out: what was theirs before the cut is context.
    dataset = prepared([*own_items([9, 9, 9, 9]), (1, 79, 100), (0, 0, 100)], 80)
    user = np.repeat(np.arange(4), np.diff(dataset.offsets))
    split = np.where((dataset.split == TRAIN) & (user % 2 == 1), CONTEXT, dataset.split)
    left = replace(dataset, split=split.astype(np.uint8))

    found = pairs_of(list(TrainSampler(left, context=4, batch=2, positions=16, seed=0)))

    assert found == {(20 * u + k, 20 * u + k + 1): 1 for u in (0, 2) for k in range(8)}


@pytest.fixture
def event_columns(monkeypatch: pytest.MonkeyPatch) -> EventColumns:
    """Two features of 300 events at most: levels 0..4 and 0..9, from row 0 and from row 5."""
    levels = np.arange(300)[:, None] % np.array([5, 10])
    codes, weights = np.zeros((15, 2), np.int32), np.ones((15, 2), np.float32)
    offsets = np.array([0, 5, 15])
    columns = EventColumns(levels.astype(np.uint16), offsets, codes, weights, ("one", "other"))
    monkeypatch.setattr(Dataset, "event_columns", lambda self: columns, raising=False)
    return columns


def test_a_batch_carries_the_chosen_features_of_its_inputs(prepared, event_columns) -> None:
    dataset = prepared([*own_items([20, 15, 7, 2]), (0, 0, 100)], 80)
    place = {int(item): event for event, item in enumerate(dataset.items[:-1])}
    settings = {"context": 8, "batch": 3, "positions": 100, "seed": 5}

    for batch in TrainSampler(dataset, **settings, event_features=("other", "one")):
        for row, column in np.ndindex(batch.inputs.shape):
            event = place[int(batch.inputs[row, column])]
            wanted = [5 + event % 10, event % 5] if batch.document[row, column] >= 0 else [0, 0]
            assert batch.events[row, column].tolist() == wanted
    assert all(batch.events is None for batch in TrainSampler(dataset, **settings))
    with pytest.raises(DataError, match="event feature 'amount': these data have one, other"):
        TrainSampler(dataset, **settings, event_features=("amount",))


def test_the_offset_is_uniform(prepared) -> None:
    # 8 positions, L = 4: the first window has 1, 2, 3 or 4 positions with probability 1/4 each.
    dataset = prepared([*own_items([9]), (0, 0, 100)], 20)
    sampler = TrainSampler(dataset, context=4, batch=1, positions=1, seed=0)
    firsts = Counter()
    for epoch in range(400):
        plan = sampler.epoch_plan(epoch).grid()
        firsts[int((plan.window == plan.window[plan.event == 0]).sum())] += 1

    assert set(firsts) == {1, 2, 3, 4}
    assert sum((n - 100) ** 2 / 100 for n in firsts.values()) < 11.34  # chi-square, 3 df, p = .01


def test_padding_is_small_and_bears_no_loss(prepared) -> None:
    rng = np.random.default_rng(0)
    lines = [(u, k % 50, k) for u in range(60) for k in range(int(rng.integers(2, 90)))]
    dataset = prepared([*lines, (0, 0, 100)], 50)
    sampler = TrainSampler(dataset, 32, 8, 10 * dataset.unique_positions, 0)

    plan = sampler.epoch_plan(0).grid()
    batch = next(iter(sampler))

    assert (plan.event < 0).mean() < 0.1  # whole windows fill rows less well than cut ones
    padding = batch.document < 0
    assert not batch.valid[padding].any()
    assert not batch.inputs[padding].any()
    assert not batch.targets[padding].any()
    assert batch.valid[~padding].all()


@pytest.mark.parametrize("positions", [1, 5, 63, 64, 65, 500, 1000])
def test_the_number_of_losses_is_exact(prepared, positions: int) -> None:
    dataset = prepared([*own_items([20, 15, 7, 2]), (0, 0, 100)], 80)

    batches = list(TrainSampler(dataset, context=8, batch=3, positions=positions, seed=0))

    losses = [int(batch.valid.sum()) for batch in batches]
    assert sum(losses) == positions
    assert [batch.consumed for batch in batches] == [0, *np.cumsum(losses)[:-1]]
    assert [batch.step for batch in batches] == list(range(len(batches)))
    assert all(batch.inputs.shape == (3, 8) for batch in batches)


def test_the_cut_keeps_the_first_positions_of_the_last_batch(prepared) -> None:
    dataset = prepared([*own_items([20]), (0, 0, 100)], 20)

    (whole,) = TrainSampler(dataset, context=20, batch=1, positions=19, seed=0)
    (cut,) = TrainSampler(dataset, context=20, batch=1, positions=6, seed=0)

    assert np.array_equal(whole.inputs, cut.inputs)
    assert np.flatnonzero(cut.valid).tolist() == list(range(6))


def test_a_batch_larger_than_the_data_spans_epochs(prepared) -> None:
    dataset = prepared([*own_items([3]), (0, 0, 100)], 20)  # 2 positions, 1 row an epoch

    batches = list(TrainSampler(dataset, context=2, batch=5, positions=20, seed=0))

    assert [int(batch.valid.sum()) for batch in batches] == [10, 10]
    assert pairs_of(batches) == {(0, 1): 10, (1, 2): 10}
    for batch in batches:  # the same window from two epochs is two documents
        rows = np.repeat(np.arange(5), 2).reshape(5, 2)
        assert len({(d, r) for d, r in zip(batch.document.flat, rows.flat, strict=True)}) == len(
            set(batch.document.flat)
        )


def test_epochs_visit_each_position_equally_often(prepared) -> None:
    dataset = prepared([*own_items([20, 15, 7, 2]), (0, 0, 100)], 80)
    sampler = TrainSampler(dataset, 8, 3, 3 * dataset.unique_positions, seed=0)

    assert set(pairs_of(list(sampler)).values()) <= {2, 3, 4}
    rows = [len(sampler.epoch_plan(epoch)) for epoch in range(3)]
    exact = TrainSampler(dataset, 8, 1, 3 * dataset.unique_positions, seed=0)
    batches = list(exact)
    assert len(batches) == sum(rows)
    assert set(pairs_of(batches).values()) == {3}


@pytest.mark.parametrize("stop", [1, 4, 11, 12])
def test_resuming_gives_the_remaining_stream(prepared, stop: int) -> None:
    dataset = prepared([*own_items([20, 15, 7, 2]), (0, 0, 100)], 80)
    settings = {"context": 8, "batch": 3, "positions": 261, "seed": 5}
    whole = list(TrainSampler(dataset, **settings))
    first = TrainSampler(dataset, **settings)
    running = iter(first)
    for _ in range(stop):
        next(running)
    state = json.loads(json.dumps(first.state_dict()))

    second = TrainSampler(dataset, **settings)
    second.load_state_dict(state)
    rest = list(second)

    assert len(whole) >= 12
    assert len(rest) == len(whole) - stop
    assert all(same(one, other) for one, other in zip(rest, whole[stop:], strict=True))


def test_a_state_of_other_settings_is_refused(prepared) -> None:
    dataset = prepared([*own_items([20]), (0, 0, 100)], 20)
    state = TrainSampler(dataset, 8, 3, 50, seed=5).state_dict()

    with pytest.raises(ValueError, match="seed 5, not 6"):
        TrainSampler(dataset, 8, 3, 50, seed=6).load_state_dict(state)


def test_a_seed_gives_its_own_stream_again(prepared) -> None:
    dataset = prepared([*own_items([20] * 6), (0, 0, 100)], 120)

    def stream(seed: int) -> list[Batch]:
        return list(TrainSampler(dataset, 8, 3, 300, seed))

    assert all(same(one, other) for one, other in zip(stream(1), stream(1), strict=True))
    assert not all(same(one, other) for one, other in zip(stream(1), stream(2), strict=False))


def test_epochs_differ(prepared) -> None:
    dataset = prepared([*own_items([20] * 6), (0, 0, 100)], 120)
    sampler = TrainSampler(dataset, 8, 3, 300, 0)

    first, second = sampler.epoch_plan(0).grid(), sampler.epoch_plan(1).grid()
    assert not np.array_equal(first.event, second.event)


def test_events_after_the_cut_are_never_read(prepared) -> None:
    early = own_items([6, 4])
    dataset = prepared([*early, (0, 77, 100), (1, 78, 101), (1, 79, 102)], 80)

    batches = list(TrainSampler(dataset, 4, 2, 50, 0))

    seen = {item for pair in pairs_of(batches) for item in pair}
    assert seen == {item for _, item, _ in early}


def test_impossible_requests_are_refused(prepared) -> None:
    with pytest.raises(ValueError, match="at least 1, got 8, 0 and 5"):
        TrainSampler(prepared([*own_items([5]), (0, 0, 100)], 20), 8, 0, 5, 0)
    with pytest.raises(ValueError, match="no user has two training events"):
        TrainSampler(prepared([(0, 0, 1), (1, 1, 2), (0, 0, 100)], 20), 8, 1, 5, 0)
