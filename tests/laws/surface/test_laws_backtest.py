"""The backtest: scores against numerical integrals, hidden budgets, rivals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from behavior_scaling.laws.backtest import backtest
from behavior_scaling.laws.backtest_rivals import last_cell, log_linear
from behavior_scaling.laws.backtest_score import Forecast, crps_normal
from behavior_scaling.laws.curve import curve_data
from behavior_scaling.laws.noise import NoiseLevel
from behavior_scaling.laws.write import write_laws

LOSS = "validation/restored/all/cross_entropy"
Make = Callable[..., tuple[pd.DataFrame, Any]]


@pytest.mark.parametrize(("observed", "mean", "sd"), [(0.0, 0.0, 1.0), (2.5, 1.0, 0.3), (-1, 3, 5)])
def test_crps_is_its_integral(observed: float, mean: float, sd: float) -> None:
    cdf = stats.norm(mean, sd).cdf
    below = integrate.quad(lambda x: cdf(x) ** 2, mean - 12 * sd, observed, epsabs=1e-12)[0]
    above = integrate.quad(
        lambda x: (1 - cdf(x)) ** 2, observed, max(observed, mean) + 12 * sd, epsabs=1e-12
    )[0]
    got = crps_normal(np.array([observed]), np.array([mean]), np.array([sd]))[0]
    assert got == pytest.approx(below + above, rel=1e-7)


def test_crps_of_a_sharp_forecast_is_its_error() -> None:
    got = crps_normal(np.array([1.0, 4.0]), np.array([3.0, 4.0]), np.full(2, 1e-9))
    np.testing.assert_allclose(got, [2.0, 0.0], atol=1e-8)


def test_a_ninety_percent_interval_holds_ninety_percent() -> None:
    rng = np.random.default_rng(0)
    observed = 2 + 0.5 * rng.standard_normal(200_000)
    score = Forecast(np.full(200_000, 2.0), np.full(200_000, 0.5)).score(observed)
    assert score["coverage"] == pytest.approx(0.9, abs=0.003)
    assert score["half_width"] == pytest.approx(1.6449 * 0.5, rel=1e-4)
    assert score["crps"] == pytest.approx(0.5 / np.sqrt(np.pi), rel=0.01)
    assert score["error"] == pytest.approx(0.0, abs=0.005)


def _curve(budget: float, y: list[float], x: tuple[float, ...] = (1.0, 10.0, 100.0)) -> Any:
    return curve_data(budget, x, y, noise=NoiseLevel(0.04, 5), repeats=[4, 4, 4])


def test_rivals_by_hand() -> None:
    curves = [_curve(10.0, [5, 4, 6]), _curve(100.0, [4, 3, 5.5]), _curve(1000.0, [3, 2, 5])]
    x, noise = np.array([2.0, 60.0]), np.array([0.02, 0.02])
    last = last_cell(curves, x, noise, relative=False)
    np.testing.assert_allclose(last.mean, [3.0, 5.0])
    np.testing.assert_allclose(last.sd**2, 0.04 / 4 + 0.02)
    line = log_linear(curves, 10_000.0, x, noise, relative=False)
    np.testing.assert_allclose(line.mean, [2.0, 4.5])
    leverage = 1 / 3 + 2**2 / 2  # exact lines: the noise stands in for the scatter
    np.testing.assert_allclose(line.sd**2, 0.02 * leverage + 0.02)
    moved = [_curve(10.0, [5, 4, 6], (1.0, 10.0, 100.0)), _curve(100.0, [4, 3, 5], (8, 80, 800))]
    at = last_cell(moved, np.array([50.0, 500.0, 5000.0]), np.full(3, 0.02), relative=True)
    np.testing.assert_allclose(at.mean, [4.0, 3.0, 5.0])


def test_a_planted_surface_is_predicted_and_beats_its_rivals(
    planted_surface: Make, tmp_path: Any
) -> None:
    runs, _ = planted_surface(sizes=7)
    runs = runs[runs["arm"] != "uniform"]
    rows = backtest(runs, [LOSS], resamples=100)
    by = {(r["axis"], r["arm"]): r for r in rows}
    assert by["batch", "clean"]["status"] == "too few points"
    assert "scores" not in by["batch", "clean"]
    covered = []
    for key in (("allocation", ""), ("share", ""), ("negatives", "popular")):
        row = by[key]
        assert row["status"] == "converged"
        scores = row["scores"]
        assert scores["surface"]["crps"] < 0.02 * scores["last"]["crps"]
        assert scores["surface"]["crps"] < 0.02 * scores["log_linear"]["crps"]
        covered.append(scores["surface"]["coverage"])
        assert len(row["cells"]) == {"allocation": 7, "share": 6, "negatives": 6}[row["axis"]]
    assert np.mean(covered) > 0.6  # the cells of one axis err together
    held = by["allocation", ""]
    assert held["held_out"] == 1e19
    assert held["trained_on"] == int((runs["budget"] < 1e19).sum())
    assert by["share", ""]["trained_on"] == int((runs["budget"] < 1e18).sum())
    best = held["optimum"]
    assert best["status"] == "converged"
    assert best["scores"]["surface"]["crps"] < best["scores"]["last"]["crps"]
    write_laws({"backtest": {"backtest": rows}}, tmp_path)


def test_hidden_results_do_not_reach_the_prediction(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    runs = runs[runs["axis"] == "allocation"]
    hidden = runs["budget"] == 1e19
    spoilt = runs.assign(**{LOSS: np.where(hidden, runs[LOSS] + 1.0, runs[LOSS])})
    one, other = (backtest(f, [LOSS], resamples=20)[0] for f in (runs, spoilt))
    assert [c["predicted"] for c in one["cells"]] == [c["predicted"] for c in other["cells"]]
    assert [c["low"] for c in one["cells"]] == [c["low"] for c in other["cells"]]
    assert [c["observed"] for c in one["cells"]] != [c["observed"] for c in other["cells"]]
    assert other["scores"]["surface"]["coverage"] == 0.0
    assert one["optimum"]["predicted"] == other["optimum"]["predicted"]


@pytest.mark.parametrize("budgets", [(1e16, 1e17, 1e18), (1e16,)])
def test_fewer_than_three_budgets_left_give_no_number(
    planted_surface: Make, budgets: tuple[float, ...]
) -> None:
    runs, _ = planted_surface(budgets=budgets)
    for row in backtest(runs, [LOSS], resamples=20):
        assert row["status"] == "too few points"
        assert "3 needed" in row["reason"]
        assert not {"cells", "scores", "optimum"} & set(row)


def test_a_flat_metric_is_not_extrapolated(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    runs = runs[runs["axis"] == "allocation"]
    rng = np.random.default_rng(0)
    flat = runs.assign(**{LOSS: 5 + 0.01 * rng.standard_normal(len(runs))})
    rows = backtest(flat, [LOSS], resamples=20)
    assert rows[0]["status"] == "not identified"
    assert "scores" not in rows[0]
