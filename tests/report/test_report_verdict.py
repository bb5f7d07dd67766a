"""Every rule of the verdicts, one by one."""

from dataclasses import replace

import pytest

from behavior_scaling.laws.results import Estimate
from behavior_scaling.report.verdict import Statement, verdict

PAPER, OURS = (1e15, 1e19), (1e10, 1e11)
OVERLAP = (1e14, 1e16)
SHARE = Statement("level", PAPER, value=0.02, low=0.011, high=0.037, null=(0.5,))
EXPONENT = Statement("trend", PAPER, value=0.617, null=(0.5,))
GROWS = Statement("trend", PAPER, low=0.0, null=(0.0,))


def found(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, "converged")


def test_replicated_when_the_interval_lies_in_the_range() -> None:
    assert verdict(SHARE, found(0.012, 0.036), OVERLAP).name == "replicated"
    assert verdict(SHARE, found(0.011, 0.037), OVERLAP).name == "replicated"
    assert verdict(SHARE, found(0.010, 0.036), OVERLAP).name == "consistent"


def test_a_point_counts_as_twenty_percent_around_it() -> None:
    assert verdict(EXPONENT, found(0.494, 0.74), OVERLAP).name == "replicated"
    assert verdict(EXPONENT, found(0.51, 0.75), OVERLAP).name == "consistent"
    negative = Statement("level", PAPER, value=-1.0, null=(0.0,))
    assert verdict(negative, found(-1.19, -0.81), OVERLAP).name == "replicated"


def test_consistent_needs_the_value_and_not_the_null() -> None:
    assert verdict(EXPONENT, found(0.55, 0.9), OVERLAP).name == "consistent"
    result = verdict(EXPONENT, found(0.45, 0.9), OVERLAP)
    assert result.name == "not identified"
    assert "both" in result.reason


def test_contradicted_when_the_value_is_excluded_at_overlapping_budgets() -> None:
    assert verdict(SHARE, found(0.06, 0.09), OVERLAP).name == "contradicted"
    assert verdict(GROWS, found(-0.3, -0.1), OVERLAP).name == "contradicted"


def test_levels_at_other_budgets_get_no_verdict() -> None:
    for estimate in (found(0.012, 0.036), found(0.06, 0.09)):
        assert verdict(SHARE, estimate, OURS).name == "out of range"


def test_trends_at_other_budgets_can_be_consistent_only() -> None:
    assert verdict(EXPONENT, found(0.58, 0.66), OURS).name == "consistent"
    excluded = verdict(EXPONENT, found(0.1, 0.2), OURS)
    assert (excluded.name, "excludes" in excluded.reason) == ("out of range", True)
    undecided = verdict(EXPONENT, found(0.4, 0.8), OURS)
    assert (undecided.name, "null" in undecided.reason) == ("out of range", True)


def test_budgets_that_touch_overlap() -> None:
    assert verdict(SHARE, found(0.012, 0.036), (1e11, 1e15)).name == "replicated"
    assert verdict(SHARE, found(0.012, 0.036), (1e11, 9.9e14)).name == "out of range"


def test_a_claim_without_a_closed_range_is_never_replicated() -> None:
    assert verdict(GROWS, found(0.2, 0.3), OVERLAP).name == "consistent"
    assert verdict(GROWS, found(-0.1, 0.3), OVERLAP).name == "not identified"
    differs = Statement("trend", PAPER, null=(1.0,))
    assert verdict(differs, found(2.0, 3.0), OURS).name == "consistent"
    assert verdict(differs, found(0.5, 3.0), OVERLAP).name == "not identified"


@pytest.mark.parametrize(
    "status",
    ["at bound", "not identified", "vertex outside the grid", "max iterations", "too few points"],
)
def test_any_status_but_converged_is_not_identified(status: str) -> None:
    estimate = replace(found(0.012, 0.036), status=status, reason="why")  # type: ignore[arg-type]
    result = verdict(SHARE, estimate, OVERLAP)
    assert result.name == "not identified"
    assert status in result.reason
    assert "why" in result.reason


def test_no_interval_is_not_identified_and_no_estimate_not_measured() -> None:
    assert verdict(SHARE, Estimate(0.02, None, None, "converged"), OVERLAP).name == (
        "not identified"
    )
    assert verdict(SHARE, None, OVERLAP).name == "not measured"
    assert verdict(SHARE, found(0.012, 0.036), None).name == "not measured"
