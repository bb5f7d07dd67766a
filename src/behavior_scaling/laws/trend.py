"""How an optimum moves with compute: the slope of its logarithm over log C.

Choices: weighted least squares with the optima's own variances. Where the scatter around the line
is larger than they explain (chi-squared, one chance in four), or they are not known, the interval
rests on the scatter, with a t quantile of n - 2 degrees of freedom (few budgets); else on the
variances, with a t quantile of the degrees of freedom behind them. So early a switch costs little
where they are right (96% of 95% intervals cover, at 3 to 7 budgets) and keeps 90 to 93% where the
budgets scatter by twice that variance; a t quantile of n - 2 on the larger of the two, always,
would cover 99.9%. Each slope is repeated without one budget.
Optima that were fitted together share exponents and err together: their correlation enters
(generalised least squares), since an error that all budgets share moves no slope.
Redrawn users shift the optima of all budgets together, so their part is the spread of the slope
over replicates, added in quadrature to a margin that knows of seeds alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from behavior_scaling.laws.arrays import Array, LawsError, t_quantile, vector
from behavior_scaling.laws.results import CurveFit, Estimate
from behavior_scaling.laws.users import share_of_width, users_sd, widened

MIN_BUDGETS = 3
RIDGE = 1e-3  # keeps a correlation matrix invertible
SWITCH = 0.25  # chance of a larger scatter below which the variances do not explain it
TINY = 1e-16  # a variance of log x* below which weights would only tell rounding


@dataclass(frozen=True)
class Trend:
    """log y = intercept + slope (log C - center)."""

    slope: Estimate
    intercept: Estimate
    center: float
    without: tuple[tuple[float, float], ...]  # (budget left out, slope then)

    def at(self, budget: float) -> Estimate:
        """log y at a budget; slope and intercept do not correlate, so their margins add squared."""
        away, level, slope = float(np.log(budget)) - self.center, self.intercept, self.slope
        if level.value is None or slope.value is None:
            return level
        value = level.value + slope.value * away
        margin = float(np.hypot(half_width(level), half_width(slope) * away))
        return Estimate(value, value - margin, value + margin, "converged")

    def note(self, name: str) -> str:
        """Leave-one-budget-out in words."""
        parts = [f"{slope:.3f} without {budget:g}" for budget, slope in self.without]
        return f"{name} exponent, one budget left out: " + ", ".join(parts)


def half_width(estimate: Estimate) -> float:
    """Half the interval of a line's slope or intercept, which always has both ends."""
    return 0.5 * ((estimate.high or 0.0) - (estimate.low or 0.0))


