"""Fitting the joint surface: recovery of planted laws, parts that do not show, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.surface import surface_fits
from behavior_scaling.laws.surface_data import surface_data
from behavior_scaling.laws.surface_fit import fit_surface, predict, redraw
from behavior_scaling.laws.surface_law import PARTS
from behavior_scaling.laws.surface_parameters import parameters
from behavior_scaling.laws.surface_select import limits
from behavior_scaling.laws.write import write_laws

LOSS = "validation/restored/all/cross_entropy"
RECALL = "validation/restored/all/recall@10"
NDCG = "validation/restored/all/ndcg@10"
Make = Callable[..., tuple[pd.DataFrame, Any]]


def _told(runs: pd.DataFrame, metric: str, resamples: int, seed: int = 0) -> dict[str, Estimate]:
    """The parameters of a metric's surface, without its optima."""
    surface = fit_surface(surface_data(runs, metric))
    return parameters(surface, redraw(surface, resamples, seed))


def _moved(planted: tuple[float, float], at: float, reference: float) -> float:
    """A planted amplitude, moved to the fit's reference."""
    return float(planted[0] * (reference / at) ** -planted[1])


def test_a_noiseless_surface_is_recovered(planted_surface: Make) -> None:
    runs, truth = planted_surface(sd=0.0)
    surface = fit_surface(surface_data(runs, LOSS))
    assert surface.status == "converged"
    assert surface.left == ()
    assert surface.best_share > 0.5
    assert np.isfinite(surface.condition)
    found = dict(zip(surface.law.names, surface.parameters, strict=True))
    ref = surface.law.reference
    expected = {
        "E": truth.floor, "a_e": truth.embedder[1], "a_c": truth.context[1],
        "g": truth.data[1], "k": truth.candidates[1], "r": truth.uniform,
        "log R*": np.log(truth.reuse), "log B_crit": np.log(truth.knee / ref["batch"]),
        "offset slope": truth.offset[1],
        "offset": truth.offset[0] + truth.offset[1] * np.log(ref["budget"] / 1e16),
        "log A_e": np.log(_moved(truth.embedder, 1e5, ref["n_emb"])),
        "log A_c": np.log(_moved(truth.context, 4e6, ref["n_ctx"])),
        "log G": np.log(_moved(truth.data, 1e8, ref["positions"])),
        "log H": np.log(_moved(truth.candidates, 1e3, ref["n_cand"])),
    }  # fmt: skip
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=2e-4, abs=2e-4), name


def test_the_minimum_is_as_low_as_scipy_finds_from_the_truth(planted_surface: Make) -> None:
    runs, _ = planted_surface(seed=3, sd=0.02)
    data = surface_data(runs, LOSS)
    surface = fit_surface(data)
    low, high = limits(data, surface.law)
    root = np.sqrt(data.weight)

    def residuals(t: Any) -> Any:
        return root * (surface.law.evaluate(t[None, :]).values[0] - data.y)

    def jacobian(t: Any) -> Any:
        return root[:, None] * surface.law.evaluate(t[None, :]).jacobian[0]

    check = optimize.least_squares(
        residuals,
        surface.parameters * 1.02 + 0.01,
        bounds=(low, high),
        jac=jacobian,
        xtol=1e-13, ftol=1e-13, gtol=1e-13, max_nfev=2000,
    )  # fmt: skip
    assert surface.rss <= 2 * check.cost * (1 + 1e-9)


