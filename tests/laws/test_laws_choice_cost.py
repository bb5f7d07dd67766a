"""The cost of choosing by loss: by hand, plainly zero, coverage, users, and over a study."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.choice_cost import PairNoise, choice_cost
from behavior_scaling.laws.study_choice import BORROWED, study_choice_costs
from behavior_scaling.laws.table import groups

LOSS = "validation/restored/all/cross_entropy"
RECALL = "validation/restored/all/recall@10"
NOISE = PairNoise(0.02, 0.01, -0.6, 20)


def test_cost_by_hand() -> None:
    found = choice_cost([6.2, 6.0, 6.1], [0.10, 0.18, 0.20], PairNoise(1e-6, 1e-6, 0.0, np.inf))
    assert (found.chosen, found.best) == (1, 2)
    assert found.cost.value == pytest.approx(0.02)
    assert found.relative.value == pytest.approx(0.1)
    assert found.cost.low == pytest.approx(0.02, abs=1e-5)
    assert found.cost.high == pytest.approx(0.02, abs=1e-5)


def test_one_and_the_same_cell_costs_nothing() -> None:
    found = choice_cost([6.2, 6.0, 6.1], [0.10, 0.18, 0.11], PairNoise(1e-6, 1e-6, 0.0, np.inf))
    assert (found.cost.value, found.cost.low, found.cost.high) == (0.0, 0.0, 0.0)
    assert (found.relative.value, found.relative.status) == (0.0, "converged")
    noisy = choice_cost([6.2, 6.0, 6.1], [0.10, 0.18, 0.17], NOISE)
    assert (noisy.cost.value, noisy.cost.low) == (0.0, 0.0)
    assert noisy.cost.high is not None
    assert noisy.cost.high > 0


CASES: dict[str, tuple[list[float], list[float]]] = {
    "same cell": ([3, 2, 1, 2, 3], [0.1, 0.2, 0.3, 0.2, 0.1]),
    "metric hardly varies": ([3, 2, 1, 1.2, 1.5], [0.2, 0.201, 0.2, 0.2005, 0.2]),
    "other cells": ([3, 2, 1, 2, 3], [0.1, 0.2, 0.25, 0.28, 0.3]),
}


@pytest.mark.parametrize("case", CASES)
def test_interval_covers_the_true_cost(case: str) -> None:
    loss, metric = (np.array(values) for values in CASES[case])
    true = metric.max() - metric[np.argmin(loss)]
    rng, covered = np.random.default_rng(0), []
    for seed in range(200):
        one, two = rng.standard_normal((2, 2, 5))  # [noise, seeds, cells]
        drawn = choice_cost(
            loss + 0.02 * one.mean(axis=0),
            metric + 0.01 * (-0.6 * one + 0.8 * two).mean(axis=0),
            NOISE, repeats=np.full(5, 2), seed=seed,
        ).cost  # fmt: skip
        assert drawn.value is not None
        assert drawn.low is not None
        assert drawn.high is not None
        covered.append(drawn.low - 1e-12 <= true <= drawn.high + 1e-12)
    assert np.mean(covered) >= 0.91


def test_users_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    loss, metric = [6.2, 6.0, 6.1], [0.10, 0.18, 0.25]
    users = (0.0 * np.ones((300, 3)), 0.02 * rng.normal(size=(300, 3)))
    small = PairNoise(1e-4, 1e-3, 0.0, np.inf)
    alone, both = (choice_cost(loss, metric, small, users=u).cost for u in (None, users))
    assert alone.high is not None
    assert both.high is not None
    assert both.high - 0.07 == pytest.approx(1.96 * 0.02 * np.sqrt(2), rel=0.2)
    assert alone.high - 0.07 == pytest.approx(1.96 * 0.001 * np.sqrt(2), rel=0.2)


def test_statuses_and_errors() -> None:
    assert choice_cost([1, 2], [1, 2], NOISE).cost.status == "too few points"
    flat = choice_cost([1, 2, 3], [0.1, 0.1, 0.1], NOISE)
    assert (flat.cost.status, flat.cost.value) == ("not identified", None)
    unknown = choice_cost([1, 2, 3], [0.1, 0.2, 0.1])
    assert (unknown.cost.status, unknown.cost.value, unknown.best) == ("not identified", None, 1)
    assert "no replicates" in unknown.cost.reason
    zero = choice_cost([1.0, 2.0, 3.0], [-0.3, -0.2, -0.1], NOISE)
    assert zero.relative.status == "not identified"
    assert zero.cost.value == pytest.approx(0.2)
    with pytest.raises(LawsError, match="one entry of each"):
        choice_cost([1, 2, 3], [0.1, 0.2], NOISE)
    with pytest.raises(LawsError, match="rankings: entry 1"):
        choice_cost([1, 2, 3], [0.1, np.nan, 0.2], NOISE)


def costs(runs: pd.DataFrame, **options: Any) -> list[dict[str, Any]]:
    return study_choice_costs(runs, groups(runs), ("train_loss", LOSS), (RECALL,), **options)


def test_over_a_study(planted: Any) -> None:
    runs, _ = planted()
    runs = runs[runs["axis"].isin(["share", "allocation"])].reset_index(drop=True)
    rows = costs(runs)
    assert len(rows) == 2 * 3 * 2  # axes, budgets, losses
    assert {row["cost"]["value"] for row in rows} == {0.0}  # recall falls exactly with the loss
    assert all(row["chosen_x"] == row["best_x"] for row in rows)
    assert {row["x"] for row in rows} == {"n_total", "share"}
    # larger models are better at recall than their loss says
    z = np.log(runs["n_total"] / 9000.0)
    runs[RECALL] = np.where(runs["axis"] == "allocation", 0.2 + 0.01 * z, runs[RECALL])
    rng = np.random.default_rng(2)
    runs[RECALL] += 0.001 * rng.normal(size=len(runs))
    rows = [r for r in costs(runs) if r["axis"] == "allocation"]
    for row in rows:
        assert row["best_x"] > row["chosen_x"]
        assert 0 < row["cost"]["low"] < row["cost"]["value"] < row["cost"]["high"]
        assert row["cost"]["value"] == pytest.approx(
            0.01 * np.log(row["best_x"] / row["chosen_x"]), abs=0.004
        )
    assert costs(runs, seed=3) == costs(runs, seed=3)


def test_seed_noise_of_loss_and_metric_is_correlated(planted: Any) -> None:
    # recall falls exactly with the loss: independent redraws would make the choices differ
    runs, _ = planted()
    runs = runs[runs["axis"] == "allocation"].reset_index(drop=True)
    exact = costs(runs)
    rng = np.random.default_rng(3)
    runs["train_loss"] += 0.3 * rng.normal(size=len(runs))
    high = {row["loss"]: row["cost"]["high"] for row in costs(runs) if row["budget"] == 1e11}
    assert all(row["cost"]["high"] < 1e-3 for row in exact)
    assert high["train_loss"] > 10 * high[LOSS]


def test_a_budget_without_replicates_borrows_noise(planted: Any) -> None:
    runs, _ = planted()
    runs = runs[runs["axis"] == "share"]
    few = runs[(runs["budget"] < 1e12) | (runs["seed"] == 0)].reset_index(drop=True)
    reasons = {row["budget"]: row["cost"]["reason"] for row in costs(few)}
    assert BORROWED in reasons[1e12]
    assert reasons[1e10] == ""
    none = costs(runs[runs["seed"] == 0].reset_index(drop=True))
    assert {row["cost"]["status"] for row in none} == {"not identified"}
    said = costs(few, said={("share", "train_loss"): "a remark"})
    assert all(("a remark" in r["cost"]["reason"]) == (r["loss"] == "train_loss") for r in said)


def test_missing_values_leave_the_cell_out(planted: Any) -> None:
    runs, _ = planted()
    runs = runs[(runs["axis"] == "share") & (runs["budget"] == 1e11)].reset_index(drop=True)
    best = costs(runs)[0]["best_x"]
    x: npt.NDArray[np.float64] = runs["share"].to_numpy()
    runs.loc[np.isclose(x, best), RECALL] = np.nan
    row = costs(runs)[0]
    assert row["cells"] == 7
    assert row["best_x"] != best
