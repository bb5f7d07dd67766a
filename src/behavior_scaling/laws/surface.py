"""The joint surface of a study, metric by metric: the primary estimator, as plain JSON.

One row a metric holds the parameters and parts, the optima under every cost convention with their
exponents over C, what is known of the cost functions, and how far each isoFLOP group is from
iso-cost under each convention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws.arrays import Array, t_quantile
from behavior_scaling.laws.cost_groups import cost_spreads
from behavior_scaling.laws.floors import LOSS, Floors, markov_loss
from behavior_scaling.laws.surface_data import SurfaceData, surface_data
from behavior_scaling.laws.surface_fit import Surface, fit_surface, predict, redraw
from behavior_scaling.laws.surface_misfit import judged
from behavior_scaling.laws.surface_optima import Optimum, compared, exponents, optima
from behavior_scaling.laws.surface_parameters import parameters, standard_errors
from behavior_scaling.laws.table import Group, check_runs, groups, metric_values, numbers
from behavior_scaling.laws.transforms import NEGATED, is_maximised
from behavior_scaling.laws.users import Users

if TYPE_CHECKING:
    import pandas as pd

FORM = (
    "y = E + A_e (N_emb/n_e)^-a_e + A_c (N_ctx/n_c)^-a_c + G [D_rep/d / (1 + B/B_crit)]^-g"
    " + H e^(r w) (n_cand/n)^-k + stage-2 offset + slope log(C/c), over reference inputs;"
    " D_rep = U + U R* (1 - exp(-(epochs - 1)/R*)) beyond one epoch"
)


def surface_fits(
    runs: pd.DataFrame,
    floors: Floors | None,
    metrics: Sequence[str],
    *,
    axes: Sequence[Group] | None = None,
    users: Users | None = None,
    seed: int = 0,
    resamples: int = 400,
) -> list[dict[str, Any]]:
    """Fit the joint surface to each metric.

    Args:
        runs: the runs table, one row per (axis, arm, cell, run).
        floors: {split: {slice: {floor: {metric: value}}}}, for the flag 'pre-bigram'.
        metrics: columns of the table.
        axes: the table's groups, where they are known already.
        users: redrawn users, one draw for the whole study; None: intervals hold seeds only.
        seed: of starts and noise.
        resamples: redrawn refits behind every interval.

    Raises:
        LawsError: a column is missing or holds an impossible value.
    """
    check_runs(runs)
    axes = groups(runs) if axes is None else axes
    spreads = cost_spreads(axes)
    flags = _flags(runs, floors)
    return [
        _fit(runs, axes, metric, users, seed, resamples) | {"spreads": spreads, "flags": flags}
        for metric in metrics
    ]


def _fit(
    runs: pd.DataFrame,
    axes: Sequence[Group],
    metric: str,
    users: Users | None,
    seed: int,
    resamples: int,
) -> dict[str, Any]:
    data = surface_data(runs, metric)
    surface = fit_surface(data, seed=seed)
    shifts, said = user_shifts(data, users, resamples)
    known = surface.law.parts and surface.error.value is not None
    draws = (
        redraw(surface, resamples, seed, shifts)
        if known
        else np.zeros((0, surface.parameters.size))
    )
    found, functions = optima(surface, draws, runs)
    if is_maximised(metric):
        found = compared(found, _untransformed(runs, metric, seed))
    found = judged(found, surface, axes)
    told = parameters(surface, draws)
    return {
        "metric": metric,
        "form": FORM,
        "transform": data.transform.name,
        "runs": len(data.frame),
        "cells": data.cells,
        "budgets": [float(c) for c in np.unique(data.inputs["budget"])],
        "status": surface.status,
        "reason": surface.reason,
        "objective": surface.rss / 2 if surface.law.parts else None,
        "best_share": surface.best_share,
        "starts": surface.starts,
        "condition": surface.condition if np.isfinite(surface.condition) else None,
        "parts": {
            **{
                part: {"kept": True, "fitted": True, "aicc": surface.gains.get(part), "reason": ""}
                for part in surface.shown
            },
            **{
                left.part: {
                    "kept": False,
                    "fitted": left.part in surface.law.parts,
                    "aicc": None,
                    "reason": left.reason,
                }
                for left in surface.left
            },
        },
        "reference": {name: float(value) for name, value in surface.law.reference.items()},
        "parameters": {name: asdict(estimate) for name, estimate in told.items()},
        "standard_errors": standard_errors(surface, shifts, told),
        "interval": f"noise redrawn around the surface, {len(draws)} refits, percentiles; {said}",
        "optima": [optimum.to_dict() for optimum in found],
        "exponents": exponents(found),
        "costs": functions,
        "fit": _cells(surface, draws),
        "notes": list(data.notes),
    }


def _untransformed(runs: pd.DataFrame, metric: str, seed: int) -> list[Optimum]:
    """The optima of a maximised metric on its own scale, as a check; without intervals."""
    surface = fit_surface(surface_data(runs, metric, NEGATED), seed=seed)
    return optima(surface, np.zeros((0, surface.parameters.size)), runs)[0]


def _cells(surface: Surface, draws: Array) -> list[dict[str, float]]:
    """The metric of every cell as observed and as fitted, with the surface's own 95% interval."""
    data = surface.data
    if not len(draws):
        return []
    mean, sd = predict(surface, draws, data.inputs)
    margin = t_quantile(np.inf) * sd
    unit = data.transform.inverse
    fitted, ends = unit(mean), np.sort(np.stack([unit(mean - margin), unit(mean + margin)]), axis=0)
    return [
        {
            "budget": float(data.inputs["budget"][i]),
            "stage": int(data.inputs["stage2"][i]) + 1,
            "observed": float(data.values[i]),
            "fitted": float(fitted[i]),
            "low": float(ends[0, i]),
            "high": float(ends[1, i]),
        }
        for i in range(data.cells)
    ]


def user_shifts(data: SurfaceData, users: Users | None, resamples: int) -> tuple[Array | None, str]:
    """[resamples, cells] shifts of y by drawing the users anew; and what was done, in words."""
    if users is None:
        return None, "users not redrawn"
    value = metric_values(data.frame, data.metric)
    moved = users.deviations([str(i) for i in data.frame["id"]], data.metric, value)
    if isinstance(moved, str):
        return None, f"users not redrawn: {moved}"
    shift = data.mean(moved) * data.transform.derivative(data.values)
    return shift[np.arange(resamples) % len(shift)], "users redrawn with it, jointly for all runs"


def _flags(runs: pd.DataFrame, floors: Floors | None) -> list[str]:
    """'pre-bigram' where no run's restored loss reaches the interpolated Markov floor."""
    floor = markov_loss(floors)
    if floor is None or LOSS not in runs.columns:
        return []
    loss = numbers(runs, LOSS)
    loss = loss[np.isfinite(loss)]
    return ["pre-bigram"] if loss.size and float(loss.min()) > floor else []
