"""The joint surface's side of a claim: optima along the nominal iso-cost curve, and exponents.

Choices: nominal C, because the paper's own formula is not known and its budgets are compared with
ours; the arm is the one that the axis alone would answer with; a surface that was fitted and does
not show the optimum answers 'not identified', with its reason, and is not replaced; one that could
not be fitted at all leaves the axis to answer.
"""

from __future__ import annotations

from behavior_scaling.laws.results import Estimate
from behavior_scaling.report.claims_file import Claim, Ours
from behavior_scaling.report.found import (
    ARM_ORDER,
    Found,
    Value,
    difference,
    log_ratio,
    nearest,
    span_of,
)
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.joint import Optimum, Surface


def find_joint(results: Results, ours: Ours, claim: Claim) -> Found | None:
    """The surface's estimate; None where no surface of the metric covers the axis."""
    metrics = ours.ratio or (ours.metric or "",)
    surfaces = [results.surface(metric) for metric in metrics]
    known = [surface for surface in surfaces if surface is not None and surface.fitted]
    if len(known) < len(metrics):
        return None
    arm = _arm(known[0], ours)
    if arm is None:
        return None
    axis = ours.axis or ""
    optima = known[0].optimum(axis, arm)
    budgets = span_of([one.budget for one in optima])
    if ours.exponent is not None:
        slope = known[0].exponent(axis, arm, "D" if "D" in ours.exponent else "optimum")
        if slope is None:
            return None
        return Found(slope.exponent, budgets, flags=known[0].flags, origin=slope.origin)
    if ours.difference is not None:
        slopes = [
            known[0].exponent(axis, arm, "D" if n == "D" else "optimum") for n in ours.difference
        ]
        if slopes[0] is None or slopes[1] is None:
            return None
        value = difference(slopes[0].exponent, slopes[1].exponent)
        return Found(value, budgets, flags=known[0].flags, origin=slopes[0].origin)
    values: list[Value] = []
    for one in optima:
        other = [o for o in known[-1].optimum(axis, arm) if o.budget == one.budget]
        level, key = _value(one, other, ours)
        values.append((one.budget, level, f"{one.origin.key}.{key}"))
    return nearest(values, budgets, claim, known[0].flags, known[0].origin.file)


def _arm(surface: Surface, ours: Ours) -> str | None:
    wanted = ARM_ORDER if ours.arm is None else (ours.arm,)
    return next((arm for arm in wanted if surface.optimum(ours.axis or "", arm)), None)


def _value(one: Optimum, other: list[Optimum], ours: Ours) -> tuple[Estimate, str]:
    if ours.ratio is not None:
        if not other:
            reason = "the other metric has no optimum here"
            return Estimate(None, None, None, "not identified", reason), "optimum"
        return log_ratio(one.optimum, other[0].optimum), "optimum"
    if ours.derived is None:
        return one.optimum, "optimum"
    found = one.derived.get(ours.derived)
    if found is None:
        return Estimate(None, None, None, one.optimum.status, one.optimum.reason), "optimum"
    return found, f"derived.{ours.derived}"
