"""Least squares and profile likelihood of the clean batch form (derived in batch.py).

Parameters theta = (gamma, then log B_crit, y0, h of each budget); r = (1 + B / B_crit) D_0 / D.
Choices: y0 and h >= 0 in closed form over a grid of B_crit and gamma; the solver polishes the
grid's minimum with the exact Jacobian; a profile over B_crit takes its minimum over gamma from a
parabola through the three lowest nodes, and is densest around the estimate. Redrawn users widen a
profile on the scale of its root (users.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, accepted_range, lowest, t_quantile
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.many import minimise_many
from behavior_scaling.laws.many_law import Dense
from behavior_scaling.laws.noise import ErrorVariance, error_variance
from behavior_scaling.laws.solve import Solution, solve
from behavior_scaling.laws.two_term_joint import REFIT_STEPS, REFIT_TOLERANCE
from behavior_scaling.laws.two_term_profile import joint_noise, joint_users, noise_scales
from behavior_scaling.laws.two_term_search import Ends, denser
from behavior_scaling.laws.users import users_sd, with_users

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
class BatchLaw:
    """The law at n points, each of one budget."""

    batch: Array  # [n]
    log_d: Array  # [n]
    budget: npt.NDArray[np.int64]  # [n]

    def evaluate(self, theta: Array) -> Dense:
        """Predictions at parameter vectors [r, p] and their derivatives."""
        point, at = np.arange(self.batch.size), 1 + 3 * self.budget
        gamma, h = theta[:, :1], theta[:, at + 2]
        scaled = self.batch * np.exp(-theta[:, at])  # [r, n]
        log_r = np.log1p(scaled) + self.log_d
        power, f = np.exp(gamma * log_r), basis(log_r, gamma)
        jacobian = np.zeros((*f.shape, theta.shape[1]))
        jacobian[:, :, 0] = h * (power * log_r - f) / gamma
        jacobian[:, point, at] = -h * power * scaled / (1 + scaled)
        jacobian[:, point, at + 1], jacobian[:, point, at + 2] = 1.0, f
        return Dense(theta[:, at + 1] + h * f, jacobian)


def of_budget(cells: Cells, budget: int) -> BatchLaw:
    """The law at the cells of one budget."""
    return BatchLaw(cells.batch, cells.log_d, np.full(cells.batch.size, budget))


def over(budgets: Sequence[Cells]) -> BatchLaw:
    """The law at all cells of all budgets, in order."""
    index = np.repeat(np.arange(len(budgets)), [d.y.size for d in budgets])
    batch, log_d = (np.concatenate([getattr(d, n) for d in budgets]) for n in ("batch", "log_d"))
    return BatchLaw(batch, log_d, index)


@dataclass(frozen=True)
class BatchFit:
    """The joint fit over budgets and the ends of its profiles (log B_crit; gamma)."""

    budgets: tuple[Cells, ...]
    solution: Solution
    covariance: Array  # [p, p] per unit of error variance
    error: ErrorVariance
    ends: tuple[Ends, ...]  # of each budget's log B_crit, from seeds and users
    seed_ends: tuple[Ends, ...]  # from seeds alone
    gamma_ends: Ends
    redrawn: Array | None  # [replicates, p] theta under redrawn users


def basis(log_r: Array, gamma: float | Array) -> Array:
    """(r^gamma - 1) / gamma."""
    return np.asarray(np.expm1(gamma * log_r) / gamma)


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
    solution, bounds = _polished(budgets, grids, surfaces, int(np.argmin(total)))
    theta, cells = solution.parameters, sum(d.y.size for d in budgets)
    rss = min(2 * solution.objective, float(total.min()))
    rounding = 1e-12 * sum(float(surface.max()) for surface in surfaces)
    error = error_variance(rss, cells - theta.size, joint_noise(curves), rounding / cells)
    weight, model = np.concatenate([d.weight for d in budgets]), over(budgets)
    gram = model.evaluate(theta[None, :]).gram(weight[None, :])[0]
    covariance = np.asarray(np.linalg.pinv(gram, hermitian=True), dtype=np.float64)
    users, redrawn = joint_users(curves), None
    if users is not None:
        y = np.concatenate([d.y for d in budgets]) + users
        starts = np.broadcast_to(theta, (len(users), theta.size))
        redrawn = minimise_many(
            model,
            y,
            starts,
            *bounds,
            weights=weight,
            tolerance=REFIT_TOLERANCE,
            max_iterations=REFIT_STEPS,
        ).parameters
    if error.value is None:
        none = ((None, None),) * len(budgets)
        return BatchFit(budgets, solution, covariance, error, none, none, (None, None), redrawn)
    knees = [g[np.argmin(surface, axis=0)] for g, surface in zip(grids, surfaces, strict=True)]
    limit = t_quantile(error.df) ** 2 * error.value
    search = _Search(budgets, theta, covariance * error.value, knees, limit, users, redrawn)
    pairs = [search.knee(j, np.log(grid), total - alone[j]) for j, grid in enumerate(grids)]
    return BatchFit(
        budgets,
        solution,
        covariance,
        error,
        tuple(pair[1] for pair in pairs),
        tuple(pair[0] for pair in pairs),
        search.gamma(grids)[1],
        redrawn,
    )


@dataclass(frozen=True)
class _Search:
    """The profiles around one joint fit."""

    budgets: tuple[Cells, ...]
    theta: Array
    covariance: Array  # of theta, from seeds
    knees: list[Array]  # of each budget, the best B_crit at every gamma of GAMMAS
    limit: float
    users: Array | None
    redrawn: Array | None

    def knee(self, j: int, grid: Array, others: Array) -> tuple[Ends, Ends]:
        """Of budget j's log B_crit; others [gamma] are the other budgets' residual sums."""
        d = self.budgets[j]
        grid = denser(grid, float(self.theta[1 + 3 * j]), self._scale(1 + 3 * j))
        surface = scan(d, np.exp(grid)) + others
        at = np.argmin(surface, axis=1)
        knees = [np.exp(grid) if i == j else best[at] for i, best in enumerate(self.knees)]
        return self._ends(grid, lowest(surface, axis=1), GAMMAS[at], knees)

    def gamma(self, grids: Sequence[Array]) -> tuple[Ends, Ends]:
        """Of the shared exponent."""
        gammas = denser(GAMMAS, float(self.theta[0]), self._scale(0))
        surfaces = [scan(d, g, gammas) for d, g in zip(self.budgets, grids, strict=True)]
        knees = [g[np.argmin(s, axis=0)] for g, s in zip(grids, surfaces, strict=True)]
        best = np.sum([lowest(surface, axis=0) for surface in surfaces], axis=0)
        return self._ends(gammas, best, gammas, knees)

    def _scale(self, index: int) -> float:
        """Standard deviation of a parameter from seeds and users."""
        seeds = float(np.sqrt(max(self.covariance[index, index], 0.0)))
        if self.redrawn is None:
            return seeds
        return float(np.hypot(seeds, users_sd(self.redrawn[:, index])))

    def _ends(
        self, grid: Array, best: Array, gamma: Array, knees: Sequence[Array]
    ) -> tuple[Ends, Ends]:
        """From seeds alone, and from seeds and users; at every node gamma [k] and B_crit [k]."""
        excess = best - best.min()
        seeds = accepted_range(grid, excess, self.limit)
        if self.users is None:
            return seeds, seeds
        pulls = []
        for i, d in enumerate(self.budgets):
            whole = _curve(d, np.exp(self.theta[[1 + 3 * i]]), self.theta[:1])
            pulls.append(d.weight * (whole - _curve(d, knees[i], gamma)))
        blurred = with_users(excess, np.concatenate(pulls, axis=1), self.users, self.limit)
        return seeds, accepted_range(grid, blurred, self.limit)


def _curve(cells: Cells, knee: Array, gamma: Array) -> Array:
    """Best curve less its weighted mean at given B_crit and gamma [k]: [k, cells]."""
    share, root = cells.weight / cells.weight.sum(), np.sqrt(cells.weight)
    f = basis(np.log1p(cells.batch / knee[:, None]) + cells.log_d, gamma[:, None])
    f = f - (f @ share)[:, None]
    y = (cells.y - cells.y @ share) * root
    h = np.maximum((f * root) @ y, 0.0) / np.maximum(np.sum((f * root) ** 2, axis=1), 1e-300)
    return np.asarray(h[:, None] * f)


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
) -> tuple[Solution, tuple[list[float], list[float]]]:
    """The solver's minimum from the best node of the grid, and the bounds."""
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
    y, weight = (np.concatenate([getattr(d, name) for d in budgets]) for name in ("y", "weight"))
    return solve(over(budgets), y, [start], lower, upper, weights=weight), (lower, upper)
