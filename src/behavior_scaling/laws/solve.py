"""One law, one data set, many starts: the best minimum, and how sure one may be that it is one.

Choices: all starts first go down the least-squares objective, then the one that was asked for, by
Gauss-Newton steps, which travel furthest (on a scout of some 64 points first, where there are
many), and end with Newton steps; starts whose predictions have come together are followed once and
counted as often as they are; every 50th start goes down the robust objective from its first step,
too, so that outliers cannot hide a better minimum. The share of starts that reach the best minimum
and the condition number of the scaled Jacobian there are part of the result: a minimum that one
start in fifty finds, or one that moves along a valley, deserves a second look.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError
from behavior_scaling.laws.many import Many, minimise_many
from behavior_scaling.laws.many_law import Model
from behavior_scaling.laws.results import Status

AT_BOUND = 1e-6  # of the distance between the bounds, or of 1 + |bound| where one is infinite
SAME_MINIMUM = 1e-6  # relative
TOGETHER = 1e-2  # of the residuals' root mean square: predictions that count as the same
DIRECT = 50  # every so many starts also goes down the objective asked for from the first step
SCOUT = 64  # points of a scout
LAST = 500  # steps of the last leg


@dataclass(frozen=True)
class Leg:
    """One part of the way; starts that have come together at its end go on as one."""

    steps: int
    tolerance: float
    scout: bool = False  # on the scout, where there is one
    robust: bool = False  # the objective asked for; else least squares
    direct: bool = False  # the direct starts join at its end


LEGS = (
    Leg(60, 1e-7, scout=True),
    Leg(40, 1e-8, direct=True),
    Leg(40, 1e-10, robust=True),
)


@dataclass(frozen=True, eq=False)
class Scout:
    """A law over some of the points."""

    model: Model
    rows: npt.NDArray[np.int64]  # which points


@dataclass(frozen=True)
class Solution:
    """The best of several starts."""

    parameters: Array  # [p]
    objective: float  # sum of w r^2 / 2, or of w Huber(r), in the residuals' own unit
    status: Status  # "converged", "at bound" or "max iterations"
    at_bound: tuple[int, ...]  # indices of the parameters at a bound
    best_share: float  # of starts that reached this objective
    starts: int
    condition: float  # of the Jacobian with columns of unit length, free parameters only


def solve(
    model: Model,
    y: npt.ArrayLike,
    starts: npt.ArrayLike,
    lower: npt.ArrayLike,
    upper: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    delta: float | None = None,
    scout: Scout | None = None,
) -> Solution:
    """Minimise sum_i w_i rho(value_i - y_i) within bounds from many starts.

    Args:
        model: the law over n points.
        y: [n] observations on the fitted scale.
        starts: [s, p]; moved into the bounds.
        lower: [p], -inf allowed.
        upper: [p], inf allowed.
        weights: [n], not negative; 1 if None.
        delta: Huber's threshold in units of y; None for least squares.
        scout: the same law over some of the points, for the first leg.

    Raises:
        LawsError: shapes do not fit, bounds cross, delta is not positive, or the objective is
            finite at no start.
    """
    points = np.atleast_2d(np.asarray(starts, dtype=np.float64))
    observed = np.asarray(y, dtype=np.float64)
    weight = np.ones(observed.size) if weights is None else np.asarray(weights, dtype=np.float64)
    whole = Scout(model, np.arange(observed.size))

    bounds = (lower, upper)
    theta, member = points, np.arange(len(points))
    for leg in LEGS:
        on = scout if scout is not None and leg.scout else whole
        part = minimise_many(
            on.model, observed[on.rows], theta, *bounds,
            weights=weight[on.rows], delta=delta if leg.robust else None,
            newton=False, tolerance=leg.tolerance, max_iterations=leg.steps,
        )  # fmt: skip
        theta, member = _together(on, part, member)
        if leg.direct and delta is not None:
            direct = points[::DIRECT]
            member = np.concatenate([member, len(theta) + np.arange(len(direct))])
            theta = np.concatenate([theta, direct])
    last = minimise_many(
        model, observed, theta, *bounds, weights=weight, delta=delta, max_iterations=LAST
    )
    found, objective, converged = last.parameters, last.objective, last.converged
    if not np.isfinite(objective).any():
        raise LawsError("residuals: not finite at any start")
    best = int(np.argmin(objective))
    low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
    bound = _at_bound(found[best], low, high)
    reached = objective <= objective[best] * (1 + SAME_MINIMUM) + _rounding(observed, weight)
    hits, direct_hits = np.split(reached[member], [len(points)])
    hits[: len(direct_hits) * DIRECT : DIRECT] |= direct_hits
    status: Status = "at bound" if bound else "converged"
    return Solution(
        found[best],
        float(objective[best]),
        status if converged[best] else "max iterations",
        bound,
        float(np.mean(hits)),
        len(points),
        condition(model, found[best], weight, bound),
    )


def condition(model: Model, theta: Array, weight: Array, at_bound: tuple[int, ...] = ()) -> float:
    """Condition number of the weighted Jacobian, columns scaled to unit length; inf if singular."""
    free = np.setdiff1d(np.arange(theta.size), at_bound)
    if free.size == 0:
        return float("inf")
    values = np.linalg.eigvalsh(scaled_gram(model, theta, weight)[np.ix_(free, free)])
    return float(np.sqrt(values[-1] / values[0])) if values[0] > 0 else float("inf")


def scaled_gram(model: Model, theta: Array, weight: Array) -> Array:
    """[p, p] J^T W J of columns of unit length; a column of zeros stays one."""
    gram = model.evaluate(theta[None, :]).gram(weight[None, :])[0]
    size = np.sqrt(np.diag(gram))
    size = np.where(size > 0, size, 1.0)
    return np.asarray(gram / np.outer(size, size))


def _rounding(y: Array, weight: Array) -> float:
    """An objective that double precision cannot tell from none."""
    return float(np.sum(weight)) * (1e-14 * max(float(np.max(np.abs(y))), 1e-300)) ** 2


def _together(
    on: Scout, found: Many, member: npt.NDArray[np.int64]
) -> tuple[Array, npt.NDArray[np.int64]]:
    """One row for all whose predictions agree, and the row that each start now belongs to."""
    unit = TOGETHER * np.sqrt(2 * max(float(np.min(found.objective)), 0.0) / on.rows.size)
    if not 0 < unit < np.inf:
        return found.parameters, member
    with np.errstate(all="ignore"):
        values = on.model.evaluate(found.parameters).values[:, :: max(1, on.rows.size // 32)]
        near = np.nan_to_num(np.clip(values / unit, -1e15, 1e15), nan=1e16)
    keys = np.round(near).astype(np.int64)
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return found.parameters[first], np.asarray(group.reshape(-1))[member]


def scout_rows(*columns: Array) -> npt.NDArray[np.int64] | None:
    """Rows of a scout, spread over the order of the columns; None where there are few points."""
    size = columns[0].size
    if size < 2 * SCOUT:
        return None
    order = np.lexsort(columns[::-1])
    return np.sort(order[np.linspace(0, size - 1, SCOUT).astype(np.int64)])


def _at_bound(theta: Array, low: Array, high: Array) -> tuple[int, ...]:
    finite = np.isfinite(low) & np.isfinite(high)
    span = np.where(finite, high - low, 1.0)
    near = np.zeros(theta.size, dtype=bool)
    for bound in (low, high):
        size = np.where(finite, span, 1.0 + np.where(np.isfinite(bound), np.abs(bound), 0.0))
        near |= np.isfinite(bound) & (np.abs(theta - bound) <= AT_BOUND * size)
    return tuple(int(i) for i in np.flatnonzero(near))
