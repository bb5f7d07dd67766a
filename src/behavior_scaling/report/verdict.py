"""The rule that turns a claim of the paper and our estimate into a verdict: one pure function.

Choices, beyond the rule's own words (docs: definitions, 'Verdicts'): the paper's value is its
range where one is given, else the point; 'contains' means that the two intervals meet; a claim
without a closed range can be consistent, never replicated; budgets that do not overlap leave an
exponent or a ratio (kind 'trend') the chance to be consistent, a level none; an interval that
holds both the value and the null decides nothing and is 'not identified'; 'not measured' is said
where the study has no estimate at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from behavior_scaling.laws.results import Estimate

VerdictName = Literal[
    "replicated", "consistent", "contradicted", "out of range", "not identified", "not measured"
]
Kind = Literal["level", "trend"]
Range = tuple[float, float]

POINT_TOLERANCE = 0.2  # a point counts as the range of ±20% around it


@dataclass(frozen=True)
class Statement:
    """What the rule needs of a claim. `value` or (`low`, `high`); None is an open end."""

    kind: Kind
    budgets: Range
    value: float | None = None
    low: float | None = None
    high: float | None = None
    null: tuple[float, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The verdict and the reason in words."""

    name: VerdictName
    reason: str


def verdict(statement: Statement, estimate: Estimate | None, budgets: Range | None) -> Verdict:
    """Judge one claim.

    Args:
        statement: the claim.
        estimate: our estimate; None where the study has none.
        budgets: smallest and largest budget that the estimate rests on, in FLOPs.
    """
    if estimate is None or budgets is None:
        return Verdict("not measured", "this study has no estimate")
    if estimate.status != "converged":
        reason = f": {estimate.reason}" if estimate.reason else ""
        return Verdict("not identified", f"fit status '{estimate.status}'{reason}")
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return Verdict("not identified", "the estimate has no interval")
    ours = (estimate.low, estimate.high)
    overlap = _meet(budgets, statement.budgets)
    if statement.kind == "level" and not overlap:
        return Verdict("out of range", "budgets do not overlap: no verdict on levels")
    meets = _meet(ours, _stated(statement))
    null_excluded = not any(ours[0] <= value <= ours[1] for value in statement.null)
    if overlap and _within(ours, _replication_range(statement)):
        return Verdict("replicated", "our interval lies within the paper's range")
    if meets and null_excluded:
        return Verdict("consistent", "our interval holds the paper's value and excludes the null")
    if not overlap:
        why = "includes the null" if meets else "excludes the paper's value"
        return Verdict("out of range", f"budgets do not overlap; our interval {why}")
    if not meets:
        return Verdict("contradicted", "our interval excludes the paper's value")
    return Verdict("not identified", "our interval holds both the paper's value and the null")


def _stated(statement: Statement) -> Range:
    if statement.low is None and statement.high is None and statement.value is not None:
        return (statement.value, statement.value)
    return (
        -math.inf if statement.low is None else statement.low,
        math.inf if statement.high is None else statement.high,
    )


def _replication_range(statement: Statement) -> Range:
    low, high = _stated(statement)
    if low == high:
        return (low - POINT_TOLERANCE * abs(low), high + POINT_TOLERANCE * abs(high))
    return (low, high)


def _meet(first: Range, second: Range) -> bool:
    return first[0] <= second[1] and second[0] <= first[1]


def _within(inner: Range, outer: Range) -> bool:
    if math.isinf(outer[0]) or math.isinf(outer[1]):
        return False
    return outer[0] <= inner[0] and inner[1] <= outer[1]
