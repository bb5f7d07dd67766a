"""The joint fit of the two-term law with everything that is profiled around it.

Choices: noise weights the budgets against each other (the median level where one has none); the
profiles of every budget's optimum and of the shared exponents are searched in two_term_search.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.noise import ErrorVariance, NoiseLevel, error_variance
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.solve import Solution
from behavior_scaling.laws.two_term_grid import (
    ALPHA_BOUNDS,
    BETA_BOUNDS,
    Budget,
    coarse_grid,
    free,
    refine,
    sums,
)
from behavior_scaling.laws.two_term_joint import Redrawn, fit_joint, over, refit
from behavior_scaling.laws.two_term_search import OptimumRange, Search


@dataclass(frozen=True)
class Profile:
    """The joint fit and its profiles; budgets in the order given."""

    curves: tuple[CurveData, ...]
    budgets: tuple[Budget, ...]
    log_reference: float  # log of the x at u = 1
    solution: Solution
    rss: float  # at the solution
    covariance: Array  # [p, p], of theta per unit of error variance
    error: ErrorVariance  # relative to the noise weights
    within: float  # replicates' sum of squares, in the same weighting
    rounding: float  # residual sum that double precision cannot tell from none
    optima: tuple[OptimumRange, ...]
    alpha: Estimate
    beta: Estimate
    redrawn: Redrawn | None  # the law under redrawn users


def profile(curves: Sequence[CurveData]) -> Profile:
    """Fit and profile; curves must vary and leave the solver something to do."""
    log_reference = float(np.mean(np.concatenate([np.log(d.x) for d in curves])))
    scales = noise_scales(curves)
    budgets = tuple(
        Budget(np.log(d.x) - log_reference, d.y, 1.0 / (d.spread * scale))
        for d, scale in zip(curves, scales, strict=True)
    )
    solution = fit_joint(budgets)
    theta = solution.parameters
    cells = sum(d.y.size for d in budgets)
    rounding = 1e-12 * sum(
        float(d.weight @ (d.y - np.average(d.y, weights=d.weight)) ** 2) for d in budgets
    )
    rss = 2 * solution.objective
    error = error_variance(rss, cells - theta.size, joint_noise(curves), rounding / cells)
    weight = np.concatenate([d.weight for d in budgets])
    gram = over(budgets).evaluate(theta[None, :]).gram(weight[None, :])[0]
    covariance = np.asarray(np.linalg.pinv(gram, hermitian=True), dtype=np.float64)
    users = joint_users(curves)
    redrawn = None if users is None else refit(budgets, theta, users)
    search = Search(budgets, solution, covariance, error, users, redrawn)
    return Profile(
        tuple(curves),
        budgets,
        log_reference,
        solution,
        rss,
        covariance,
        error,
        float(sum(d.within / s for d, s in zip(curves, scales, strict=True))),
        rounding,
        tuple(search.optimum(j, log_reference) for j in range(len(budgets))),
        search.exponent("alpha", 0, ALPHA_BOUNDS),
        search.exponent("beta", 1, BETA_BOUNDS),
        redrawn,
    )


def noise_scales(curves: Sequence[CurveData]) -> list[float]:
    """Variance of a run at each budget, for weighting; 1 for all where none is known."""
    known = [max(d.noise.variance, d.tiny) for d in curves if d.noise.variance is not None]
    middle = float(np.median(known)) if known else 1.0
    return [middle if d.noise.variance is None else max(d.noise.variance, d.tiny) for d in curves]


def joint_noise(curves: Sequence[CurveData]) -> NoiseLevel:
    """The noise level in units of the weights: one, with the smallest budget's df, or unknown."""
    if not all(d.noise.known for d in curves):
        return NoiseLevel(None, 0.0, "a budget without replicates")
    return NoiseLevel(1.0, min(d.noise.df for d in curves))


def joint_users(curves: Sequence[CurveData]) -> Array | None:
    """[replicates, all cells] deviations under redrawn users; None unless every curve has them."""
    parts = [d.users for d in curves if d.users is not None]
    return np.concatenate(parts, axis=1) if parts and len(parts) == len(curves) else None


def lowest_free(budgets: Sequence[Budget], start: Array) -> float:
    """Least residual sum of the law over some budgets, any exponents."""

    def objective(alphas: Array, betas: Array) -> Array:
        return np.asarray(np.sum([free(sums(d, alphas, betas)) for d in budgets], axis=0))

    alpha, beta = coarse_grid()
    node = np.unravel_index(int(np.argmin(objective(alpha, beta))), alpha.shape)
    starts = np.array([[alpha[node], beta[node]], [start[0], start[1]]])
    return float(refine(objective, starts[:, 0], starts[:, 1])[0].min())
