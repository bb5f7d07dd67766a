"""Critical batch from steps-to-target: how many steps each batch needs to reach one loss.

McCandlish et al. (arXiv 1812.06162, eq. 2.11): (S / S_min - 1)(E / E_min - 1) = 1, with S steps and
E = S B sequences; the same as log S = log S_min + log(1 + B_crit / B), B_crit = E_min / S_min.
Choices: a run's losses are made to fall (isotonic regression over steps) and its crossing of the
target is read off a line in the logarithms of step and loss; seeds are averaged in log S; a cell's
variance is that of its loss over the square of its slope there, so that flat curves count little.
B_crit is profiled with S_min in closed form; where all batches lie on one side of the knee the
profile stays open and the result is a bound. The headline target is the lowest loss that every
admissible batch reaches, because B_crit grows as the loss falls; easier targets show how it moves.
Runs were not scheduled to end at the target: the learning rate is still high where a small batch
crosses it, and this is said with every value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, accepted_range, mapped, t_quantile, vector
from behavior_scaling.laws.knee import knee_verdict
from behavior_scaling.laws.noise import NoiseLevel, error_variance, pooled
from behavior_scaling.laws.parts import exponential, nothing
from behavior_scaling.laws.results import Estimate

FORM = "log S = log S_min + log(1 + B_crit / B), S the steps to one loss"
CAVEAT = "steps-to-target: runs cross the target before their learning-rate schedule has ended"
TARGETS = 5
MIN_BATCHES = 3
KNEES = 401
NEAR = np.linspace(-3.0, 3.0, 121)  # half-widths of the interval around the minimum
REACH = 256.0  # B_crit is sought this factor beyond the batches
TINY = 1e-16  # a variance of log S that rounding cannot tell from none


@dataclass(frozen=True, eq=False)
class LossCurve:
    """One run's probes after warm-up; arrays [probes], ascending in step."""

    batch: float  # sequences
    steps: Array
    losses: Array


@dataclass(frozen=True)
class Crossing:
    """The steps of one batch to one target."""

    batch: float
    steps: float  # geometric mean over seeds


@dataclass(frozen=True)
class Hyperbola:
    """B_crit at one target."""

    target: float | None  # nats; None where no loss is reached by all
    knee: Estimate  # sequences
    least_steps: Estimate  # S_min
    least_sequences: Estimate  # E_min
    crossings: tuple[Crossing, ...]


def loss_curve(batch: float, steps: npt.ArrayLike, losses: npt.ArrayLike) -> LossCurve:
    """Check, sort and smooth one run's probes.

    Raises:
        LawsError: an entry is not positive and finite.
    """
    s, y = vector(steps, "steps", positive=True), vector(losses, "losses", positive=True)
    order = np.argsort(s, kind="stable")
    return LossCurve(float(batch), s[order], falling(y[order]))


def falling(values: Array) -> Array:
    """The closest sequence that never rises, in least squares (pool adjacent violators)."""
    blocks: list[list[float]] = []  # mean, count
    for value in values:
        blocks.append([float(value), 1.0])
        while len(blocks) > 1 and blocks[-2][0] <= blocks[-1][0]:
            mean, count = blocks.pop()
            total = blocks[-1][1] + count
            blocks[-1] = [(blocks[-1][0] * blocks[-1][1] + mean * count) / total, total]
    return np.concatenate([np.full(int(count), mean) for mean, count in blocks])


def targets(curves: Sequence[LossCurve]) -> Array:
    """Losses that every run passes, from the lowest (the headline) up; empty if there is none."""
    low = max(float(curve.losses[-1]) for curve in curves)
    high = min(float(curve.losses[0]) for curve in curves)
    if not low < high:
        return np.array([])
    return np.exp(np.linspace(np.log(low), np.log(high), TARGETS + 1)[:TARGETS])


def steps_to_target(curves: Sequence[LossCurve]) -> list[Hyperbola]:
    """B_crit at each target, the lowest first; one entry without a value where none can be had."""
    curves = [curve for curve in curves if curve.steps.size >= 2]
    batches = np.unique([curve.batch for curve in curves])
    if batches.size < MIN_BATCHES:
        reason = f"{batches.size} batches with probes; {MIN_BATCHES} needed"
        return [_none(None, nothing("too few points", reason), ())]
    losses = targets(curves)
    if losses.size == 0:
        reason = "no loss that every batch passes after warm-up"
        return [_none(None, nothing("not identified", reason), ())]
    return [_hyperbola(curves, float(loss)) for loss in losses]


