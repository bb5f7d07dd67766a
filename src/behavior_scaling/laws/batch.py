"""The batch axis: the critical batch size of the clean form, the optimal batch of the paper's.

Clean form. Batches of B sequences use data as efficiently as D_eff = D / (1 + B / B_crit)
positions (McCandlish et al., arXiv 1812.06162, at a fixed number of positions), and D_eff enters
the law over data at this N: y = y_inf + G D_eff^-gamma. At one budget D hardly varies, so

    y(B) = y_inf + g [(1 + B / B_crit) D_0 / D(B)]^gamma,   g = G D_0^-gamma > 0,

with D_0 the median D. y_inf and g cannot be told apart from such cells (at small B only the
product g gamma / B_crit shows, and y_inf + g), so what is fitted is

    y(B) = y0 + h [r^gamma - 1] / gamma,   r = (1 + B / B_crit) D_0 / D(B),

y0 the loss at B -> 0 and D = D_0, h = g gamma its slope over log r: linear in (y0, h >= 0), with
B_crit and gamma in [0.05, 0.8] left, gamma shared over budgets. B_crit is the knee between a
flat curve and y ~ B^gamma. If every B lies below the knee the curve is a line in B, which any
larger B_crit fits as well: a lower bound. If every B lies above, it is a power of B, which any
smaller B_crit fits: an upper bound. A flat curve tells nothing. The profile likelihood over
B_crit, everything else refitted on a grid, shows which of these holds.

As-paper form. Candidates grow with B, so there is no knee to speak of: a parabola in log B, its
minimum called the optimal batch, never critical.

Admissible cells only: at least 200 steps after warm-up, and at most 5% of the training windows
(U / L) a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, accepted_range, mapped, t_quantile
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.noise import ErrorVariance, error_variance
from behavior_scaling.laws.parabola import fit_parabola, parabola_curve
from behavior_scaling.laws.parts import (
    AxisParts,
    carried,
    drawn,
    excluded,
    in_own_unit,
    log_grid,
    nothing,
    unfitted,
)
from behavior_scaling.laws.results import CurveFit, Estimate
from behavior_scaling.laws.trend import optimum_trend
from behavior_scaling.laws.two_term_profile import joint_noise, noise_scales

CLEAN_FORM = "y = y0 + h (r^gamma - 1) / gamma, r = (1 + B / B_crit) D_0 / D, h >= 0, gamma shared"
PAPER_FORM = "y = c0 + c1 log B + c2 (log B)^2 for each budget; optimal batch at its minimum"
MIN_STEPS = 200
MAX_WINDOW_SHARE = 0.05
MIN_POINTS = 4
GAMMAS = np.linspace(0.05, 0.8, 31)
KNEES = 161
REACH = 64.0  # B_crit is sought this factor beyond the cells


def admissible(
    batch: Array, steps_after_warmup: Array, unique_positions: Array, context: Array
) -> npt.NDArray[np.bool_]:
    """Which cells may enter a batch law; arrays [cells], B in sequences, U and L in positions."""
    windows = unique_positions / context
    return np.asarray((steps_after_warmup >= MIN_STEPS) & (batch <= MAX_WINDOW_SHARE * windows))


def fit_optimal_batch(curves: Sequence[CurveData]) -> AxisParts:
    """As-paper form; needs the column 'sequence_events' (loss positions in a sequence)."""
    fits = []
    for data in curves:
        fit = fit_parabola(data)
        curve = parabola_curve(data, fit, {})
        curve.derived["events"] = _events(data, curve.optimum)
        fits.append(curve)
    trend, notes = optimum_trend(fits, "batch")
    return AxisParts(tuple(fits), {"batch": trend}, notes)


def fit_critical_batch(curves: Sequence[CurveData]) -> AxisParts:
    """Clean form; needs the columns 'positions' (D) and 'sequence_events'."""
    usable = [data for data in curves if not excluded(data, MIN_POINTS)]
    missing = nothing("too few points", "no curve with cells to spare for y0, h, B_crit and gamma")
    cells = sum(data.cells for data in usable)
    if not usable or cells < 1 + 3 * len(usable):
        return AxisParts(
            tuple(unfitted(data, excluded(data, MIN_POINTS) or missing) for data in curves),
            {"gamma": missing, "B_crit": missing},
        )
    scans = [_scan(data, scale) for data, scale in zip(usable, noise_scales(usable), strict=True)]
    total = np.sum([scan.surface.min(axis=0) for scan in scans], axis=0)  # [gamma]
    rounding = 1e-12 * sum(float(scan.surface.max()) for scan in scans)
    error = error_variance(
        float(total.min()), cells - 1 - 3 * len(usable), joint_noise(usable), rounding / cells
    )
    gamma = _gamma(total, error)
    fitted = {scan.data.budget: _curve_fit(scan, total, error, gamma) for scan in scans}
    fits = tuple(
        unfitted(data, reason) if (reason := excluded(data, MIN_POINTS)) else fitted[data.budget]
        for data in curves
    )
    trend, notes = optimum_trend(fits, "B_crit")
    return AxisParts(fits, {"gamma": gamma, "B_crit": trend}, notes)


def ratio(data: CurveData, batch: Array, knee: float) -> Array:
    """The ratio r = (1 + B / B_crit) D_0 / D(B), log D linear in log B between cells."""
    log_d = np.log(data.columns["positions"])
    at = np.interp(np.log(batch), np.log(data.x), log_d)
    return np.asarray((1 + batch / knee) * np.exp(float(np.median(log_d)) - at))


def basis(r: Array, gamma: float | Array) -> Array:
    """(r^gamma - 1) / gamma, accurate for small gamma log r."""
    return np.asarray(np.expm1(gamma * np.log(r)) / gamma)


@dataclass(frozen=True)
class _Scan:
    """One budget's residual sums over the grid of B_crit and gamma."""

    data: CurveData
    scale: float  # variance of a run that the sums are divided by
    knees: Array  # [B_crit]
    surface: Array  # [B_crit, gamma]


