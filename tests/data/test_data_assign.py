"""Leave-one-out, last-n, users who train, and the refusal of splits too small to measure."""

from __future__ import annotations

import numpy as np
import pytest

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.split import cut_time, first_users
from behavior_scaling.data.store import CONTEXT, TEST, TRAIN, VALIDATION, Dataset

LINES = (
    [(0, i % 3, i) for i in range(6)] + [(1, 0, 3), (1, 1, 4)] + [(2, i % 3, i) for i in range(3)]
)


def test_leave_one_out_by_hand(prepared) -> None:
    dataset = prepared(LINES, 3, split="leave_one_out")

    t, v, e = TRAIN, VALIDATION, TEST
    assert dataset.split.tolist() == [t, t, t, t, v, e, t, t, t, v, e]
    assert dataset.meta.t1 is None
    assert dataset.meta.eval_positions == {"validation": 2, "test": 2}
    assert dataset.train_lengths.tolist() == [4, 2, 1]


def test_last_n_by_hand(prepared) -> None:
    dataset = prepared(LINES, 3, split="last_n", last_n=2)

    t, v, e = TRAIN, VALIDATION, TEST
    assert dataset.split.tolist() == [t, t, v, v, e, e, t, t, t, t, t]
    assert dataset.train_counts.sum() == 7


def test_the_last_event_of_a_user_trains_nothing_when_left_out(prepared) -> None:
    """Changing every left-out item changes nothing that training reads."""
    rng = np.random.default_rng(0)
    lines = [(u, int(rng.integers(20)), k) for u in range(30) for k in range(6)]
    changed = [(u, (i + 7) % 20 if k >= 4 else i, k) for u, i, k in lines]
    read: list[Dataset] = []
    for some in (lines, changed):
        dataset = prepared(some, 20, split="leave_one_out")
        read.append(dataset)

    one, other = read
    assert not np.array_equal(one.items, other.items)
    for name in ("train_counts", "codes", "weights", "train_lengths", "split"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.event_columns().codes.tolist() == other.event_columns().codes.tolist()


def test_users_who_train_are_prefixes_of_one_order() -> None:
    ids = [f"u{k}" for k in range(1000)]
    sets = [
        set(np.flatnonzero(first_users(ids, share, b"order")).tolist()) for share in (0.1, 0.3, 1.0)
    ]

    assert [len(chosen) for chosen in sets] == [100, 300, 1000]
    assert sets[0] < sets[1] < sets[2]
    assert first_users(ids[:500], 1.0, b"order").all()
    fewer = set(np.flatnonzero(first_users(ids[:500], 0.3, b"order")).tolist())
    assert len(fewer & sets[1]) > 100  # the order of those who are there stays


def test_other_users_become_history(prepared) -> None:
    rng = np.random.default_rng(1)
    lines = [
        (u, int(rng.integers(9)), int(t)) for u in range(40) for t in rng.integers(150, size=9)
    ]
    whole = prepared(lines, 9)
    half = prepared(lines, 9, train_users=0.5)

    user = np.repeat(np.arange(half.n_users), np.diff(half.offsets))
    training = set(user[half.split == TRAIN].tolist())
    context = set(user[half.split == CONTEXT].tolist())
    assert not training & context
    assert np.array_equal(whole.split == TRAIN, np.isin(half.split, (TRAIN, CONTEXT)))
    assert np.array_equal(half.split[half.split != CONTEXT], whole.split[half.split != CONTEXT])
    assert half.meta.eval_positions == whole.meta.eval_positions
    trained = half.items[half.split == TRAIN]
    assert half.train_counts.tolist() == np.bincount(trained, minlength=9).tolist()
    assert half.unique_positions == sum(max(n - 1, 0) for n in half.train_lengths)
    assert half.meta.spec.identity == whole.meta.spec.identity


@pytest.mark.parametrize("split", ["time", "last_n"])
def test_users_who_are_not_scored_keep_their_late_events_as_history(prepared, split: str) -> None:
    rng = np.random.default_rng(2)
    lines = [
        (u, int(rng.integers(9)), int(t)) for u in range(40) for t in rng.integers(150, size=9)
    ]
    whole, some, few = (
        prepared(lines, 9, split=split, last_n=2, eval_share=share) for share in (1.0, 0.5, 0.25)
    )
    user = np.repeat(np.arange(some.n_users), np.diff(some.offsets))
    late = whole.split != TRAIN
    scored = [
        set(user[np.isin(dataset.split, (VALIDATION, TEST))].tolist())
        for dataset in (whole, some, few)
    ]
    assert len(scored[0]) > len(scored[1]) > len(scored[2]) > 0
    assert scored[0] > scored[1] > scored[2]  # nested in the share
    for dataset, kept in ((some, scored[1]), (few, scored[2])):
        mine = np.isin(user, sorted(kept))
        assert np.array_equal(dataset.split[~late], whole.split[~late])  # who trains, trains on
        assert np.array_equal(dataset.split[mine], whole.split[mine])
        assert (dataset.split[late & ~mine] == CONTEXT).all()
        for name in ("train_counts", "train_lengths", "codes", "weights", "items"):
            assert np.array_equal(getattr(dataset, name), getattr(whole, name)), name
        for name, code in (("validation", VALIDATION), ("test", TEST)):
            preceded = np.arange(len(user)) > dataset.offsets[user]
            targets = int((preceded & (dataset.split == code)).sum())
            assert dataset.meta.eval_positions[name] == targets < whole.meta.eval_positions[name]
    assert some.meta.spec.identity == whole.meta.spec.identity
    assert some.data_spec().eval_share == 0.5


def test_users_who_train_and_users_who_are_scored_are_drawn_apart(prepared) -> None:
    rng = np.random.default_rng(3)
    lines = [
        (u, int(rng.integers(9)), int(t)) for u in range(40) for t in rng.integers(150, size=9)
    ]
    both = prepared(lines, 9, train_users=0.5, eval_share=0.5)
    user = np.repeat(np.arange(both.n_users), np.diff(both.offsets))
    trained = set(user[both.split == TRAIN].tolist())
    scored = set(user[np.isin(both.split, (VALIDATION, TEST))].tolist())
    assert trained - scored
    assert scored - trained
    assert trained & scored


def test_too_few_targets_are_refused_with_the_reason(prepared) -> None:
    with pytest.raises(DataError, match=r"tiny: the validation split has 2 targets .* 3 below"):
        prepared(LINES, 3, split="leave_one_out", least_targets=3)


@pytest.mark.parametrize("seed", range(5))
def test_the_cut_in_pieces_is_the_order_statistic(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = rng.integers(10**9, size=1000) * int(10 ** rng.integers(1, 4)) + 5
    for fraction in (0.1, 0.5, 0.8, 0.999):
        want = int(np.sort(times)[int(fraction * 1000)])
        assert cut_time(lambda: iter((times,)), 1000, fraction) == want
        cut = cut_time(lambda: iter(np.array_split(times, 7)), 1000, fraction)
        assert cut == want
