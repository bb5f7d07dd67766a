"""User groups: their sums give the record's metrics, whatever users are left out or repeated."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.evaluate.ranks import RankTable, metrics_from_ranks
from behavior_scaling.evaluate.users import GROUPS, group_of, user_sums, write_user_sums
from behavior_scaling.records.columns import USER_COLUMNS, USER_SUMS

KEYS = ["split", "slice", "score"]


@pytest.fixture(scope="module")
def table() -> RankTable:
    """3,000 rows of 300 users; every user is of one half."""
    rng = np.random.default_rng(0)
    n = 3000
    user = rng.integers(0, 300, n).astype(np.int32)
    start = rng.random(n) < 0.3
    event = np.arange(n)
    basket = rng.random(n) < 0.3
    return RankTable(
        split=(1 + user % 2).astype(np.uint8),
        user=user,
        event=event,
        state=event,
        basket=basket,
        higher_raw=rng.integers(0, 30, n).astype(np.int32),
        equal_raw=rng.integers(0, 3, n).astype(np.int32),
        logp_raw=-rng.random(n).astype(np.float32),
        higher_restored=rng.integers(0, 30, n).astype(np.int32),
        equal_restored=rng.integers(0, 3, n).astype(np.int32),
        logp_restored=-rng.random(n).astype(np.float32),
        session_start=start | basket,
        seen_user=rng.random(n) < 0.5,
        cold=rng.random(n) < 0.1,
        head=np.zeros(n, dtype=bool),
    )


def weighted(sums: pd.DataFrame, weights: np.ndarray) -> dict[str, float]:
    """Metrics by the record's names, every group counted `weights` times."""
    found = {}
    for (split, name, score), part in sums.groupby(KEYS):
        weight = weights[part["group"]]
        positions = weight @ part["n_positions"]
        for metric in USER_SUMS:
            found[f"{split}/{score}/{name}/{metric}"] = weight @ part[metric] / positions
        found[f"{split}/{score}/{name}/n_positions"] = positions
    return found


def test_all_groups_once_give_the_metrics_of_the_record(table):
    metrics = metrics_from_ranks(table)
    found = weighted(user_sums(table), np.ones(GROUPS))
    assert len(found) == 2 * 2 * 2 * 5
    for name, value in found.items():
        assert value == pytest.approx(metrics[name], rel=1e-12), name


def test_any_weights_give_the_metrics_of_users_repeated_as_often(table):
    weights = np.random.default_rng(1).integers(0, 3, GROUPS)
    times = weights[group_of(table.user)]
    parts = [table.select(times > k) for k in range(2)]
    metrics = metrics_from_ranks(RankTable.concatenate(parts))
    for name, value in weighted(user_sums(table), weights).items():
        assert value == pytest.approx(metrics[name], rel=1e-12), name


def test_there_is_a_row_for_every_group_and_no_group_without_a_user_counts(table):
    few = table.select(table.user < 20)
    sums = user_sums(few)
    assert list(sums.columns) == list(USER_COLUMNS)
    assert len(sums) == 8 * GROUPS
    assert not sums.duplicated([*KEYS, "group"]).any()
    filled = set(group_of(few.user))
    empty = sums[~sums["group"].isin(filled)]
    assert len(empty) == 8 * (GROUPS - len(filled)) > 0
    assert not empty[["n_positions", *USER_SUMS]].to_numpy().any()


def test_a_group_is_a_salted_hash_of_the_user_alone():
    users = np.array([7, 0, 941, 7])
    expected = [
        hashlib.blake2b(str(user).encode(), digest_size=1, salt=b"user groups").digest()[0] % 64
        for user in users
    ]
    assert group_of(users).tolist() == expected == [11, 20, 22, 11]
    assert group_of(np.arange(1000))[941] == expected[2]


def test_groups_know_nothing_of_the_halves():
    """Unsalted, the hash that halves the users would leave every group with one half alone."""
    users = np.arange(20_000)
    half = np.array(
        [hashlib.blake2b(str(u).encode(), digest_size=1).digest()[0] % 2 for u in users]
    )
    counts = np.zeros((2, GROUPS))
    np.add.at(counts, (half, group_of(users)), 1)
    expected = np.outer(counts.sum(1), counts.sum(0)) / len(users)
    assert ((counts - expected) ** 2 / expected).sum() < 63 + 4 * np.sqrt(2 * 63)
    assert counts.min() > 100


def test_a_file_comes_back_as_it_was_and_is_small(table, tmp_path):
    path = tmp_path / "users.parquet"
    write_user_sums(table, path)
    pd.testing.assert_frame_equal(pd.read_parquet(path), user_sums(table))
    assert path.stat().st_size < 40_000
    assert [file.name for file in tmp_path.iterdir()] == ["users.parquet"]


def test_splits_slices_and_scores_are_all_there(table):
    found = set(user_sums(table)[KEYS].itertuples(index=False, name=None))
    assert found == set(
        itertools.product(("validation", "test"), ("all", "session_start"), ("raw", "restored"))
    )