def fit_trend(
    budgets: npt.ArrayLike,
    logs: npt.ArrayLike,
    variances: npt.ArrayLike | None = None,
    redrawn: Array | None = None,
    correlation: Array | None = None,
    dfs: Array | None = None,
) -> Trend:
    """Slope of log y over log C.

    Args:
        budgets: [n] nominal FLOPs.
        logs: [n] natural logarithms of the optimum.
        variances: [n] of the logs, from seeds; None: equal and unknown.
        redrawn: [replicates, n] the logs under redrawn users.
        correlation: [n, n] of the logs' errors, from seeds; None: independent.
        dfs: [n] degrees of freedom behind the variances; None: they are known.

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
    log_c = np.log(c)
    covariance = np.diag(np.ones_like(y) if v is None else v)
    if v is not None and correlation is not None:
        covariance = correlation * np.sqrt(np.outer(v, v))
    line = _line(log_c, y, covariance)
    df = c.size - 2
    explained = v is not None and line.scatter <= special.chdtri(df, SWITCH)
    parts = np.stack([line.to_slope, line.to_level]) ** 2 * np.diag(covariance)
    quantile = np.array([t_quantile(_welch(part, dfs)) for part in parts])
    factor = quantile if explained else t_quantile(df) * np.sqrt(line.scatter / df)
    margins = factor / np.sqrt([line.sxx, line.total])
    without = []
    for left_out in range(c.size):
        keep = np.arange(c.size) != left_out
        if np.ptp(log_c[keep]) > 0:
            rest = _line(log_c[keep], y[keep], covariance[np.ix_(keep, keep)])
            without.append((float(c[left_out]), rest.slope))
    reasons = ["", ""]
    if redrawn is not None:
        slopes, levels = redrawn @ line.to_slope, redrawn @ line.to_level
        total = [widened(m, users_sd(r)) for m, r in zip(margins, (slopes, levels), strict=True)]
        reasons = [share_of_width(m, t) for m, t in zip(margins, total, strict=True)]
        margins = np.array(total)
    lines = [
        Estimate(v, v - float(m), v + float(m), "converged", reason)
        for v, m, reason in zip((line.slope, line.level), margins, reasons, strict=True)
    ]
    return Trend(
        lines[0],
        lines[1],
        line.center,
        tuple(without),
    )


def optimum_trend(
    fits: Sequence[CurveFit],
    name: str,
    widths: Sequence[float | None],
    redrawn: Array | None = None,
    covariance: Array | None = None,
    df: float = np.inf,
) -> tuple[Estimate, tuple[str, ...]]:
    """Exponent of an optimum over C from the curves whose optimum converged, with its note.

    Args:
        fits: one per budget.
        name: of the optimum, for the note.
        widths: of each log x*'s interval from seeds alone; half of it, over the quantile behind
            it, serves as its sigma. None: no two-sided interval.
        redrawn: [replicates, fits] log x* under redrawn users.
        covariance: [fits, fits] of their errors where they were fitted together, to first order;
            its scale follows the widths, so that both say the same on the whole and no difference
            between two widths counts as one between two budgets that err together.
        df: of the t quantile behind the widths.
    """
    budgets, logs, variances, kept = [], [], [], []
    for i, (fit, width) in enumerate(zip(fits, widths, strict=True)):
        best = fit.optimum
        if best.status == "converged" and best.value and width is not None:
            budgets.append(fit.budget)
            logs.append(float(np.log(best.value)))
            variances.append(max((width / 2 / t_quantile(df)) ** 2, TINY))
            kept.append(i)
    together = None
    if covariance is not None and kept:
        part = covariance[np.ix_(kept, kept)]
        together, sizes = _correlation(part), np.diag(part)
        if np.all(sizes > 0):
            variances = list(sizes * np.exp(np.mean(np.log(variances / sizes))))
    trend = fit_trend(
        budgets,
        logs,
        variances,
        None if redrawn is None else redrawn[:, kept],
        together,
        np.full(len(kept), df),
    )
    return trend.slope, (trend.note(name),) if trend.without else ()


def _welch(parts: Array, dfs: Array | None) -> float:
    """Degrees of freedom of a sum of estimated variances (Welch and Satterthwaite)."""
    if dfs is None or np.isinf(dfs).all():
        return float("inf")
    return float(parts.sum() ** 2 / np.sum(parts**2 / dfs))


def _correlation(covariance: Array) -> Array:
    """[n, n] correlation; what has no variance is taken as independent of the rest."""
    sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    known = np.isfinite(covariance).all(axis=1) & (sd > 0)
    safe = np.where(known, sd, 1.0)
    out = np.where(np.outer(known, known), covariance / np.outer(safe, safe), 0.0)
    out = (1 - RIDGE) * np.clip(out, -1.0, 1.0)
    np.fill_diagonal(out, 1.0)
    return np.asarray(out)


@dataclass(frozen=True)
class _Line:
    """A generalised least-squares line; x is centred so that slope and level do not correlate."""

    slope: float
    level: float
    center: float
    sxx: float  # precision of the slope
    total: float  # precision of the level
    scatter: float  # weighted residual sum of squares
    to_slope: Array  # [n] linear in y
    to_level: Array  # [n]


def _line(x: Array, y: Array, covariance: Array) -> _Line:
    precision = np.linalg.inv(covariance)
    ones = precision.sum(axis=0)
    total = float(ones.sum())
    center = float(ones @ x) / total
    weighted = precision @ (x - center)
    sxx = float(weighted @ (x - center))
    slope, level = float(weighted @ y) / sxx, float(ones @ y) / total
    rest = y - level - slope * (x - center)
    return _Line(
        slope, level, center, sxx, total, float(rest @ precision @ rest),
        weighted / sxx, ones / total,
    )  # fmt: skip
