"""Agreement of losses with ranking metrics over a study: each curve, and pooled given the group.

Choices: training, raw and restored loss against every ranking metric given; a training loss over
cells that differ in their candidates (batch, negatives) is computed, said to be that, and kept
out of the pool; a cell that serves several axes counts once, with its first axis, in the pool.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from behavior_scaling.laws.agreement import RankAgreement, partial_agreement, rank_agreement
from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.results import Agreement
from behavior_scaling.laws.table import Group, cell_means, numbers

TRAINING = "train_loss"
LOSSES = (TRAINING, "validation/raw/all/cross_entropy", "validation/restored/all/cross_entropy")
MIXED = "training losses of cells with different candidates do not compare"
MIXED_AXES = ("batch", "negatives")


@dataclass(frozen=True)
class _Cells:
    """Cell means of one axis, arm and budget."""

    group: Group
    budget: float
    means: dict[str, Array]
    keys: tuple[str, ...]  # equal for a cell that serves several axes

    def pair(self, loss: str, metric: str, skip: frozenset[str] = frozenset()) -> list[Array]:
        """Losses and metrics of the cells that have both, without those already counted."""
        both = np.isfinite(self.means[loss]) & np.isfinite(self.means[metric])
        both &= np.array([key not in skip for key in self.keys], dtype=bool)
        return [self.means[loss][both], self.means[metric][both]]


def study_agreement(
    found: Sequence[Group], rankings: Sequence[str], seed: int, resamples: int
) -> list[dict[str, Any]]:
    """Agreement.to_dict() of every curve, loss and ranking metric, then the pooled ones."""
    cells = [part for group in found for part in _cells(group, rankings)]
    out: list[Agreement] = []
    for part in cells:
        for loss, metric in _pairs(part, rankings):
            result = rank_agreement(*part.pair(loss, metric), seed=seed, resamples=resamples)
            if loss == TRAINING and part.group.axis in MIXED_AXES:
                result = _said(result, MIXED)
            out.append(
                _agreement(part.group.axis, part.group.arm, part.budget, loss, metric, result)
            )
    for loss in LOSSES:
        for metric in rankings:
            pool = _pool(cells, loss, metric)
            if len(pool) > 1:
                result = partial_agreement(
                    [pair[0] for pair in pool],
                    [pair[1] for pair in pool],
                    seed=seed,
                    resamples=resamples,
                )
                result = _said(result, "partial rank correlation given axis, arm and budget")
                out.append(_agreement("pooled", "", None, loss, metric, result))
    return [agreement.to_dict() for agreement in out]


def _cells(group: Group, rankings: Sequence[str]) -> Iterator[_Cells]:
    columns = [c for c in (*LOSSES, *rankings) if c in group.frame.columns]
    budget = numbers(group.frame, "budget")
    for c in np.unique(budget):
        frame = group.frame[budget == c]
        keys = frame.groupby("cell", sort=True)["id"].min()
        yield _Cells(group, float(c), cell_means(frame, columns), tuple(str(key) for key in keys))


def _pairs(part: _Cells, rankings: Sequence[str]) -> Iterator[tuple[str, str]]:
    for loss in LOSSES:
        for metric in rankings:
            if loss in part.means and metric in part.means:
                yield loss, metric


def _pool(cells: Sequence[_Cells], loss: str, metric: str) -> list[list[Array]]:
    """One pair of arrays per group, every cell once."""
    seen: frozenset[str] = frozenset()
    pool = []
    for part in cells:
        if loss not in part.means or metric not in part.means:
            continue
        if loss == TRAINING and part.group.axis in MIXED_AXES:
            continue
        pool.append(part.pair(loss, metric, seen))
        seen |= frozenset(part.keys)
    return [pair for pair in pool if pair[0].size >= 2]


def _said(result: RankAgreement, reason: str) -> RankAgreement:
    old = result.correlation.reason
    text = f"{old}; {reason}" if old else reason
    return replace(result, correlation=replace(result.correlation, reason=text))


def _agreement(
    axis: str, arm: str, budget: float | None, loss: str, metric: str, result: RankAgreement
) -> Agreement:
    return Agreement(
        axis, arm, budget, loss, metric, result.cells, result.correlation, result.p_value
    )
