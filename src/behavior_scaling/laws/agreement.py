"""Whether a lower loss goes with a better ranking: rank correlation over the cells of a curve.

Choices (definitions.md, 'Agreement'): within one budget and axis, over cell means, at least seven
cells; orientation +1 means that lower loss goes with better ranking (minus Spearman of loss and
metric); p two-sided from permutations, all of them up to eight cells and 9,999 seeded ones beyond;
interval by resampling cells. Budgets and axes are pooled only as a partial rank correlation: mid
ranks over all cells, each group's (axis, arm, budget) mean rank taken out, permuted within groups.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import LEVEL, Array, LawsError, vector
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.results import Estimate

MIN_CELLS = 7
EXACT_CELLS = 8
PERMUTATIONS = 9999
SLACK = 1e-9


@dataclass(frozen=True)
class RankAgreement:
    """Correlation with its interval, and the permutation p value (None where not defined)."""

    cells: int
    correlation: Estimate
    p_value: float | None


def mid_ranks(values: Array) -> Array:
    """Ranks 1..n along the last axis, ties sharing their mean."""
    below = (values[..., None, :] < values[..., :, None]).sum(axis=-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(axis=-1)
    return np.asarray(below + (equal + 1) / 2, dtype=np.float64)


def rank_agreement(
    losses: npt.ArrayLike, rankings: npt.ArrayLike, *, seed: int = 0, resamples: int = 400
) -> RankAgreement:
    """Agreement within one budget and axis.

    Args:
        losses: [n] cell means, lower is better.
        rankings: [n] cell means of a ranking metric, higher is better.
        seed: of permutations and resamples.
        resamples: of cells.
    """
    return partial_agreement([losses], [rankings], seed=seed, resamples=resamples)


def partial_agreement(
    losses: Sequence[npt.ArrayLike],
    rankings: Sequence[npt.ArrayLike],
    *,
    seed: int = 0,
    resamples: int = 400,
) -> RankAgreement:
    """Agreement pooled over groups, given the group; one array of cell means per group."""
    x = [vector(values, f"losses[{i}]") for i, values in enumerate(losses)]
    y = [vector(values, f"rankings[{i}]") for i, values in enumerate(rankings)]
    if [part.size for part in x] != [part.size for part in y]:
        raise LawsError("losses, rankings: expected one entry of each per cell")
    kept = [i for i, part in enumerate(x) if part.size >= 2]
    sizes = tuple(x[i].size for i in kept)
    cells = sum(sizes)
    if cells < MIN_CELLS:
        reason = f"{cells} cells; a rank correlation is given from {MIN_CELLS} on"
        return RankAgreement(cells, nothing("too few points", reason), None)
    loss, ranking = (np.concatenate([part[i] for i in kept]) for part in (x, y))
    a, b = -_residual_ranks(loss, sizes), _residual_ranks(ranking, sizes)
    norm = float(np.sqrt((a @ a) * (b @ b)))
    if norm <= SLACK:
        return RankAgreement(
            cells, nothing("not identified", "loss or metric is constant over the cells"), None
        )
    value = float(np.clip(a @ b / norm, -1.0, 1.0))
    order = _permutations(sizes, seed)
    extreme = np.abs(b[order] @ a) / norm >= abs(value) - SLACK
    exact = len(sizes) == 1 and cells <= EXACT_CELLS
    p = float(extreme.mean()) if exact else float((1 + extreme.sum()) / (1 + extreme.size))
    low, high = _interval(loss, ranking, sizes, seed, resamples)
    if low is None or high is None:
        return RankAgreement(cells, Estimate(value, None, None, "converged", "no interval"), p)
    return RankAgreement(cells, Estimate(value, min(low, value), max(high, value), "converged"), p)


def _residual_ranks(values: Array, sizes: tuple[int, ...]) -> Array:
    """Mid ranks over all cells less each group's mean rank; groups lie one after another."""
    ranks = mid_ranks(values)
    start = 0
    for size in sizes:
        part = ranks[..., start : start + size]
        ranks[..., start : start + size] = part - part.mean(axis=-1, keepdims=True)
        start += size
    return ranks


@lru_cache(maxsize=16)
def _permutations(sizes: tuple[int, ...], seed: int) -> npt.NDArray[np.int64]:
    """[p, n] orders that permute within groups: all of a small single group, else seeded."""
    if len(sizes) == 1 and sizes[0] <= EXACT_CELLS:
        return np.array(list(itertools.permutations(range(sizes[0]))), dtype=np.int64)
    rng = np.random.default_rng(seed)
    blocks, start = [], 0
    for size in sizes:
        base = np.tile(np.arange(start, start + size, dtype=np.int64), (PERMUTATIONS, 1))
        blocks.append(rng.permuted(base, axis=1))
        start += size
    return np.concatenate(blocks, axis=1)


def _interval(
    loss: Array, ranking: Array, sizes: tuple[int, ...], seed: int, resamples: int
) -> tuple[float | None, float | None]:
    """Percentile interval over cells drawn with replacement within their group."""
    counts = _redraws(sizes, seed, resamples)  # [resamples, cells]
    a, b = (_counted_ranks(values, counts, sizes) for values in (-loss, ranking))
    norm = np.sqrt(np.sum(counts * a * a, axis=1) * np.sum(counts * b * b, axis=1))
    usable = norm > SLACK
    if usable.mean() < LEVEL:
        return None, None
    values = np.clip(np.sum(counts * a * b, axis=1)[usable] / norm[usable], -1.0, 1.0)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


@lru_cache(maxsize=16)
def _redraws(sizes: tuple[int, ...], seed: int, resamples: int) -> Array:
    """[resamples, cells] how often each cell is drawn, with replacement within its group."""
    rng = np.random.default_rng(seed)
    parts = [rng.multinomial(size, np.full(size, 1 / size), resamples) for size in sizes]
    return np.concatenate(parts, axis=1).astype(np.float64)


def _counted_ranks(values: Array, counts: Array, sizes: tuple[int, ...]) -> Array:
    """Residual mid ranks of every cell among the redrawn ones, [resamples, cells].

    A value's mid rank is half of one plus the drawn values below it plus half of those equal.
    """
    below = (values[:, None] < values[None, :]) + 0.5 * (values[:, None] == values[None, :])
    ranks = counts @ below
    start = 0
    for size in sizes:
        part, weight = ranks[:, start : start + size], counts[:, start : start + size] / size
        ranks[:, start : start + size] -= np.sum(weight * part, axis=1, keepdims=True)
        start += size
    return np.asarray(ranks)
