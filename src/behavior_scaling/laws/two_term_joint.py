"""The least-squares fit of the two-term law over all budgets of an axis: exponents shared.

Parameters theta = (alpha, beta, then y0, a, b of each budget); x enters as u = x / reference.
Choices: starts are the best nodes of the exponent grid in each half of both exponents, with the
linear parts in closed form; the solver then polishes them with the exact Jacobian.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.solver import Solution, minimise
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


def law(log_u: Array, theta: Array, budget: int) -> Array:
    """The law of one budget at log u."""
    alpha, beta = theta[:2]
    y0, a, b = theta[2 + 3 * budget : 5 + 3 * budget]
    return np.asarray(y0 + a * np.exp(alpha * log_u) + b * np.exp(-beta * log_u))


def law_gradient(log_u: Array, theta: Array, budget: int) -> Array:
    """[len(log_u), p] derivatives of the law by all parameters."""
    alpha, beta = theta[:2]
    _, a, b = theta[2 + 3 * budget : 5 + 3 * budget]
    p, q = np.exp(alpha * log_u), np.exp(-beta * log_u)
    out = np.zeros((log_u.size, theta.size))
    out[:, 0], out[:, 1] = a * p * log_u, -b * q * log_u
    out[:, 2 + 3 * budget] = 1.0
    out[:, 3 + 3 * budget], out[:, 4 + 3 * budget] = p, q
    return out


def residuals(theta: Array, budgets: Sequence[Budget]) -> Array:
    """Weighted residuals over all budgets, in order."""
    return np.concatenate(
        [np.sqrt(d.weight) * (law(d.log_u, theta, j) - d.y) for j, d in enumerate(budgets)]
    )


def jacobian(theta: Array, budgets: Sequence[Budget]) -> Array:
    """[residuals, p]."""
    return np.concatenate(
        [
            np.sqrt(d.weight)[:, None] * law_gradient(d.log_u, theta, j)
            for j, d in enumerate(budgets)
        ]
    )


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
    cells = sum(d.y.size for d in budgets)
    free_sign = [-np.inf, 0.0, 0.0] * len(budgets)
    return minimise(
        lambda theta: residuals(theta, budgets),
        lambda theta: jacobian(theta, budgets),
        starts,
        [ALPHA_BOUNDS[0], BETA_BOUNDS[0], *free_sign],
        [ALPHA_BOUNDS[1], BETA_BOUNDS[1], *([np.inf] * 3 * len(budgets))],
        scale=max(float(np.sqrt(np.min(total) / cells)), 1e-9),
    )
