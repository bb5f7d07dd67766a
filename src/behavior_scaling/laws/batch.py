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

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, mapped, t_quantile
from behavior_scaling.laws.batch_profile import (
    GAMMA_BOUNDS,
    BatchFit,
    Cells,
    fit_batch,
    of_budget,
)
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.knee import knee_verdict
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
    users_part,
)
from behavior_scaling.laws.results import CurveFit, Estimate
from behavior_scaling.laws.trend import optimum_trend
from behavior_scaling.laws.two_term_search import Ends
from behavior_scaling.laws.users import PROFILE_NOTE, SLOPE_NOTE, users_sd, widened

CLEAN_FORM = "y = y0 + h (r^gamma - 1) / gamma, r = (1 + B / B_crit) D_0 / D, h >= 0, gamma shared"
PAPER_FORM = "y = c0 + c1 log B + c2 (log B)^2 for each budget; optimal batch at its minimum"
MIN_STEPS = 200
MAX_WINDOW_SHARE = 0.05
MIN_POINTS = 4


def admissible(
    batch: Array, steps_after_warmup: Array, unique_positions: Array, context: Array
) -> npt.NDArray[np.bool_]:
    """Which cells may enter a batch law; arrays [cells], B in sequences, U and L in positions."""
    windows = unique_positions / context
    return np.asarray((steps_after_warmup >= MIN_STEPS) & (batch <= MAX_WINDOW_SHARE * windows))


def fit_optimal_batch(curves: Sequence[CurveData]) -> AxisParts:
    """As-paper form; needs the column 'sequence_events' (loss positions in a sequence)."""
    fits = []
    parabolas = [fit_parabola(data) for data in curves]
    for data, fit in zip(curves, parabolas, strict=True):
        curve = parabola_curve(data, fit, {})
        curve.derived["events"] = _events(data, curve.optimum)
        fits.append(curve)
    redrawn = [fit.redrawn for fit in parabolas if fit.redrawn is not None]
    trend, notes = optimum_trend(
        fits,
        "batch",
        [fit.seeds for fit in parabolas],
        np.stack(redrawn, axis=1) if len(redrawn) == len(fits) > 0 else None,
    )
    said = (SLOPE_NOTE,) if redrawn else ()
    return AxisParts(tuple(fits), {"batch": trend}, (*notes, *said))


def fit_critical_batch(curves: Sequence[CurveData]) -> AxisParts:
    """Clean form; needs the columns 'positions' (D) and 'sequence_events'."""
    usable = [data for data in curves if not excluded(data, MIN_POINTS)]
    cells = sum(data.cells for data in usable)
    if not usable or cells < 1 + 3 * len(usable):
        few = nothing("too few points", f"{cells} admissible cells for y0, h, B_crit and gamma")
        return AxisParts(
            tuple(unfitted(data, excluded(data, MIN_POINTS) or few) for data in curves),
            {"gamma": few, "B_crit": few},
        )
    fit = fit_batch(usable)
    gamma = _gamma(fit)
    fitted = [_curve_fit(data, fit, j, gamma) for j, data in enumerate(usable)]
    trend, notes = optimum_trend(
        fitted,
        "B_crit",
        [_width(ends) for ends in fit.seed_ends],
        None if fit.redrawn is None else fit.redrawn[:, 1::3],
        fit.covariance[1::3, 1::3],
        fit.error.df or np.inf,
    )
    others = iter(fitted)
    fits = tuple(
        next(others) if missing is None else unfitted(data, missing)
        for data in curves
        for missing in [excluded(data, MIN_POINTS)]
    )
    said = () if fit.redrawn is None else (PROFILE_NOTE,)
    return AxisParts(fits, {"gamma": gamma, "B_crit": trend}, (*notes, *said))


def _width(ends: Ends) -> float | None:
    low, high = ends
    return None if low is None or high is None else high - low


def _curve_fit(data: CurveData, fit: BatchFit, j: int, gamma: Estimate) -> CurveFit:
    theta = fit.solution.parameters
    log_knee, y0, h = (float(v) for v in theta[1 + 3 * j : 4 + 3 * j])
    optimum = _verdict(data, fit, j)
    best = nothing(optimum.status, optimum.reason)
    if optimum.status == "converged":
        best = in_own_unit(data, _value_at(data, fit, j, float(np.exp(log_knee))))
    batch = np.exp(log_grid(data))
    law = of_budget(_between(data, fit, j, batch), j).evaluate(theta[None, :])
    x, y = drawn(data, batch, law.values[0])
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
        derived={
            "events": _events(data, optimum),
            **users_part(
                carried(optimum, math.log),
                _width(fit.seed_ends[j]),
                None if fit.redrawn is None else fit.redrawn[:, 1 + 3 * j],
            ),
        },
    )


def _between(data: CurveData, fit: BatchFit, j: int, batch: Array) -> Cells:
    """The law's inputs at other batches: log D linear in log B between the cells."""
    log_d = np.interp(np.log(batch), np.log(data.x), fit.budgets[j].log_d)
    return Cells(batch, log_d, np.zeros_like(batch), np.ones_like(batch))


def _value_at(data: CurveData, fit: BatchFit, j: int, batch: float) -> Estimate:
    """The curve at one batch with its Gauss-Newton interval, fitted scale."""
    theta, here = fit.solution.parameters, _between(data, fit, j, np.array([batch]))
    law = of_budget(here, j).evaluate(theta[None, :])
    value, gradient = float(law.values[0, 0]), law.jacobian[0, 0]
    spread = max(float(gradient @ fit.covariance @ gradient), 0.0) * (fit.error.value or 0.0)
    margin = t_quantile(fit.error.df) * float(np.sqrt(spread))
    if fit.redrawn is not None:
        margin = widened(margin, users_sd(of_budget(here, j).evaluate(fit.redrawn).values[:, 0]))
    return Estimate(value, value - margin, value + margin, "converged", fit.error.reason)


def _verdict(data: CurveData, fit: BatchFit, j: int) -> Estimate:
    """B_crit with its profile interval, or the bound that the cells allow."""
    if fit.error.value is None:
        return nothing("not identified", fit.error.reason)
    knee, h = (float(fit.solution.parameters[i]) for i in (1 + 3 * j, 3 + 3 * j))
    knee = float(np.exp(knee))
    low, high = (mapped(lambda z: float(np.exp(z)), end) for end in fit.ends[j])
    if low is None and high is None and h <= 0:
        return nothing("not identified", "the metric does not rise with B")
    grid = (float(data.x[0]), float(data.x[-1]))
    return knee_verdict(knee, (low, high), grid, fit.error.reason)


def _gamma(fit: BatchFit) -> Estimate:
    """The shared exponent with its profile interval; weak where its bounds cut it."""
    value = float(fit.solution.parameters[0])
    if fit.error.value is None:
        return Estimate(value, None, None, "not identified", fit.error.reason)
    low, high = fit.gamma_ends
    cut = low is None or high is None
    low, high = min(low or GAMMA_BOUNDS[0], value), max(high or GAMMA_BOUNDS[1], value)
    if 0 in fit.solution.at_bound:
        return Estimate(value, low, high, "at bound", f"weak: gamma at its bound {value:.3g}")
    weak = "weak: the interval reaches gamma's bound" if cut else ""
    return Estimate(value, low, high, "converged", weak)


def _events(data: CurveData, optimum: Estimate) -> Estimate:
    """A batch in sequences as loss positions a step."""
    return carried(optimum, lambda batch: batch * float(np.median(data.columns["sequence_events"])))
