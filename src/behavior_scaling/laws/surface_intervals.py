"""From redrawn refits to estimates: percentiles, and what an open end does to a number."""

from __future__ import annotations

import numpy as np

from behavior_scaling.laws.arrays import LEVEL, Array, percentile_ends
from behavior_scaling.laws.cost_path import Best
from behavior_scaling.laws.results import Estimate

TAIL = (1 - LEVEL) / 2


def bounded(point: Best, sample: Best | None) -> Estimate:
    """An optimum (z = log x) in own unit, with what its refits and the ends of its range allow."""
    value = float(np.exp(point.z[0]))
    if sample is None:
        if point.end[0]:
            return Estimate(value, None, None, "at bound", "the end of what the runs cover")
        return Estimate(value, None, None, "converged", "no interval: noise unknown")
    low, high = (float(v) for v in np.exp(np.quantile(sample.z, [TAIL, 1 - TAIL])))
    low, high = min(low, value), max(high, value)
    open_low, open_high = (float(np.mean(sample.end == side)) for side in (-1, 1))
    ends = (None if open_low > TAIL else low, None if open_high > TAIL else high)
    if point.end[0]:
        side = "largest" if point.end[0] > 0 else "smallest"
        return Estimate(
            value,
            low if point.end[0] > 0 else None,
            high if point.end[0] < 0 else None,
            "at bound",
            f"the minimum lies at the {side} value that the runs cover",
        )
    if None in ends:
        at = max(open_low, open_high)
        reason = f"{at:.0%} of the redrawn fits have it at the end of what the runs cover"
        return Estimate(None, ends[0], ends[1], "not identified", reason)
    return Estimate(value, low, high, "converged")


def interval(value: float, sample: Array | None, like: Estimate) -> Estimate:
    """A value with the percentile interval of its draws, under another estimate's status."""
    if sample is None:
        return Estimate(value, None, None, like.status, like.reason)
    low, high = percentile_ends(sample)
    return Estimate(value, min(low, value), max(high, value), like.status, like.reason)
