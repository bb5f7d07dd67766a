"""The time split, and that nothing after t1 reaches what training reads."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.prepare import prepare_tables
from behavior_scaling.data.split import cut_time, in_test_half, split_codes
from behavior_scaling.data.store import Dataset
from behavior_scaling.data.tables import FeatureSchema, Tables
from behavior_scaling.data.windows import TrainSampler

N_ITEMS = 30


def world(seed: int = 0, n_users: int = 50) -> Tables:
    """Events with ties in time, and items of every kind of feature."""
    rng = np.random.default_rng(seed)
    events = pd.DataFrame(
        {
            "user_id": rng.integers(n_users, size=1500),
            "item_id": rng.integers(N_ITEMS, size=1500),
            "timestamp": rng.integers(400, size=1500),
            "amount": rng.lognormal(size=1500),
            "channel": rng.choice(["web", "shop", "fair"], size=1500),
        }
    )
    items = pd.DataFrame(
        {
            "item_id": range(N_ITEMS),
            "price": rng.normal(size=N_ITEMS),
            "name": [f"thing number {k}" for k in range(N_ITEMS)],
        }
    )
    features = (("amount", "numeric"), ("channel", "categorical"))
    return Tables(events, items, FeatureSchema((("price", "numeric"), ("name", "text")), features))


def prepare(tables: Tables, folder: Path) -> Dataset:
    return prepare_tables(tables, DataConfig(least_targets=0, source="world", tokens=8), folder)


def cut(times: np.ndarray, fraction: float) -> int:
    return cut_time(lambda: iter((times,)), len(times), fraction)


def test_cut_time_by_hand() -> None:
    times = np.array([9, 1, 5, 7, 3])

    assert cut(times, 0.5) == 5  # int(2.5) = 2 events before the third in order
    assert cut(times, 0.8) == 9


def test_ties_never_straddle_the_cut() -> None:
    times = np.array([1, 2, 2, 2, 2, 3])

    assert cut(times, 0.5) == 2  # one event is before, not three
    assert (times < cut(times, 0.9)).sum() == 5


def test_a_cut_without_train_events_is_refused() -> None:
    with pytest.raises(DataError, match="no event is earlier than the cut-off 4"):
        cut(np.array([4, 4, 4, 9]), 0.5)


def test_split_codes_by_hand() -> None:
    times = np.array([1, 10, 2, 10, 9])
    codes = split_codes(times, np.array([0, 0, 1, 1, 1]), 10, np.array([False, True]))

    assert codes.tolist() == [0, 1, 0, 2, 0]


def test_halves_are_even_and_do_not_depend_on_other_users() -> None:
    some = in_test_half([f"u{k}" for k in range(4000)])

    assert abs(some.mean() - 0.5) < 0.03  # 4 standard deviations
    assert in_test_half(["u7", "u3"]).tolist() == [some[7], some[3]]


def test_each_user_after_the_cut_is_in_one_half(tmp_path: Path) -> None:
    dataset = prepare(world(), tmp_path / "d")
    users = np.repeat(np.arange(dataset.n_users), np.diff(dataset.offsets))
    validation, test = (set(users[dataset.split == code]) for code in (1, 2))

    assert validation
    assert test
    assert not validation & test
    late = dataset.times >= dataset.meta.t1
    assert np.array_equal(late, dataset.split > 0)
    assert 0.75 < (dataset.split == 0).mean() <= 0.8


def shuffled_after(tables: Tables, t1: int) -> Tables:
    """The same events up to t1; later ones get other users, items, features and times after t1.

    Users, items and times are mapped one to one, so that no line comes to repeat another.
    """
    rng = np.random.default_rng(1)
    events = tables.events.copy()
    late = (events["timestamp"] >= t1).to_numpy()
    for name in ("user_id", "item_id"):
        other = rng.permutation(events[name].max() + 1)
        events.loc[late, name] = other[events.loc[late, name]]
    events.loc[late, "amount"] *= 1000
    events.loc[late, "channel"] = "later " + events.loc[late, "channel"]
    span = events["timestamp"].max() + 1 - t1
    later = np.concatenate(([0], 1 + rng.permutation(10 * span)[: span - 1]))
    events.loc[late, "timestamp"] = t1 + later[events.loc[late, "timestamp"] - t1]
    return dataclasses.replace(tables, events=events)


def test_nothing_after_the_cut_reaches_training(tmp_path: Path) -> None:
    tables = world()
    # Items 25.. occur late only, so that a leak would reach bins and counts.
    early = tables.events["timestamp"] < 330
    tables.events.loc[early, "item_id"] %= N_ITEMS - 5
    one = prepare(tables, tmp_path / "one")
    other = prepare(shuffled_after(tables, one.meta.t1), tmp_path / "other")

    assert one.meta.spec.identity != other.meta.spec.identity
    assert not np.array_equal(one.items, other.items)
    assert one.meta.t1 == other.meta.t1
    for name in ("train_counts", "codes", "weights", "user_in_train", "train_lengths", "unigram"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for fact in ("n_train", "unique_positions", "unigram_entropy", "vocabulary"):
        assert getattr(one.meta, fact) == getattr(other.meta, fact), fact
    for name in ("offsets", "codes", "weights"):
        first, second = (getattr(d.event_columns(), name) for d in (one, other))
        assert np.array_equal(first, second), name
    seen = [d.event_columns().levels[d.split == 0] for d in (one, other)]
    assert np.array_equal(*seen)
    for name in ("items", "times"):
        first, second = (getattr(d, name)[d.split == 0] for d in (one, other))
        assert np.array_equal(first, second), name
    streams = [list(TrainSampler(d, 16, 4, 2000, 0)) for d in (one, other)]
    for batch, twin in zip(*streams, strict=True):
        assert np.array_equal(batch.inputs, twin.inputs)
        assert np.array_equal(batch.targets, twin.targets)


def test_bins_see_trained_items_only(tmp_path: Path) -> None:
    tables = world()
    tables.events.loc[tables.events["timestamp"] < 330, "item_id"] %= N_ITEMS - 5
    one = prepare(tables, tmp_path / "one")
    tables.items.loc[N_ITEMS - 5 :, "price"] = 1e6  # cold items become dear
    other = prepare(tables, tmp_path / "other")

    trained = one.train_counts > 0
    assert trained.sum() == N_ITEMS - 5
    assert np.array_equal(one.codes[trained], other.codes[trained])
    assert np.array_equal(one.weights[trained], other.weights[trained])


def test_statistics_by_hand(prepared) -> None:
    lines = [(0, 2, 1), (0, 2, 5), (1, 0, 3), (0, 1, 100), (2, 2, 101), (1, 2, 102)]
    dataset = prepared(lines, 4)

    assert dataset.train_counts.tolist() == [1, 0, 2, 0]
    assert np.allclose(dataset.unigram, np.array([1.5, 0.5, 2.5, 0.5]) / 5)
    assert dataset.user_in_train.tolist() == [True, True, False]
    assert dataset.offsets.tolist() == [0, 3, 5, 6]
    assert dataset.meta.n_train == 3
    assert dataset.unique_positions == 1
    assert dataset.meta.unigram_entropy == pytest.approx(np.log(3) - 2 / 3 * np.log(2))
    assert sum(dataset.meta.eval_positions.values()) == 2  # user 2's only event has no predecessor
