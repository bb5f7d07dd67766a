"""Evaluation windows: each target once, with the context that the definition promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from behavior_scaling.data.event_columns import EventColumns
from behavior_scaling.data.store import CONTEXT, TEST, TRAIN, VALIDATION, Dataset
from behavior_scaling.data.windows import EvalBatch, eval_windows


def joined(batches: list[EvalBatch], name: str) -> np.ndarray:
    return np.concatenate([getattr(batch, name) for batch in batches])


def test_windows_by_hand(prepared, halves) -> None:
    # Events 0..6 of one user, train until 2; L = 4. Window 1 reads events 0..3 and scores those
    # that follow 2 and 3; window 2 starts half of L later and scores what follows 4 and 5.
    user = halves["validation"][0]
    lines = [(user, 10 + k, k if k < 3 else 97 + k) for k in range(7)]
    dataset = prepared(lines, 20)

    (batch,) = eval_windows(dataset, "validation", 4)

    order = np.argsort(batch.inputs[:, 0])
    assert batch.inputs[order].tolist() == [[10, 11, 12, 13], [12, 13, 14, 15]]
    assert batch.targets[order].tolist() == [[11, 12, 13, 14], [13, 14, 15, 16]]
    assert batch.valid[order].tolist() == [[False, False, True, True]] * 2
    assert batch.event[order].tolist() == [[1, 2, 3, 4], [3, 4, 5, 6]]
    assert sorted(batch.document[:, 0].tolist()) == [0, 1]


def test_a_new_user_is_scored_from_the_second_event(prepared, halves) -> None:
    new, known = halves["validation"][:2]
    lines = [(known, 1, 1), (known, 2, 2), (new, 3, 100), (new, 4, 101), (new, 5, 102)]
    dataset = prepared(lines, 6)

    (batch,) = eval_windows(dataset, "validation", 8)

    assert batch.inputs[batch.valid].tolist() == [3, 4]
    assert batch.targets[batch.valid].tolist() == [4, 5]
    assert dataset.user_in_train[batch.user[batch.valid]].tolist() == [False, False]


def by_time(dataset: Dataset) -> np.ndarray:
    return dataset.split


def last_ones(dataset: Dataset) -> np.ndarray:
    """The last two events of a user are test, the three before them validation."""
    left = np.repeat(dataset.offsets[1:], np.diff(dataset.offsets)) - np.arange(dataset.n_events)
    return np.select([left <= 2, left <= 5], [TEST, VALIDATION], TRAIN).astype(np.uint8)


def without_training(dataset: Dataset) -> np.ndarray:
    """The last ones of users who do not train: their history is context."""
    split = last_ones(dataset)
    return np.where(split == TRAIN, CONTEXT, split).astype(np.uint8)


def scattered(dataset: Dataset) -> np.ndarray:
    """Any event of any split."""
    rng = np.random.default_rng(4)
    return rng.integers(0, 4, dataset.n_events).astype(np.uint8)


@pytest.mark.parametrize("coded", [by_time, last_ones, without_training, scattered])
@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("context", [2, 3, 4, 7, 16, 64])
def test_each_target_once_with_enough_context(
    prepared, random_lines, split, context: int, coded
) -> None:
    dataset = prepared(random_lines(), 12)
    dataset = replace(dataset, split=coded(dataset))
    users = np.repeat(np.arange(dataset.n_users), np.diff(dataset.offsets))
    code = {"validation": 1, "test": 2}[split]
    eligible = [
        event
        for event in range(1, dataset.n_events)
        if dataset.split[event] == code and users[event] == users[event - 1]
    ]

    batches = list(eval_windows(dataset, split, context, rows=3))

    scored = np.concatenate([batch.event[batch.valid] for batch in batches])
    assert sorted(scored.tolist()) == eligible
    assert len(eligible) == len(dataset.eval_events(split)) > 50
    for batch in batches:
        for row, column in np.argwhere(batch.valid):
            event = batch.event[row, column]
            seen = np.flatnonzero(batch.document[row] == batch.document[row, column])
            seen = seen[seen <= column]
            history = event - dataset.offsets[users[event]]
            assert len(seen) >= min(history, context // 2)
            assert np.array_equal(batch.inputs[row, seen], dataset.items[event - len(seen) : event])
            assert batch.targets[row, column] == dataset.items[event]
            assert batch.user[row, column] == users[event]


def test_the_literatures_splits_by_hand(prepared) -> None:
    # Seven events of one user, the last two test, the two before them validation: validation
    # reads no test event, and test reads validation events without scoring them.
    dataset = prepared([(0, 10 + k, k if k < 6 else 100) for k in range(7)], 20)
    codes = [TRAIN, TRAIN, CONTEXT, VALIDATION, VALIDATION, TEST, TEST]
    dataset = replace(dataset, split=np.array(codes, np.uint8))

    (early,) = eval_windows(dataset, "validation", 8)
    (late,) = eval_windows(dataset, "test", 8)

    assert early.inputs[early.document >= 0].tolist() == [10, 11, 12, 13]
    assert early.targets[early.valid].tolist() == [13, 14]
    assert late.inputs[late.document >= 0].tolist() == [10, 11, 12, 13, 14, 15]
    assert late.targets[late.valid].tolist() == [15, 16]


def test_windows_carry_the_chosen_features_of_their_inputs(
    prepared, random_lines, monkeypatch
) -> None:
    dataset = prepared(random_lines(), 12)
    levels = np.arange(dataset.n_events)[:, None] % np.array([7, 9])
    tables = np.zeros((16, 2), np.int32), np.ones((16, 2), np.float32)
    columns = EventColumns(levels.astype(np.uint16), np.array([0, 7, 16]), *tables, ("a", "b"))
    monkeypatch.setattr(Dataset, "event_columns", lambda self: columns, raising=False)

    for batch in eval_windows(dataset, "test", 8, rows=5, event_features=("b",)):
        present = batch.document >= 0
        past = batch.event[present] - 1
        assert batch.events[present].tolist() == [[7 + event % 9] for event in past]
        assert not batch.events[~present].any()
    assert next(eval_windows(dataset, "test", 8)).events is None


def test_rows_are_dealt_out_in_batches_and_padding_is_marked(prepared, random_lines) -> None:
    dataset = prepared(random_lines(), 12)
    whole = list(eval_windows(dataset, "test", 8, rows=1000))
    parts = list(eval_windows(dataset, "test", 8, rows=3))

    assert len(whole) == 1
    assert {len(batch.inputs) for batch in parts[:-1]} == {3}
    for name in ("inputs", "targets", "valid", "user", "event", "session_start"):
        assert np.array_equal(joined(parts, name), getattr(whole[0], name))
    padding = whole[0].document < 0
    assert padding.any()
    assert (whole[0].user[padding] == -1).all()
    assert (whole[0].event[padding] == -1).all()
    assert not whole[0].valid[padding].any()
    assert not whole[0].session_start[padding].any()


def test_session_starts_by_hand(prepared, halves) -> None:
    user = halves["test"][0]
    times = [1, 5, 100, 110, 500, 600, 701]  # gaps of more than 100 s open a session
    dataset = prepared([(user, k, t) for k, t in enumerate(times)], 7, session_gap=100)

    (batch,) = eval_windows(dataset, "test", 8)

    starts = dict(
        zip(batch.event[batch.valid].tolist(), batch.session_start[batch.valid], strict=True)
    )
    assert starts == {2: False, 3: False, 4: True, 5: False, 6: True}


def test_ties_in_time_keep_their_line_order(prepared, halves) -> None:
    user = halves["validation"][0]
    lines = [(user, 5, 100), (user, 3, 1), (user, 9, 100), (user, 1, 100), (user, 7, 1)]
    dataset = prepared(lines, 10)

    (batch,) = eval_windows(dataset, "validation", 8)

    assert dataset.items.tolist() == [3, 7, 5, 9, 1]
    assert batch.targets[batch.valid].tolist() == [5, 9, 1]


def test_a_context_too_short_is_refused(prepared, random_lines) -> None:
    with pytest.raises(ValueError, match="context must be at least 2"):
        next(eval_windows(prepared(random_lines(), 12), "test", 1))