def _scan(data: CurveData, scale: float) -> _Scan:
    """Residual sums with y0 and h >= 0 in closed form."""
    knees = np.geomspace(data.x[0] / REACH, data.x[-1] * REACH, KNEES)
    weight = 1.0 / (data.spread * scale)
    share, root = weight / weight.sum(), np.sqrt(weight)
    y = (data.y - data.y @ share) * root
    r = np.stack([ratio(data, data.x, float(knee)) for knee in knees])  # [B_crit, cells]
    f = basis(r[:, None, :], GAMMAS[None, :, None])  # [B_crit, gamma, cells]
    f = (f - (f @ share)[..., None]) * root
    size = np.maximum(np.sum(f * f, axis=2), 1e-300)
    return _Scan(data, scale, knees, np.asarray(y @ y - np.maximum(f @ y, 0.0) ** 2 / size))


def _curve_fit(scan: _Scan, total: Array, error: ErrorVariance, gamma: Estimate) -> CurveFit:
    data, surface, at = scan.data, scan.surface, int(np.argmin(total))
    exponent = float(GAMMAS[at])
    excess = (surface + (total - surface.min(axis=0))).min(axis=1) - total.min()
    knee = _lowest(scan.knees, surface[:, at])
    y0, h, covariance = _linear(scan, knee, exponent)
    optimum = _verdict(data, scan.knees, excess, knee, h, error)
    best = nothing(optimum.status, optimum.reason)
    if optimum.status == "converged" and error.value is not None:
        f = float(basis(ratio(data, np.array([knee]), knee), exponent)[0])
        row = np.array([1.0, f])
        value = y0 + h * f
        margin = t_quantile(error.df) * float(np.sqrt(error.value * (row @ covariance @ row)))
        best = in_own_unit(data, Estimate(value, value - margin, value + margin, "converged"))
    batch = np.exp(log_grid(data))
    x, y = drawn(data, batch, y0 + h * basis(ratio(data, batch, knee), exponent))
    said = "no interval: only B_crit and gamma are profiled"
    return CurveFit(
        budget=data.budget,
        runs=data.runs,
        cells=data.cells,
        optimum=optimum,
        best=best,
        coefficients={
            "y0": Estimate(y0, None, None, "converged", said),
            "h": Estimate(h, None, None, "converged" if h > 0 else "at bound", said),
            "gamma": gamma,
        },
        curve_x=x,
        curve_y=y,
        noise=data.noise_sd,
        derived={"events": _events(data, optimum)},
    )


