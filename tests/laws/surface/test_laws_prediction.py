"""Predicting a budget before it runs: planted surfaces, what is refused, lifts in closed form."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.planted_surface import (
    SurfaceGrid,
    SurfaceTruth,
    best_size,
    price,
    surface_runs,
)
from behavior_scaling.laws.prediction import make_prediction, predict_metric
from behavior_scaling.laws.prediction_lift import PowerLaw, measured_lift, steps
from behavior_scaling.laws.prediction_score import _compared, score_metric
from behavior_scaling.laws.prediction_table import made_from, with_planned
from behavior_scaling.laws.study_compute import BestLoss
from behavior_scaling.laws.write import write_laws

LOSS = "validation/restored/all/cross_entropy"
RECALL = "validation/restored/all/recall@10"
TRUTH = SurfaceTruth()
BUDGETS = (1e11, 3e11, 1e12, 3e12)
LAST = BUDGETS[-1]
GRID = SurfaceGrid(
    BUDGETS, tuple(2.0 ** np.linspace(-1.75, 1.75, 8)), tuple(np.geomspace(0.01, 0.5, 8))
)
UNKNOWN = ("n_cand_distinct", "unique_positions", "n_items", "epochs")  # before a run


def study(seed: int, sd: float = 0.01) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs before the largest budget, and after."""
    after = surface_runs(TRUTH, GRID)
    after["study"] = "planted"
    after[LOSS] += sd * np.random.default_rng(seed).standard_normal(len(after))
    before = after.copy()
    late = before["budget"] == LAST
    before.loc[late, ["outcome"]] = "missing"
    before.loc[late, [LOSS, *UNKNOWN]] = np.nan
    return before, after


def best(budget: float) -> float:
    n = best_size(TRUTH, budget, GRID.share)
    arrays: list[npt.NDArray[np.float64]] = [
        np.array(v) for v in (0.1 * n, 0.9 * n, budget / price(np.array(n), 0.1))
    ]
    return float(TRUTH.loss(*arrays))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], pd.DataFrame]:
    before, after = study(1)
    one = {"study": "planted", "date": "2026-01-02"} | make_prediction(before)
    (path,) = write_laws({"prediction": one}, tmp_path_factory.mktemp("prediction"))
    return json.loads(path.read_text()), after


def test_three_budgets_of_a_known_surface_foretell_the_fourth(
    made: tuple[dict[str, Any], pd.DataFrame],
) -> None:
    prediction, _ = made
    assert (prediction["held_out"], prediction["level"]) == (LAST, 0.95)
    one = prediction["metrics"][LOSS]
    assert (one["status"], one["trained_on"]) == ("converged", 3 * 16 * 2)
    assert [(c["axis"], len(c["runs"])) for c in one["cells"]] == [("allocation", 2)] * 8 + [
        ("share", 2)
    ] * 8
    for cell in one["cells"]:
        n, s = cell["x"], 0.1
        if cell["axis"] == "share":
            s = cell["x"]
            n = np.sqrt(LAST / (GRID.ratio * float(price(np.array(1.0), s))))
        d = LAST / price(np.array(n), s)
        truth = float(TRUTH.loss(np.array(s * n), np.array((1 - s) * n), d))
        ours = cell["forecasts"]["surface"]
        assert ours["low"] < truth < ours["high"]
        assert abs(ours["value"] - truth) < 0.01 < abs(cell["forecasts"]["last"]["value"] - truth)
    n = one["optimum"]["N"]
    for estimate in n.values():
        assert estimate["low"] < best_size(TRUTH, LAST, 0.1) < estimate["high"]
    d = one["optimum"]["D"]["surface"]
    assert d["low"] < LAST / float(price(np.array(best_size(TRUTH, LAST, 0.1)), 0.1)) < d["high"]
    value = one["optimum"]["best"]["surface"]
    assert value["low"] < best(LAST) < value["high"]


