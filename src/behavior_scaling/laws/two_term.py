"""Share and negatives laws: starvation on both sides of an optimum, y = y0 + a x^alpha + b x^-beta.

Choices (definitions.md, 'Laws'): a, b >= 0, alpha in [0.2, 3], beta in [0.1, 2], exponents shared
over budgets; the headline is x* = (b beta / (a alpha))^(1 / (alpha + beta)) with a
profile-likelihood interval, in which every other parameter is refitted for each x*; redrawn users
(users.py) widen it on the scale of the profile's root, and the exponent of x* over budgets by its
spread over refits to each replicate. An optimum is
claimed only if the two-term law beats each monotone one-term law of that budget by more than 4 in
AICc and two cells lie on each side; where a monotone law is enough, the optimum is at or beyond
that end of the grid and only a one-sided bound is given. AICc counts runs, not cells, and a
monotone rival brings an exponent of its own. A log-cubic and a floor variant stand beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from behavior_scaling.laws.arrays import Array, t_quantile
from behavior_scaling.laws.curve import CurveData
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
from behavior_scaling.laws.results import CurveFit, Estimate, Status
from behavior_scaling.laws.trend import optimum_trend
from behavior_scaling.laws.two_term_checks import floor_variants, log_cubic
from behavior_scaling.laws.two_term_joint import law, of_budget
from behavior_scaling.laws.two_term_profile import Profile, profile
from behavior_scaling.laws.two_term_search import optimum_gradient
from behavior_scaling.laws.two_term_verdict import verdict
from behavior_scaling.laws.users import PROFILE_NOTE, users_sd, widened

FORM = "y = y0 + a x^alpha + b x^-beta, a, b >= 0, alpha and beta shared over budgets"
MIN_POINTS = 4


def fit_two_term(
    curves: Sequence[CurveData], name: str, *, seed: int = 0, resamples: int = 400
) -> AxisParts:
    """Fit all budgets of an axis together.

    Args:
        curves: one per budget; x is the realised share or the distinct candidates.
        name: of the optimum's exponent over budgets, e.g. 'share'.
        seed: of the log-cubic's noise draws.
        resamples: number of those draws.

    Returns:
        Curves with optimum x*, derived 'optimum_log_cubic' and 'optimum_floor_variant', and the
        exponents 'alpha', 'beta' and `name`.
    """
    usable = [data for data in curves if not excluded(data, MIN_POINTS)]
    parameters = 2 + 3 * len(usable)
    cells, runs = sum(d.cells for d in usable), sum(d.runs for d in usable)
    if not usable or cells < parameters or runs < parameters + 3:
        reason = f"{cells} cells and {runs} runs in curves of use, for {parameters} parameters"
        few = nothing("too few points", reason)
        return AxisParts(
            tuple(unfitted(data, excluded(data, MIN_POINTS) or few) for data in curves),
            {"alpha": few, "beta": few, name: few},
        )
    fit = profile(usable)
    variants = floor_variants(fit)
    fitted = []
    for j, data in enumerate(usable):
        derived = {
            "optimum_log_cubic": log_cubic(data, seed, resamples),
            "optimum_floor_variant": variants[j],
        }
        fitted.append(_curve_fit(data, fit, j, derived))
    trend, trend_notes = optimum_trend(
        fitted,
        name,
        [found.seeds for found in fit.optima],
        None if fit.redrawn is None else fit.redrawn.log_optimum,
        _covariance(fit),
        fit.error.df or np.inf,
    )
    others = iter(fitted)
    fits = [
        next(others) if missing is None else unfitted(data, missing)
        for data in curves
        for missing in [excluded(data, MIN_POINTS)]
    ]
    solution = fit.solution
    notes = [
        f"{solution.best_share:.0%} of {solution.starts} starts reached the best minimum",
        *trend_notes,
        *([fit.error.reason] if fit.error.reason else []),
        *([PROFILE_NOTE] if fit.redrawn is not None else []),
    ]
    if solution.status == "max iterations":
        notes.append("the solver stopped at its iteration limit")
    exponents = {"alpha": fit.alpha, "beta": fit.beta, name: trend}
    return AxisParts(tuple(fits), exponents, tuple(notes))


def _covariance(fit: Profile) -> Array:
    """[budgets, budgets] of the errors of log x*, to first order, per unit of error variance."""
    theta = fit.solution.parameters
    rows = [
        np.zeros(theta.size)
        if found.value is None
        else optimum_gradient(theta, j, float(np.log(found.value)) - fit.log_reference)
        for j, found in enumerate(fit.optima)
    ]
    gradient = np.stack(rows)
    return np.asarray(gradient @ fit.covariance @ gradient.T)


def _curve_fit(data: CurveData, fit: Profile, j: int, derived: dict[str, Estimate]) -> CurveFit:
    theta = fit.solution.parameters
    optimum = verdict(data, fit, j)
    if fit.solution.status == "max iterations" and optimum.value is not None:
        optimum = nothing("max iterations", "the solver stopped at its iteration limit")
    z = log_grid(data)
    x, y = drawn(data, np.exp(z), law(z - fit.log_reference, theta, j))
    y0, a, b = (float(v) for v in theta[2 + 3 * j : 5 + 3 * j])
    alpha, beta = float(theta[0]), float(theta[1])
    unit = fit.log_reference
    none = "no interval: only x* and the exponents are profiled"
    coefficients = {
        "y0": Estimate(y0, None, None, "converged", none),
        "a": Estimate(a * float(np.exp(-alpha * unit)), None, None, _sign_status(a), none),
        "b": Estimate(b * float(np.exp(beta * unit)), None, None, _sign_status(b), none),
        "alpha": fit.alpha,
        "beta": fit.beta,
    }
    best = nothing(optimum.status, optimum.reason)
    if optimum.status == "converged" and optimum.value is not None:
        best = in_own_unit(data, _best(fit, j, float(np.log(optimum.value)) - unit))
    if fit.redrawn is not None:
        moved = fit.redrawn.log_optimum[:, j]
        derived |= users_part(carried(optimum, math.log), fit.optima[j].seeds, moved)
    return CurveFit(
        budget=data.budget,
        runs=data.runs,
        cells=data.cells,
        optimum=optimum,
        best=best,
        coefficients=coefficients,
        curve_x=x,
        curve_y=y,
        noise=data.noise_sd,
        derived=derived,
    )


def _sign_status(value: float) -> Status:
    return "converged" if value > 0 else "at bound"


def _best(fit: Profile, j: int, log_u: float) -> Estimate:
    """The law at its optimum, with the Gauss-Newton variance of the curve there."""
    theta, z = fit.solution.parameters, np.array([log_u])
    value = float(law(z, theta, j)[0])
    gradient = of_budget(z, j).evaluate(theta[None, :]).jacobian[0, 0]
    if fit.error.value is None:
        return Estimate(value, None, None, "converged", fit.error.reason)
    spread = float(gradient @ fit.covariance @ gradient)
    margin = t_quantile(fit.error.df) * float(np.sqrt(fit.error.value * max(spread, 0.0)))
    if fit.redrawn is not None:
        margin = widened(margin, users_sd(fit.redrawn.best[:, j]))
    return Estimate(value, value - margin, value + margin, "converged", fit.error.reason)
