"""Least squares and profile likelihood of the clean batch form (derived in batch.py).

Parameters theta = (gamma, then log B_crit, y0, h of each budget); r = (1 + B / B_crit) D_0 / D.
Choices: y0 and h >= 0 in closed form over a grid of B_crit and gamma; the solver polishes the
grid's minimum with the exact Jacobian; a profile over B_crit takes its minimum over gamma from a
parabola through the three lowest nodes, and is densest around the estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from behavior_scaling.laws.arrays import Array, accepted_range, lowest, t_quantile
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.noise import ErrorVariance, error_variance
from behavior_scaling.laws.solver import Solution, minimise
from behavior_scaling.laws.two_term_profile import denser, joint_noise, noise_scales

GAMMA_BOUNDS = (0.05, 0.8)
GAMMAS = np.linspace(*GAMMA_BOUNDS, 31)
KNEES = 161
REACH = 64.0  # B_crit is sought this factor beyond the cells


@dataclass(frozen=True)
class Cells:
    """One budget's cells; arrays [cells]."""

    batch: Array
    log_d: Array  # log(D_0 / D), D_0 the median
    y: Array
    weight: Array


@dataclass(frozen=True)
class BatchFit:
    """The joint fit over budgets and the ends of its profiles (log B_crit; gamma)."""

    budgets: tuple[Cells, ...]
    solution: Solution
    covariance: Array  # [p, p] per unit of error variance
    error: ErrorVariance
    ends: tuple[tuple[float | None, float | None], ...]  # of each budget's log B_crit
    gamma_ends: tuple[float | None, float | None]


def basis(log_r: Array, gamma: float | Array) -> Array:
    """(r^gamma - 1) / gamma."""
    return np.asarray(np.expm1(gamma * log_r) / gamma)


def law(cells: Cells, theta: Array, budget: int) -> Array:
    """The fitted curve at the cells' batches."""
    log_knee, y0, h = theta[1 + 3 * budget : 4 + 3 * budget]
    log_r = np.log1p(cells.batch * np.exp(-log_knee)) + cells.log_d
    return np.asarray(y0 + h * basis(log_r, theta[0]))


def law_gradient(cells: Cells, theta: Array, budget: int) -> Array:
    """[cells, p] derivatives of the law by all parameters."""
    gamma = theta[0]
    log_knee, _, h = theta[1 + 3 * budget : 4 + 3 * budget]
    scaled = cells.batch * np.exp(-log_knee)
    log_r = np.log1p(scaled) + cells.log_d
    power, f = np.exp(gamma * log_r), basis(log_r, gamma)
    out = np.zeros((cells.y.size, theta.size))
    out[:, 0] = h * (power * log_r - f) / gamma
    out[:, 1 + 3 * budget] = -h * power * scaled / (1 + scaled)
    out[:, 2 + 3 * budget], out[:, 3 + 3 * budget] = 1.0, f
    return out


def residuals(theta: Array, budgets: Sequence[Cells]) -> Array:
    """Weighted residuals over all budgets, in order."""
    return np.concatenate(
        [np.sqrt(d.weight) * (law(d, theta, j) - d.y) for j, d in enumerate(budgets)]
    )


def jacobian(theta: Array, budgets: Sequence[Cells]) -> Array:
    """[residuals, p]."""
    return np.concatenate(
        [np.sqrt(d.weight)[:, None] * law_gradient(d, theta, j) for j, d in enumerate(budgets)]
    )


