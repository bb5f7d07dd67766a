"""The backtest: what the laws would have said of the largest budget before it was run.

For each axis and arm, every run at or above its largest budget is hidden, those of other axes too;
the joint surface, its choice of parts included, is fitted to the rest, and predicts the metric at
each hidden cell and the optimum there. Intervals are of 90% and hold the refits' spread and the
noise of the cell. Rivals: 'last' (the nearest cell of the largest budget left, or its per-axis
optimum) and 'log-linear' (a line over log C through the nearest cells of each budget left, or
through its optima). Choices: with fewer than three budgets left there is no number; cells of the
allocation axis are matched by their place on the isoFLOP curve (N over the mean N of the budget),
others by x; optima are compared in log x* with the per-axis estimate of the hidden budget, whose
own error is added to every prediction's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.backtest_optimum import optimum_backtest
from behavior_scaling.laws.backtest_rivals import last_cell, log_linear
from behavior_scaling.laws.backtest_score import LEVEL, Forecast
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.surface_data import SurfaceData, surface_data
from behavior_scaling.laws.surface_fit import Surface, fit_surface, predict, redraw
from behavior_scaling.laws.table import (
    Group,
    check_runs,
    groups,
    metric_curves,
    numbers,
    seed_noise,
)
from behavior_scaling.laws.transforms import transform_for

if TYPE_CHECKING:
    import pandas as pd

MIN_BUDGETS = 3


@dataclass(frozen=True, eq=False)
class Fitted:
    """A surface of what was not hidden, with its refits."""

    surface: Surface
    draws: Array


def backtest(
    runs: pd.DataFrame,
    metrics: Sequence[str],
    *,
    axes: Sequence[Group] | None = None,
    seed: int = 0,
    resamples: int = 400,
) -> list[dict[str, Any]]:
    """Hide the largest budget of every axis and predict it.

    Args:
        runs: the runs table, one row per (axis, arm, cell, run).
        metrics: columns of the table.
        axes: the table's groups, where they are known already.
        seed: of starts and noise.
        resamples: redrawn refits.

    Returns:
        One row per metric, axis and arm: status, the predicted cells, the scores of the surface
        and of its rivals, and the optimum's.

    Raises:
        LawsError: a column is missing or holds an impossible value.
    """
    check_runs(runs)
    axes = groups(runs) if axes is None else axes
    rows = []
    for metric in metrics:
        whole = surface_data(runs, metric)
        noise = seed_noise(runs, metric)
        known: dict[float, Fitted] = {}
        for group in axes:
            curves, _ = metric_curves(group, metric, transform_for(metric), noise)
            head = {"metric": metric, "axis": group.axis, "arm": group.arm, "level": LEVEL}
            if not curves:
                continue
            hidden = curves[-1].budget
            head |= {"held_out": hidden, "budgets_left": len(curves) - 1}
            if len(curves) - 1 < MIN_BUDGETS:
                left = len(curves) - 1
                reason = f"budgets left of this axis: {left}; {MIN_BUDGETS} needed"
                rows.append(head | {"status": "too few points", "reason": reason})
                continue
            if hidden not in known:
                known[hidden] = _fitted(runs, metric, hidden, seed, resamples)
            rows.append(head | _row(runs, group, curves, whole, known[hidden], seed, resamples))
    return rows


def _fitted(runs: pd.DataFrame, metric: str, hidden: float, seed: int, resamples: int) -> Fitted:
    data = surface_data(runs[numbers(runs, "budget") < hidden], metric)
    surface = fit_surface(data, seed=seed)
    if not surface.law.parts or surface.error.value is None:
        return Fitted(surface, np.zeros((0, surface.parameters.size)))
    return Fitted(surface, redraw(surface, resamples, seed))


def _row(
    runs: pd.DataFrame,
    group: Group,
    curves: Sequence[CurveData],
    whole: SurfaceData,
    fitted: Fitted,
    seed: int,
    resamples: int,
) -> dict[str, Any]:
    surface, draws = fitted.surface, fitted.draws
    left_out = [left.part for left in surface.left]
    head: dict[str, Any] = {"trained_on": len(surface.data.frame), "left_out": left_out}
    if not len(draws):
        return head | {"status": surface.status, "reason": surface.reason or surface.error.reason}
    if "data" not in surface.shown:
        reason = "the runs left show no data term: nothing to extrapolate with"
        return head | {"status": "not identified", "reason": reason}
    own = _cells_of(group, whole, curves[-1].budget)
    if not own.size:
        return head | {"status": "too few points", "reason": "no admitted cell at that budget"}
    inputs = {name: values[own] for name, values in whole.inputs.items()}
    y = whole.y[own]
    cell = cell_variance(surface, inputs["stage2"], whole.repeats[own])
    mean, sd = predict(surface, draws, inputs)
    ours = Forecast(mean, np.hypot(sd, np.sqrt(cell)))
    x = matched(group.axis, inputs)
    rivals = {
        "last": last_cell(curves[:-1], x, cell, relative=group.axis == "allocation"),
        "log_linear": log_linear(curves[:-1], curves[-1].budget, x, cell,
                                 relative=group.axis == "allocation"),
    }  # fmt: skip
    forecasts = {"surface": ours} | rivals
    unit = whole.transform.inverse
    ends = np.sort(np.stack([unit(ours.low), unit(ours.high)]), axis=0)
    return head | {
        "status": "converged",
        "reason": surface.reason,
        "cells": [
            {
                "x": float(x[i]),
                "observed": float(whole.values[own][i]),
                "predicted": float(unit(ours.mean)[i]),
                "low": float(ends[0, i]),
                "high": float(ends[1, i]),
                "covered": bool(ours.covers(y)[i]),
            }
            for i in range(own.size)
        ],
        "scores": {name: forecast.score(y) for name, forecast in forecasts.items()},
        "optimum": optimum_backtest(runs, group, curves, whole, surface, draws, seed, resamples),
    }


def _cells_of(group: Group, whole: SurfaceData, budget: float) -> Array:
    """Indices of the surface's cells that hold this group's runs at a budget."""
    ids = group.frame.loc[numbers(group.frame, "budget") == budget, "id"]
    return np.unique(whole.cell[whole.frame["id"].isin(ids).to_numpy()])


def matched(axis: str, inputs: Mapping[str, Array]) -> Array:
    """What the cells of an axis are matched by, from the surface's inputs of each."""
    total = inputs["n_emb"] + inputs["n_ctx"]
    x = {
        "allocation": total,
        "share": inputs["n_emb"] / total,
        "batch": inputs["batch"],
        "negatives": inputs["n_cand"],
    }[axis]
    return np.asarray(x)


def cell_variance(surface: Surface, stage2: Array, repeats: Array) -> Array:
    """Noise of hidden cells: that of the largest budget left of their stage, fitted scale."""
    data = surface.data
    run = data.repeats / data.weight * (surface.error.value or 0.0)
    out = np.empty(stage2.size)
    for s in (0.0, 1.0):
        same = data.inputs["stage2"] == s
        same = same if same.any() else np.ones(same.size, dtype=bool)
        last = same & (data.inputs["budget"] == data.inputs["budget"][same].max())
        out[stage2 == s] = float(np.median(run[last]))
    return out / repeats
