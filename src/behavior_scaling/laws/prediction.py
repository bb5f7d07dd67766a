"""A prediction of a budget that has not been run, to be committed before it is.

Fitted is what `finished_below` gives: finished runs below the held-out budget. Predicted are every
planned cell of its allocation and share axes, N* and D*, the best metric, and what each step and
each doubling of compute brings. Choices: the joint surface predicts, beside the rivals of the
backtest ('last': the nearest cell of the last budget; 'log_linear': a line over log C) and, for
optima and lifts, the per-axis power laws; intervals are of 95% and of a cell's mean over its
planned seeds: refits around the surface, and seed noise as at the last budget fitted. Users are
not redrawn, because the runs to come are scored on the same ones. At least three budgets of the
allocation axis must lie below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws.arrays import LEVEL, Array, LawsError, t_quantile
from behavior_scaling.laws.backtest import MIN_BUDGETS, cell_variance, matched
from behavior_scaling.laws.backtest_rivals import last_cell, log_linear
from behavior_scaling.laws.backtest_score import Forecast
from behavior_scaling.laws.cost_model import costs
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.floors import LOSS
from behavior_scaling.laws.isoflop import extrapolated
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.prediction_lift import Ladder, PowerLaw, bests, lift_rows, steps
from behavior_scaling.laws.prediction_table import (
    ASSUMED,
    PREDICTED_AXES,
    allocation_budgets,
    finished_below,
    made_from,
    with_planned,
)
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.surface_base import base_points
from behavior_scaling.laws.surface_data import admitted, cell_inputs, surface_data
from behavior_scaling.laws.surface_fit import Surface, fit_surface, predict, redraw
from behavior_scaling.laws.table import (
    Group,
    check_runs,
    groups,
    metric_curves,
    metric_values,
    numbers,
    seed_noise,
)
from behavior_scaling.laws.transforms import Transform, transform_for

if TYPE_CHECKING:
    import pandas as pd

RESTORED = "validation/restored/all"
METRICS = (LOSS, f"{RESTORED}/recall@10", f"{RESTORED}/ndcg@10", "validation/raw/all/cross_entropy")
Row = dict[str, Any]


def make_prediction(
    runs: pd.DataFrame, held_out: float | None = None, *, seed: int = 0, resamples: int = 400
) -> Row:
    """Predict a budget from what was run below it.

    Args:
        runs: the runs table; rows of the held-out budget hold their design, outcome 'missing'.
        held_out: nominal FLOPs; the largest budget of the allocation axis if not given.
        seed: of starts and noise.
        resamples: redrawn refits.

    Returns:
        {'held_out', 'level', 'seed', 'resamples', 'made_from', 'assumed', 'metrics': {metric:
        {'status', 'reason', 'trained_on', 'cells', 'optimum', 'lift'}}}.

    Raises:
        LawsError: a run of the held-out budget or above is done already, fewer than three budgets
            are left, or a column is missing or holds an impossible value.
    """
    check_runs(runs)
    budgets = allocation_budgets(runs)
    if not budgets:
        raise LawsError("runs: no run of the allocation axis: there is no budget to predict")
    held_out = budgets[-1] if held_out is None else held_out
    late = runs[(numbers(runs, "budget") >= held_out) & (runs["outcome"] == "done")]
    if len(late):
        raise LawsError(
            f"runs: {late['id'].nunique()} runs of {held_out:g} FLOPs or more are done already "
            f"(first: {late['id'].iloc[0]}): a prediction is made before, or it is none"
        )
    metrics = predicted_metrics(finished_below(runs, held_out))
    return {
        "held_out": held_out,
        "level": LEVEL,
        "seed": seed,
        "resamples": resamples,
        "made_from": made_from(runs, held_out, metrics),
        "assumed": list(ASSUMED),
        "metrics": {
            metric: predict_metric(runs, held_out, metric, seed=seed, resamples=resamples)
            for metric in metrics
        },
    }


def predicted_metrics(known: pd.DataFrame) -> list[str]:
    """The metrics that are predicted: columns with a value in the finished runs."""
    columns = [name for name in METRICS if name in known.columns]
    return [name for name in columns if np.isfinite(metric_values(known, name)).any()]


def predict_metric(
    runs: pd.DataFrame, held_out: float, metric: str, *, seed: int, resamples: int
) -> Row:
    """One metric's prediction, as it stands under 'metrics'.

    Raises:
        LawsError: as make_prediction, whatever runs of the held-out budget hold is not looked at.
    """
    known, table = finished_below(runs, held_out), with_planned(runs, held_out)
    noise, transform = seed_noise(known, metric), transform_for(metric)
    curves: dict[tuple[str, str], list[CurveData]] = {
        (group.axis, group.arm): metric_curves(group, metric, transform, noise)[0]
        for group in groups(known)
        if group.axis in PREDICTED_AXES
    }
    left = curves.get(("allocation", ""), [])
    if len(left) < MIN_BUDGETS:
        raise LawsError(
            f"runs: {len(left)} budgets of the allocation axis are done below {held_out:g} FLOPs; "
            f"{MIN_BUDGETS} are needed to predict it"
        )
    surface = fit_surface(surface_data(known, metric), seed=seed)
    refused = _refused(surface)
    none = np.zeros((0, surface.parameters.size))
    draws = none if refused else redraw(surface, resamples, seed)
    frame, _ = admitted(table)
    functions = costs(frame, "nominal")
    if isinstance(functions, str):
        raise LawsError(f"runs: {functions}: the surface's optima need the cost of every run")
    bases = {
        base.held.budget: base for base in base_points(table, frame) if base.axis == "allocation"
    }
    ladder = refused or Ladder(surface, draws, bases, functions)
    law = PowerLaw.of(metric, bests(metric, left))
    return {
        "status": refused.status if refused else "converged",
        "reason": refused.reason if refused else surface.reason,
        "trained_on": len(surface.data.frame),
        "cells": [
            cell
            for group in groups(table)
            if group.axis in PREDICTED_AXES
            for cell in _cells(
                group, held_out, surface, draws, curves.get((group.axis, group.arm), []), transform
            )
        ],
        "optimum": _optimum(ladder, law, left, held_out),
        "lift": lift_rows(ladder, law, steps([data.budget for data in left] + [held_out])),
    }


def _refused(surface: Surface) -> Estimate | None:
    """Why the surface predicts nothing."""
    if not surface.law.parts or surface.error.value is None:
        status = surface.status if surface.status != "converged" else "not identified"
        return nothing(status, surface.reason or surface.error.reason)
    if "data" not in surface.shown:
        reason = "the runs show no data term: nothing to extrapolate with"
        return nothing("not identified", reason)
    return None


def _cells(
    group: Group,
    held_out: float,
    surface: Surface,
    draws: Array,
    curves: Sequence[CurveData],
    transform: Transform,
) -> list[Row]:
    frame = group.frame[numbers(group.frame, "budget") == held_out]
    if not len(frame):
        return []
    cell, repeats, inputs = cell_inputs(frame)
    x = matched(group.axis, inputs)
    own = cell_variance(surface, inputs["stage2"], repeats)
    relative = group.axis == "allocation"
    said: dict[str, tuple[Forecast, float] | None] = dict.fromkeys(
        ("surface", "last", "log_linear")
    )
    if len(draws):
        mean, sd = predict(surface, draws, inputs)
        said["surface"] = (Forecast(mean, np.hypot(sd, np.sqrt(own))), surface.error.df)
    if curves:
        said["last"] = (last_cell(curves, x, own, relative=relative), np.inf)
    if len(curves) >= MIN_BUDGETS:
        line = log_linear(curves, held_out, x, own, relative=relative)
        said["log_linear"] = (line, np.inf)
    forecasts = {name: _ends(one, transform, x.size) for name, one in said.items()}
    return [
        {
            "axis": group.axis,
            "arm": group.arm,
            "x": float(x[i]),
            "runs": sorted(frame["id"][cell == i]),
            "forecasts": {name: ends[i] for name, ends in forecasts.items()},
        }
        for i in np.argsort(x, kind="stable")
    ]


def _ends(
    one: tuple[Forecast, float] | None, transform: Transform, count: int
) -> Sequence[Mapping[str, float] | None]:
    """Value and interval of every cell in the metric's own unit."""
    if one is None:
        return [None] * count
    forecast, df = one
    margin = t_quantile(df) * forecast.sd
    value = transform.inverse(forecast.mean)
    ends = transform.inverse(np.stack([forecast.mean - margin, forecast.mean + margin]))
    low, high = ends.min(axis=0), ends.max(axis=0)
    return [
        {"value": float(value[i]), "low": float(low[i]), "high": float(high[i])}
        for i in range(count)
    ]


def _optimum(
    ladder: Ladder | Estimate, law: PowerLaw, curves: Sequence[CurveData], held_out: float
) -> Row:
    """{'N' | 'D' | 'best': {forecast: estimate}} of the allocation axis."""
    lines = extrapolated(curves, held_out)
    joint = (
        dict.fromkeys(("N", "D", "best"), ladder)
        if isinstance(ladder, Estimate)
        else _joint(ladder, held_out)
    )
    return {
        "N": {"surface": asdict(joint["N"]), "per_axis": asdict(lines["N"])},
        "D": {"surface": asdict(joint["D"]), "per_axis": asdict(lines["D"])},
        "best": {"surface": asdict(joint["best"]), "power_law": asdict(law.best(held_out))},
    }


def _joint(ladder: Ladder, held_out: float) -> dict[str, Estimate]:
    found = ladder.at(held_out)
    optimum = found.optimum
    d = found.derived.get("D", nothing(optimum.status, optimum.reason))
    return {"N": optimum, "D": d, "best": found.best}
