"""Cost functions fitted to runs, and how far isoFLOP groups are from iso-cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.laws.cost_groups import cost_spreads
from behavior_scaling.laws.cost_model import CONVENTIONS, costs
from behavior_scaling.laws.surface import surface_fits
from behavior_scaling.laws.surface_base import base_points
from behavior_scaling.laws.table import groups

LOSS = "validation/restored/all/cross_entropy"
Make = Callable[..., tuple[pd.DataFrame, Any]]


def _inputs(frame: pd.DataFrame) -> list[Any]:
    return [frame[name].to_numpy(float) for name in ("n_emb", "n_ctx", "n_cand_distinct", "batch")]


def test_a_cost_made_of_the_models_terms_is_recovered(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    for convention, column in (("nominal", "flops_nominal"), ("executed", "flops_executed")):
        functions = costs(runs, convention)
        assert not isinstance(functions, str)
        assert set(functions) == {(1, False, True), (2, False, True), (2, True, True)}
        for (stage, uniform, _), cost in functions.items():
            rows = runs[(runs["stage"] == stage) & ((runs["uniform"] > 0) == uniform)]
            each = cost.per_position(*_inputs(rows))
            np.testing.assert_allclose(each * rows["positions"], rows[column], rtol=2e-3)
            assert cost.error < 2e-3
            assert cost.runs == len(rows)
            assert all(c > 0 for c, _ in cost.terms)


def test_the_largest_error_is_that_of_the_worst_run(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    stage1 = runs[runs["stage"] == 1].copy()
    stage1.loc[stage1.index[5], "flops_nominal"] *= 1.3
    functions = costs(stage1, "nominal")
    assert not isinstance(functions, str)
    cost = functions[(1, False, True)]
    told = cost.per_position(*_inputs(stage1)) * stage1["positions"] / stage1["flops_nominal"] - 1
    assert cost.error == pytest.approx(np.abs(told).max(), rel=1e-9)
    assert 0.15 < cost.error < 0.3
    row = surface_fits(stage1, None, [LOSS], resamples=5)[0]
    function = row["costs"]["nominal"]["functions"][0]
    assert function["note"] == "off by more than 5% somewhere"
    noted = [o for o in row["optima"] if o["convention"] == "nominal"]
    assert all("off by up to" in o["notes"][0] for o in noted)


def test_formulas_of_the_comparison_conventions(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    for convention, column in (("6ND", "flops_6nd"), ("6D(N_ctx+T*N_emb)", "flops_6dnt")):
        functions = costs(runs, convention)
        assert not isinstance(functions, str)
        cost = functions[(1, False, True)]
        each = cost.per_position(*_inputs(runs))
        np.testing.assert_allclose(each * runs["positions"], runs[column], rtol=1e-12)
        assert cost.error == 0.0


@pytest.mark.parametrize(
    ("convention", "spoil", "said"),
    [
        ("nominal", lambda f: f.drop(columns="flops_nominal"), "no column 'flops_nominal'"),
        ("executed", lambda f: f.assign(flops_executed=np.nan), "not positive"),
        ("6D(N_ctx+T*N_emb)", lambda f: f.drop(columns="tokens"), "tokens"),
        (
            "6D(N_ctx+T*N_emb)",
            lambda f: f.assign(tokens=np.arange(len(f)) % 2 + 8),
            "one number of tokens",
        ),
    ],
)
def test_a_cost_that_is_not_known_is_said(
    planted_surface: Make, convention: str, spoil: Callable[[Any], Any], said: str
) -> None:
    runs, _ = planted_surface()
    assert said in str(costs(spoil(runs), convention))


def test_embedders_without_blocks_have_a_cost_and_a_range_of_their_own(
    planted_surface: Make,
) -> None:
    runs, _ = planted_surface()
    shallow = (runs["axis"] == "share") & (runs["share"] < 0.02)
    runs.loc[shallow, "embedder_depth"] = 0
    functions = costs(runs, "nominal")
    assert not isinstance(functions, str)
    assert (1, False, False) in functions
    base = next(b for b in base_points(runs, runs) if b.axis == "share")
    (first, low, joint), (second, start, high) = base.reach
    assert (first[2], second[2]) == (False, True)
    assert joint == start
    stage1 = runs[runs["stage"] == 1]
    assert np.exp(low) == pytest.approx(stage1["share"].min())
    assert np.exp(high) == pytest.approx(stage1["share"].max())
    assert runs.loc[shallow, "share"].max() < np.exp(joint) < 0.03


def test_base_points_hold_what_their_axis_holds(planted_surface: Make) -> None:
    runs, truth = planted_surface()
    bases = {(b.axis, b.arm, b.held.budget): b for b in base_points(runs, runs)}
    assert {b[0] for b in bases} == {"allocation", "share", "negatives"}
    assert bases["allocation", "", 1e16].held.share == pytest.approx(0.03, rel=1e-3)
    assert bases["share", "", 1e16].held.ratio == pytest.approx(60, rel=0.01)
    uniform = bases["negatives", "uniform", 1e16].held
    assert uniform.in_batch == pytest.approx(400, rel=1e-6)
    assert uniform.stage == 2
    assert bases["negatives", "popular", 1e16].held.uniform_share == 0.0
    assert all(b.held.unique == pytest.approx(truth.unique) for b in bases.values())


def test_spread_and_reuse_of_isoflop_groups(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    rows = cost_spreads(groups(runs))
    at = {(r["convention"], r["axis"], r["arm"], r["budget"]): r for r in rows}
    assert at["nominal", "allocation", "", 1e16]["reused"]
    cells = runs[(runs["axis"] == "share") & (runs["budget"] == 1e16)]
    expected = cells["flops_6nd"].max() / cells["flops_6nd"].min() - 1
    share = at["6ND", "share", "", 1e16]
    assert share["spread"] == pytest.approx(expected)
    assert expected > 0.05
    assert not share["reused"]
    assert share["runs"] == len(cells)
    assert {r["convention"] for r in rows} == set(CONVENTIONS)
    without = cost_spreads(groups(runs.drop(columns="flops_executed")))
    unknown = next(r for r in without if r["convention"] == "executed")
    assert (unknown["spread"], unknown["reused"]) == (None, False)
