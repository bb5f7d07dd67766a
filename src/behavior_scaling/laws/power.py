"""Loss over compute: L = E + a C^-b with five budgets or more, else the plain power law a C^-b.

Choices: E, a >= 0 and b in [0.005, 3]; for each b the law is linear, so the fit is a scan over b
polished by the solver, and its interval comes from redrawing the budgets' noise and scanning
again; where that interval ends at a bound (E = 0: a term that the budgets do not show) there is no
number but the other end; redrawn users shift the losses of all budgets together. Below five
budgets E cannot be told from b, so log L = log a - b log C is fitted and the form says so. With
unknown variances the scatter around the law stands in for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import LEVEL, Array, LawsError, vector
from behavior_scaling.laws.many_law import Dense
from behavior_scaling.laws.noise import NoiseLevel, error_variance, resample
from behavior_scaling.laws.parts import CURVE_POINTS, nothing
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.solve import solve
from behavior_scaling.laws.trend import fit_trend

MIN_FLOOR_BUDGETS = 5
B_BOUNDS = (0.005, 3.0)
AT_BOUND = 1e-9  # relative
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
    users: Array | None = None,
    floor: bool = True,
    seed: int = 0,
    resamples: int = 400,
) -> PowerFit:
    """Fit the law over compute.

    Args:
        budgets: [n] nominal FLOPs, distinct.
        losses: [n] positive; the best loss of each budget.
        variances: [n] of the losses, from seeds; None where not all are known.
        users: [replicates, n] deviations of the losses under redrawn users.
        floor: false for the plain form however many budgets there are (a law without E, or an
            excess whose E is known and has been taken off).
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
    moved = None if users is None else users[:, order]
    if not floor or c.size < MIN_FLOOR_BUDGETS:
        return _plain(c, y, v, moved)
    return _with_floor(c, y, v, moved, seed, resamples)


def _plain(c: Array, y: Array, v: Array | None, moved: Array | None) -> PowerFit:
    redrawn = None if moved is None else np.log(y) + moved / y
    trend = fit_trend(c, np.log(y), None if v is None else v / y**2, redrawn)
    slope, level = trend.slope, trend.intercept
    if slope.value is None or level.value is None:
        return PowerFit(PLAIN_FORM, {"a": level, "b": slope}, (), (), ())
    b = Estimate(
        -slope.value,
        None if slope.high is None else -slope.high,
        None if slope.low is None else -slope.low,
        slope.status,
        slope.reason,
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


@dataclass(frozen=True, eq=False)
class FloorLaw:
    """E + a exp(-b log_c) as a Model, theta = (E, a, b)."""

    log_c: Array  # [n]

    def evaluate(self, theta: Array) -> Dense:
        """The law at parameter vectors [r, 3]."""
        u = np.exp(-theta[:, 2:3] * self.log_c)
        a = theta[:, 1:2]
        jacobian = np.stack([np.ones_like(u), u, -a * self.log_c * u], axis=2)
        return Dense(theta[:, :1] + a * u, jacobian)


def _with_floor(
    c: Array, y: Array, v: Array | None, moved: Array | None, seed: int, resamples: int
) -> PowerFit:
    center = float(np.mean(np.log(c)))
    log_c = np.log(c) - center
    weight = np.ones_like(y) if v is None else 1.0 / v
    scanned = _scan(log_c, y[None, :], weight)[0]
    lower, upper = [0.0, 0.0, B_BOUNDS[0]], [np.inf, np.inf, B_BOUNDS[1]]
    solution = solve(FloorLaw(log_c), y, [scanned], lower, upper, weights=weight)
    floor, a, b = (float(value) for value in solution.parameters)
    known = NoiseLevel(None if v is None else 1.0, np.inf, "")
    tiny = float(np.mean(weight) * (1e-11 * np.max(y)) ** 2)
    error = error_variance(2 * solution.objective, c.size - 3, known, tiny)
    fitted = floor + a * np.exp(-b * log_c)
    redrawn = fitted[None, :] + resample(error, 1.0 / weight, resamples, seed)
    if moved is not None:
        redrawn = redrawn + moved[np.arange(resamples) % len(moved)]
    sample = _scan(log_c, redrawn, weight)  # [resamples, 3]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(sample, [tail, 1 - tail], axis=0)
    a_low, a_high = np.quantile(sample[:, 1] * np.exp(sample[:, 2] * center), [tail, 1 - tail])
    own_a = a * float(np.exp(b * center))
    coefficients = {
        "E": _shown(
            _estimate(floor, low[0], high[0], 0 in solution.at_bound, "E at its bound 0"),
            (0.0, np.inf),
            "the budgets do not tell E from none",
        ),
        "a": _estimate(own_a, a_low, a_high, 1 in solution.at_bound, "a at its bound 0"),
        "b": _shown(
            _estimate(b, low[2], high[2], 2 in solution.at_bound, "b at its bound"),
            B_BOUNDS,
            "redrawn noise takes b to a bound",
        ),
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


def _shown(estimate: Estimate, bounds: tuple[float, float], reason: str) -> Estimate:
    """No number where the interval ends at a bound: that end is the bound's, not the budgets'."""
    low, high = estimate.low, estimate.high
    cut = low is not None and low <= bounds[0] * (1 + AT_BOUND)
    open_ = high is not None and high >= bounds[1] * (1 - AT_BOUND)
    if estimate.status != "converged" or not (cut or open_):
        return estimate
    ends = (None if cut else low, None if open_ else high)
    return Estimate(None, *ends, "not identified", reason)


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