def fit_batch(curves: Sequence[CurveData]) -> BatchFit:
    """Fit all budgets together; the caller has seen that cells outnumber parameters."""
    budgets = tuple(
        Cells(d.x, _log_d(d), d.y, 1.0 / (d.spread * scale))
        for d, scale in zip(curves, noise_scales(curves), strict=True)
    )
    grids = [np.geomspace(d.batch[0] / REACH, d.batch[-1] * REACH, KNEES) for d in budgets]
    surfaces = [scan(d, grid) for d, grid in zip(budgets, grids, strict=True)]
    alone = np.stack([lowest(surface, axis=0) for surface in surfaces])  # [budget, gamma]
    total = alone.sum(axis=0)
    solution = _polished(budgets, grids, surfaces, int(np.argmin(total)))
    theta, cells = solution.parameters, sum(d.y.size for d in budgets)
    rss = min(2 * solution.objective, float(total.min()))
    rounding = 1e-12 * sum(float(surface.max()) for surface in surfaces)
    error = error_variance(rss, cells - theta.size, joint_noise(curves), rounding / cells)
    matrix = jacobian(theta, budgets)
    covariance = np.asarray(np.linalg.pinv(matrix.T @ matrix), dtype=np.float64)
    if error.value is None:
        none = (None, None)
        return BatchFit(budgets, solution, covariance, error, (none,) * len(budgets), none)
    variance, limit = error.value, t_quantile(error.df) ** 2 * error.value

    def sigma(index: int) -> float:
        return float(np.sqrt(max(covariance[index, index], 0.0) * variance))

    ends = []
    for j, d in enumerate(budgets):
        at = float(theta[1 + 3 * j])
        grid = denser(np.log(grids[j]), at, sigma(1 + 3 * j))
        best = lowest(scan(d, np.exp(grid)) + (total - alone[j]), axis=1)
        ends.append(accepted_range(grid, best - best.min(), limit))
    gammas = denser(GAMMAS, float(theta[0]), sigma(0))
    profile = np.sum(
        [lowest(scan(d, g, gammas), axis=0) for d, g in zip(budgets, grids, strict=True)], axis=0
    )
    gamma_ends = accepted_range(gammas, profile - profile.min(), limit)
    return BatchFit(budgets, solution, covariance, error, tuple(ends), gamma_ends)


def scan(cells: Cells, knees: Array, gammas: Array = GAMMAS) -> Array:
    """[B_crit, gamma] residual sums with y0 and h >= 0 in closed form."""
    share, root = cells.weight / cells.weight.sum(), np.sqrt(cells.weight)
    y = (cells.y - cells.y @ share) * root
    log_r = np.log1p(cells.batch / knees[:, None]) + cells.log_d  # [B_crit, cells]
    f = basis(log_r[:, None, :], gammas[None, :, None])  # [B_crit, gamma, cells]
    f = (f - (f @ share)[..., None]) * root
    size = np.maximum(np.sum(f * f, axis=2), 1e-300)
    return np.asarray(y @ y - np.maximum(f @ y, 0.0) ** 2 / size)


def _log_d(data: CurveData) -> Array:
    log_d = np.log(data.columns["positions"])
    return np.asarray(np.median(log_d) - log_d)


def _polished(
    budgets: Sequence[Cells], grids: Sequence[Array], surfaces: Sequence[Array], at: int
) -> Solution:
    start, lower, upper = [float(GAMMAS[at])], [GAMMA_BOUNDS[0]], [GAMMA_BOUNDS[1]]
    for d, grid, surface in zip(budgets, grids, surfaces, strict=True):
        knee = float(grid[int(np.argmin(surface[:, at]))])
        f = basis(np.log1p(d.batch / knee) + d.log_d, float(GAMMAS[at]))
        h, y0 = (float(v) for v in np.polyfit(f, d.y, 1, w=np.sqrt(d.weight)))
        if h < 0:
            h, y0 = 0.0, float(np.average(d.y, weights=d.weight))
        start += [float(np.log(knee)), y0, h]
        lower += [float(np.log(grid[0])), -np.inf, 0.0]
        upper += [float(np.log(grid[-1])), np.inf, np.inf]
    return minimise(
        lambda theta: residuals(theta, budgets),
        lambda theta: jacobian(theta, budgets),
        [start],
        lower,
        upper,
    )
