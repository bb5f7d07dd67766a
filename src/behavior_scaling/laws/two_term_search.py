"""Profile likelihoods of the two-term law: every budget's optimum, and the shared exponents.

Choices: for each value on a profile's grid the best exponents are found anew, from the best node of
a coarse grid or the solver's minimum, by Newton steps; the grid is densest around the estimate, in
units of its standard error. Redrawn users widen a profile on the scale of its root (users.py), at
every node, so that open ends stay open and one-sided bounds move too. An optimum is sought up to
one whole span of the cells beyond either end, so that a monotone curve still yields a one-sided
bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from behavior_scaling.laws.arrays import Array, accepted_range, mapped, t_quantile
from behavior_scaling.laws.noise import ErrorVariance
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.solve import Solution
from behavior_scaling.laws.two_term_grid import (
    ALPHA_BOUNDS,
    BETA_BOUNDS,
    GRID,
    Budget,
    Objective,
    coarse_grid,
    curve,
    free,
    refine,
    slopes,
    slopes_with_optimum,
    sums,
    with_optimum,
)
from behavior_scaling.laws.two_term_joint import Redrawn, closed_form_optimum
from behavior_scaling.laws.users import share_of_width, users_sd, with_users

Ends = tuple[float | None, float | None]

OPTIMA = 49
ABSENT = 1e-6  # of a curve's range: a term below it is rounding
NEAR = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0])  # standard errors


@dataclass(frozen=True)
class OptimumRange:
    """What the profile of one budget's optimum says, in own units of x."""

    value: float | None  # closed form; None where a term is absent
    low: float | None  # None: no lower limit within the range searched
    high: float | None
    seeds: float | None  # width of log x* from seeds alone; None where an end is open


