"""The least-squares fit of the two-term law over all budgets of an axis: exponents shared.

Parameters theta = (alpha, beta, then y0, a, b of each budget); x enters as u = x / reference.
Choices: starts are the best nodes of the exponent grid in each half of both exponents, with the
linear parts in closed form; the solver then polishes them. For redrawn users the law is fitted
again, from the optimum found, to each replicate's cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.many import minimise_many
from behavior_scaling.laws.many_law import Dense
from behavior_scaling.laws.solve import Solution, solve
from behavior_scaling.laws.two_term_grid import (
    ALPHA_BOUNDS,
    BETA_BOUNDS,
    GRID,
    Budget,
    coarse_grid,
    free,
    level,
    slopes,
    sums,
)

REFIT_TOLERANCE, REFIT_STEPS = 1e-9, 60  # of a replicate: far below its own spread


@dataclass(frozen=True)
class TwoTermLaw:
    """The law at n points, each of one budget."""

    log_u: Array  # [n]
    budget: npt.NDArray[np.int64]  # [n]

    def evaluate(self, theta: Array) -> Dense:
        """Predictions at parameter vectors [r, p] and their derivatives."""
        point, at = np.arange(self.log_u.size), 2 + 3 * self.budget
        p, q = np.exp(theta[:, :1] * self.log_u), np.exp(-theta[:, 1:2] * self.log_u)  # [r, n]
        rising, falling = theta[:, at + 1] * p, theta[:, at + 2] * q
        jacobian = np.zeros((*p.shape, theta.shape[1]))
        jacobian[:, :, 0], jacobian[:, :, 1] = rising * self.log_u, -falling * self.log_u
        jacobian[:, point, at] = 1.0
        jacobian[:, point, at + 1], jacobian[:, point, at + 2] = p, q
        return Dense(theta[:, at] + rising + falling, jacobian)


def law(log_u: Array, theta: Array, budget: int) -> Array:
    """The law of one budget at log u."""
    return np.asarray(of_budget(log_u, budget).evaluate(theta[None, :]).values[0])


def of_budget(log_u: Array, budget: int) -> TwoTermLaw:
    """The law at points of one budget."""
    return TwoTermLaw(log_u, np.full(log_u.size, budget))


def over(budgets: Sequence[Budget]) -> TwoTermLaw:
    """The law at all cells of all budgets, in order."""
    index = np.repeat(np.arange(len(budgets)), [d.y.size for d in budgets])
    return TwoTermLaw(np.concatenate([d.log_u for d in budgets]), index)


def closed_form_optimum(alpha: float, beta: float, a: float, b: float) -> float | None:
    """u* = (b beta / (a alpha))^(1 / (alpha + beta)); None where a term is absent."""
    if a <= 0 or b <= 0:
        return None
    return float(np.exp((np.log(b * beta) - np.log(a * alpha)) / (alpha + beta)))


def fit_joint(budgets: Sequence[Budget]) -> Solution:
    """Best parameters over all budgets."""
    alpha, beta = coarse_grid()
    moments = [sums(d, alpha, beta) for d in budgets]
    total = np.sum([free(s) for s in moments], axis=0)  # [GRID, GRID]
    linear = [slopes(s) for s in moments]
    starts = []
    for rows in np.array_split(np.arange(GRID), 2):
        for columns in np.array_split(np.arange(GRID), 2):
            block = total[np.ix_(rows, columns)]
            i, j = np.unravel_index(int(np.argmin(block)), block.shape)
            at = (rows[i], columns[j])
            start = [float(alpha[at]), float(beta[at])]
            for d, (a, b) in zip(budgets, linear, strict=True):
                y0 = level(d, start[0], start[1], float(a[at]), float(b[at]), 0.0)
                start += [y0, float(a[at]), float(b[at])]
            starts.append(start)
    return solve(over(budgets), _y(budgets), starts, *_bounds(budgets), weights=_weight(budgets))


@dataclass(frozen=True)
class Redrawn:
    """The law refitted to redrawn users; NaN where a replicate has no optimum."""

    theta: Array  # [replicates, p]
    log_optimum: Array  # [replicates, budgets] log u*
    best: Array  # [replicates, budgets] the law there


def refit(budgets: Sequence[Budget], theta: Array, users: Array) -> Redrawn:
    """The law for each replicate of the users, deviations [replicates, all cells]."""
    starts = np.broadcast_to(theta, (users.shape[0], theta.size))
    fits = minimise_many(
        over(budgets),
        _y(budgets) + users,
        starts,
        *_bounds(budgets),
        weights=_weight(budgets),
        tolerance=REFIT_TOLERANCE,
        max_iterations=REFIT_STEPS,
    ).parameters
    alpha, beta, (y0, a, b) = fits[:, :1], fits[:, 1:2], (fits[:, 2 + i :: 3] for i in range(3))
    both = (a > 0) & (b > 0)
    ratio = np.where(both, b * beta, np.nan) / np.where(both, a * alpha, 1.0)
    log_u = np.log(ratio) / (alpha + beta)
    return Redrawn(fits, log_u, y0 + a * np.exp(alpha * log_u) + b * np.exp(-beta * log_u))


def _y(budgets: Sequence[Budget]) -> Array:
    return np.concatenate([d.y for d in budgets])


def _weight(budgets: Sequence[Budget]) -> Array:
    return np.concatenate([d.weight for d in budgets])


def _bounds(budgets: Sequence[Budget]) -> tuple[list[float], list[float]]:
    free_sign = [-np.inf, 0.0, 0.0] * len(budgets)
    none = [np.inf] * 3 * len(budgets)
    return [ALPHA_BOUNDS[0], BETA_BOUNDS[0], *free_sign], [ALPHA_BOUNDS[1], BETA_BOUNDS[1], *none]