def test_the_lift_of_every_doubling_is_that_of_the_surface(
    made: tuple[dict[str, Any], pd.DataFrame],
) -> None:
    rows = made[0]["metrics"][LOSS]["lift"]
    assert [row["kind"] for row in rows] == ["step"] * 3 + ["doubling"] * 4
    for row in rows:
        truth = best(row["from"]) - best(row["to"])
        ours = row["forecasts"]["surface"]
        assert ours["low"] < truth < ours["high"]
        assert ours["value"] == pytest.approx(truth, rel=0.05)
    assert [row["to"] for row in rows[3:]] == [LAST / 2**k for k in range(4)]


def test_the_score_is_that_of_the_runs(
    made: tuple[dict[str, Any], pd.DataFrame], tmp_path: Any
) -> None:
    prediction, after = made
    rows, lifts = score_metric(after, prediction, LOSS, seed=0, resamples=50)
    assert [(r["axis"], r["hindsight"], r["same_runs"]) for r in rows] == [
        ("allocation", False, True),
        ("share", False, True),
    ]
    for row in rows:
        late = after[(after["budget"] == LAST) & (after["axis"] == row["axis"])]
        column = "n_total" if row["axis"] == "allocation" else "share"
        means = late.groupby(column)[LOSS].mean()
        errors = [
            c["forecasts"]["surface"]["value"] - m for c, m in zip(row["cells"], means, strict=True)
        ]
        scores = row["scores"]
        assert scores["surface"]["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(errors))))
        assert scores["surface"]["rmse"] < 0.25 * scores["last"]["rmse"]
        assert scores["surface"]["rmse"] < 3 * row["noise"]
        assert scores["surface"]["coverage"] >= 7 / 8
        assert scores["last"]["coverage"] == 0.0
        assert row["noise"] == pytest.approx(0.01 / np.sqrt(2), rel=0.4)
    found = {(o["of"], o["forecast"]): o for o in rows[0]["optimum"]}
    assert found["N", "surface"]["agrees"]
    assert abs(found["best", "surface"]["error"]) < 0.002
    ahead = [r for r in lifts if r["ahead"] and r["kind"] == "step"]
    assert [r["forecast"] for r in ahead] == ["surface", "power_law"]
    assert ahead[0]["measured"]["value"] == pytest.approx(best(1e12) - best(LAST), abs=0.01)
    assert ahead[0]["agrees"]
    write_laws({"prediction": {"prediction": rows, "lift": lifts}}, tmp_path)


@pytest.mark.slow
def test_intervals_of_cells_cover_what_is_then_run() -> None:
    """Cells of one prediction err together, so the rule is held over predictions."""
    covered = []
    for seed in range(40):
        before, after = study(100 + seed)
        one = predict_metric(before, LAST, LOSS, seed=seed, resamples=100)
        prediction = {"held_out": LAST, "level": 0.95, "date": "", "metrics": {LOSS: one}}
        prediction["made_from"] = made_from(before, LAST, [LOSS])
        rows, _ = score_metric(after, prediction, LOSS, seed=0, resamples=10)
        covered.append([row["scores"]["surface"]["coverage"] for row in rows])
    assert 0.90 <= np.mean(covered) <= 0.99


def test_a_prediction_reads_nothing_of_what_it_predicts() -> None:
    before, after = study(2)
    spoilt = after.assign(**{LOSS: after[LOSS] + (after["budget"] == LAST)})
    one, other = (predict_metric(f, LAST, LOSS, seed=0, resamples=20) for f in (before, spoilt))
    assert one == other
    assert made_from(before, LAST, [LOSS]) == made_from(spoilt, LAST, [LOSS])
    moved = before.assign(**{LOSS: before[LOSS].mask(before["id"] == "run00003", 6.0)})
    assert made_from(moved, LAST, [LOSS])["sha256"] != made_from(before, LAST, [LOSS])["sha256"]
    assert made_from(before, LAST, [LOSS])["runs"] == sorted(after["id"][after["budget"] < LAST])
    whole = before.astype({"batch": float, "seed": float, "context": float})
    assert made_from(whole, LAST, [LOSS]) == made_from(before, LAST, [LOSS])


def test_after_the_fact_there_is_no_prediction() -> None:
    before, _ = study(3)
    late = before.copy()
    late.loc[late["id"] == "run00125", "outcome"] = "done"
    with pytest.raises(LawsError, match=r"1 runs of 3e\+12 FLOPs or more are done .*run00125"):
        make_prediction(late)
    with pytest.raises(LawsError, match="or more are done already"):
        make_prediction(before, 1e12)
    few = before.copy()
    few.loc[few["budget"] == 1e11, "outcome"] = "failed"
    with pytest.raises(LawsError, match=r"2 budgets .* are done below 3e\+12 FLOPs; 3 are needed"):
        make_prediction(few)
    with pytest.raises(LawsError, match=r"no run of the allocation axis is planned at 2e\+12"):
        make_prediction(before, 2e12)


def test_what_only_a_run_can_measure_comes_from_runs_like_it() -> None:
    before, _ = study(4)
    known = before["budget"] < LAST
    before["batch"] = np.where(before["budget"] == 1e11, 8, 32)
    before.loc[before["budget"] == LAST, "batch"] = 24  # nearer to 32 in its logarithm
    before.loc[known, "n_cand_distinct"] = np.where(before["batch"][known] == 8, 150.0, 210.0)
    before.loc[known & (before["seed"] == 1), "n_cand_distinct"] += 10
    table = with_planned(before, LAST)
    late = table[table["budget"] == LAST]
    assert set(late["n_cand_distinct"]) == {215.0}
    assert set(late["unique_positions"]) == {1e9}
    assert set(late["n_items"]) == {1000}
    np.testing.assert_allclose(late["epochs"], late["positions"] / 1e9)
    assert set(late["outcome"]) == {"done"}
    assert late.get(LOSS, pd.Series(dtype=float)).isna().all()
    with pytest.raises(LawsError, match="in_batch 512, uniform 0, and no finished run"):
        with_planned(before.assign(in_batch=np.where(known, 256, 512)), LAST)
    mixed = before.copy()
    mixed.loc[mixed["id"] == "run00000", "unique_positions"] = 5.0
    with pytest.raises(LawsError, match="'unique_positions' holds 2 values"):
        with_planned(mixed, LAST)


def test_a_flat_metric_has_rivals_and_no_surface() -> None:
    before, after = study(5)
    rng = np.random.default_rng(0)
    flat = before.assign(**{LOSS: 5 + 0.01 * rng.standard_normal(len(before))})
    one = predict_metric(flat, LAST, LOSS, seed=0, resamples=20)
    assert one["status"] == "not identified"
    assert one["cells"][0]["forecasts"]["surface"] is None
    assert one["cells"][0]["forecasts"]["last"]["value"] == pytest.approx(5, abs=0.05)
    assert one["optimum"]["N"]["surface"]["value"] is None
    assert one["lift"][0]["forecasts"]["surface"]["status"] == "not identified"
    prediction = {"held_out": LAST, "level": 0.95, "date": "", "metrics": {LOSS: one}}
    prediction["made_from"] = {}
    rows, lifts = score_metric(after, prediction, LOSS, seed=0, resamples=20)
    assert set(rows[0]["scores"]) == {"last", "log_linear"}
    assert not rows[0]["same_runs"]
    assert lifts[0]["error"] is None


def test_before_the_budget_is_run_there_is_nothing_to_score(
    made: tuple[dict[str, Any], pd.DataFrame],
) -> None:
    before, _ = study(1)
    rows, lifts = score_metric(before, made[0], LOSS, seed=0, resamples=20)
    assert rows[0]["scores"] == {}
    assert rows[0]["noise"] is None
    assert {c["observed"] for c in rows[0]["cells"]} == {None}
    assert {o["found"]["status"] for o in rows[0]["optimum"]} == {"too few points"}
    late = [r for r in lifts if r["ahead"]]
    assert {r["measured"]["value"] for r in late} == {None}
    assert {r["within"] for r in late} == {None}
    assert all(r["measured"]["value"] for r in lifts if r["to"] <= 1e12)


def test_hindsight_needs_three_budgets_below(planted_surface: Callable[..., Any]) -> None:
    runs, _ = planted_surface()
    runs = runs[runs["axis"] == "allocation"].assign(study="planted")
    before = runs.copy()
    late = before["budget"] == 1e19
    before.loc[late, "outcome"] = "missing"
    one = predict_metric(before, 1e19, RECALL, seed=0, resamples=20)
    prediction = {"held_out": 1e19, "level": 0.95, "date": "d", "metrics": {RECALL: one}}
    prediction["made_from"] = made_from(before, 1e19, [RECALL])
    rows, lifts = score_metric(runs, prediction, RECALL, seed=0, resamples=20)
    assert [(r["held_out"], r["hindsight"], r["made"]) for r in rows] == [
        (1e19, False, "d"),
        (1e18, True, None),
    ]
    assert rows[1]["trained_on"] == int((runs["budget"] < 1e18).sum())
    assert {r["held_out"] for r in lifts if r["hindsight"]} == {1e18}
    gain = next(r for r in lifts if r["ahead"] and r["forecast"] == "surface")
    assert gain["predicted"]["value"] > 0  # recall rises with compute
    assert rows[0]["cells"][0]["forecasts"]["surface"]["low"] > 0


def _bests(losses: list[float], variance: float | None = 0.0004) -> list[BestLoss]:
    budgets = (1e11, 4e11, 16e11)
    return [
        BestLoss(c, y, y, variance, None, y == 7.0) for c, y in zip(budgets, losses, strict=True)
    ]


def test_measured_lift_by_hand() -> None:
    found = _bests([7.0, 6.4, 6.0])
    step = measured_lift(found, 4e11, 16e11)
    assert step.value == pytest.approx(0.4)
    assert step.high is not None
    assert step.high - 0.4 == pytest.approx(1.959964 * np.sqrt(2 * 0.0004))
    # The parabola through 7.0, 6.4, 6.0 at 0, 1, 2 is 7 - 0.7 x + 0.1 x^2, x the log to base 4:
    # at 1.5 it is 6.175, of which the three bests carry -1/8, 6/8 and 3/8.
    half = measured_lift(found, 8e11, 16e11)
    assert half.value == pytest.approx(6.175 - 6.0)
    assert half.low is not None
    size = np.sqrt(0.0004 * ((1 / 8) ** 2 + (6 / 8) ** 2 + (5 / 8) ** 2))
    assert 0.175 - half.low == pytest.approx(1.959964 * size)
    across = measured_lift(found, 2e11, 8e11)
    assert across.value == pytest.approx(6.675 - 6.175)
    assert across.reason == "lowest cell instead of a vertex at 1e+11"
    assert measured_lift(found[1:], 8e11, 16e11).value == pytest.approx(0.2)  # two give a line
    assert measured_lift(found, 16e11, 32e11).status == "too few points"
    assert measured_lift(_bests([7.0, 6.4, 6.0], None), 1e11, 4e11).low is None


@pytest.mark.parametrize("metric", [LOSS, RECALL])
def test_the_lift_of_a_power_law_in_closed_form(metric: str) -> None:
    losses = [8.0 * (c / 1e11) ** -0.1 for c in (1e11, 4e11, 16e11)]
    losses = losses if metric == LOSS else [y / 10 for y in losses]
    law = PowerLaw.of(metric, _bests(losses, 1e-6))
    top = 8.0 if metric == LOSS else 0.8
    lift = law.lift(32e11, 64e11)
    assert lift.value == pytest.approx(top * (32**-0.1 - 64**-0.1))
    value = law.best(64e11).value
    assert value == pytest.approx(top * 64**-0.1 if metric == LOSS else 1 - top * 64**-0.1)
    assert PowerLaw.of(metric, _bests(losses)[:2]).lift(1e11, 4e11).status == "too few points"


def test_steps_and_doublings_end_at_the_last_budget() -> None:
    assert steps((1.0, 3.0, 10.0)) == [
        ("step", 1.0, 3.0),
        ("step", 3.0, 10.0),
        ("doubling", 5.0, 10.0),
        ("doubling", 2.5, 5.0),
        ("doubling", 1.25, 2.5),
    ]


def _say(value: float, margin: float) -> dict[str, Any]:
    ends = {"value": value, "low": value - margin, "high": value + margin}
    return ends | {"status": "converged", "reason": ""}


def test_scores_by_hand() -> None:
    """Two cells: 5.0 +- 0.15 for 5.1 (seeds 5.0 and 5.2), and 4.5 +- 0.1 for 4.3; one not run."""
    _, runs = study(6)
    runs.loc[runs["id"].isin(["run00096", "run00097"]), LOSS] = [5.0, 5.2]
    runs.loc[runs["id"].isin(["run00098", "run00099"]), LOSS] = [4.3, 4.3]
    runs.loc[runs["id"] == "run00099", "outcome"] = "diverged"
    places = [(["run00096", "run00097"], 5.0, 0.15), (["run00098", "run00099"], 4.5, 0.1)]
    cells = [
        {"axis": "allocation", "arm": "", "x": 1.0 + i, "runs": ids,
         "forecasts": {"surface": _say(value, margin), "log_linear": None}}
        for i, (ids, value, margin) in enumerate([*places, (["gone"], 1.0, 0.1)])
    ]  # fmt: skip
    one = {
        "status": "converged", "reason": "", "trained_on": 7, "cells": cells,
        "optimum": {"N": {"surface": _say(2e5, 1.0)}, "best": {"surface": _say(1.0, 0.1)}},
        "lift": [
            {"kind": "step", "from": 1e12, "to": LAST, "forecasts": {"surface": _say(gain, 0.001)}}
            for gain in (0.0, 100.0)
        ],
    }  # fmt: skip
    prediction = {"held_out": LAST, "level": 0.95, "date": "", "metrics": {LOSS: one}}
    rows, lifts = score_metric(runs, prediction | {"made_from": {}}, LOSS, seed=0, resamples=5)
    (row,) = rows
    assert [c["observed"] for c in row["cells"]] == [pytest.approx(5.1), 4.3, None]
    assert [(c["runs"], c["planned"]) for c in row["cells"]] == [(2, 2), (1, 2), (0, 1)]
    inside = [c["forecasts"]["surface"]["inside"] for c in row["cells"]]
    assert inside == [True, False, None]
    assert set(row["scores"]) == {"surface"}
    assert row["scores"]["surface"] == {
        "cells": 2,
        "rmse": pytest.approx(np.sqrt((0.1**2 + 0.2**2) / 2)),
        "error": pytest.approx((-0.1 + 0.2) / 2),
        "coverage": 0.5,
        "half_width": pytest.approx(0.125),
    }
    for lift in lifts:
        measured = lift["measured"]["value"]
        assert lift["error"] == pytest.approx(lift["predicted"]["value"] / measured - 1)
        assert not lift["within"]


@pytest.mark.parametrize(
    ("value", "margin", "agrees"),
    [
        (0.43, 0.0, True),
        (0.47, 0.0, False),
        (0.47, 0.05, True),
        (0.33, 0.05, True),
        (0.5, 0.08, False),
    ],
)
def test_two_lifts_agree_within_both_intervals(value: float, margin: float, agrees: bool) -> None:
    """Measured 0.4 +- 1.96 sqrt(2 x 0.0004) = 0.0554; margins add in quadrature."""
    at = measured_lift(_bests([7.0, 6.4, 6.0]), 4e11, 16e11)
    compared = _compared(_say(value, margin), at)
    assert compared["error"] == pytest.approx(value / 0.4 - 1)
    assert compared["agrees"] is agrees


def test_five_percent_is_the_claim(made: tuple[dict[str, Any], pd.DataFrame]) -> None:
    prediction, after = made
    _, lifts = score_metric(after, prediction, LOSS, seed=0, resamples=5)
    truth = next(r["measured"]["value"] for r in lifts if r["ahead"] and r["kind"] == "step")
    one = prediction["metrics"][LOSS]
    step = next(r for r in one["lift"] if r["to"] == LAST)
    for share, within in ((0.949, False), (0.951, True), (1.049, True), (1.051, False)):
        said = [step | {"forecasts": {"surface": _say(truth * share, 0.01)}}]
        moved = prediction | {"metrics": {LOSS: one | {"lift": said}}}
        (row,) = score_metric(after, moved, LOSS, seed=0, resamples=5)[1]
        assert row["error"] == pytest.approx(share - 1)
        assert row["within"] is within
        assert row["doublings"] == pytest.approx(np.log2(3))