@dataclass(frozen=True)
class Search:
    """The profile searches around one joint fit."""

    budgets: tuple[Budget, ...]
    solution: Solution
    covariance: Array
    error: ErrorVariance  # known wherever a search starts
    users: Array | None  # [replicates, all cells]
    redrawn: Redrawn | None

    @property
    def limit(self) -> float:
        """Largest excess of an accepted value."""
        return t_quantile(self.error.df) ** 2 * (self.error.value or 0.0)

    def optimum(self, j: int, log_reference: float) -> OptimumRange:
        """Budget j's optimum: every log u* on the grid with all else refitted."""
        theta, budget = self.solution.parameters, self.budgets[j]
        alpha, beta, a, b = (float(theta[i]) for i in (0, 1, 3 + 3 * j, 4 + 3 * j))
        value = closed_form_optimum(alpha, beta, a, b)
        own = mapped(lambda u: float(u * np.exp(log_reference)), value)
        if self.error.value is None:
            return OptimumRange(own, None, None, None)
        first, last = float(budget.log_u.min()), float(budget.log_u.max())
        grid = np.linspace(2 * first - last, 2 * last - first, OPTIMA)
        if value is not None and grid[0] < np.log(value) < grid[-1]:
            row = optimum_gradient(theta, j, float(np.log(value)))
            moved = 0.0 if self.redrawn is None else users_sd(self.redrawn.log_optimum[:, j])
            sigma = self._standard_error(row)
            grid = denser(grid, float(np.log(value)), float(np.hypot(sigma, moved)))
        coarse_a, coarse_b = coarse_grid()
        others = self._others(j, coarse_a, coarse_b)
        own_sums = sums(budget, coarse_a, coarse_b)
        on_grid = with_optimum(own_sums, coarse_a, coarse_b, grid[:, None, None]) + others

        def objective(alphas: Array, betas: Array) -> Array:
            s = sums(budget, alphas, betas)
            fixed = with_optimum(s, alphas, betas, grid[:, None])
            return fixed + self._others(j, alphas, betas)

        best, alphas, betas = self._refined(objective, on_grid.reshape(grid.size, -1))
        fixed = slopes_with_optimum(sums(budget, alphas, betas), alphas, betas, grid)
        seeds, (low, high) = self._ends(grid, best, alphas, betas, {j: fixed})
        return OptimumRange(
            own,
            mapped(lambda z: float(np.exp(z + log_reference)), low),
            mapped(lambda z: float(np.exp(z + log_reference)), high),
            None if seeds[0] is None or seeds[1] is None else seeds[1] - seeds[0],
        )

    def _ends(
        self,
        grid: Array,
        best: Array,
        alpha: Array,
        beta: Array,
        fixed: dict[int, tuple[Array, Array]],
    ) -> tuple[Ends, Ends]:
        """Ends of a profile from seeds alone, and from seeds and users.

        Args:
            grid: [k] values of the profiled parameter.
            best: [k] lowest residual sum at each.
            alpha: [k] exponents there.
            beta: [k].
            fixed: (a, b) of budgets in which they aren't free.
        """
        excess = best - best.min()
        seeds = accepted_range(grid, excess, self.limit)
        if self.users is None:
            return seeds, seeds
        theta, pulls = self.solution.parameters, []
        for i, d in enumerate(self.budgets):
            a, b = fixed.get(i) or slopes(sums(d, alpha, beta))
            whole = curve(d, theta[0], theta[1], theta[3 + 3 * i], theta[4 + 3 * i])
            pulls.append(d.weight * (whole - curve(d, alpha, beta, a, b)))
        blurred = with_users(excess, np.concatenate(pulls, axis=1), self.users, self.limit)
        return seeds, accepted_range(grid, blurred, self.limit)

    def _others(self, j: int, alpha: Array, beta: Array) -> Array:
        total = np.zeros(np.broadcast(alpha, beta).shape)
        for i, d in enumerate(self.budgets):
            if i != j:
                total = total + free(sums(d, alpha, beta))
        return total

    def _refined(self, objective: Objective, on_grid: Array) -> tuple[Array, Array, Array]:
        """From the best coarse node or the solver's exponents, whichever starts lower."""
        coarse = np.stack([grid.ravel() for grid in coarse_grid()], axis=1)
        node = np.argmin(on_grid, axis=1)
        solved = np.tile(self.solution.parameters[:2], (node.size, 1))
        there = objective(solved[:, :1], solved[:, 1:])[:, 0]
        lower = there <= on_grid[np.arange(node.size), node]
        start = np.where(lower[:, None], solved, coarse[node])
        return refine(objective, start[:, 0], start[:, 1])

    def _standard_error(self, gradient: Array) -> float:
        spread = max(float(gradient @ self.covariance @ gradient), 0.0)
        return float(np.sqrt(spread * (self.error.value or 0.0)))

    def exponent(self, name: str, index: int, bounds: tuple[float, float]) -> Estimate:
        """An exponent with its profile interval, cut at the bounds; at a bound it is weak."""
        value = float(self.solution.parameters[index])
        if self._absent(index):
            term = ("rising", "falling")[index]
            return nothing("not identified", f"no budget has a {term} term, so {name} is free")
        if self.error.value is None:
            return Estimate(value, None, None, "not identified", self.error.reason)
        seeds, (low, high) = (
            (min(ends[0] or bounds[0], value), max(ends[1] or bounds[1], value))
            for ends in self._exponent_ends(index, bounds)
        )
        said = ""
        if self.users is not None:
            said = share_of_width(seeds[1] - seeds[0], high - low)
        if index in self.solution.at_bound:
            return Estimate(value, low, high, "at bound", f"weak: {name} at its bound {value:.3g}")
        if low == bounds[0] or high == bounds[1]:
            said = f"weak: the interval reaches {name}'s bound"
        return Estimate(value, low, high, "converged", said)

    def _absent(self, index: int) -> bool:
        """Whether the rising (0) or falling (1) term moves no budget's curve noticeably."""
        theta = self.solution.parameters
        for j, d in enumerate(self.budgets):
            power = np.exp((theta[0], -theta[1])[index] * d.log_u)
            if theta[3 + index + 3 * j] * np.ptp(power) > ABSENT * np.ptp(d.y):
                return False
        return True

    def _exponent_ends(self, index: int, bounds: tuple[float, float]) -> tuple[Ends, Ends]:
        value = float(self.solution.parameters[index])
        gradient = np.zeros(self.solution.parameters.size)
        gradient[index] = 1.0 / value
        sigma, moved = self._standard_error(gradient), 0.0
        if self.redrawn is not None:
            moved = users_sd(np.log(self.redrawn.theta[:, index]))
        grid = np.geomspace(*bounds, GRID)
        grid = np.exp(denser(np.log(grid), np.log(value), float(np.hypot(sigma, moved))))
        grid = np.unique(np.clip(grid, *bounds))
        other = np.geomspace(*(BETA_BOUNDS, ALPHA_BOUNDS)[index], GRID)

        def objective(alphas: Array, betas: Array) -> Array:
            return self._others(-1, alphas, betas)

        pairs = np.broadcast_arrays(grid[:, None], other[None, :])
        on_grid = objective(*(pairs if index == 0 else pairs[::-1]))
        start = other[np.argmin(on_grid, axis=1)]
        best, alpha, beta = refine(
            objective,
            *((grid, start) if index == 0 else (start, grid)),
            move=(index == 1, index == 0),
        )
        return self._ends(grid, best, alpha, beta, {})


def optimum_gradient(theta: Array, j: int, log_u: float) -> Array:
    """Gradient of log u* = (log(b beta) - log(a alpha)) / (alpha + beta) by theta."""
    alpha, beta, a, b = (float(theta[i]) for i in (0, 1, 3 + 3 * j, 4 + 3 * j))
    total = alpha + beta
    out = np.zeros(theta.size)
    out[0], out[1] = (-1 / alpha - log_u) / total, (1 / beta - log_u) / total
    out[3 + 3 * j], out[4 + 3 * j] = -1 / (a * total), 1 / (b * total)
    return out


def denser(grid: Array, at: float, sigma: float) -> Array:
    """The grid with points around a value, in units of its standard error."""
    near = at + sigma * np.concatenate([-NEAR, [0.0], NEAR])
    inside = (near > grid[0]) & (near < grid[-1])
    return np.unique(np.concatenate([grid, near[inside]]))
