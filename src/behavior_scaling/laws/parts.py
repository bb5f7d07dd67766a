"""What every axis's fit hands to the driver, and how fitted values return to their own units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from behavior_scaling.laws.arrays import Array, mapped
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.results import CurveFit, Estimate, Status
from behavior_scaling.laws.users import share_of_width, users_sd

CURVE_POINTS = 49


@dataclass(frozen=True)
class BestValue:
    """The fitted curve at its optimum, fitted scale: what a law over compute is fitted to."""

    value: float
    variance: float  # from seeds alone, such that z times its root is the t interval's half-width
    redrawn: Array | None  # [replicates] under redrawn users


@dataclass(frozen=True)
class AxisParts:
    """The curves of an axis and what is said over budgets."""

    curves: tuple[CurveFit, ...]
    exponents: dict[str, Estimate]
    notes: tuple[str, ...] = ()
    best: tuple[BestValue | None, ...] = ()  # of each curve; None where it has no optimum


def nothing(status: Status, reason: str) -> Estimate:
    """An estimate without a value."""
    return Estimate(None, None, None, status, reason)


def carried(
    estimate: Estimate, function: Callable[[float], float], *, rising: bool = True
) -> Estimate:
    """A monotone function of an estimate, carried over to its interval or one-sided bound."""
    value, low, high = (
        mapped(function, part) for part in (estimate.value, estimate.low, estimate.high)
    )
    if not rising:
        low, high = high, low
    return Estimate(value, low, high, estimate.status, estimate.reason)


def users_part(
    optimum: Estimate, seeds: float | None, redrawn: Array | None
) -> dict[str, Estimate]:
    """{'users_sd': sd of log x* over redrawn users}; empty without user sums.

    Args:
        optimum: log x* with its interval from seeds and users.
        seeds: width of the interval from seeds alone; None where an end is open.
        redrawn: [replicates] log x* refitted for each redraw of the users.
    """
    if redrawn is None:
        return {}
    if optimum.value is None or optimum.status != "converged":
        return {"users_sd": nothing(optimum.status, optimum.reason)}
    reason = f"of log x* over {redrawn.size} redraws of the users"
    total = width(optimum)
    if seeds is not None and total is not None:
        reason += f"; {share_of_width(seeds, total)}"
    return {"users_sd": Estimate(users_sd(redrawn), None, None, "converged", reason)}


def width(estimate: Estimate) -> float | None:
    """High less low; None where an end is open."""
    if estimate.low is None or estimate.high is None:
        return None
    return estimate.high - estimate.low


def exponential(estimate: Estimate) -> Estimate:
    """An estimate of log x as one of x."""
    return carried(estimate, lambda z: float(np.exp(z)))


def in_own_unit(data: CurveData, value: Estimate) -> Estimate:
    """A value on the fitted scale, back in the metric's own unit."""
    ends = [mapped(data.transform.own_unit, part) for part in (value.low, value.high)]
    if ends[0] is not None and ends[1] is not None:
        ends.sort()
    own = mapped(data.transform.own_unit, value.value)
    return Estimate(own, ends[0], ends[1], value.status, value.reason)


def log_grid(data: CurveData) -> Array:
    """Points for drawing a fitted curve, from the first cell to the last."""
    return np.linspace(np.log(data.x[0]), np.log(data.x[-1]), CURVE_POINTS)


def drawn(data: CurveData, x: Array, y: Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A fitted curve (x in own unit, y on the fitted scale) in own units, as plain tuples."""
    own = data.transform.inverse(y)
    return tuple(float(v) for v in x), tuple(float(v) for v in own)


def excluded(data: CurveData, points: int) -> Estimate | None:
    """Why a curve takes no part in a joint fit; None if it does."""
    if data.points < points:
        reason = f"{data.points} distinct values of x; the law needs {points}"
        return nothing("too few points", reason)
    if data.constant:
        return nothing("not identified", "the metric is constant over the cells")
    return None


def unfitted(data: CurveData, missing: Estimate) -> CurveFit:
    """A curve that was counted and not fitted."""
    return CurveFit(data.budget, data.runs, data.cells, missing, missing, {}, (), (), data.noise_sd)
