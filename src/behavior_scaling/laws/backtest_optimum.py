"""The backtest of an optimum: N*, s* and n_cand* of a hidden budget, in log x*."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws import isoflop, two_term
from behavior_scaling.laws.arrays import Array, t_quantile
from behavior_scaling.laws.backtest_score import Forecast
from behavior_scaling.laws.cost_model import costs
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.parts import AxisParts
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.surface_base import base_points
from behavior_scaling.laws.surface_data import SurfaceData
from behavior_scaling.laws.surface_fit import ONE_SIGMA, Surface
from behavior_scaling.laws.surface_optima import optimum_at
from behavior_scaling.laws.table import Group
from behavior_scaling.laws.trend import fit_trend

if TYPE_CHECKING:
    import pandas as pd

Point = tuple[float, float]  # log x*, its standard deviation


def optimum_backtest(
    runs: pd.DataFrame,
    group: Group,
    curves: Sequence[CurveData],
    whole: SurfaceData,
    surface: Surface,
    draws: Array,
    seed: int,
    resamples: int,
) -> dict[str, Any]:
    """The hidden budget's optimum, as the surface and its rivals predict it.

    Args:
        runs: the whole table, for the hidden cells' design (their metric is not looked at).
        group: the axis and arm.
        curves: of all its budgets, the hidden one last.
        whole: all admitted runs, for ranges and costs (design only).
        surface: fitted to what is left.
        draws: [r, p] its refits.
        seed: of the per-axis fits' resamples.
        resamples: their number.
    """
    if group.axis == "batch":
        return {"status": "not identified", "reason": "the backtest asks for N*, s* and n_cand*"}
    estimate = _per_axis(group, curves, seed, resamples)[-1]
    truth = _point(estimate)
    said: dict[str, Any] = {"estimate": asdict(estimate)}
    if truth is None:
        reason = f"the hidden budget's own estimate is {estimate.status}: {estimate.reason}"
        return said | {"status": estimate.status, "reason": reason}
    functions = costs(whole.frame, "nominal")
    if isinstance(functions, str):
        return said | {"status": "not identified", "reason": functions}
    hidden = curves[-1].budget
    base = next(
        b
        for b in base_points(runs, whole.frame)
        if (b.axis, b.arm, b.held.budget) == (group.axis, group.arm, hidden)
    )
    found = optimum_at(surface, draws, base, "nominal", functions)
    said["predicted"] = asdict(found.optimum)
    if found.optimum.status != "converged" or found.draws is None:
        return said | {"status": found.optimum.status, "reason": found.optimum.reason}
    low, high = np.quantile(found.draws[1:], ONE_SIGMA)
    forecasts: dict[str, Point | None] = {
        "surface": (float(found.draws[0]), float(0.5 * (high - low)))
    }
    before = _per_axis(group, curves[:-1], seed, resamples)
    forecasts["last"] = _point(before[-1])
    forecasts["log_linear"] = _line(curves[:-1], before, hidden)
    scores = {name: _score(point, truth) for name, point in forecasts.items()}
    return said | {"status": "converged", "reason": "", "scores": scores}


def _per_axis(
    group: Group, curves: Sequence[CurveData], seed: int, resamples: int
) -> list[Estimate]:
    """The axis's own optimum of every budget."""
    parts: AxisParts
    if group.axis == "allocation":
        parts = isoflop.fit_allocation(curves)
    else:
        name = "share" if group.axis == "share" else "K"
        parts = two_term.fit_two_term(curves, name, seed=seed, resamples=resamples)
    return [fit.optimum for fit in parts.curves]


def _point(estimate: Estimate) -> Point | None:
    if estimate.status != "converged" or not (estimate.value and estimate.low and estimate.high):
        return None
    sd = float(np.log(estimate.high / estimate.low)) / 2 / t_quantile(np.inf)
    return float(np.log(estimate.value)), sd


def _line(
    curves: Sequence[CurveData], estimates: Sequence[Estimate], hidden: float
) -> Point | None:
    """The line over log C through the optima left, at the hidden budget."""
    known = [(d.budget, p) for d, e in zip(curves, estimates, strict=True) if (p := _point(e))]
    if len(known) < 2:
        return None
    budgets = np.array([c for c, _ in known])
    logs, sds = np.array([p[0] for _, p in known]), np.array([p[1] for _, p in known])
    trend = fit_trend(budgets, logs, np.maximum(sds**2, 1e-16))
    if trend.slope.value is None or trend.intercept.value is None:
        return None
    at = float(np.log(hidden)) - trend.center
    quantile = t_quantile(max(len(known) - 2, 1))
    parts = [
        (e.high - e.low) / 2 / quantile if e.high is not None and e.low is not None else 0.0
        for e in (trend.slope, trend.intercept)
    ]
    return trend.intercept.value + trend.slope.value * at, float(np.hypot(parts[0] * at, parts[1]))


def _score(point: Point | None, truth: Point) -> dict[str, Any] | None:
    if point is None:
        return None
    sd = float(np.hypot(point[1], truth[1]))
    forecast = Forecast(np.array([point[0]]), np.array([max(sd, 1e-12)]))
    score = forecast.score(np.array([truth[0]]))
    return score | {
        "value": float(np.exp(point[0])),
        "low": float(np.exp(forecast.low[0])),
        "high": float(np.exp(forecast.high[0])),
    }
