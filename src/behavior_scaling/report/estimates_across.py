"""Claims that one study's axes cannot answer: the lift of more compute, exponents over worlds.

Choices: the lift that is judged is the last doubling up to the budget whose prediction was
committed, by the joint surface (the power law where the surface gives none), as a relative error;
its interval takes the intervals of forecast and measurement as independent. A lift predicted with
hindsight is never judged. Over worlds it is the slope of the exponent b of L = a C^-b per nat of
entropy (laws/worlds_across.py).
"""

from __future__ import annotations

import math
from typing import Any

from behavior_scaling.laws.results import Estimate
from behavior_scaling.report.claims_file import Ours
from behavior_scaling.report.found import Found, span_of
from behavior_scaling.report.inputs import Origin, Results
from behavior_scaling.report.joint import ReportError

FORECASTS = ("surface", "power_law")  # which answers, if both do
LIFT, WORLDS = "laws/prediction.json", "laws/worlds.json"


def find_lift(results: Results, ours: Ours) -> Found:
    """Relative error of the committed forecast of the last doubling; `reason` where none was."""
    rows = [
        (index, row)
        for index, row in enumerate(results.lifts)
        if row["metric"] == ours.metric and row["kind"] == "doubling"
        and row["ahead"] and not row["hindsight"]
    ]  # fmt: skip
    if not rows:
        return Found(None, None, reason="no prediction was committed before a budget was run")
    last = min(row["doublings"] for _, row in rows)
    rows = [(index, row) for index, row in rows if row["doublings"] == last]
    rows.sort(key=lambda pair: FORECASTS.index(pair[1]["forecast"]))
    known = [pair for pair in rows if pair[1]["error"] is not None] or rows
    index, row = known[0]
    try:
        error = relative_error(Estimate(**row["predicted"]), Estimate(**row["measured"]))
        budgets = span_of([float(row["from"]), float(row["to"])])
    except (TypeError, KeyError) as problem:
        raise ReportError(f"{LIFT}: lift[{index}] is not what laws writes: {problem!r}") from None
    return Found(error, budgets, origin=Origin(f"{results.place}{LIFT}", f"lift[{index}].error"))


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
    rows: list[tuple[int, dict[str, Any]]] = [
        (index, row) for index, row in enumerate(results.across) if row["of"] == ours.worlds
    ]
    if not rows:
        return Found(None, None, reason="this study has no parts in worlds of known entropy")
    index, row = rows[0]
    place = Origin(f"{results.place}{WORLDS}", f"across[{index}].slope")
    budgets = span_of([budget for world in results.worlds for budget in world.budgets])
    return Found(Estimate(**row["slope"]), budgets, origin=place)
