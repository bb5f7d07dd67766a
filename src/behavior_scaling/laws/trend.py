"""How an optimum moves with compute: the slope of its logarithm over log C.

Choices: weighted least squares with the optima's own variances, a t quantile with n - 2 degrees
of freedom (few budgets), and a variance that grows with the scatter around the line but never
shrinks below what the optima's variances say; each slope is repeated without one budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError, t_quantile, vector
from behavior_scaling.laws.results import CurveFit, Estimate

MIN_BUDGETS = 3
TINY = 1e-16  # a variance of log x* below which weights would only tell rounding


@dataclass(frozen=True)
class Trend:
    """log y = intercept + slope (log C - center)."""

    slope: Estimate
    intercept: Estimate
    center: float
    without: tuple[tuple[float, float], ...]  # (budget left out, slope then)

    def note(self, name: str) -> str:
        """Leave-one-budget-out in words."""
        parts = [f"{slope:.3f} without {budget:g}" for budget, slope in self.without]
        return f"{name} exponent, one budget left out: " + ", ".join(parts)


def fit_trend(
    budgets: npt.ArrayLike, logs: npt.ArrayLike, variances: npt.ArrayLike | None = None
) -> Trend:
    """Slope of log y over log C.

    Args:
        budgets: [n] nominal FLOPs.
        logs: [n] natural logarithms of the optimum.
        variances: [n] of the logs; None: equal and unknown.

    Returns:
        A Trend whose slope is 'too few points' below three budgets.
    """
    c, y = vector(budgets, "budgets", positive=True), vector(logs, "logs")
    v = None if variances is None else vector(variances, "variances", positive=True)
    if c.size != y.size or (v is not None and v.size != y.size):
        raise LawsError("budgets, logs, variances: lengths differ")
    if np.unique(c).size < MIN_BUDGETS:
        reason = f"{np.unique(c).size} budgets with an identified value; {MIN_BUDGETS} needed"
        nothing = Estimate(None, None, None, "too few points", reason)
        return Trend(nothing, nothing, 0.0, ())
    weight = np.ones_like(y) if v is None else 1.0 / v
    log_c = np.log(c)
    center = float(np.average(log_c, weights=weight))
    slope, level, sxx = _line(log_c - center, y, weight)
    df = c.size - 2
    scatter = float(np.sum(weight * (y - level - slope * (log_c - center)) ** 2)) / df
    variance = scatter if v is None else max(scatter, 1.0)
    margins = t_quantile(df) * np.sqrt(variance / np.array([sxx, weight.sum()]))
    without = []
    for left_out in range(c.size):
        keep = np.arange(c.size) != left_out
        x = log_c[keep] - np.average(log_c[keep], weights=weight[keep])
        if np.ptp(x) > 0:
            without.append((float(c[left_out]), _line(x, y[keep], weight[keep])[0]))
    return Trend(
        Estimate(slope, slope - float(margins[0]), slope + float(margins[0]), "converged"),
        Estimate(level, level - float(margins[1]), level + float(margins[1]), "converged"),
        center,
        tuple(without),
    )


def optimum_trend(fits: Sequence[CurveFit], name: str) -> tuple[Estimate, tuple[str, ...]]:
    """Exponent of an optimum over C from the curves whose optimum converged, with its note.

    Half the width of log x*'s interval, over the normal quantile, serves as its sigma.
    """
    budgets, logs, variances = [], [], []
    for fit in fits:
        best = fit.optimum
        if best.status == "converged" and best.value and best.low and best.high:
            budgets.append(fit.budget)
            logs.append(float(np.log(best.value)))
            sigma = float(np.log(best.high / best.low)) / 2 / t_quantile(np.inf)
            variances.append(max(sigma**2, TINY))
    trend = fit_trend(budgets, logs, variances)
    return trend.slope, (trend.note(name),) if trend.without else ()


def _line(x: Array, y: Array, weight: Array) -> tuple[float, float, float]:
    """Slope, level at x = 0 and weighted sum of x^2, for x of weighted mean zero."""
    sxx = float(np.sum(weight * x * x))
    return float(np.sum(weight * x * y)) / sxx, float(np.average(y, weights=weight)), sxx
