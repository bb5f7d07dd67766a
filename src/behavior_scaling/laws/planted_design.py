"""Replicates of a planted study without a table: cells, noise, and CurveData for every axis.

Choices: a run's noise is keyed by its id and the seed, so that a plan with more runs keeps the
noise of those that it shares with a smaller one (common random numbers) and a run on two axes
brings one noise to both; the seed variance is pooled from that noise as table.seed_noise pools it,
over all runs of a stage and budget; cells are those of table.groups, and the batch axis keeps the
admissible ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws import batch
from behavior_scaling.laws.arrays import Array, LawsError
from behavior_scaling.laws.curve import CurveData, curve_data
from behavior_scaling.laws.noise import NoiseLevel, noise_levels
from behavior_scaling.laws.table import (
    DESIGN,
    OTHER_COLUMNS,
    X_COLUMN,
    Group,
    check_runs,
    groups,
    numbers,
)
from behavior_scaling.laws.transforms import IDENTITY

if TYPE_CHECKING:
    import pandas as pd

Key = tuple[int, float]  # stage, budget
Index = npt.NDArray[np.int64]
UNKNOWN = NoiseLevel(None, 0.0, "no cell of this budget was run with two seeds")


@dataclass(frozen=True, eq=False)
class CurveDesign:
    """The cells of one curve and which runs each is made of."""

    key: Key
    x: Array  # [cells] ascending
    columns: Mapping[str, Array]  # [cells]
    run: Index  # [rows] of the study's runs
    cell: Index  # [rows]

    @property
    def budget(self) -> float:
        """Nominal FLOPs."""
        return self.key[1]

    @property
    def repeats(self) -> Array:
        """[cells] runs in each."""
        return np.bincount(self.cell, minlength=self.x.size).astype(np.float64)


@dataclass(frozen=True, eq=False)
class AxisDesign:
    """One axis and arm of a plan."""

    axis: str
    arm: str
    curves: tuple[CurveDesign, ...]  # ascending in budget


@dataclass(frozen=True, eq=False)
class StudyDesign:
    """All axes of a plan and its distinct runs."""

    axes: tuple[AxisDesign, ...]
    ids: tuple[str, ...]
    keys: tuple[Key, ...]  # of each run
    cell: Index  # [runs] label of each run's cell


@dataclass(frozen=True, eq=False)
class Noise:
    """Seed noise of every run in every replicate, and what pooling makes of it."""

    values: Array  # [replicates, runs] nats
    levels: tuple[Mapping[Key, NoiseLevel], ...]  # [replicates]


def study_design(runs: pd.DataFrame) -> StudyDesign:
    """The design of a table of planned runs (planted_table.planned_runs)."""
    check_runs(runs)
    once = runs.drop_duplicates("id")
    ids = tuple(str(run) for run in once["id"])
    place = {run: i for i, run in enumerate(ids)}
    columns = ["stage", "budget", *(column for column in DESIGN if column in once.columns)]
    label = np.asarray(once.groupby(columns, dropna=False, sort=True).ngroup(), dtype=np.int64)
    stages, budgets = numbers(once, "stage"), numbers(once, "budget")
    keys = tuple((int(s), float(c)) for s, c in zip(stages, budgets, strict=True))
    axes = [_axis(group, place) for group in groups(runs) if len(group.frame)]
    return StudyDesign(tuple(axes), ids, keys, label)


def _axis(group: Group, place: Mapping[str, int]) -> AxisDesign:
    frame = group.frame
    budget, x = numbers(frame, "budget"), numbers(frame, X_COLUMN[group.axis])
    columns = {name: numbers(frame, name) for name in OTHER_COLUMNS[group.axis]}
    keep = np.ones(len(frame), dtype=bool)
    if group.axis == "batch":
        sequences = columns["steps"] * numbers(frame, "batch")
        columns["sequence_events"] = columns["positions"] / sequences
        keep = batch.admissible(
            x, columns["steps_after_warmup"], columns["unique_positions"], columns["context"]
        )
    stage, cell = numbers(frame, "stage"), frame["cell"].to_numpy()
    run = np.array([place[str(i)] for i in frame["id"]], dtype=np.int64)
    curves = []
    for c in np.unique(budget[keep]):
        mask = keep & (budget == c)
        _, first, index = np.unique(cell[mask], return_index=True, return_inverse=True)
        order = np.argsort(x[mask][first], kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(order.size)
        curves.append(
            CurveDesign(
                (int(stage[mask][0]), float(c)),
                x[mask][first][order],
                {name: values[mask][first][order] for name, values in columns.items()},
                run[mask],
                rank[index].astype(np.int64),
            )
        )
    return AxisDesign(group.axis, group.arm, tuple(curves))


def draw_noise(design: StudyDesign, sd: Mapping[Key, float], seed: int, replicates: int) -> Noise:
    """Draw the noise of every run.

    Args:
        design: the study.
        sd: seed standard deviation of one run at each stage and budget, nats.
        seed: with a run's id, of its draws.
        replicates: how many.

    Raises:
        LawsError: a stage and budget of the study has no standard deviation.
    """
    missing = sorted(set(design.keys) - set(sd))
    if missing:
        raise LawsError(f"sd: no noise stated for stage {missing[0][0]}, budget {missing[0][1]:g}")
    values = np.empty((replicates, len(design.ids)))
    for i, (run, key) in enumerate(zip(design.ids, design.keys, strict=True)):
        digest = int.from_bytes(hashlib.sha256(run.encode()).digest()[:8], "big")
        rng = np.random.default_rng([seed, digest])
        values[:, i] = sd[key] * rng.standard_normal(replicates)
    return Noise(values, _levels(design, values))


def _levels(design: StudyDesign, values: Array) -> tuple[Mapping[Key, NoiseLevel], ...]:
    """What seed_noise finds in every replicate."""
    keys = sorted(set(design.keys))
    sums, dfs = np.zeros((len(values), len(keys))), np.zeros(len(keys))
    for j, key in enumerate(keys):
        here = np.array([other == key for other in design.keys])
        _, index, counts = np.unique(design.cell[here], return_inverse=True, return_counts=True)
        member = np.equal.outer(index, np.arange(counts.size)) / counts  # [runs, cells]
        own = values[:, here]
        sums[:, j] = np.sum((own - (own @ member)[:, index]) ** 2, axis=1)
        dfs[j] = np.sum(counts - 1)
        if dfs[j] == 0:
            sums[:, j] = 0.0
    stages = sorted({stage for stage, _ in keys})
    out = []
    for row in sums:
        levels: dict[Key, NoiseLevel] = {}
        for stage in stages:
            at = [j for j, key in enumerate(keys) if key[0] == stage]
            found = noise_levels([keys[j][1] for j in at], row[at], dfs[at])
            levels |= {(stage, budget): level for budget, level in found.items()}
        out.append(levels)
    return tuple(out)


def replicate(
    design: AxisDesign, losses: Sequence[Array], noise: Noise, index: int
) -> list[CurveData]:
    """The curves of one axis in one replicate.

    Args:
        design: the axis.
        losses: of each curve, [cells] without noise.
        noise: of the study.
        index: of the replicate.
    """
    curves = []
    for curve, loss in zip(design.curves, losses, strict=True):
        own, repeats = noise.values[index, curve.run], curve.repeats
        mean = np.bincount(curve.cell, own) / repeats
        curves.append(
            curve_data(
                curve.budget,
                curve.x,
                loss + mean,
                transform=IDENTITY,
                noise=noise.levels[index].get(curve.key, UNKNOWN),
                repeats=repeats,
                within=float(np.sum((own - mean[curve.cell]) ** 2)),
                columns=curve.columns,
            )
        )
    return curves


def plain_design(
    axis: str,
    arm: str,
    budgets: Sequence[float],
    x: Sequence[Array],
    columns: Sequence[Mapping[str, Array]],
    seeds: int,
) -> StudyDesign:
    """A study of one axis from its cells alone, every cell run with the same seeds.

    Args:
        axis: one of table.AXES.
        arm: its arm.
        budgets: ascending.
        x: of each budget, [cells] ascending.
        columns: of each budget, by name [cells].
        seeds: runs in a cell.
    """
    curves, ids, keys = [], [], []
    stage, start = 2 if axis == "negatives" else 1, 0
    for budget, values, more in zip(budgets, x, columns, strict=True):
        cell = np.repeat(np.arange(values.size), seeds)
        run = start + np.arange(cell.size)
        start += cell.size
        curves.append(CurveDesign((stage, float(budget)), values, more, run, cell))
        ids += [f"{axis}/{budget:g}/{c}/{i % seeds}" for i, c in enumerate(cell)]
        keys += [(stage, float(budget))] * cell.size
    label = np.repeat(np.arange(len(ids) // seeds), seeds)
    return StudyDesign((AxisDesign(axis, arm, tuple(curves)),), tuple(ids), tuple(keys), label)
