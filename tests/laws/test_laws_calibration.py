"""The learning-rate rule and one setting at a time, on planted parabolas and effects."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.laws.calibration import calibration

from ..report.report_calibration import (
    BEND,
    LOSS,
    POINTS,
    RECALL,
    RULE,
    best_rate,
    make_runs,
    rate_rows,
    row,
    setting_rows,
)


def rule_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    entry: dict[str, Any] = calibration(pd.DataFrame(rows))["calibration"][0]
    return entry


def test_a_planted_rule_is_found_exactly() -> None:
    entry = rule_of(rate_rows(shift=1.3))
    assert entry["status"] == "converged"
    assert entry["rule"] == pytest.approx(RULE, rel=1e-9)
    assert entry["cost"] == pytest.approx(0, abs=1e-12)
    assert len(entry["groups"]) == len(POINTS)
    for group in entry["groups"]:
        best = best_rate(group["budget"], group["d_model"], group["batch"])
        assert group["best"]["value"] == pytest.approx(best)
        assert group["curvature"] == pytest.approx(BEND)
        assert group["loss"] == pytest.approx(6.0)
        assert group["factor"] == pytest.approx(1.0)
    # the study's own rule, by hand: its factor over lr* squared, times the bend, averaged
    own = [
        math.log(0.01 * (d / 32) ** -0.5 * (b / 16) ** 0.5 / best_rate(c, d, b))
        for c, d, b in POINTS
    ]
    assert entry["study_cost"] == pytest.approx(BEND * np.mean(np.square(own)))


def test_intervals_cover_the_planted_exponents_and_noise_widens_them() -> None:
    points = [(c, d, b) for c in (1e11, 3e11, 1e12) for d in (32, 64, 96) for b in (8, 32)]
    widths = []
    for noise in (0.001, 0.008):
        known = rule_of(rate_rows(points, noise=noise))["parameters"]
        for name, truth in RULE.items():
            assert known[name]["low"] < truth < known[name]["high"], (noise, name)
        widths.append(known["width"]["high"] - known["width"]["low"])
    assert widths[1] > 3 * widths[0]


def test_a_curve_that_is_steeper_above_its_best_is_read_near_it() -> None:
    """loss = e^z - z has its minimum at z = 0; points four times too high would pull the vertex."""
    rows = rate_rows([POINTS[0]])
    for one in rows:
        z = math.log(one["lr"] / best_rate(*POINTS[0]))
        one[LOSS] = 6.0 + math.exp(z) - z
    group = rule_of(rows)["groups"][0]
    near = rule_of([one for one in rows if one["id"] in ("lr0-0.5", "lr0-1", "lr0-2")])["groups"][0]
    assert group["best"]["value"] == pytest.approx(near["best"]["value"])
    assert 0.8 < group["best"]["value"] / best_rate(*POINTS[0]) < 1


def test_a_best_at_the_end_of_what_was_tried_is_a_bound_and_does_not_enter() -> None:
    rows = rate_rows() + [
        {**one, "id": one["id"] + side, "arm": side}
        for side, shift in (("low", 8.0), ("high", 0.125))
        for one in rate_rows([(3e11, 64 if side == "low" else 65, 4)], shift=shift)
    ]
    entry = rule_of(rows)
    assert entry["rule"] == pytest.approx(RULE, rel=1e-9)
    assert entry["reason"] == "2 of 8 groups have no optimum within what was tried"
    by_arm = {group["variations"][0]: group for group in entry["groups"]}
    low, high = by_arm["low"]["best"], by_arm["high"]["best"]
    best = best_rate(3e11, 64, 4)
    assert (low["status"], low["value"], low["high"]) == ("at bound", None, None)
    assert low["low"] == pytest.approx(best / 4)  # the second highest of best / 8 times 4, 2, ...
    assert low["reason"] == "the best is the highest tried"
    assert (high["status"], high["low"]) == ("at bound", None)
    assert high["reason"] == "the best is the lowest tried"
    assert by_arm["low"]["rule"] == pytest.approx(best)
    assert by_arm["low"]["factor"] is None


def test_a_vertex_beyond_every_grid_leaves_no_rule() -> None:
    entry = rule_of(rate_rows(shift=10.0))
    assert entry["status"] == "not identified"
    assert entry["rule"] == {"base": 0.01, "width": -0.5, "batch": 0.5, "budget": 0.0}
    assert all(one["value"] is None for one in entry["parameters"].values())


def test_what_does_not_vary_by_itself_is_held_at_the_studys_value() -> None:
    same = [(c, d, 8) for c, d, b in POINTS if b == 8]
    entry = rule_of(rate_rows(same))
    batch = entry["parameters"]["batch"]
    assert batch["value"] is None
    assert batch["reason"].startswith("held at the study's value: batch the same in all groups")
    assert entry["rule"]["batch"] == 0.5
    assert entry["rule"]["width"] == pytest.approx(RULE["width"])
    # the base makes up for the held exponent at the one batch that was run
    base = RULE["base"] * (8 / 16) ** (RULE["batch"] - 0.5)
    assert entry["rule"]["base"] == pytest.approx(base)
    together = rule_of(rate_rows([(1e11, 32, 8), (1e12, 64, 8), (1e11, 32, 8.5)]))
    assert "does not vary by itself" in together["parameters"]["budget"]["reason"]
    assert together["parameters"]["base"]["low"] is None  # three groups, three numbers


def test_lost_runs_are_counted_and_two_rates_are_too_few() -> None:
    rows = rate_rows([POINTS[0]])
    for one in rows[3:]:
        one.update({"outcome": "diverged", LOSS: math.nan})
    group = rule_of(rows)["groups"][0]
    assert group["lost"] == 2
    assert group["best"]["status"] == "at bound"
    assert rule_of(rows[:2])["groups"][0]["best"]["status"] == "too few points"


def test_seeds_give_the_vertex_an_interval() -> None:
    """Two seeds apart by 2 e at every rate: sd sqrt(2) e; the delta method by hand."""
    rows = [
        {**one, "id": f"{one['id']}s{seed}", "seed": seed, LOSS: one[LOSS] + 0.002 * (2 * seed - 1)}
        for seed in (0, 1)
        for one in rate_rows([POINTS[0]], factors=(0.5, 1, 2))
    ]
    best = rule_of(rows)["groups"][0]["best"]
    sd = 0.002 * math.sqrt(2)
    # slope at the vertex of three equal steps h: variance sd^2 / 2 over 2 h^2, two runs a point
    error = sd / math.sqrt(2) / (math.sqrt(2) * math.log(2)) / (2 * BEND)
    margin = 3.182446 * error  # t with 3 degrees of freedom
    assert best["high"] / best["value"] == pytest.approx(math.exp(margin), rel=1e-6)


def test_differences_are_told_from_the_noise_of_two_runs() -> None:
    found = calibration(pd.DataFrame(setting_rows()))
    assert found["calibration"] == []
    rows = [one for one in found["variations"] if one["metric"] == LOSS]
    assert [one["setting"] for one in rows] == ["wider=true", "warmup=0.15", "kind=full"]
    assert [one["verdict"] for one in rows] == ["better", "cannot be told", "worse"]
    for one, effect in zip(rows, (-0.20, 0.001, 0.30), strict=True):
        assert one["difference"] == pytest.approx(effect)  # against the reference of its own seed
        assert one["sd"] == pytest.approx(0.01 * math.sqrt(2))
        assert one["runs"] == one["reference_runs"] == 1
    recall = [one for one in found["variations"] if one["metric"] == RECALL]
    assert [one["verdict"] for one in recall] == ["better", "cannot be told", "worse"]


def test_without_replicates_nothing_is_told() -> None:
    rows = calibration(pd.DataFrame(setting_rows(seeds=(100,))))["variations"]
    assert {one["verdict"] for one in rows} == {"cannot be told"}
    assert all(one["reason"].startswith("one seed") and one["sd"] is None for one in rows)
    assert rows[0]["difference"] == pytest.approx(-0.20)


def test_other_points_and_lost_references_are_held_against_the_common_one() -> None:
    common = {"budget": 3e11, "d_model": 80, "batch": 8, "lr": 0.01, "arm": "share"}
    rows = setting_rows()
    other = "batch=8 N=6400 s=0.05 depth=1"
    rows.append(row("share", **common, cell=other, loss=6.2, reference="share"))
    gone = {**common, "arm": "gone", "layers": 7}
    rows.append(row("gone", **gone, cell="kind=mlp N=6400 s=0.4 depth=1", loss=6.4, reference="x"))
    there = {**common, "arm": "there", "layers": 8}
    rows.append(row("there", **there, cell="kind=mlp N=6400 s=0.05 depth=1", loss=6.15,
                    reference="share"))  # fmt: skip
    failed = {**common, "arm": "failed", "layers": 9, "outcome": "failed"}
    rows.append(row("f", **failed, cell="clip=2 N=6400 s=0.25 depth=1", loss=math.nan,
                    reference="own100"))  # fmt: skip
    found = {
        one["variation"]: one
        for one in calibration(pd.DataFrame(rows))["variations"]
        if one["metric"] == LOSS
    }
    assert "seed" not in found  # the reference itself
    assert found["share"]["setting"] == "s=0.05"
    assert found["share"]["difference"] == pytest.approx(6.2 - 5.99)
    assert found["there"]["setting"] == "kind=mlp at s=0.05"
    assert found["there"]["difference"] == pytest.approx(6.15 - 6.2)
    assert found["gone"]["setting"] == "kind=mlp s=0.4"
    assert found["gone"]["difference"] == pytest.approx(6.4 - 5.99)
    assert found["failed"]["reason"] == "no finished run"
    assert found["failed"]["verdict"] == "cannot be told"
    assert list(found)[-1] == "failed"


def test_a_study_without_variations_has_nothing() -> None:
    runs = make_runs()
    runs["axis"] = "allocation"
    assert calibration(runs) == {"calibration": [], "variations": []}