def test_the_same_seed_gives_the_same_surface(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    data = surface_data(runs, LOSS)
    first, second = fit_surface(data, seed=5), fit_surface(data, seed=5)
    np.testing.assert_array_equal(first.parameters, second.parameters)
    np.testing.assert_array_equal(redraw(first, 20, 1), redraw(second, 20, 1))


@pytest.mark.parametrize(
    ("part", "changes", "names"),
    [
        ("candidates", {"candidates": (0.0, 0.6)}, ("H", "k", "r")),
        ("embedder", {"embedder": (0.0, 0.4)}, ("A_e", "a_e")),
        ("context", {"context": (0.0, 0.4)}, ("A_c", "a_c")),
        ("repetition", {"reuse": 1e9}, ("R*",)),
        ("batch", {"knee": 1e12}, ("B_crit",)),
        ("stage", {"offset": (0.0, 0.0)}, ("offset", "offset slope")),
        ("uniform", {"uniform": 0.0}, ("r",)),
        ("E", {"floor": 0.0}, ("E",)),
    ],
)
def test_a_part_that_was_not_planted_has_no_number(
    planted_surface: Make, part: str, changes: dict[str, Any], names: tuple[str, ...]
) -> None:
    runs, _ = planted_surface(seed=11, **changes)
    surface = fit_surface(surface_data(runs, LOSS))
    assert part not in surface.shown
    told = parameters(surface, np.zeros((0, surface.parameters.size)))
    for name in names:
        estimate = told[name]
        assert (estimate.value, estimate.low, estimate.high) == (None, None, None)
        assert estimate.status == "not identified"
        assert "AICc" in estimate.reason


@pytest.mark.parametrize(
    ("changes", "axis"),
    [({"candidates": (0.0, 0.6)}, "negatives"), ({"embedder": (0.0, 0.4)}, "share")],
)
def test_an_optimum_that_needs_a_missing_part_has_no_number(
    planted_surface: Make, changes: dict[str, Any], axis: str
) -> None:
    runs, _ = planted_surface(seed=11, **changes)
    row = surface_fits(runs, None, [LOSS], resamples=10)[0]
    asked = [o for o in row["optima"] if o["axis"] == axis]
    assert {o["optimum"]["status"] for o in asked} == {"not identified"}
    assert all(o["optimum"]["value"] is None and not o["derived"] for o in asked)
    assert all("term in the surface" in o["optimum"]["reason"] for o in asked)


def test_inputs_that_do_not_vary_are_not_tried(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    surface = fit_surface(surface_data(runs[runs["axis"].isin(["allocation", "share"])], LOSS))
    reasons = {left.part: left.reason for left in surface.left}
    for part in ("candidates", "uniform", "batch", "stage", "stage trend"):
        assert reasons[part] == "its input does not vary over the runs"
    assert {"context", "embedder", "data"} <= set(surface.shown)


def test_one_allocation_axis_cannot_tell_embedder_from_contextualizer(
    planted_surface: Make,
) -> None:
    runs, _ = planted_surface()
    surface = fit_surface(surface_data(runs[runs["axis"] == "allocation"], LOSS))
    assert len({"embedder", "context"} & set(surface.shown)) <= 1


@pytest.mark.parametrize(
    ("keep", "status", "said"),
    [
        (lambda f: f[f["budget"] == 1e16], "too few points", "two budgets"),
        (lambda f: f[f["axis"] == "allocation"].iloc[[0, 20, 40]], "too few points", "cells"),
        (lambda f: f.assign(**{LOSS: 5.0}), "not identified", "constant"),
        (lambda f: f[f["axis"] == "none"], "too few points", ""),
    ],
)
def test_tables_that_tell_nothing_get_a_status(
    planted_surface: Make, keep: Callable[[pd.DataFrame], pd.DataFrame], status: str, said: str
) -> None:
    runs, _ = planted_surface()
    row = surface_fits(keep(runs), None, [LOSS], resamples=10)[0]
    assert row["status"] == status
    assert said in row["reason"]
    assert row["fit"] == []
    for estimate in row["parameters"].values():
        assert estimate["value"] is None
        assert estimate["status"] == status
    assert all(o["optimum"]["value"] is None for o in row["optima"])


def test_no_replicates_give_intervals_from_the_scatter(planted_surface: Make) -> None:
    runs, truth = planted_surface(1, seeds=1, sd=0.01)
    floor = _told(runs, LOSS, 200)["E"]
    assert "no replicates" in floor.reason
    assert floor.low is not None
    assert floor.high is not None
    assert floor.low < truth.floor < floor.high
    assert 0.001 < floor.high - floor.low < 0.2


def _width(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def test_scatter_beyond_seed_noise_widens_intervals(planted_surface: Make) -> None:
    runs, _ = planted_surface(sd=0.002)
    cells = runs.groupby(["axis", "arm", "budget", "n_emb", "batch", "n_cand_distinct"]).ngroup()
    bump = 0.03 * np.random.default_rng(0).standard_normal(cells.max() + 1)
    bumped = runs.assign(**{LOSS: runs[LOSS] + bump[cells]})
    one, other = (_told(f, LOSS, 100) for f in (runs, bumped))
    assert "scatter" in other["E"].reason
    for name in ("E", "a_c"):
        assert _width(other[name]) > 4 * _width(one[name])


def test_maximised_metrics_keep_a_level_without_bound(planted_surface: Make) -> None:
    runs, truth = planted_surface()
    recall, ndcg = (_told(runs, metric, 50)["E"].value for metric in (RECALL, NDCG))
    assert recall == pytest.approx(truth.floor - 4, abs=0.05)
    assert ndcg == pytest.approx((truth.floor - 30) / 40, abs=0.01)


def test_a_metric_in_log_x_has_no_level(planted_surface: Make) -> None:
    runs, _ = planted_surface(sd=0.01)
    stage1 = runs[runs["axis"].isin(["allocation", "share"])].copy()
    y = 4 - 0.2 * np.log(stage1["positions"] / 1e8) - 0.1 * np.log(stage1["n_ctx"] / 1e6)
    y = y + 0.3 * (stage1["n_emb"] / 1e5) ** -0.45
    y = y + 0.01 * np.random.default_rng(0).standard_normal(len(y))
    stage1[RECALL] = 1 / (1 + np.exp(y))
    told = _told(stage1, RECALL, 100)
    assert told["E"].value is None
    assert told["E"].status == "not identified"
    assert "lower bound" in told["E"].reason
    assert told["a_e"].value == pytest.approx(0.45, abs=0.1)


def test_a_knee_outside_the_batches_that_ran_is_a_bound(planted_surface: Make) -> None:
    for knee, end in ((4.0, 32.0), (9000.0, 1024.0)):
        runs, _ = planted_surface(knee=knee, sd=0.002)
        found = _told(runs, LOSS, 60)["B_crit"]
        assert found.status == "at bound"
        assert found.value == pytest.approx(end)
        assert (found.low is None) == (knee < end)
        assert (found.high is None) == (knee > end)


def test_predictions_carry_the_refits_spread(planted_surface: Make) -> None:
    runs, truth = planted_surface(sd=0.01)
    data = surface_data(runs, LOSS)
    surface = fit_surface(data)
    mean, sd = predict(surface, redraw(surface, 200, 0), data.inputs)
    exact = data.mean(truth.value(data.frame))
    assert np.mean(np.abs(mean - exact) < 1.96 * sd) > 0.85
    assert sd.max() < 0.01


def test_rows_are_plain_json_and_name_every_part(planted_surface: Make, tmp_path: Any) -> None:
    runs, _ = planted_surface()
    floors = {"validation": {"all": {"markov": {"cross_entropy": 0.1}}}}
    rows = surface_fits(runs, floors, [LOSS], resamples=20)
    write_laws({"surface": {"surface": rows}}, tmp_path)
    assert set(rows[0]["parts"]) == set(PARTS)
    assert rows[0]["flags"] == ["pre-bigram"]
    assert surface_fits(runs[:60], None, [LOSS], resamples=2)[0]["flags"] == []
    assert {o["convention"] for o in rows[0]["optima"]} == {
        "nominal", "executed", "6D(N_ctx+T*N_emb)", "6ND",
    }  # fmt: skip
