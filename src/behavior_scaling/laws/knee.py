"""What a profile over a knee allows to be said: a value, a one-sided bound, or nothing."""

from __future__ import annotations

from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.results import Estimate


def knee_verdict(
    knee: float,
    ends: tuple[float | None, float | None],
    grid: tuple[float, float],
    reason: str = "",
) -> Estimate:
    """B_crit with its profile interval, or the bound that the batches allow.

    Args:
        knee: the estimate.
        ends: of its profile; None where it stays open.
        grid: smallest and largest batch.
        reason: of a knee that is identified.
    """
    (low, high), (first, last) = ends, grid
    if low is None and high is None:
        flat = "the curve over B has no knee that the noise would let one see"
        return nothing("not identified", flat)
    if knee > last:
        bound = None if low is None else min(low, last)
        return Estimate(last, bound, None, "at bound", "B_crit at or beyond the largest batch")
    if knee < first:
        bound = None if high is None else max(high, first)
        return Estimate(first, None, bound, "at bound", "B_crit at or below the smallest batch")
    if low is None or high is None:
        side = "lower" if low is None else "upper"
        return Estimate(None, low, high, "not identified", f"the profile has no {side} limit")
    return Estimate(knee, min(low, knee), max(high, knee), "converged", reason)
