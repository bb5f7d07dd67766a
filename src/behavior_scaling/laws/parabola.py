"""A parabola in log x and its vertex, with an interval that is honest about flat curves.

Choices: weighted least squares y = c0 + c1 z + c2 z^2, z = log x; the vertex is where the slope
g(z) = c1 + 2 c2 z vanishes, and its interval holds every z whose slope does not differ from zero
at 95% (Fieller 1954; the limit of redrawing the noise around the cells, exact for normal noise
with a t quantile). That set is bounded exactly if the curvature differs from zero, so a curve
that is flat against its noise has no interval and is 'not identified'. A concave fit is refused.
Redrawn users move the slope too: how far it may lie from zero is, squared, t^2 times its variance
over seeds plus z^2 times its variance over users, at every z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from behavior_scaling.laws.arrays import Array, t_quantile
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.noise import ErrorVariance, error_variance
from behavior_scaling.laws.parts import (
    BestValue,
    drawn,
    exponential,
    in_own_unit,
    log_grid,
    nothing,
    users_part,
    width,
)
from behavior_scaling.laws.results import CurveFit, Estimate

REACH = 10.0  # half-spans of the grid beyond which a vertex is not followed


@dataclass(frozen=True)
class Parabola:
    """A fitted parabola; z is log x throughout."""

    vertex: Estimate  # of z
    seeds: float | None  # width of the vertex's interval from seeds alone
    variance: float | None  # of the vertex, seeds alone, delta method; None unless converged
    df: float  # behind the variance
    redrawn: Array | None  # [replicates] vertex under redrawn users; NaN where concave
    value: Estimate  # y at the vertex, fitted scale
    coefficients: dict[str, Estimate]  # c0, c1, c2 in powers of log x
    center: float
    half: float
    kappa: Array  # coefficients in powers of (z - center) / half
    best: BestValue | None  # y at the vertex, its seed variance and its redraws

    def predict(self, z: Array) -> Array:
        """The fitted curve at z, on the fitted scale."""
        u = (z - self.center) / self.half
        return np.asarray(self.kappa[0] + self.kappa[1] * u + self.kappa[2] * u**2)


def fit_parabola(data: CurveData) -> Parabola:
    """Fit one curve; the vertex's status says what the cells identify."""
    if data.points < 3:
        reason = f"{data.points} distinct values of x; a parabola needs three"
        return _unfitted(data, nothing("too few points", reason))
    z = np.log(data.x)
    center, half = float((z[0] + z[-1]) / 2), float((z[-1] - z[0]) / 2)
    u = (z - center) / half
    design = np.stack([np.ones_like(u), u, u**2], axis=1)  # [cells, 3]
    weight = 1.0 / data.spread
    inverse = np.linalg.inv(design.T @ (weight[:, None] * design))
    solve = inverse @ (design.T * weight)  # [3, cells]
    kappa = solve @ data.y
    residual = float(np.sum(weight * (data.y - design @ kappa) ** 2))
    error = error_variance(residual, data.cells - 3, data.noise, data.tiny)
    if data.constant:
        return _unfitted(data, nothing("not identified", "the metric is constant over the cells"))
    moved = None if data.users is None else data.users @ solve.T  # [replicates, 3]
    if error.value is None:
        slack, seeds = np.full((3, 3), np.nan), None
        vertex = nothing("not identified", error.reason)
    else:
        slack = np.asarray(t_quantile(error.df) ** 2 * error.value * inverse)
        vertex = _vertex(kappa, slack, error, center, half)
        seeds = width(vertex)
        if moved is not None:
            slack = slack + t_quantile(np.inf) ** 2 * np.cov(moved.T)
            vertex = _vertex(kappa, slack, error, center, half)
    redrawn, values = (None, None) if moved is None else _redrawn(kappa + moved, center, half)
    variance: float | None = None
    best: BestValue | None = None
    if vertex.value is not None and error.value is not None:
        at = (vertex.value - center) / half
        slope, row = np.array([0.0, 1.0, 2 * at]), np.array([1.0, at, at * at])
        stretch = half / (2 * float(kappa[2]))
        variance = error.value * float(slope @ inverse @ slope) * stretch**2
        ratio = (t_quantile(error.df) / t_quantile(np.inf)) ** 2
        best = BestValue(
            float(row @ kappa), ratio * error.value * float(row @ inverse @ row), values
        )
    return Parabola(
        vertex,
        seeds,
        variance,
        error.df,
        redrawn,
        _value_at(vertex, kappa, slack, error, center, half),
        _coefficients(kappa, slack, error, center, half),
        center,
        half,
        kappa,
        best,
    )


def _redrawn(kappa: Array, center: float, half: float) -> tuple[Array, Array]:
    """Vertex and value there of every replicate's parabola [replicates, 3]; NaN if concave."""
    k0, k1, k2 = kappa.T
    bowl = np.where(k2 > 0, k2, np.nan)
    return center - half * k1 / (2 * bowl), k0 - k1**2 / (4 * bowl)