def crossing(curve: LossCurve, target: float) -> tuple[float, float]:
    """Log step at which a falling curve first reaches a loss, and its slope d loss / d log step."""
    z, y = np.log(curve.steps), np.log(curve.losses)
    want = float(np.log(target))
    right = int(np.argmax(y <= want + 1e-12))
    if right == 0:
        right = 1
    drop = y[right - 1] - y[right]
    share = (y[right - 1] - want) / drop if drop > 0 else 0.0
    line = np.polyfit(z, curve.losses, min(2, z.size - 1))
    at = float(z[right - 1] + share * (z[right] - z[right - 1]))
    return at, float(np.polyval(np.polyder(line), at))


def _hyperbola(curves: Sequence[LossCurve], target: float) -> Hyperbola:
    batch = np.array([curve.batch for curve in curves])
    found = np.array([crossing(curve, target) for curve in curves])
    cells, cell = np.unique(batch, return_inverse=True)
    repeats = np.bincount(cell).astype(np.float64)
    log_steps = np.bincount(cell, found[:, 0]) / repeats
    slope = np.bincount(cell, np.minimum(found[:, 1], 0.0)) / repeats
    points = tuple(
        Crossing(float(b), float(np.exp(z))) for b, z in zip(cells, log_steps, strict=True)
    )
    steep = np.abs(slope)
    if not np.all(steep > 0):
        flat = nothing("not identified", "a batch's loss does not fall where it meets the target")
        return _none(target, flat, points)
    spread = 1.0 / (repeats * steep**2)  # variance of log S over that of a run's loss
    within, df = pooled(cell, found[:, 0] * steep[cell])
    noise = NoiseLevel(within / df, float(df)) if df else NoiseLevel(None, 0.0, "no replicates")
    wide = np.linspace(np.log(cells[0] / REACH), np.log(cells[-1] * REACH), KNEES)
    rss, _ = _scan(wide, cells, log_steps, 1 / spread)
    start, bend = _vertex(wide, rss)
    tiny = TINY / float(np.mean(spread))
    error = error_variance(float(rss.min()), cells.size - 2, noise, tiny)
    if error.value is None:
        return _none(target, nothing("not identified", error.reason), points)
    limit = t_quantile(error.df) ** 2 * error.value
    grid = wide
    if bend > 0:
        near = start + float(np.sqrt(2 * limit / bend)) * NEAR
        grid = np.union1d(wide, near[(near > wide[0]) & (near < wide[-1])])
    rss, level = _scan(grid, cells, log_steps, 1 / spread)
    at = int(np.argmin(rss))
    excess = rss - rss[at]
    low, high = (
        mapped(lambda z: float(np.exp(z)), end) for end in accepted_range(grid, excess, limit)
    )
    knee = float(np.exp(start if bend > 0 else grid[at]))
    verdict = knee_verdict(knee, (low, high), (float(cells[0]), float(cells[-1])), error.reason)
    if verdict.status != "converged":
        return _none(target, verdict, points)
    # log S_min given K is normal around its level: its profile is what the accepted K allow
    margin = np.sqrt(np.maximum(limit - excess, 0.0) / np.sum(1 / spread))
    inside = excess <= limit
    least = [
        exponential(
            Estimate(
                float(middle[at]),
                float(np.min((middle - margin)[inside])),
                float(np.max((middle + margin)[inside])),
                "converged",
                error.reason,
            )
        )
        for middle in (level, level + grid)
    ]
    return Hyperbola(target, verdict, least[0], least[1], points)


def _none(target: float | None, knee: Estimate, points: tuple[Crossing, ...]) -> Hyperbola:
    missing = nothing(knee.status, knee.reason)
    return Hyperbola(target, knee, missing, missing, points)


def _scan(grid: Array, batch: Array, log_steps: Array, weight: Array) -> tuple[Array, Array]:
    """[K] residual sums at log B_crit, and log S_min there, in closed form."""
    rest = log_steps - np.log1p(np.exp(grid)[:, None] / batch)  # [K, cells]
    level = rest @ (weight / weight.sum())
    return ((rest - level[:, None]) ** 2) @ weight, level


def _vertex(grid: Array, values: Array) -> tuple[float, float]:
    """Minimum of the parabola through the three lowest nodes of an even grid, and its bend."""
    at = int(np.argmin(values))
    if at in (0, grid.size - 1):
        return float(grid[at]), 0.0
    left, middle, right = values[at - 1], values[at], values[at + 1]
    bend, step = left - 2 * middle + right, grid[1] - grid[0]
    if not bend > 0:
        return float(grid[at]), 0.0
    return float(grid[at] + 0.5 * step * (left - right) / bend), float(bend / step**2)
