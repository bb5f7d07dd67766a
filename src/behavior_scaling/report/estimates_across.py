"""Claims that one study's axes cannot answer: the lift of more compute, exponents over worlds.

Choices: the lift that is judged is the last doubling up to the budget whose prediction was
committed, by the joint surface (the power law where the surface gives none), as a relative error;
its interval takes the intervals of forecast and measurement as independent. A lift predicted with
hindsight is never judged. Over worlds it is the slope of the exponent b of L = a C^-b per nat of
entropy (laws/worlds_across.py).
"""

from __future__ import annotations

import math

from behavior_scaling.laws.results import Estimate
from behavior_scaling.report.claims_file import Ours
from behavior_scaling.report.found import Found, span_of
from behavior_scaling.report.inputs import Origin, Results
from behavior_scaling.report.prediction import lifts
from behavior_scaling.report.worlds import across_worlds

FORECASTS = ("surface", "power_law")  # which answers, if both do


def find_lift(results: Results, ours: Ours) -> Found:
    """Relative error of the committed forecast of the last doubling; `reason` where none was."""
    asked = [
        one
        for one in lifts(results)
        if (one.metric, one.kind) == (ours.metric, "doubling") and one.ahead and not one.hindsight
    ]
    if not asked:
        return Found(None, None, reason="no prediction was committed before a budget was run")
    last = min(one.doublings for one in asked)
    asked = [one for one in asked if one.doublings == last]
    asked.sort(key=lambda one: FORECASTS.index(one.forecast))
    one = next((one for one in asked if one.error is not None), asked[0])
    error = relative_error(one.predicted, one.measured)
    place = Origin(one.origin.file, f"{one.origin.key}.error")
    return Found(error, span_of([one.start, one.end]), origin=place)


def relative_error(said: Estimate, found: Estimate) -> Estimate:
    """Forecast over measurement less one, both intervals in quadrature on the lift's own scale."""
    for one in (said, found):
        if one.value is None or one.status != "converged":
            status = "not identified" if one.status == "converged" else one.status
            return Estimate(None, None, None, status, one.reason)
    a, b = said.value or 0.0, found.value or 0.0
    if b == 0:
        return Estimate(None, None, None, "not identified", "nothing was gained")
    value, scale = (a - b) / abs(b), abs(b)
    ends = (said.low, said.high, found.low, found.high)
    if any(end is None for end in ends):
        return Estimate(value, None, None, "converged", "an interval is missing")
    a_low, a_high, b_low, b_high = (float(end or 0.0) for end in ends)
    low = math.hypot(a - a_low, b_high - b) / scale
    high = math.hypot(a_high - a, b - b_low) / scale
    return Estimate(value, value - low, value + high, "converged")


def find_across(results: Results, ours: Ours) -> Found:
    """The slope of an exponent over the worlds' entropy; `reason` where no worlds were run."""
    trend = next(
        (one for one in across_worlds(results.across, results.place) if one.of == ours.worlds), None
    )
    if trend is None:
        return Found(None, None, reason="this study has no parts in worlds of known entropy")
    budgets = span_of([budget for world in results.worlds for budget in world.budgets])
    place = Origin(trend.origin.file, f"{trend.origin.key}.slope")
    return Found(trend.slope, budgets, origin=place)
