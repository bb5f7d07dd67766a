"""Profile likelihoods of the two-term law: every budget's optimum, and the shared exponents.

Choices: noise weights the budgets against each other (the median level where one has none); for
each value on a profile's grid the best exponents are found anew, from the best node of a coarse
grid or the solver's minimum, by Newton steps; the grid is densest around the estimate, in units
of its Gauss-Newton standard error. An optimum is sought up to one whole span of the cells beyond
either end, so that a monotone curve still yields a one-sided bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from behavior_scaling.laws.arrays import Array, accepted_range, mapped, t_quantile
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.noise import ErrorVariance, NoiseLevel, error_variance
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.solver import Solution
from behavior_scaling.laws.two_term_grid import (
    ALPHA_BOUNDS,
    BETA_BOUNDS,
    GRID,
    Budget,
    Objective,
    coarse_grid,
    free,
    refine,
    sums,
    with_optimum,
)
from behavior_scaling.laws.two_term_joint import closed_form_optimum, fit_joint, jacobian

OPTIMA = 49
ABSENT = 1e-6  # of a curve's range: a term below it is rounding
NEAR = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0])  # standard errors


@dataclass(frozen=True)
class OptimumRange:
    """What the profile of one budget's optimum says, in own units of x."""

    value: float | None  # closed form; None where a term is absent
    low: float | None  # None: no lower limit within the range searched
    high: float | None


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
    matrix = jacobian(theta, budgets)
    covariance = np.asarray(np.linalg.pinv(matrix.T @ matrix), dtype=np.float64)
    search = _Search(budgets, solution, rss, covariance, error)
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


def lowest_free(budgets: Sequence[Budget], start: Array) -> float:
    """Least residual sum of the law over some budgets, any exponents."""

    def objective(alphas: Array, betas: Array) -> Array:
        return np.asarray(np.sum([free(sums(d, alphas, betas)) for d in budgets], axis=0))

    alpha, beta = coarse_grid()
    node = np.unravel_index(int(np.argmin(objective(alpha, beta))), alpha.shape)
    starts = np.array([[alpha[node], beta[node]], [start[0], start[1]]])
    return float(refine(objective, starts[:, 0], starts[:, 1]).min())


@dataclass(frozen=True)
class _Search:
    """The profile searches around one joint fit."""

    budgets: tuple[Budget, ...]
    solution: Solution
    rss: float
    covariance: Array
    error: ErrorVariance  # known wherever a search starts

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
            return OptimumRange(own, None, None)
        first, last = float(budget.log_u.min()), float(budget.log_u.max())
        grid = np.linspace(2 * first - last, 2 * last - first, OPTIMA)
        if value is not None and grid[0] < np.log(value) < grid[-1]:
            row = _optimum_gradient(theta, j, float(np.log(value)))
            grid = denser(grid, float(np.log(value)), self._standard_error(row))
        coarse_a, coarse_b = coarse_grid()
        others = self._others(j, coarse_a, coarse_b)
        own_sums = sums(budget, coarse_a, coarse_b)
        on_grid = with_optimum(own_sums, coarse_a, coarse_b, grid[:, None, None]) + others

        def objective(alphas: Array, betas: Array) -> Array:
            s = sums(budget, alphas, betas)
            fixed = with_optimum(s, alphas, betas, grid[:, None])
            return fixed + self._others(j, alphas, betas)

        best = self._refined(objective, on_grid.reshape(grid.size, -1))
        low, high = accepted_range(grid, best - best.min(), self.limit)
        return OptimumRange(
            own,
            mapped(lambda z: float(np.exp(z + log_reference)), low),
            mapped(lambda z: float(np.exp(z + log_reference)), high),
        )

    def _others(self, j: int, alpha: Array, beta: Array) -> Array:
        total = np.zeros(np.broadcast(alpha, beta).shape)
        for i, d in enumerate(self.budgets):
            if i != j:
                total = total + free(sums(d, alpha, beta))
        return total

    def _refined(self, objective: Objective, on_grid: Array) -> Array:
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
        low, high = (None, None) if self.error.value is None else self._ends(index, bounds)
        low, high = mapped(lambda v: min(v, value), low), mapped(lambda v: max(v, value), high)
        if index in self.solution.at_bound:
            return Estimate(value, low, high, "at bound", f"weak: {name} at its bound {value:.3g}")
        cut = low == bounds[0] or high == bounds[1]
        weak = f"weak: the interval reaches {name}'s bound" if cut else ""
        return Estimate(value, low, high, "converged", weak)

    def _absent(self, index: int) -> bool:
        """Whether the rising (0) or falling (1) term moves no budget's curve noticeably."""
        theta = self.solution.parameters
        for j, d in enumerate(self.budgets):
            power = np.exp((theta[0], -theta[1])[index] * d.log_u)
            if theta[3 + index + 3 * j] * np.ptp(power) > ABSENT * np.ptp(d.y):
                return False
        return True

    def _ends(self, index: int, bounds: tuple[float, float]) -> tuple[float, float]:
        value = float(self.solution.parameters[index])
        gradient = np.zeros(self.solution.parameters.size)
        gradient[index] = 1.0 / value
        grid = np.geomspace(*bounds, GRID)
        grid = np.exp(denser(np.log(grid), np.log(value), self._standard_error(gradient)))
        grid = np.unique(np.clip(grid, *bounds))
        other = np.geomspace(*(BETA_BOUNDS, ALPHA_BOUNDS)[index], GRID)

        def objective(alphas: Array, betas: Array) -> Array:
            return self._others(-1, alphas, betas)

        pairs = np.broadcast_arrays(grid[:, None], other[None, :])
        on_grid = objective(*(pairs if index == 0 else pairs[::-1]))
        start = other[np.argmin(on_grid, axis=1)]
        best = refine(
            objective,
            *((grid, start) if index == 0 else (start, grid)),
            move=(index == 1, index == 0),
        )
        low, high = accepted_range(grid, best - best.min(), self.limit)
        return low or bounds[0], high or bounds[1]


def _optimum_gradient(theta: Array, j: int, log_u: float) -> Array:
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