def _lowest(knees: Array, rss: Array) -> float:
    """The minimum over log B_crit: a parabola through the lowest node and its neighbours."""
    i = int(np.argmin(rss))
    if i in (0, knees.size - 1):
        return float(knees[i])
    left, middle, right = (float(rss[k]) for k in (i - 1, i, i + 1))
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend > 0 else 0.0
    return float(knees[i] * (knees[i + 1] / knees[i]) ** shift)


def _linear(scan: _Scan, knee: float, gamma: float) -> tuple[float, float, Array]:
    """y0, h >= 0 and their covariance per unit of the joint error variance."""
    data = scan.data
    weight = 1.0 / (data.spread * scan.scale)
    f = basis(ratio(data, data.x, knee), gamma)
    design = np.stack([np.ones_like(f), f], axis=1)
    covariance = np.linalg.inv(design.T @ (weight[:, None] * design))
    y0, h = (float(v) for v in covariance @ (design.T @ (weight * data.y)))
    if h < 0:
        y0, h = float(np.average(data.y, weights=weight)), 0.0
    return y0, h, np.asarray(covariance, dtype=np.float64)


def _verdict(
    data: CurveData, knees: Array, excess: Array, knee: float, h: float, error: ErrorVariance
) -> Estimate:
    """B_crit with its profile interval, or the bound that the cells allow."""
    if error.value is None:
        return nothing("not identified", error.reason)
    limit = t_quantile(error.df) ** 2 * error.value
    ends = accepted_range(np.log(knees), excess, limit)
    low, high = (mapped(lambda z: float(np.exp(z)), end) for end in ends)
    first, last = float(data.x[0]), float(data.x[-1])
    if low is None and high is None:
        reason = "the curve over B has no knee that the noise would let one see"
        return nothing("not identified", reason if h > 0 else "the metric does not rise with B")
    if knee > last:
        bound = None if low is None else min(low, last)
        return Estimate(last, bound, None, "at bound", "B_crit at or beyond the largest batch")
    if knee < first:
        bound = None if high is None else max(high, first)
        return Estimate(first, None, bound, "at bound", "B_crit at or below the smallest batch")
    if low is None or high is None:
        side = "lower" if low is None else "upper"
        return Estimate(None, low, high, "not identified", f"no {side} limit; {error.reason}")
    return Estimate(knee, min(low, knee), max(high, knee), "converged", error.reason)


def _gamma(total: Array, error: ErrorVariance) -> Estimate:
    """The shared exponent with its profile interval; weak where its grid ends cut it."""
    at = int(np.argmin(total))
    value = float(GAMMAS[at])
    if error.value is None:
        return Estimate(value, None, None, "not identified", error.reason)
    limit = t_quantile(error.df) ** 2 * error.value
    low, high = accepted_range(GAMMAS, total - total.min(), limit)
    cut = low is None or high is None
    low, high = low or float(GAMMAS[0]), high or float(GAMMAS[-1])
    if at in (0, GAMMAS.size - 1):
        return Estimate(value, low, high, "at bound", f"weak: gamma at its bound {value:.3g}")
    return Estimate(
        value, low, high, "converged", "weak: the interval reaches gamma's bound" if cut else ""
    )


def _events(data: CurveData, optimum: Estimate) -> Estimate:
    """A batch in sequences as loss positions a step."""
    each = float(np.median(data.columns["sequence_events"]))
    return carried(optimum, lambda batch: batch * each)
