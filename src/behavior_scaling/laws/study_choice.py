"""The cost of choosing by loss over a study: every curve, loss and ranking metric.

Choices: seed noise of a loss and of a metric as pooled for the laws, their correlation from the
residuals of all replicates of a stage in units of their budget's noise; a budget without replicates
borrows the largest noise of its stage and says so. A training loss over cells that differ in their
candidates is computed and said to be that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.choice_cost import ChoiceCost, PairNoise, choice_cost
from behavior_scaling.laws.table import (
    X_COLUMN,
    Group,
    Noise,
    cell_means,
    metric_values,
    numbers,
    per_cell,
    seed_noise,
    seed_residuals,
)
from behavior_scaling.laws.users import Users

if TYPE_CHECKING:
    import pandas as pd

BORROWED = "no replicates at this budget: the largest seed noise of the others"


def study_choice_costs(
    runs: pd.DataFrame,
    found: Sequence[Group],
    losses: Sequence[str],
    rankings: Sequence[str],
    *,
    users: Users | None = None,
    seed: int = 0,
    resamples: int = 400,
    said: Mapping[tuple[str, str], str] | None = None,
) -> list[dict[str, Any]]:
    """One entry per curve, loss and metric.

    Args:
        runs: the whole table, for the seed noise.
        found: its groups.
        losses: columns, lower is better.
        rankings: columns, higher is better.
        users: redrawn users, or None.
        seed: of the redraws.
        resamples: number of redraws.
        said: what to add to the reason at a given (axis, loss).

    Returns:
        Entries with axis, arm, budget, loss, metric, cells, x (a column of the runs table),
        chosen_x and best_x (of the cells that loss and metric prefer), cost (in the metric's
        own unit) and relative (share of the best cell's metric), as plain JSON values.
    """
    names = [name for name in (*losses, *rankings) if name in runs.columns]
    noise = _Noise({name: seed_noise(runs, name) for name in names}, *seed_residuals(runs, names))
    out = []
    for group in found:
        budgets = numbers(group.frame, "budget")
        for budget in np.unique(budgets):
            part = _Curve.of(group, float(budget), group.frame[budgets == budget], names, users)
            for loss in losses:
                for metric in rankings:
                    if loss in part.means and metric in part.means:
                        pair = noise.pair(part.stage, part.budget, loss, metric)
                        result = part.cost(loss, metric, pair, seed, resamples)
                        note = (said or {}).get((group.axis, loss), "")
                        out.append(part.entry(loss, metric, *result, note))
    return out


@dataclass(frozen=True)
class _Noise:
    """Seed noise of every column, and residuals of replicates in its units."""

    levels: Mapping[str, Noise]
    stages: Array  # [runs]
    residuals: Mapping[str, Array]  # [runs]; NaN without a value or a noise level

    def pair(self, stage: int, budget: float, loss: str, metric: str) -> PairNoise | None:
        """Noise of a loss and a metric at one budget; None if no budget of the stage has any."""
        own = [self.levels[name].get((stage, budget)) for name in (loss, metric)]
        reason = ""
        if any(level is None or level.variance is None for level in own):
            own, reason = [self._largest(stage, name) for name in (loss, metric)], BORROWED
        sds = [np.sqrt(o.variance) for o in own if o is not None and o.variance is not None]
        if len(sds) < len(own) or own[1] is None:
            return None
        a, b = (self.residuals[name][self.stages == stage] for name in (loss, metric))
        both = np.isfinite(a) & np.isfinite(b)
        size = float(np.sqrt(np.sum(a[both] ** 2) * np.sum(b[both] ** 2)))
        correlation = float(np.clip(np.sum(a[both] * b[both]) / size, -1, 1)) if size > 0 else 0.0
        return PairNoise(float(sds[0]), float(sds[1]), correlation, own[1].df, reason)

    def _largest(self, stage: int, name: str) -> Any:
        known = [v for (s, _), v in self.levels[name].items() if s == stage and v.known]
        return max(known, key=lambda level: level.variance or 0.0) if known else None


@dataclass(frozen=True)
class _Curve:
    """Cell means of one axis, arm and budget; arrays [cells]."""

    group: Group
    budget: float
    stage: int
    x: Array
    repeats: Array
    means: Mapping[str, Array]
    users: Mapping[str, Array]  # [replicates, cells]

    @classmethod
    def of(
        cls, group: Group, budget: float, frame: pd.DataFrame, names: Sequence[str], users: Any
    ) -> _Curve:
        mean = per_cell(frame)
        moved = {}
        for name in names if users is not None else ():
            found = users.deviations(list(frame["id"]), name, metric_values(frame, name))
            if not isinstance(found, str):
                moved[name] = mean.rows(found)
        return cls(
            group,
            budget,
            int(numbers(frame, "stage")[0]),
            mean(numbers(frame, X_COLUMN[group.axis])),
            mean.counts,
            cell_means(frame, names),
            moved,
        )

    def cost(
        self, loss: str, metric: str, noise: PairNoise | None, seed: int, resamples: int
    ) -> tuple[ChoiceCost, Array]:
        """The cost and the x of the cells that took part."""
        kept = np.isfinite(self.means[loss]) & np.isfinite(self.means[metric])
        users = None
        if metric in self.users:
            still = np.zeros_like(self.users[metric])  # a training loss knows no evaluated users
            users = (self.users.get(loss, still)[:, kept], self.users[metric][:, kept])
        result = choice_cost(
            self.means[loss][kept],
            self.means[metric][kept],
            noise,
            repeats=self.repeats[kept],
            users=users,
            seed=seed,
            resamples=resamples,
        )
        return result, self.x[kept]

    def entry(
        self, loss: str, metric: str, found: ChoiceCost, x: Array, note: str
    ) -> dict[str, Any]:
        """Plain JSON values."""
        cost, relative = (
            dataclasses.replace(part, reason="; ".join(t for t in (part.reason, note) if t))
            for part in (found.cost, found.relative)
        )
        return {
            "axis": self.group.axis,
            "arm": self.group.arm,
            "budget": self.budget,
            "loss": loss,
            "metric": metric,
            "cells": found.cells,
            "x": X_COLUMN[self.group.axis],
            "chosen_x": None if found.chosen is None else float(x[found.chosen]),
            "best_x": None if found.best is None else float(x[found.best]),
            "cost": dataclasses.asdict(cost),
            "relative": dataclasses.asdict(relative),
        }
