"""The cost of choosing by loss: how much of a ranking metric is given up.

Within one budget and axis, the cell that the loss prefers is held against the cell that the metric
prefers: cost = metric of the best cell - metric of the chosen one, also as a share of the best.
Choices: where both prefer one cell the cost is plainly zero. The interval redraws seed noise around
the cells, which stay: of loss and metric jointly, because one run has both, each redraw's variance
drawn anew (df / chi-squared), together with redrawn users; every redraw makes both choices again.
A cost is never negative and noise alone makes two choices differ, so redraws are biased upwards:
the lower end is the smaller of the percentile and of its reflection in the estimate, the upper end
the larger of the two, and neither passes zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError, percentile_ends, vector
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.results import Estimate

MIN_CELLS = 3


@dataclass(frozen=True)
class PairNoise:
    """Seed noise of one run's loss and metric, own units."""

    loss_sd: float
    metric_sd: float
    correlation: float
    df: float  # of the metric's variance
    reason: str = ""  # where it was taken from, if not from the budget itself


@dataclass(frozen=True)
class ChoiceCost:
    """What choosing by loss costs; indices of cells."""

    cells: int
    chosen: int | None  # by the loss
    best: int | None  # by the metric
    cost: Estimate  # the metric's own unit
    relative: Estimate  # share of the best cell's metric


def choice_cost(
    losses: npt.ArrayLike,
    rankings: npt.ArrayLike,
    noise: PairNoise | None = None,
    *,
    repeats: npt.ArrayLike | None = None,
    users: tuple[Array, Array] | None = None,
    seed: int = 0,
    resamples: int = 400,
) -> ChoiceCost:
    """The cost within one budget and axis.

    Args:
        losses: [cells] means, lower is better.
        rankings: [cells] means of a ranking metric, higher is better.
        noise: of a single run; None where nothing tells it.
        repeats: [cells] runs in each cell, 1 if not given.
        users: [replicates, cells] deviations of losses and rankings under redrawn users.
        seed: of the redraws.
        resamples: number of redraws.

    Raises:
        LawsError: lengths differ, or an entry is not finite.
    """
    loss, metric = vector(losses, "losses"), vector(rankings, "rankings")
    count = np.ones_like(loss) if repeats is None else vector(repeats, "repeats", positive=True)
    if not loss.size == metric.size == count.size:
        raise LawsError("losses, rankings, repeats: expected one entry of each per cell")
    if loss.size < MIN_CELLS:
        none = nothing("too few points", f"{loss.size} cells; a choice needs {MIN_CELLS}")
        return ChoiceCost(loss.size, None, None, none, none)
    chosen, best = int(np.argmin(loss)), int(np.argmax(metric))
    if np.ptp(loss) == 0 or np.ptp(metric) == 0:
        none = nothing("not identified", "loss or metric is constant over the cells")
        return ChoiceCost(loss.size, None, None, none, none)
    cost = float(metric[best] - metric[chosen])
    share = cost / float(metric[best]) if metric[best] > 0 else None
    if noise is None:
        none = nothing("not identified", f"no replicates: no interval around {cost:.3g}")
        return ChoiceCost(loss.size, chosen, best, none, none)
    draws = _redrawn(loss, metric, noise, count, users, seed, resamples)
    costs, shares = _costs(*draws)
    relative = nothing("not identified", "the best cell's metric is not positive")
    if share is not None:
        relative = _estimate(share, shares, noise.reason)
    return ChoiceCost(loss.size, chosen, best, _estimate(cost, costs, noise.reason), relative)


def _redrawn(
    loss: Array,
    metric: Array,
    noise: PairNoise,
    count: Array,
    users: tuple[Array, Array] | None,
    seed: int,
    resamples: int,
) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    one, two = rng.standard_normal((2, resamples, loss.size)) / np.sqrt(count)
    factor = np.ones(resamples)
    if np.isfinite(noise.df):
        factor = np.sqrt(noise.df / rng.chisquare(noise.df, resamples))
    other = noise.correlation * one + np.sqrt(1 - noise.correlation**2) * two
    losses = loss + noise.loss_sd * factor[:, None] * one
    metrics = metric + noise.metric_sd * factor[:, None] * other
    if users is not None:
        row = np.arange(resamples) % len(users[0])
        losses, metrics = losses + users[0][row], metrics + users[1][row]
    return losses, metrics


def _costs(losses: Array, metrics: Array) -> tuple[Array, Array]:
    """[resamples] of the cost and of its share of the best metric."""
    chosen = np.take_along_axis(metrics, np.argmin(losses, axis=1)[:, None], axis=1)[:, 0]
    best = metrics.max(axis=1)
    cost = best - chosen
    return cost, cost / np.where(best > 0, best, np.inf)


def _estimate(value: float, draws: Array, reason: str) -> Estimate:
    low, high = percentile_ends(draws)
    reflected = 2 * value - high, 2 * value - low
    return Estimate(
        value,
        max(min(low, reflected[0], value), 0.0),
        max(high, reflected[1], value),
        "converged",
        reason,
    )
