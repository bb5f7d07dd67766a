"""Bounded nonlinear least squares, plain or Huber, with exact Jacobians and many starts.

Choices: scipy's trust-region reflective method on residuals divided by their scale, so that its
tolerances mean the same for a loss in nats and for log residuals under a Huber delta of 1e-3
(published scaling fits stopped short of their minimum for want of this); the Jacobian is always
the caller's, never a finite difference; the share of starts that reach the best minimum is
reported, because a law whose minimum only one start in fifty finds deserves a second look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError, vector
from behavior_scaling.laws.results import Status

Residuals = Callable[[Array], Array]
Jacobian = Callable[[Array], Array]
AT_BOUND = 1e-6  # of the distance between the bounds, or of 1 + |bound| where one is infinite
SAME_MINIMUM = 1e-6  # relative


@dataclass(frozen=True)
class Solution:
    """The best of several starts."""

    parameters: Array  # [p]
    objective: float  # sum of r^2 / 2, or of Huber(delta), in the residuals' own unit
    status: Status  # "converged", "at bound" or "max iterations"
    at_bound: tuple[int, ...]  # indices of the parameters at a bound
    best_share: float  # of starts that reached this objective
    starts: int


def minimise(
    residuals: Residuals,
    jacobian: Jacobian,
    starts: npt.ArrayLike,
    lower: npt.ArrayLike,
    upper: npt.ArrayLike,
    *,
    delta: float | None = None,
    scale: float | None = None,
    max_iterations: int = 500,
) -> Solution:
    """Minimise the sum of squares (or of Huber's function) of residuals within bounds.

    Args:
        residuals: parameters [p] -> residuals [n].
        jacobian: parameters [p] -> derivatives [n, p].
        starts: [s, p]; moved just inside the bounds.
        lower: [p] bounds, -inf allowed.
        upper: [p] bounds, inf allowed.
        delta: Huber's threshold in the residuals' unit; None for least squares.
        scale: typical size of a residual; delta, or the root mean square at the first start.
        max_iterations: of residual evaluations per start.

    Raises:
        LawsError: bounds cross, or shapes do not fit, or no start has finite residuals.
    """
    from scipy import optimize  # half of this package's import time, and not every law needs it

    points = np.atleast_2d(np.asarray(starts, dtype=np.float64))
    low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
    if points.shape[1] != low.size or low.size != high.size:
        raise LawsError(f"starts {points.shape}, lower {low.shape}, upper {high.shape}: no fit")
    if not np.all(low < high):
        index = int(np.flatnonzero(~(low < high))[0])
        raise LawsError(f"bounds of parameter {index}: {low[index]} is not below {high[index]}")
    if delta is not None and not delta > 0:
        raise LawsError(f"delta: {delta!r} is not positive")
    points = np.clip(points, low, high)
    unit = scale or delta or _root_mean_square(residuals(points[0]))

    def scaled(theta: Array) -> Array:
        return residuals(theta) / unit

    def scaled_jacobian(theta: Array) -> Array:
        return jacobian(theta) / unit

    found: list[tuple[float, bool, Array]] = []
    for point in points:
        if not np.all(np.isfinite(residuals(point))):
            continue
        fit = optimize.least_squares(
            scaled,
            point,
            jac=scaled_jacobian,
            bounds=(low, high),
            method="trf",
            loss="linear" if delta is None else "huber",
            f_scale=1.0 if delta is None else delta / unit,
            x_scale="jac",
            ftol=1e-13,
            xtol=1e-13,
            gtol=1e-13,
            max_nfev=max_iterations,
        )
        found.append((float(fit.cost) * unit**2, fit.status == 0, vector(fit.x, "parameters")))
    if not found:
        raise LawsError("residuals: not finite at any start")
    objective, exhausted, best = min(found, key=lambda item: item[0])
    reach = objective + SAME_MINIMUM * abs(objective) + 1e-18 * unit**2
    bound = _at_bound(best, low, high)
    status: Status = "max iterations" if exhausted else "at bound" if bound else "converged"
    share = float(np.mean([item[0] <= reach for item in found]))
    return Solution(best, objective, status, bound, share, len(found))


def _root_mean_square(values: Array) -> float:
    size = float(np.sqrt(np.mean(values**2))) if np.all(np.isfinite(values)) else 1.0
    return size if size > 0 else 1.0


def _at_bound(theta: Array, low: Array, high: Array) -> tuple[int, ...]:
    finite = np.isfinite(low) & np.isfinite(high)
    span = np.where(finite, high - low, 1.0)
    near = np.zeros(theta.size, dtype=bool)
    for bound in (low, high):
        size = np.where(finite, span, 1.0 + np.where(np.isfinite(bound), np.abs(bound), 0.0))
        near |= np.isfinite(bound) & (np.abs(theta - bound) <= AT_BOUND * size)
    return tuple(int(i) for i in np.flatnonzero(near))
