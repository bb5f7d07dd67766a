"""The law over compute: the optimal cell of every budget of the allocation axis.

Choices: a budget's loss is the isoFLOP curve at its vertex where that is identified, else its
lowest cell mean (biased low by the choosing, which the notes say); maximised metrics enter as
1 - m, whose power law is the same statement as one of an error rate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from behavior_scaling.laws.arrays import t_quantile
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.power import fit_power
from behavior_scaling.laws.results import AxisFit, CurveFit
from behavior_scaling.laws.transforms import COMPLEMENT, IDENTITY, is_maximised


def compute_fit(
    metric: str,
    curves: Sequence[CurveData],
    fits: Sequence[CurveFit],
    seed: int,
    resamples: int,
) -> AxisFit:
    """L over C for one metric, from the cells and fits of the allocation axis."""
    scale = COMPLEMENT if is_maximised(metric) else IDENTITY
    values: list[float] = []
    variances: list[float | None] = []
    lowest: list[str] = []
    for data, fit in zip(curves, fits, strict=True):
        best = fit.best
        if best.value is not None and best.low is not None and best.high is not None:
            values.append(best.value)
            half = (best.high - best.low) / 2
            variances.append((half / t_quantile(np.inf)) ** 2)
        else:
            at = int(np.argmin(data.y))
            values.append(data.transform.own_unit(float(data.y[at])))
            known = data.noise.variance
            variances.append(None if known is None else known / float(data.repeats[at]))
            lowest.append(f"{data.budget:g}")
    losses = scale.forward(np.asarray(values, dtype=np.float64))
    known_all = [v for v in variances if v is not None and v > 0]
    fit_ = fit_power(
        [data.budget for data in curves],
        losses,
        known_all if len(known_all) == len(variances) else None,
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
