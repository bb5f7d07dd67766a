"""Power analysis: counting by hand, questions of a plan, additions, a whole small study."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.cli import main
from behavior_scaling.config import Study, parse_study
from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.planted_design import study_design
from behavior_scaling.laws.planted_fits import LOSS, Draws, run_tasks
from behavior_scaling.laws.planted_table import Facts, planned_runs
from behavior_scaling.laws.power_analysis import (
    best_told,
    default_truth,
    planted_values,
    questions,
    simulation,
)
from behavior_scaling.laws.power_analysis_additions import Addition, Impossible, additions
from behavior_scaling.laws.power_analysis_score import Chance, score, told
from behavior_scaling.laws.power_analysis_study import PowerReport, power
from behavior_scaling.laws.power_analysis_text import described
from behavior_scaling.sweep.plan import Plan, make_plan

V = 1682
FACTS = Facts(V, 79_248, {}, ("assumed",))
BUDGETS = [1e10, 3e10, 1e11]
SIZES = [1700, 2600, 3700, 5000, 7400, 11200, 14800]
ALLOCATION = {"budgets": BUDGETS, "share": 0.35, "depth": 1, "parameters": [SIZES] * 3}
BATCH = {"budgets": [1e11], "batches": [4, 8, 16, 32]}


def study_of(**axes: Any) -> Study:
    raw: dict[str, Any] = {
        "name": "small",
        "title": "Small",
        "data": {"source": "ml-100k", "context": 64, "tokens": 12},
        "objective": {"kind": "corrected", "in_batch": 256},
        "execution": {"batch": 4},
        "base": [{"budget": b, "parameters": 5000, "share": 0.35, "depth": 1} for b in BUDGETS],
        "axes": axes,
    }
    return parse_study(raw, where="test")


def planner(study: Study) -> Plan:
    return make_plan(study, V)


def draws(rows: list[tuple[float | None, float | None, float | None, str]]) -> Draws:
    columns = [np.array([np.nan if r[i] is None else r[i] for r in rows]) for i in range(3)]
    return Draws(*columns, np.array([r[3] for r in rows]))


BY_HAND = draws(
    [
        (2.0, 1.5, 3.0, "converged"),  # tells 2 from 4
        (2.2, 1.5, 4.5, "converged"),  # does not
        (1.0, 0.5, 1.5, "converged"),  # leaves out the truth, and tells
        (None, None, 3.5, "at bound"),  # a bound that tells
        (None, None, None, "not identified"),
    ]
)


def test_scores_by_hand() -> None:
    one = score("x", BY_HAND, 2.0, 4.0)
    assert one.statuses == {"converged": 3, "at bound": 1, "not identified": 1}
    assert one.converged == 0.6
    assert one.bias == pytest.approx(0.0)  # the median of log(1), log(1.1), log(.5)
    assert one.coverage == Chance(2 / 3, pytest.approx(np.sqrt(2 / 9 / 3)))
    assert one.wrong == Chance(0.2, pytest.approx(np.sqrt(0.2 * 0.8 / 5)))
    assert one.told == Chance(0.6, pytest.approx(np.sqrt(0.6 * 0.4 / 5)))
    assert score("E", BY_HAND, 2.5, additive=True).bias == pytest.approx(-0.5)


def test_telling_counts_on_the_planted_side_only() -> None:
    assert list(told(BY_HAND, 2.0, 4.0)) == [True, False, True, True, False]
    assert list(told(BY_HAND, 2.0, 1.4)) == [True, True, False, False, False]


def test_no_replicate_that_converges_leaves_no_coverage() -> None:
    one = score("x", draws([(None, None, None, "not identified")] * 3), 2.0, 4.0)
    assert (one.bias, one.coverage) == (None, None)
    assert one.wrong == one.told == Chance(0.0, 0.0)


def test_questions_of_a_plan() -> None:
    study = study_of(allocation=ALLOCATION, batch=BATCH)
    design = study_design(planned_runs(study, planner(study), FACTS))
    truth = default_truth(design)
    assert truth.pivot == pytest.approx(3e10, rel=0.04)
    asked = questions(design, truth)
    assert [q.axis for q in asked] == ["allocation", "allocation", "batch"]
    exponent, floor, batch = asked
    assert exponent.name == "exponent of N* 0.62 from 0.50"
    axes = {axis.axis: axis for axis in design.axes}
    assert exponent.values(axes["allocation"]) == {"exponent N": (0.62, 0.50)}
    assert floor.values(axes["allocation"]) == {}  # three budgets: a plain power law
    (pair,) = batch.values(axes["batch"]).values()
    assert pair[1] / pair[0] == pytest.approx(2.0)
    assert np.sqrt(pair[0] * pair[1]) == pytest.approx(np.sqrt(4 * 32))
    stated = questions(design, truth.moved("batch", optimum=10.0), ("batch.optimum",))[2]
    (pair,) = stated.values(axes["batch"]).values()
    assert np.sqrt(pair[0] * pair[1]) == pytest.approx(10.0)


def test_five_budgets_are_asked_for_the_floor() -> None:
    five = [1e10, 2e10, 4e10, 8e10, 1.6e11]
    study = study_of(allocation={**ALLOCATION, "budgets": five, "parameters": [SIZES] * 5})
    design = study_design(planned_runs(study, planner(study), FACTS))
    floor = questions(design, default_truth(design))[1]
    assert floor.values(design.axes[0]) == {"E": (5.3, 0.0)}


def test_planted_values_are_those_of_every_budget() -> None:
    study = study_of(allocation=ALLOCATION)
    design = study_design(planned_runs(study, planner(study), FACTS))
    truth = default_truth(design)
    values = planted_values(design.axes[0], truth)
    assert values["optimum at 1e+11"] / values["optimum at 1e+10"] == pytest.approx(10**0.62)
    assert values["exponent N"] == 0.62


def test_best_told_takes_the_worse_direction_of_the_better_budget() -> None:
    study = study_of(share={"budgets": [1e10, 3e10], "shares": [0.02, 0.08, 0.25], "ratio": 30})
    design = study_design(planned_runs(study, planner(study), FACTS))
    (question,) = questions(design, default_truth(design))
    narrow = [(0.02, 0.018, 0.03, "converged")] * 4
    half = [(0.04, 0.03, 0.05, "converged")] * 2 + [(0.04, 0.01, 0.09, "converged")] * 2
    nothing = [(None, None, None, "not identified")] * 4
    first = {"optimum at 1e+10": draws(narrow), "optimum at 3e+10": draws(narrow)}
    second = {"optimum at 1e+10": draws(nothing), "optimum at 3e+10": draws(half)}
    name, hits = best_told(design.axes[0], question, (first, second))
    assert name == "optimum at 3e+10"
    assert list(hits) == [True, True, False, False]


def test_additions_are_plans_that_hold_the_study_and_more() -> None:
    study = study_of(allocation=ALLOCATION, batch=BATCH)
    plan = planner(study)
    design = study_design(planned_runs(study, plan, FACTS))
    found = additions(study, plan, default_truth(design), planner)
    by_text = {(item.axis, item.text): item for item in found}
    have = {cell.key for cell in plan.cells}
    for item in found:
        if isinstance(item, Addition):
            assert have < {cell.key for cell in item.plan.cells}
            assert item.runs == len(item.cells) >= 1
            assert item.flops == sum(cell.budget for cell in item.cells)
            assert not have & {cell.key for cell in item.cells}
    seeds = by_text["allocation", "one more seed everywhere"]
    assert isinstance(seeds, Addition)
    assert seeds.runs == sum(cell.axis == "allocation" for cell in plan.cells)
    larger = by_text["allocation", "one more larger budget (3.3e+11)"]
    assert isinstance(larger, Addition)
    assert {cell.budget for cell in larger.cells} == {1e11 * (1e11 / 3e10)}
    ratio = max(c.n_total for c in larger.cells) / 14769
    assert ratio == pytest.approx((1e11 / 3e10) ** 0.62, rel=0.25)
    beside = by_text["allocation", "two more points beside each vertex"]
    assert isinstance(beside, Addition)
    below = by_text["batch", "two more values below 4"]
    assert isinstance(below, Impossible)
    assert "fewer targets than the 256 candidates" in below.reason


@pytest.fixture(scope="module")
def report() -> PowerReport:
    study = study_of(allocation=ALLOCATION)
    return power(study, planner, FACTS, noise=0.003, replicates=12, seed=4)


def test_a_precise_grid_tells_the_exponent_and_says_that_three_budgets_have_no_floor(
    report: PowerReport,
) -> None:
    exponent, floor = report.answers
    assert exponent.told is not None
    assert exponent.told.value >= 0.5
    assert floor.told is None
    text = described(report)
    assert "exponent of N* 0.62 from 0.50" in text
    assert "no E below five budgets" in text
    for axis in ("share", "batch", "negatives"):
        assert f"{axis}: the plan has no such axis" in text
    assert "seed noise 0.003 nats" in text


def test_noise_takes_the_power_away(report: PowerReport) -> None:
    study = study_of(allocation=ALLOCATION)
    loud = power(study, planner, FACTS, noise=0.3, replicates=12, seed=4).answers[0]
    assert loud.told is not None
    assert loud.told.value <= 0.1
    assert loud.scores[0][0].statuses.get("converged", 0) < 6


def test_gains_are_ranked_by_flop_and_paired(report: PowerReport) -> None:
    assert report.gains
    per_flop = [gain.per_flop for gain in report.gains]
    assert per_flop == sorted(per_flop, reverse=True)
    for gain in report.gains:
        assert gain.gain == pytest.approx(gain.after - gain.before)
        assert gain.error <= 0.5 / np.sqrt(report.addition_replicates) + 0.5


def test_the_same_seed_gives_the_same_report_and_plain_json(report: PowerReport) -> None:
    again = power(study_of(allocation=ALLOCATION), planner, FACTS, noise=0.003, replicates=12,
                  seed=4)  # fmt: skip
    assert again == report
    json.dumps(report.to_dict(), allow_nan=False)


def test_workers_change_nothing() -> None:
    study = study_of(allocation=ALLOCATION)
    design = study_design(planned_runs(study, planner(study), FACTS))
    asked = questions(design, default_truth(design))[:1]
    sd = dict.fromkeys(design.keys, 0.01)
    tasks = simulation(design, asked, sd, replicates=5, seed=1).tasks
    here, there = run_tasks(tasks, part=2), run_tasks(tasks, workers=2, part=3)
    for name, found in here.items():
        for estimand, one in found.items():
            for field in dataclasses.fields(one):
                np.testing.assert_array_equal(
                    getattr(one, field.name), getattr(there[name][estimand], field.name)
                )


def test_noise_and_seconds_are_measured_in_a_table_of_runs() -> None:
    study = study_of(allocation={**ALLOCATION, "seeds": [0, 1]})
    runs = planned_runs(study, planner(study), FACTS)
    rng = np.random.default_rng(0)
    runs[LOSS] = 6.0 + 0.02 * rng.standard_normal(len(runs))
    runs["seconds"] = runs["budget"] / 1e9
    found = power(study, planner, FACTS, runs=runs, replicates=2)
    for value in found.noise.values():
        assert value == pytest.approx(0.02, rel=0.5)
    assert found.seconds == pytest.approx(found.flops / 1e9)
    with pytest.raises(LawsError, match="no cell was run with two seeds"):
        power(study, planner, FACTS, runs=runs[runs["seed"] == 0], replicates=2)


def test_bad_input_is_named() -> None:
    study = study_of(allocation=ALLOCATION)
    with pytest.raises(LawsError, match="noise: -1"):
        power(study, planner, FACTS, noise=-1.0)
    with pytest.raises(LawsError, match="replicates: 0"):
        power(study, planner, FACTS, replicates=0)
    with pytest.raises(LawsError, match="no cell on any axis"):
        power(study_of(), planner, FACTS)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "study.yaml"
    config.write_text(json.dumps(study_of(batch=BATCH).model_dump(mode="json")))
    out = tmp_path / "power.json"
    options = ["power", "--config", str(config), "--replicates", "2"]
    assert main([*options, "--json", str(out), "--truth", "batch.slope=0.2"]) == 0
    shown = capsys.readouterr()
    assert "B_crit = 8 from 16" in shown.out
    assert "allocation: the plan has no such axis" in shown.out
    assert "parts of the simulation" in shown.err
    assert json.loads(out.read_text())["truth"]["batch"]["slope"] == 0.2
    assert main([*options, "--truth", "slope"]) == 2
    assert "'slope' is not NAME=NUMBER" in capsys.readouterr().err
    runs = tmp_path / "runs.parquet"
    pd.DataFrame().to_parquet(runs)
    assert main([*options, "--noise", "0.1", "--runs", str(runs)]) == 2
    assert main([*options, "--json", "out.txt"]) == 2
