"""The law over compute: the optimal cell of every budget of the allocation axis.

Choices: a budget's loss is the isoFLOP curve at its vertex where that is identified, else its
lowest cell mean (biased low by the choosing, which the notes say); maximised metrics enter as
1 - m, whose power law is the same statement as one of an error rate. Redrawn users shift the losses
of all budgets together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.parts import BestValue, nothing
from behavior_scaling.laws.power import fit_power
from behavior_scaling.laws.results import AxisFit, CurveFit
from behavior_scaling.laws.transforms import COMPLEMENT, IDENTITY, Transform, is_maximised


@dataclass(frozen=True, eq=False)
class BestLoss:
    """The best of one budget: at the curve's vertex, or its lowest cell."""

    budget: float
    value: float  # the metric's own unit
    loss: float  # on the loss_scale
    variance: float | None  # of the loss, from seeds
    moved: Array | None  # [replicates] deviations of the loss under redrawn users
    lowest: bool  # whether it is a cell's mean


def loss_scale(metric: str) -> Transform:
    """The metric as a loss whose law over compute is fitted: itself, or 1 - m."""
    return COMPLEMENT if is_maximised(metric) else IDENTITY


def best_losses(
    metric: str, curves: Sequence[CurveData], best: Sequence[BestValue | None]
) -> list[BestLoss]:
    """The best of every budget.

    Args:
        metric: column of the runs table.
        curves: cells of each budget of the allocation axis.
        best: the fitted curve at its vertex; None where no vertex is identified.
    """
    scale, out = loss_scale(metric), []
    for data, found in zip(curves, best, strict=True):
        at = int(np.argmin(data.y))
        y = float(data.y[at]) if found is None else found.value
        value = data.transform.own_unit(y)
        # one unit of the fitted scale in units of the loss whose law over compute is fitted
        own = np.array([value])
        unit = float((scale.derivative(own) / data.transform.derivative(own))[0])
        if found is not None:
            variance: float | None = unit**2 * found.variance
            moved = None if found.redrawn is None else unit * (found.redrawn - y)
        else:
            known = data.noise.variance
            variance = None if known is None else known / float(data.repeats[at])
            moved = None if data.users is None else unit * data.users[:, at]
        loss = float(scale.forward(own)[0])
        out.append(BestLoss(data.budget, value, loss, variance, moved, found is None))
    return out


def compute_fit(
    metric: str,
    curves: Sequence[CurveData],
    best: Sequence[BestValue | None],
    seed: int,
    resamples: int,
) -> AxisFit:
    """L over C for one metric, from the cells of the allocation axis and their fitted optima."""
    scale = loss_scale(metric)
    found = best_losses(metric, curves, best)
    known_all = [one.variance for one in found if one.variance is not None and one.variance > 0]
    users = [np.nan_to_num(one.moved) for one in found if one.moved is not None]
    fit_ = fit_power(
        [data.budget for data in curves],
        [one.loss for one in found],
        known_all if len(known_all) == len(found) else None,
        users=np.stack(users, axis=1) if len(users) == len(curves) else None,
        seed=seed,
        resamples=resamples,
    )
    notes = list(fit_.notes)
    lowest = [f"{one.budget:g}" for one in found if one.lowest]
    if lowest:
        notes.append("lowest cell instead of a vertex at " + ", ".join(lowest) + " (biased low)")
    none = nothing("not identified", "a power law has no optimum")
    drawn = scale.inverse(np.asarray(fit_.curve_y, dtype=np.float64))
    curve = CurveFit(
        budget=0.0,
        runs=sum(data.runs for data in curves),
        cells=len(curves),
        optimum=none,
        best=none,
        coefficients=fit_.coefficients,
        curve_x=fit_.curve_x,
        curve_y=tuple(float(v) for v in drawn),
        noise=None,
    )
    return AxisFit(
        "compute", "", metric, fit_.form, scale.name, "budget", (curve,), {}, tuple(notes)
    )