def _vertex(
    kappa: Array, slack: Array, error: ErrorVariance, center: float, half: float
) -> Estimate:
    """Fieller's set in u, where the grid is [-1, 1], and what it allows to be said.

    The slack is [3, 3]: how far, squared, a combination of the coefficients may lie from zero.
    """
    k1, k2 = float(kappa[1]), float(kappa[2])
    if k2 <= 0:
        side = "falls" if k1 < 0 else "rises"
        reason = f"concave: a parabola without a minimum (the metric {side} with x on the whole)"
        return nothing("not identified", reason)
    # slope^2 - slack = a u^2 + 2 b u + c <= 0
    a = 4 * (k2**2 - slack[2, 2])
    b = 2 * (k1 * k2 - slack[1, 2])
    c = k1**2 - slack[1, 1]
    best = -k1 / (2 * k2)
    inside = -1 <= best <= 1
    root = float(np.sqrt(max(b * b - a * c, 0.0)))
    if a > 0:
        low, high = (-b - root) / a, (-b + root) / a
        if inside and max(-low, high) > REACH:
            return nothing("not identified", "the interval reaches far beyond the grid")
        if inside:
            wide = "interval reaches beyond the grid" if low < -1 or high > 1 else ""
            return Estimate(
                center + half * best,
                center + half * low,
                center + half * high,
                "converged",
                "; ".join(part for part in (error.reason, wide) if part),
            )
        return _outside(best, low if best > 0 else high, center, half)
    edge = 1.0 if best > 0 else -1.0
    if not inside and a * edge**2 + 2 * b * edge + c > 0:
        # the slope at the near edge differs from zero: the set is two half-lines, and a convex
        # curve can only have its vertex on the far one
        ends = ((-b + root) / a, (-b - root) / a) if a < 0 else (-c / (2 * b),) * 2
        return _outside(best, max(ends) if best > 0 else min(ends), center, half)
    reason = "curvature is not larger than the noise"
    return nothing("not identified", f"{reason}; {error.reason}" if error.reason else reason)


def _outside(best: float, bound: float, center: float, half: float) -> Estimate:
    at = center + half * float(np.clip(bound, -REACH, REACH))
    side = "right" if best > 0 else "left"
    low, high = (at, None) if best > 0 else (None, at)
    reason = f"the minimum lies to the {side} of the grid: one-sided bound"
    return Estimate(None, low, high, "vertex outside the grid", reason)


def _value_at(
    vertex: Estimate,
    kappa: Array,
    slack: Array,
    error: ErrorVariance,
    center: float,
    half: float,
) -> Estimate:
    """The fitted y at the vertex, with the variance of the curve there (the slope is zero)."""
    if vertex.value is None:
        return nothing(vertex.status, vertex.reason)
    u = (vertex.value - center) / half
    row = np.array([1.0, u, u * u])
    value = float(row @ kappa)
    margin = float(np.sqrt(row @ slack @ row))
    return Estimate(value, value - margin, value + margin, "converged", error.reason)


def _coefficients(
    kappa: Array, slack: Array, error: ErrorVariance, m: float, h: float
) -> dict[str, Estimate]:
    """From powers of (z - m) / h to powers of z, with their intervals."""
    change = np.array(
        [[1.0, -m / h, (m / h) ** 2], [0.0, 1 / h, -2 * m / h**2], [0.0, 0.0, 1 / h**2]]
    )
    values = change @ kappa
    names = ("c0", "c1", "c2")
    if error.value is None:
        return {
            name: Estimate(float(value), None, None, "converged", error.reason)
            for name, value in zip(names, values, strict=True)
        }
    margins = np.sqrt(np.diag(change @ slack @ change.T))
    return {
        name: Estimate(float(v), float(v - e), float(v + e), "converged", error.reason)
        for name, v, e in zip(names, values, margins, strict=True)
    }


def _unfitted(data: CurveData, vertex: Estimate) -> Parabola:
    level = float(np.mean(data.y)) if data.cells else 0.0
    kappa = np.array([level, 0.0, 0.0])
    redrawn = None if data.users is None else np.full(data.users.shape[0], np.nan)
    return Parabola(vertex, None, None, np.inf, redrawn, vertex, {}, 0.0, 1.0, kappa, None)


def parabola_curve(
    data: CurveData,
    fit: Parabola,
    derived: dict[str, Estimate],
    flags: tuple[str, ...] = (),
) -> CurveFit:
    """The fit of one curve in own units."""
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    if fit.coefficients:
        z = log_grid(data)
        x, y = drawn(data, np.exp(z), fit.predict(z))
    return CurveFit(
        budget=data.budget,
        runs=data.runs,
        cells=data.cells,
        optimum=exponential(fit.vertex),
        best=in_own_unit(data, fit.value),
        coefficients=fit.coefficients,
        curve_x=x,
        curve_y=y,
        noise=data.noise_sd,
        flags=flags,
        derived={**derived, **users_part(fit.vertex, fit.seeds, fit.redrawn)},
    )
