"""Our side of a claim: which estimate answers it, over which budgets, and where it stands.

Choices: a claim names its estimate by axis, metric and key, so that nothing is matched by hand;
where several budgets were measured the converged one nearest to the claim's stands for the level,
and all of them are shown as the trend; a ratio of two optima takes their intervals as independent
on the log scale, which overstates its width, because both come from the same runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from behavior_scaling.laws.results import AxisFit, CurveFit, Estimate
from behavior_scaling.report.claims_file import Claim, Ours, load_claims
from behavior_scaling.report.inputs import LocatedFit, Origin, Results
from behavior_scaling.report.text import short_metric
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


def find(results: Results, claim: Claim) -> Found:
    """Our estimate for a claim; `reason` says why there is none."""
    ours = claim.ours
    if ours is None:
        return Found(None, None, reason=claim.why or "")
    if ours.agreement is not None:
        return _agreement(results, ours, claim)
    metrics = ours.ratio or (ours.metric or "",)
    located = [_first(results, ours, metric) for metric in metrics]
    missing = [metric for metric, fit in zip(metrics, located, strict=True) if fit is None]
    if missing:
        return Found(
            None,
            None,
            reason=f"nothing was fitted by {short_metric(missing[0])} on axis {ours.axis}",
        )
    fits = [fit for fit in located if fit is not None]
    fit, origin = fits[0].fit, fits[0].origin
    flags = _flags([item.fit for item in fits])
    budgets = _span([curve.budget for curve in fit.curves if curve.budget > 0])
    if ours.axis == "compute":
        budgets = _span(list(fit.curves[0].curve_x)) if fit.curves else None
        flags = _study_flags(results, "allocation")
    if ours.exponent is not None:
        for name in ours.exponent:
            if name in fit.exponents:
                place = Origin(origin.file, f"{origin.key}.exponents.{name}")
                return Found(fit.exponents[name], budgets, flags=flags, origin=place)
        return Found(None, None, reason=f"no exponent {' or '.join(ours.exponent)} was fitted")
    values: list[Value] = []
    for index, curve in enumerate(fit.curves):
        value, key = _curve_value(curve, ours, fits)
        if value is not None:
            values.append((curve.budget, value, f"{origin.key}.curves[{index}].{key}"))
    return _nearest(values, budgets, claim, flags, origin.file)


def _flags(fits: list[AxisFit]) -> tuple[str, ...]:
    return tuple(sorted({flag for fit in fits for curve in fit.curves for flag in curve.flags}))


def _study_flags(results: Results, axis: str) -> tuple[str, ...]:
    """What holds of an axis' models whatever is computed from them."""
    known = _flags([located.fit for located in results.fits if located.fit.axis == axis])
    return tuple(flag for flag in known if flag == "pre-bigram")


def _first(results: Results, ours: Ours, metric: str) -> LocatedFit | None:
    arms = ARM_ORDER if ours.arm is None else (ours.arm,)
    found = [results.find(ours.axis or "", metric, arm) for arm in arms]
    return next((fit for fit in found if fit is not None), None)


def _curve_value(
    curve: CurveFit, ours: Ours, fits: list[LocatedFit]
) -> tuple[Estimate | None, str]:
    if ours.curve is not None:
        return (curve.optimum if ours.curve == "optimum" else curve.best), ours.curve
    if ours.derived is not None:
        return curve.derived.get(ours.derived), f"derived.{ours.derived}"
    if ours.coefficient is not None:
        return curve.coefficients.get(ours.coefficient), f"coefficients.{ours.coefficient}"
    second = [other for other in fits[1].fit.curves if other.budget == curve.budget]
    return (log_ratio(curve.optimum, second[0].optimum) if second else None), "optimum"


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


def _agreement(results: Results, ours: Ours, claim: Claim) -> Found:
    wanted = (ours.agreement, ours.loss, ours.metric)
    rows = [
        (index, row)
        for index, row in enumerate(results.agreements)
        if (row.axis, row.loss, row.metric) == wanted and row.budget is not None
    ]
    arm = min((row.arm for _, row in rows), key=ARM_ORDER.index, default="")
    values = [
        (row.budget, row.correlation, f"agreement[{index}].correlation")
        for index, row in rows
        if row.arm == arm and row.budget is not None
    ]
    span = _span([budget for budget, _, _ in values])
    flags = _study_flags(results, ours.agreement or "")
    return _nearest(values, span, claim, flags, "laws/agreement.json")


def _nearest(
    values: list[Value],
    budgets: Range | None,
    claim: Claim,
    flags: tuple[str, ...],
    file: str,
) -> Found:
    if not values:
        return Found(None, None, reason="no curve gives this value")
    target = math.log(load_claims().budgets_of(claim)[0])
    identified = [item for item in values if item[1].status == "converged"] or values
    at, estimate, key = min(identified, key=lambda item: abs(math.log(max(item[0], 1.0)) - target))
    trend = tuple((budget, value) for budget, value, _ in values)
    return Found(estimate, budgets, at or None, trend, flags, Origin(file, key))


def _span(budgets: list[float]) -> Range | None:
    return (min(budgets), max(budgets)) if budgets else None
