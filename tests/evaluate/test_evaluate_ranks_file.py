"""The ranks file: it comes back as it was written, and its metrics are those of plain pandas."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.evaluate.ranks import (
    RankTable,
    metrics_from_ranks,
    read_ranks,
    write_ranks,
)


def random_table(n: int, seed: int) -> RankTable:
    rng = np.random.default_rng(seed)
    cold = rng.random(n) < 0.2
    event = np.arange(n)
    return RankTable(
        split=rng.integers(1, 3, n).astype(np.uint8),
        user=rng.integers(0, 9, n).astype(np.int32),
        event=event,
        state=event,
        basket=rng.random(n) < 0.3,
        higher_raw=rng.integers(0, 30, n).astype(np.int32),
        equal_raw=rng.integers(0, 3, n).astype(np.int32),
        logp_raw=-rng.random(n).astype(np.float32),
        higher_restored=rng.integers(0, 30, n).astype(np.int32),
        equal_restored=rng.integers(0, 3, n).astype(np.int32),
        logp_restored=-rng.random(n).astype(np.float32),
        session_start=rng.random(n) < 0.4,
        seen_user=rng.random(n) < 0.5,
        cold=cold,
        head=~cold & (rng.random(n) < 0.5),
    )


def test_a_table_comes_back_with_its_types(tmp_path):
    table = random_table(50, seed=0)
    write_ranks(table, tmp_path / "ranks.parquet")
    found = read_ranks(tmp_path / "ranks.parquet")
    pd.testing.assert_frame_equal(pd.DataFrame(found.columns()), pd.DataFrame(table.columns()))


WRITE = """
import sys
from pathlib import Path
import numpy as np
from behavior_scaling.evaluate.ranks import RankTable, write_ranks
from behavior_scaling.evaluate.users import write_user_sums

table = RankTable(**{name: np.ones(3, np.int32) for name in RankTable.__annotations__})
write_ranks(table, Path(sys.argv[1]) / "ranks.parquet")
write_user_sums(table.select(np.ones(3, bool)), Path(sys.argv[1]) / "users.parquet")
print(sorted({"pandas", "torch"} & set(sys.modules)))
"""


def test_a_job_writes_its_files_without_pandas(tmp_path):
    call = [sys.executable, "-c", WRITE, str(tmp_path)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert len(pd.read_parquet(tmp_path / "users.parquet")) == 2 * 2 * 2 * 64


def test_a_file_of_other_columns_is_refused_by_name(tmp_path):
    frame = pd.DataFrame(random_table(5, seed=0).columns()).drop(columns="cold")
    frame.assign(strange=1).to_parquet(tmp_path / "ranks.parquet")
    with pytest.raises(ValueError, match=r"ranks.parquet: .*\['cold', 'strange'\]"):
        read_ranks(tmp_path / "ranks.parquet")


def test_metrics_are_those_of_a_loop_over_rows():
    table = random_table(400, seed=1)
    metrics = metrics_from_ranks(table)
    frame = pd.DataFrame(table.columns())
    part = frame[(frame.split == 2) & ~frame.basket & ~frame["head"] & ~frame.cold]
    ranks = [
        [row.higher_restored + 1 + tie for tie in range(row.equal_restored + 1)]
        for row in part.itertuples()
    ]
    name = "test/restored/popular_tail/"
    recall = np.mean([np.mean([rank <= 20 for rank in tied]) for tied in ranks])
    gain = [np.mean([(r <= 10) / np.log2(1 + r) for r in tied]) for tied in ranks]
    assert metrics[name + "recall@20"] == pytest.approx(recall)
    assert metrics[name + "ndcg@10"] == pytest.approx(np.mean(gain))
    assert metrics[name + "cross_entropy"] == pytest.approx(-part.logp_restored.mean(), rel=1e-6)
    assert metrics[name + "n_positions"] == len(part)
    assert metrics[name + "n_users"] == part.user.nunique()


def test_every_split_score_and_slice_is_named():
    metrics = metrics_from_ranks(random_table(400, seed=2))
    prefixes = {name.rsplit("/", 1)[0] for name in metrics}
    slices = (
        "all session_start in_session seen_user unseen_user cold_item popular_head popular_tail"
    )
    assert prefixes == {
        f"{split}/{score}/{one}"
        for split in ("validation", "test")
        for score in ("raw", "restored")
        for one in slices.split()
    }
    assert {name for name in metrics if "basket" in name} == {
        f"{split}/{score}/session_start/basket_{metric}@10"
        for split in ("validation", "test")
        for score in ("raw", "restored")
        for metric in ("recall", "ndcg")
    }


def test_an_empty_slice_has_no_value_and_says_how_few_it_holds():
    table = random_table(60, seed=3)
    warm = table.select(~table.cold & ~table.basket)
    metrics = metrics_from_ranks(warm)
    assert metrics["validation/raw/cold_item/recall@10"] is None
    assert metrics["validation/raw/cold_item/cross_entropy"] is None
    assert metrics["validation/raw/cold_item/n_positions"] == 0
    assert metrics["validation/raw/session_start/basket_recall@10"] is None
