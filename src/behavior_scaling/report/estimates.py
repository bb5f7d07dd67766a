"""Our side of a claim: which estimate answers it, over which budgets, and where it stands.

Choices: a claim names its estimate by axis, metric and key, so that nothing is matched by hand; the
joint surface is the primary estimator of optima and answers where the claim names it, the fit of
the axis alone, as in the paper, is kept beside it.
"""

from __future__ import annotations

from dataclasses import replace

from behavior_scaling.laws.results import CurveFit, Estimate
from behavior_scaling.report.claims_file import Claim, Ours
from behavior_scaling.report.estimates_across import find_across, find_lift
from behavior_scaling.report.estimates_cells import find_cells
from behavior_scaling.report.estimates_joint import find_joint
from behavior_scaling.report.found import (
    ARM_ORDER,
    Found,
    Value,
    change,
    difference,
    fit_flags,
    log_ratio,
    nearest,
    span_of,
    study_flags,
)
from behavior_scaling.report.inputs import LocatedFit, Origin, Results
from behavior_scaling.report.text import short_metric
from behavior_scaling.report.verdict import Range

Flags = tuple[str, ...]


def find(results: Results, claim: Claim) -> Found:
    """Our estimate for a claim; `reason` says why there is none.

    Where the claim names the joint surface and one was fitted, it answers; the fit of the axis
    alone is then the second estimate.
    """
    ours = claim.ours
    if ours is None:
        return Found(None, None, reason=claim.why or "")
    if ours.lift:
        return find_lift(results, ours)
    if ours.worlds is not None:
        return find_across(results, ours)
    results = results.for_axis(ours.agreement or ours.axis or "")
    if ours.agreement is not None:
        return _agreement(results, ours, claim)
    if ours.cells is not None:
        return find_cells(results, ours, claim)
    alone = _per_axis(results, ours, claim)
    joint = find_joint(results, ours, claim) if ours.joint else None
    if joint is None:
        return alone
    flags = tuple(sorted({*joint.flags, *alone.flags}))
    return replace(joint, flags=flags, second=alone if alone.estimate else None)


def _per_axis(results: Results, ours: Ours, claim: Claim) -> Found:
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
    flags = fit_flags([item.fit for item in fits])
    budgets = span_of([curve.budget for curve in fit.curves if curve.budget > 0])
    if ours.axis == "compute":
        budgets = span_of(list(fit.curves[0].curve_x)) if fit.curves else None
        flags = study_flags(results, "allocation")
    if ours.exponent is not None:
        for name in ours.exponent:
            if name in fit.exponents:
                place = Origin(origin.file, f"{origin.key}.exponents.{name}")
                return Found(fit.exponents[name], budgets, flags=flags, origin=place)
        return Found(None, None, reason=f"no exponent {' or '.join(ours.exponent)} was fitted")
    if ours.difference is not None:
        return _difference(located[0], ours.difference, budgets, flags)
    values: list[Value] = []
    for index, curve in enumerate(fit.curves):
        value, key = _curve_value(curve, ours, fits)
        if value is not None:
            values.append((curve.budget, value, f"{origin.key}.curves[{index}].{key}"))
    return nearest(values, budgets, claim, flags, origin.file)


def _difference(
    located: LocatedFit | None, names: tuple[str, str], budgets: Range | None, flags: Flags
) -> Found:
    known = located.fit.exponents if located else {}
    if located is None or any(name not in known for name in names):
        return Found(None, None, reason=f"no exponents {' and '.join(names)} were fitted")
    place = Origin(located.origin.file, f"{located.origin.key}.exponents")
    value = difference(known[names[0]], known[names[1]])
    return Found(value, budgets, flags=flags, origin=place)


def _first(results: Results, ours: Ours, metric: str) -> LocatedFit | None:
    arms = ARM_ORDER if ours.arm is None else (ours.arm,)
    found = [results.find(ours.axis or "", metric, arm) for arm in arms]
    return next((fit for fit in found if fit is not None), None)


def _curve_value(
    curve: CurveFit, ours: Ours, fits: list[LocatedFit]
) -> tuple[Estimate | None, str]:
    if ours.curve is not None:
        return curve.optimum, ours.curve
    if ours.derived is not None:
        return curve.derived.get(ours.derived), f"derived.{ours.derived}"
    if ours.coefficient is not None:
        return curve.coefficients.get(ours.coefficient), f"coefficients.{ours.coefficient}"
    second = [other for other in fits[1].fit.curves if other.budget == curve.budget]
    return (log_ratio(curve.optimum, second[0].optimum) if second else None), "optimum"


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
    span = span_of([budget for budget, _, _ in values])
    flags = study_flags(results, ours.agreement or "")
    if ours.change and values:
        known = {budget: value for budget, value, _ in values if value.status == "converged"}
        if len(known) < 2:
            reason = f"{len(known)} budgets with a correlation; 2 needed"
            turned = Estimate(None, None, None, "too few points", reason)
        else:
            turned = change(known[max(known)], known[min(known)])
        place = Origin(f"{results.place}laws/agreement.json", "agreement")
        return Found(turned, span, flags=flags, origin=place)
    return nearest(values, span, claim, flags, f"{results.place}laws/agreement.json")
