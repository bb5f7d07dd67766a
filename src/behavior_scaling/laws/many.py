"""Many bounded fits at once: robust nonlinear least squares over starts and resamples.

Choices: every problem is a row of arrays, so that one pass of numpy serves thousands of starts or
bootstrap resamples; a damped Newton step on the exact Hessian of the (Huber) objective where that
Hessian is positive definite, a Levenberg-Marquardt step on the reweighted Gauss-Newton matrix
elsewhere; bounds by projection (Bertsekas, SIAM J. Control Optim. 20, 1982): a parameter at a
bound whose gradient points outward leaves the step. The matrix is scaled by its diagonal, and a
problem has converged when the decrease that its own quadratic model still promises is below a
fixed share of its objective, whatever Huber's delta and the unit; where no step gains anything, it
has converged only if a scarcely damped one promises next to nothing. Rows never touch one another:
a result depends on its neighbours by no more than the rounding of matrix products.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError
from behavior_scaling.laws.many_law import Model

Rows = npt.NDArray[np.int64]

BLOCK = 30_000  # entries of a [rows, points] array that are worked on at once (stays in cache)
THREADS = 2
TOLERANCE = 1e-14  # of the objective: a smaller promised decrease is convergence
STUCK = 1e-8  # of the objective: where no step gains, a larger promise is no convergence
ROUNDING = 1e-14  # of the largest |y|: residuals that double precision cannot tell from none
FLAT = 1e-12  # of the largest eigenvalue: below it the exact Hessian is not used
DAMPING = (1e-11, 1e-3, 1e12)  # least, first, largest


@dataclass(frozen=True)
class Many:
    """Solutions of r problems."""

    parameters: Array  # [r, p]
    objective: Array  # [r] sum of w r^2 / 2 or of w Huber(r); inf where a start was not finite
    converged: npt.NDArray[np.bool_]  # [r]
    iterations: Rows  # [r]


def minimise_many(
    model: Model,
    y: npt.ArrayLike,
    starts: npt.ArrayLike,
    lower: npt.ArrayLike,
    upper: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    delta: float | None = None,
    newton: bool = True,
    tolerance: float = TOLERANCE,
    max_iterations: int = 200,
) -> Many:
    """Minimise sum_i w_i rho(value_i - y_i) within bounds, once for each row of starts.

    Args:
        model: the law; every row shares its points.
        y: [n] or [r, n] observations on the fitted scale.
        starts: [r, p]; moved into the bounds.
        lower: [p], -inf allowed.
        upper: [p], inf allowed.
        weights: [n] or [r, n], not negative (bootstrap counts, inverse variances); 1 if None.
        delta: Huber's threshold in units of y; None for least squares (rho = r^2 / 2).
        newton: whether the exact Hessian may be used; without it steps go further from a poor
            start and converge more slowly at the end.
        tolerance: share of the objective whose promised decrease counts as convergence.
        max_iterations: steps tried per row.

    Raises:
        LawsError: shapes do not fit, bounds cross, a weight is negative or not finite, or delta
            is not positive and finite.
    """
    points = np.atleast_2d(np.asarray(starts, dtype=np.float64))
    low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
    _check(points, low, high, delta)
    rows = points.shape[0]
    observed = np.atleast_2d(np.asarray(y, dtype=np.float64))
    weight = np.ones((1, observed.shape[1])) if weights is None else np.atleast_2d(weights)
    weight = np.asarray(weight, dtype=np.float64)
    for name, array in (("y", observed), ("weights", weight)):
        if array.shape[0] not in (1, rows) or array.shape[1] != observed.shape[1]:
            raise LawsError(f"{name}: shape {array.shape} for {rows} starts")
    if not np.all((weight >= 0) & (weight < np.inf)):
        raise LawsError("weights: every one must be finite and not negative")

    def solved(block: Rows) -> Many:
        part_y = observed if observed.shape[0] == 1 else observed[block]
        part_w = weight if weight.shape[0] == 1 else weight[block]
        fit = _Block(model, part_y, part_w, low, high, delta, newton, tolerance)
        return fit.run(np.clip(points[block], low, high), max_iterations)

    size = max(1, BLOCK // max(1, observed.shape[1]))
    blocks = [np.arange(first, min(first + size, rows)) for first in range(0, rows, size)]
    if len(blocks) == 1:
        return solved(blocks[0])
    with ThreadPoolExecutor(THREADS) as pool:
        parts = [vars(part) for part in pool.map(solved, blocks)]
    return Many(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _check(points: Array, low: Array, high: Array, delta: float | None) -> None:
    if points.size == 0:
        raise LawsError("starts: none")
    if points.ndim != 2 or low.shape != (points.shape[1],) or high.shape != low.shape:
        raise LawsError(f"starts {points.shape}, lower {low.shape}, upper {high.shape}: no fit")
    for index in np.flatnonzero(~(low < high)):
        raise LawsError(f"bounds of parameter {index}: {low[index]} is not below {high[index]}")
    if delta is not None and not 0 < delta < np.inf:
        raise LawsError(f"delta: {delta!r} is not positive and finite")


@dataclass
class _Local:
    """Objective, gradient and the two candidate matrices at the present parameters."""

    objective: Array  # [r]
    gradient: Array  # [r, p]
    gauss_newton: Array  # [r, p, p] positive semidefinite
    exact: Array | None  # [r, p, p]

    def take(self, keep: npt.NDArray[np.bool_]) -> _Local:
        exact = None if self.exact is None else self.exact[keep]
        return _Local(self.objective[keep], self.gradient[keep], self.gauss_newton[keep], exact)

    def put(self, where: npt.NDArray[np.bool_], other: _Local) -> None:
        self.objective[where] = other.objective[where]
        self.gradient[where] = other.gradient[where]
        self.gauss_newton[where] = other.gauss_newton[where]
        if self.exact is not None and other.exact is not None:
            self.exact[where] = other.exact[where]


@dataclass(frozen=True)
class _Block:
    """Problems that are solved together."""

    model: Model
    y: Array  # [1 or r, n]
    weight: Array  # [1 or r, n]
    low: Array
    high: Array
    delta: float | None
    newton: bool
    tolerance: float

    def run(self, theta: Array, max_iterations: int) -> Many:
        rows = theta.shape[0]
        out = Many(
            theta.copy(),
            np.full(rows, np.inf),
            np.zeros(rows, dtype=np.bool_),
            np.zeros(rows, dtype=np.int64),
        )
        here = self._local(theta, slice(None))
        alive = np.isfinite(here.objective)
        active = np.flatnonzero(alive)
        theta, here = theta[active], here.take(alive)
        damping = np.full(active.size, DAMPING[1])
        unit = ROUNDING * np.max(np.abs(self.y), axis=1)
        least = np.broadcast_to(np.sum(self.weight, axis=1) * unit * unit, (rows,))[active]
        done = 0
        while active.size and done < max_iterations:
            step, promise = self._step(theta, here, damping)
            done += 1
            settled = promise <= self.tolerance * here.objective + least
            trial = np.minimum(np.maximum(theta + step, self.low), self.high)
            there = self._local(trial, active)
            gain = here.objective - there.objective
            better = gain > 0
            ratio = np.divide(gain, promise, out=np.zeros_like(gain), where=promise > 0)
            if better.all():
                theta, here = trial, there
            elif better.any():
                theta[better] = trial[better]
                here.put(better, there)
            factor = np.where(ratio > 0.75, 0.1, np.where(ratio > 0.25, 0.5, 4.0))
            damping = np.maximum(damping * factor, DAMPING[0])
            finished = settled | (damping > DAMPING[2])
            if finished.any():
                keep, gone, end = ~finished, active[finished], here.take(finished)
                out.parameters[gone], out.objective[gone] = theta[finished], end.objective
                out.iterations[gone] = done
                out.converged[gone] = self._arrived(
                    theta[finished], end, damping[finished], least[finished]
                )
                active, theta, damping, least = (
                    part[keep] for part in (active, theta, damping, least)
                )
                here = here.take(keep)
        out.parameters[active], out.objective[active] = theta, here.objective
        out.iterations[active] = done
        return out

    def _arrived(
        self, theta: Array, here: _Local, damping: Array, least: Array
    ) -> npt.NDArray[np.bool_]:
        """Whether rows that ended are at a minimum: unless no step gained and a light one would."""
        arrived = np.ones(damping.size, dtype=np.bool_)
        stuck = damping > 1.0
        if stuck.any():
            light = np.full(int(stuck.sum()), DAMPING[1])
            _, promise = self._step(theta[stuck], here.take(stuck), light)
            arrived[stuck] = promise <= STUCK * here.objective[stuck] + least[stuck]
        return arrived

    def _local(self, theta: Array, rows: Rows | slice) -> _Local:
        y = self.y if self.y.shape[0] == 1 else self.y[rows]
        weight = self.weight if self.weight.shape[0] == 1 else self.weight[rows]
        with np.errstate(all="ignore"):
            law = self.model.evaluate(theta)
            residual = law.values - y
            cost = 0.5 * residual * residual
            if self.delta is None:
                pull = weight * residual
                square = inner = np.empty_like(residual)
                square[:] = weight
            else:
                size = np.abs(residual)
                inside = size <= self.delta
                share = np.minimum(1.0, self.delta / np.maximum(size, self.delta))
                outer = self.delta * (size - 0.5 * self.delta)
                cost = np.where(inside, cost, outer)
                pull = weight * (residual * share)
                square, inner = weight * share, weight * inside
            objective = (weight * cost).sum(axis=1)
            objective[~np.isfinite(objective)] = np.inf
            gradient = law.gradient(pull)
            gauss_newton = law.gram(square)
            exact = law.hessian(inner, pull) if self.newton else None
        return _Local(objective, gradient, gauss_newton, exact)

    def _step(self, theta: Array, here: _Local, damping: Array) -> tuple[Array, Array]:
        """The step of every row and the decrease that its quadratic model promises."""
        pinned = ((theta <= self.low) & (here.gradient > 0)) | (
            (theta >= self.high) & (here.gradient < 0)
        )
        diagonal = here.gauss_newton.diagonal(axis1=1, axis2=2)
        largest = np.maximum(diagonal.max(axis=1, keepdims=True), 1e-300)
        scale = 1.0 / np.sqrt(np.maximum(diagonal, 1e-20 * largest))
        scale[pinned] = 0.0
        slope = here.gradient * scale
        outer = scale[:, :, None] * scale[:, None, :]
        one = np.eye(theta.shape[1])
        rest = pinned[:, :, None] * one
        matrix = here.gauss_newton * outer + rest
        if here.exact is None:
            step = _damped(matrix, slope, damping, one)
        else:
            exact = here.exact * outer + rest
            good = np.all(np.isfinite(exact), axis=(1, 2))
            values, vectors = np.linalg.eigh(np.where(good[:, None, None], exact, matrix))
            good &= values[:, 0] > FLAT * values[:, -1]
            turned = (slope[:, None, :] @ vectors)[:, 0, :]
            length = turned / (np.where(good[:, None], values, 1.0) + damping[:, None])
            step = (vectors @ length[:, :, None])[:, :, 0]
            if not good.all():
                bad = ~good
                step[bad] = _damped(matrix[bad], slope[bad], damping[bad], one)
        # The model's decrease at x with (M + mu) x = g is (g x + mu x x) / 2.
        promise = 0.5 * (step * (slope + damping[:, None] * step)).sum(axis=1)
        return -step * scale, np.maximum(promise, 0.0)


def _damped(matrix: Array, slope: Array, damping: Array, one: Array) -> Array:
    """Solution of (M + mu) x = g for each row; M is positive semidefinite of unit diagonal."""
    lifted = matrix + damping[:, None, None] * one
    return np.asarray(np.linalg.solve(lifted, slope[:, :, None])[:, :, 0])
