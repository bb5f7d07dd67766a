"""Across worlds: does an exponent change with the entropy of the event distribution?

Choices: the slope of the exponent over H_L rests on the exponents' own intervals, or on the scatter
where that is larger (trend.py); beside it stands Spearman's rank correlation with its exact
one-sided p value: the share of all n! orders that fall at least as clearly. That p cannot be below
1 / n!, so three worlds can never tell, which the status says.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from behavior_scaling.laws.agreement import mid_ranks
from behavior_scaling.laws.arrays import LEVEL, Array, t_quantile
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.trend import MIN_BUDGETS, TINY, fit_trend

MIN_WORLDS = MIN_BUDGETS
SLACK = 1e-9
WHAT = ("plain", "known", "N")  # b of L = a C^-b, b of L - E = a C^-b, exponent of N*


def across(worlds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How each exponent moves with entropy; one row for each of WHAT.

    Args:
        worlds: rows as worlds.py makes them, each world once.
    """
    return [_row(what, worlds) for what in WHAT]


def _row(what: str, worlds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    entropy, values, variances, names = [], [], [], []
    for world in worlds:
        exponent: Estimate = world["N"] if what == "N" else world[what]["b"]
        if exponent.status != "converged" or exponent.value is None:
            continue
        entropy.append(world["oracle"]["H"])
        values.append(exponent.value)
        names.append(world["study"])
        known = exponent.low is not None and exponent.high is not None
        wide = (exponent.high or 0.0) - (exponent.low or 0.0)
        variances.append(max((wide / 2 / t_quantile(np.inf)) ** 2, TINY) if known else math.nan)
    count = len(values)
    if count < MIN_WORLDS:
        reason = f"{count} worlds with an identified exponent; {MIN_WORLDS} are needed"
        slope, rho, p_value = nothing("too few points", reason), None, None
    else:
        rho, p_value = falling(np.array(entropy), np.array(values))
        slope = _slope(entropy, values, variances)
    return {
        "of": what,
        "studies": names,
        "slope": dataclasses.asdict(slope),  # per nat
        "rank": rho,
        "p_value": p_value,
        "least_p": 1 / math.factorial(count) if count else None,
    }


def _slope(entropy: list[float], values: list[float], variances: list[float]) -> Estimate:
    known = not np.isnan(variances).any()
    # a trend is one over log C: exp(H) in its place makes it one over H
    found = fit_trend(np.exp(entropy), values, variances if known else None).slope
    least = 1 / math.factorial(len(values))
    if least > 1 - LEVEL:
        reason = (
            f"{len(values)} worlds: even a perfect order has p = {least:.2g}, so it cannot be told"
        )
        return nothing("not identified", reason)
    return found


def falling(x: Array, y: Array) -> tuple[float, float]:
    """Spearman's correlation, and the exact chance of one as low or lower among all orders of y."""
    a, b = mid_ranks(x), mid_ranks(y)
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    if norm == 0:
        return 0.0, 1.0
    rho = float(a @ b) / norm
    orders = np.array(list(itertools.permutations(b)))
    return rho, float(np.mean(orders @ a / norm <= rho + SLACK))
