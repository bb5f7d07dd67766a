"""The law over compute: the optimal cell of every budget of the allocation axis.

Choices: a budget's loss is the isoFLOP curve at its vertex where that is identified, else its
lowest cell mean (biased low by the choosing, which the notes say); maximised metrics enter as
1 - m, whose power law is the same statement as one of an error rate. Redrawn users shift the losses
of all budgets together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.parts import BestValue, nothing
from behavior_scaling.laws.power import fit_power
from behavior_scaling.laws.results import AxisFit, CurveFit
from behavior_scaling.laws.transforms import COMPLEMENT, IDENTITY, is_maximised


def compute_fit(
    metric: str,
    curves: Sequence[CurveData],
    best: Sequence[BestValue | None],
    seed: int,
    resamples: int,
) -> AxisFit:
    """L over C for one metric, from the cells of the allocation axis and their fitted optima."""
    scale = COMPLEMENT if is_maximised(metric) else IDENTITY
    values: list[float] = []
    variances: list[float | None] = []
    moved: list[Array | None] = []
    lowest: list[str] = []
    for data, found in zip(curves, best, strict=True):
        at = int(np.argmin(data.y))
        y = float(data.y[at]) if found is None else found.value
        values.append(data.transform.own_unit(y))
        # one unit of the fitted scale in units of the loss whose law over compute is fitted
        own = np.array([values[-1]])
        unit = float((scale.derivative(own) / data.transform.derivative(own))[0])
        if found is not None:
            variances.append(unit**2 * found.variance)
            moved.append(None if found.redrawn is None else unit * (found.redrawn - y))
        else:
            known = data.noise.variance
            variances.append(None if known is None else known / float(data.repeats[at]))
            moved.append(None if data.users is None else unit * data.users[:, at])
            lowest.append(f"{data.budget:g}")
    losses = scale.forward(np.asarray(values, dtype=np.float64))
    known_all = [v for v in variances if v is not None and v > 0]
    users = [np.nan_to_num(part) for part in moved if part is not None]
    fit_ = fit_power(
        [data.budget for data in curves],
        losses,
        known_all if len(known_all) == len(variances) else None,
        users=np.stack(users, axis=1) if len(users) == len(curves) else None,
        seed=seed,
        resamples=resamples,
    )
    notes = list(fit_.notes)
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
