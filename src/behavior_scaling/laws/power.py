"""Loss over compute: L = E + a C^-b with five budgets or more, else the plain power law a C^-b.

Choices: E, a >= 0 and b in [0.005, 3]; for each b the law is linear, so the fit is a scan over b
polished by the solver, and its interval comes from redrawing the budgets' noise and scanning
again. Below five budgets E cannot be told from b, so log L = log a - b log C is fitted and the
form says so. With unknown variances the scatter around the law stands in for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import LEVEL, Array, LawsError, vector
from behavior_scaling.laws.noise import NoiseLevel, error_variance, resample
from behavior_scaling.laws.parts import CURVE_POINTS, nothing
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.solver import minimise
from behavior_scaling.laws.trend import fit_trend

MIN_FLOOR_BUDGETS = 5
B_BOUNDS = (0.005, 3.0)
SCAN = 240
FLOOR_FORM = "L = E + a C^-b"
PLAIN_FORM = "L = a C^-b (plain power law: fewer than five budgets cannot tell E)"


@dataclass(frozen=True)
class PowerFit:
    """A law over compute; a in units of L times C^b."""

    form: str
    coefficients: dict[str, Estimate]  # E (absent in the plain form), a, b
    curve_x: tuple[float, ...]
    curve_y: tuple[float, ...]
    notes: tuple[str, ...]


def fit_power(
    budgets: npt.ArrayLike,
    losses: npt.ArrayLike,
    variances: npt.ArrayLike | None = None,
    *,
    seed: int = 0,
    resamples: int = 400,
) -> PowerFit:
    """Fit the law over compute.

    Args:
        budgets: [n] nominal FLOPs, distinct.
        losses: [n] positive; the best loss of each budget.
        variances: [n] of the losses; None where not all are known.
        seed: of the noise draws.
        resamples: number of draws.

    Raises:
        LawsError: lengths differ, or an entry is not positive, or a budget occurs twice.
    """
    c, y = vector(budgets, "budgets", positive=True), vector(losses, "losses", positive=True)
    v = None if variances is None else vector(variances, "variances", positive=True)
    if c.size != y.size or (v is not None and v.size != c.size):
        raise LawsError("budgets, losses, variances: lengths differ")
    if np.unique(c).size != c.size:
        raise LawsError("budgets: a budget occurs twice")
    order = np.argsort(c)
    c, y, v = c[order], y[order], None if v is None else v[order]
    if c.size < MIN_FLOOR_BUDGETS:
        return _plain(c, y, v)
    return _with_floor(c, y, v, seed, resamples)


def _plain(c: Array, y: Array, v: Array | None) -> PowerFit:
    trend = fit_trend(c, np.log(y), None if v is None else v / y**2)
    slope, level = trend.slope, trend.intercept
    if slope.value is None or level.value is None:
        return PowerFit(PLAIN_FORM, {"a": level, "b": slope}, (), (), ())
    b = Estimate(
        -slope.value,
        None if slope.high is None else -slope.high,
        None if slope.low is None else -slope.low,
        slope.status,
    )
    a = Estimate(
        float(np.exp(level.value - slope.value * trend.center)),
        None,
        None,
        "converged",
        "no interval: a follows from b (one is the other's lever arm)",
    )
    x = np.geomspace(c[0], c[-1], CURVE_POINTS)
    fitted = np.exp(level.value + slope.value * (np.log(x) - trend.center))
    return PowerFit(PLAIN_FORM, {"a": a, "b": b}, _plain_tuple(x), _plain_tuple(fitted), ())


def power_residuals(theta: Array, log_c: Array, y: Array, root: Array) -> Array:
    """Weighted residuals of E + a exp(-b log_c), theta = (E, a, b)."""
    return np.asarray(root * (theta[0] + theta[1] * np.exp(-theta[2] * log_c) - y))


def power_jacobian(theta: Array, log_c: Array, root: Array) -> Array:
    """[n, 3] derivatives of the residuals."""
    u = np.exp(-theta[2] * log_c)
    return np.asarray(np.stack([root, root * u, -root * theta[1] * log_c * u], axis=1))


def _with_floor(c: Array, y: Array, v: Array | None, seed: int, resamples: int) -> PowerFit:
    center = float(np.mean(np.log(c)))
    log_c = np.log(c) - center
    weight = np.ones_like(y) if v is None else 1.0 / v
    root = np.sqrt(weight)
    scanned = _scan(log_c, y[None, :], weight)[0]
    solution = minimise(
        lambda theta: power_residuals(theta, log_c, y, root),
        lambda theta: power_jacobian(theta, log_c, root),
        [scanned],
        [0.0, 0.0, B_BOUNDS[0]],
        [np.inf, np.inf, B_BOUNDS[1]],
    )
    floor, a, b = (float(value) for value in solution.parameters)
    known = NoiseLevel(None if v is None else 1.0, np.inf, "")
    tiny = float(np.mean(weight) * (1e-11 * np.max(y)) ** 2)
    error = error_variance(2 * solution.objective, c.size - 3, known, tiny)
    fitted = floor + a * np.exp(-b * log_c)
    redrawn = fitted[None, :] + resample(error, 1.0 / weight, resamples, seed)
    sample = _scan(log_c, redrawn, weight)  # [resamples, 3]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(sample, [tail, 1 - tail], axis=0)
    a_low, a_high = np.quantile(sample[:, 1] * np.exp(sample[:, 2] * center), [tail, 1 - tail])
    own_a = a * float(np.exp(b * center))
    coefficients = {
        "E": _estimate(floor, low[0], high[0], 0 in solution.at_bound, "E at its bound 0"),
        "a": _estimate(own_a, a_low, a_high, 1 in solution.at_bound, "a at its bound 0"),
        "b": _estimate(b, low[2], high[2], 2 in solution.at_bound, "b at its bound"),
    }
    if 1 in solution.at_bound:
        flat = nothing("not identified", "the loss does not fall with compute")
        coefficients = {"E": coefficients["E"], "a": coefficients["a"], "b": flat}
    x = np.geomspace(c[0], c[-1], CURVE_POINTS)
    drawn = floor + a * np.exp(-b * (np.log(x) - center))
    notes = (error.reason,) if error.reason else ()
    return PowerFit(FLOOR_FORM, coefficients, _plain_tuple(x), _plain_tuple(drawn), notes)


def _estimate(value: float, low: float, high: float, bound: bool, reason: str) -> Estimate:
    return Estimate(
        value,
        float(min(low, value)),
        float(max(high, value)),
        "at bound" if bound else "converged",
        reason if bound else "",
    )


def _scan(log_c: Array, y: Array, weight: Array) -> Array:
    """[r, 3] best (E, a, b) of each row of y [r, n]: a grid over log b, then its parabola."""
    log_b = np.linspace(float(np.log(B_BOUNDS[0])), float(np.log(B_BOUNDS[1])), SCAN)
    rss = np.stack([_linear(np.exp(-np.exp(z) * log_c), y, weight)[2] for z in log_b], axis=1)
    i = np.clip(np.argmin(rss, axis=1), 1, SCAN - 2)
    rows = np.arange(y.shape[0])
    left, middle, right = (rss[rows, i + k] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1.0), 0.0)
    step = log_b[1] - log_b[0]
    b = np.exp(np.clip(log_b[i] + step * np.clip(shift, -1.0, 1.0), *np.log(B_BOUNDS)))
    floor, a, _ = _linear(np.exp(-b[:, None] * log_c), y, weight)
    return np.stack([floor, a, b], axis=1)


def _linear(u: Array, y: Array, weight: Array) -> tuple[Array, Array, Array]:
    """E, a >= 0 and the residual sum of every row of y [r, n], for u [n] or [r, n]."""
    share = weight / weight.sum()
    mean_u, mean_y = np.asarray(u @ share), y @ share
    centred = (u - mean_u[..., None]) * weight
    a = np.maximum(np.sum(centred * y, axis=-1) / np.sum(centred * u, axis=-1), 0.0)
    floor = mean_y - a * mean_u
    through = np.sum(weight * u * y, axis=-1) / np.sum(weight * u * u, axis=-1)
    a = np.where(floor < 0, np.maximum(through, 0.0), a)
    floor = np.maximum(floor, 0.0)
    return floor, a, ((y - floor[:, None] - a[:, None] * u) ** 2) @ weight


def _plain_tuple(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
