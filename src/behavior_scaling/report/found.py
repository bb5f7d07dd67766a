"""Our side of a claim as an object, and the rules that every estimator shares.

Choices: where several budgets were measured the converged one nearest to the claim's stands for the
level, and all of them are shown as the trend; a ratio of two optima takes their intervals as
independent on the log scale, which overstates its width, because both come from the same runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from behavior_scaling.laws.results import AxisFit, Estimate
from behavior_scaling.report.claims_file import Claim, load_claims
from behavior_scaling.report.inputs import Origin, Results
from behavior_scaling.report.verdict import Range

ARM_ORDER = ("", "clean", "as_paper", "uniform", "popular")  # which arm answers, if several do
Value = tuple[float, Estimate, str]  # budget, estimate, key in the laws file


@dataclass(frozen=True)
class Found:
    """Our side of a claim: the estimate judged, all budgets' values, and where they stand."""

    estimate: Estimate | None
    budgets: Range | None
    at: float | None = None  # the budget of the estimate, for levels
    trend: tuple[tuple[float, Estimate], ...] = ()
    flags: tuple[str, ...] = ()
    origin: Origin | None = None
    reason: str = ""
    second: Found | None = None  # the axis alone, where the joint surface answers


def log_ratio(first: Estimate, second: Estimate) -> Estimate:
    """The ratio of two estimates, with the intervals combined in quadrature on the log scale."""
    for one in (first, second):
        if one.status != "converged":
            return Estimate(None, None, None, one.status, one.reason)
    numbers = [v for one in (first, second) for v in (one.value, one.low, one.high)]
    if any(value is None or value <= 0 for value in numbers):
        return Estimate(
            None, None, None, "not identified", "an interval is missing or not positive"
        )
    a, a_low, a_high, b, b_low, b_high = [math.log(v) for v in numbers if v is not None]
    low = math.hypot(a - a_low, b_high - b)
    high = math.hypot(a_high - a, b - b_low)
    middle = a - b
    return Estimate(math.exp(middle), math.exp(middle - low), math.exp(middle + high), "converged")


def difference(first: Estimate, second: Estimate) -> Estimate:
    """The difference of two exponents of one fit, as wide as if they moved in opposite ways.

    So it is exact for N* and D*, whose product follows C, and too wide for any other pair.
    """
    for one in (first, second):
        if one.status != "converged":
            return Estimate(None, None, None, one.status, one.reason)
    a, a_low, a_high = first.value, first.low, first.high
    b, b_low, b_high = second.value, second.low, second.high
    if a is None or b is None:
        return Estimate(None, None, None, "not identified", "a value is missing")
    if a_low is None or a_high is None or b_low is None or b_high is None:
        return Estimate(a - b, None, None, "converged", "an interval is missing")
    return Estimate(a - b, a_low - b_high, a_high - b_low, "converged")


def change(first: Estimate, second: Estimate) -> Estimate:
    """How far two independent estimates lie apart, whichever is larger: zero or more."""
    for one in (first, second):
        if one.status != "converged":
            return Estimate(None, None, None, one.status, one.reason)
    numbers = [v for one in (first, second) for v in (one.value, one.low, one.high)]
    if any(value is None for value in numbers):
        return Estimate(None, None, None, "not identified", "an interval is missing")
    a, a_low, a_high, b, b_low, b_high = [v for v in numbers if v is not None]
    low = a - b - math.hypot(a - a_low, b_high - b)
    high = a - b + math.hypot(a_high - a, b - b_low)
    ends = sorted((abs(low), abs(high)))
    return Estimate(abs(a - b), 0.0 if low <= 0 <= high else ends[0], ends[1], "converged")


def fit_flags(fits: list[AxisFit]) -> tuple[str, ...]:
    """What the fits' curves are flagged with."""
    return tuple(sorted({flag for fit in fits for curve in fit.curves for flag in curve.flags}))


def study_flags(results: Results, axis: str) -> tuple[str, ...]:
    """What holds of an axis' models whatever is computed from them."""
    known = fit_flags([located.fit for located in results.fits if located.fit.axis == axis])
    return tuple(flag for flag in known if flag == "pre-bigram")


def nearest(
    values: list[Value],
    budgets: Range | None,
    claim: Claim,
    flags: tuple[str, ...],
    file: str,
) -> Found:
    """The converged value whose budget is nearest to the claim's; all of them are the trend."""
    if not values:
        return Found(None, None, reason="no curve gives this value")
    target = math.log(load_claims().budgets_of(claim)[0])
    identified = [item for item in values if item[1].status == "converged"] or values
    at, estimate, key = min(identified, key=lambda item: abs(math.log(max(item[0], 1.0)) - target))
    trend = tuple((budget, value) for budget, value, _ in values)
    return Found(estimate, budgets, at or None, trend, flags, Origin(file, key))


def span_of(budgets: list[float]) -> Range | None:
    """Smallest and largest; None of none."""
    return (min(budgets), max(budgets)) if budgets else None
