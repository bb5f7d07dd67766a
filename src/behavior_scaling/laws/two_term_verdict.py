"""Whether a budget has an optimum: the two-term law against its monotone rivals.

Each rival replaces this budget's curve (the others keep the shared law): y0 + a x^alpha,
y0 + b x^-beta with an exponent of its own, or a constant. In AICc (criteria.py) n counts the runs,
replicates included, and k the parameters and the variance.
Where the two-term law does not win, one monotone law does (over the other and the constant) and
the profile of x* reaches that end of the grid, the optimum is 'at bound'; else 'not identified'.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from behavior_scaling.laws.arrays import lowest
from behavior_scaling.laws.criteria import GAIN, aicc
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.two_term_grid import ALPHA_BOUNDS, BETA_BOUNDS, falling, rising, sums
from behavior_scaling.laws.two_term_profile import Profile, lowest_free

FINE = 200
SIDE = 2  # cells wanted on each side of an optimum


def verdict(data: CurveData, fit: Profile, j: int) -> Estimate:
    """The optimum of budget j with its status."""
    if fit.error.value is None:
        return nothing("not identified", fit.error.reason)
    full, up, down, flat = _criteria(fit, j)
    evidence = f"AICc against rising {up - full:+.1f}, against falling {down - full:+.1f}"
    found = fit.optima[j]
    first, last = float(data.x[0]), float(data.x[-1])
    above = Estimate(last, None if found.low is None else min(found.low, last), None, "at bound")
    below = Estimate(
        first, None, None if found.high is None else max(found.high, first), "at bound"
    )
    if found.value is not None and min(up, down) - full > GAIN:
        distinct = np.unique(data.x)
        left, right = int(np.sum(distinct < found.value)), int(np.sum(distinct > found.value))
        if right < SIDE:
            return replace(above, reason=f"{right} cells above the optimum; {evidence}")
        if left < SIDE:
            return replace(below, reason=f"{left} cells below the optimum; {evidence}")
        if found.low is None or found.high is None:
            return nothing("not identified", f"the profile of x* has an open end; {evidence}")
        low, high = min(found.low, found.value), max(found.high, found.value)
        return Estimate(found.value, low, high, "converged", evidence)
    if min(flat, up) - down > GAIN and (found.high is None or found.high >= last):
        return replace(above, reason=f"monotone: falls up to the largest x; {evidence}")
    if min(flat, down) - up > GAIN and (found.low is None or found.low <= first):
        return replace(below, reason=f"monotone: rises from the smallest x; {evidence}")
    return nothing("not identified", evidence)


def _criteria(fit: Profile, j: int) -> tuple[float, float, float, float]:
    """AICc of the two-term law and of budget j rising, falling or constant."""
    runs, count = sum(d.runs for d in fit.curves), len(fit.budgets)
    rest = tuple(d for i, d in enumerate(fit.budgets) if i != j)
    others = lowest_free(rest, fit.solution.parameters[:2]) if rest else 0.0
    other_parameters = 2 + 3 * len(rest) if rest else 0
    own = sums(fit.budgets[j], np.geomspace(*ALPHA_BOUNDS, FINE), np.geomspace(*BETA_BOUNDS, FINE))

    def criterion(rss: float, parameters: int) -> float:
        return aicc(max(rss, fit.rounding) + fit.within, runs, parameters + 1)

    return (
        criterion(fit.rss, 2 + 3 * count),
        criterion(others + float(lowest(rising(own), axis=0)), other_parameters + 3),
        criterion(others + float(lowest(falling(own), axis=0)), other_parameters + 3),
        criterion(others + own.yy, other_parameters + 1),
    )
