"""The cells of the joint surface: every run of every axis once, on the fitted scale, weighted.

Which runs enter: done, no control (share 0, K = 0), and of one objective in each stage (the
commonest; restored scores make the metric comparable, but another objective is another optimum
that training aims at, which no term of the surface describes). Both arms of the negatives axis
enter, with the share of their candidates that only uniform draws brought as an input. Runs of the
batch axis enter where the batch law admits them; those of the as-paper arm too, because their
number of candidates is an input of its own; with fewer than four sequences a step, whatever the
axis, too many of a position's in-batch candidates are its own sequence's, and no term says so. A
cell is all runs that differ in their seed only; its value is the mean over them, transformed, and
its weight the inverse of the variance of that mean by the pooled seed noise of its stage and
budget. A budget with few replicates leans on the others of its stage (as in Smyth, Stat. Appl.
Genet. Mol. Biol. 3, 2004), or a noise that came out small by chance would give its cells all the
weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError
from behavior_scaling.laws.batch import admissible
from behavior_scaling.laws.noise import NoiseLevel
from behavior_scaling.laws.table import AXES, DESIGN, metric_values, numbers, seed_noise
from behavior_scaling.laws.transforms import Transform, transform_for

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "n_emb": "n_emb",
    "n_ctx": "n_ctx",
    "positions": "positions",
    "unique": "unique_positions",
    "n_cand": "n_cand_distinct",
    "batch": "batch",
    "budget": "budget",
}
PRIOR_DF = 4.0  # a budget's noise leans on its stage's as on so many more degrees of freedom
LEAST_SEQUENCES = 4  # a step: of in-batch candidates 1 / B are the position's own sequence's
ADMISSION = ("steps_after_warmup", "unique_positions", "context")


@dataclass(frozen=True, eq=False)
class SurfaceData:
    """Cells of the surface; arrays [cells]."""

    metric: str
    transform: Transform
    inputs: Mapping[str, Array]  # own units
    values: Array  # means over seeds, the metric's own unit
    y: Array  # fitted scale, lower is better
    weight: Array  # over the error variance of a fit
    repeats: Array
    within: float  # weighted sum of squares of runs around their cells
    noise: NoiseLevel  # in units of the weights: about 1 where seed noise is known
    cell: npt.NDArray[np.int64]  # [runs] cell of each run of `frame`
    frame: pd.DataFrame  # the runs that entered, each once
    notes: tuple[str, ...]

    @property
    def cells(self) -> int:
        """Number of cells."""
        return int(self.y.size)

    @property
    def tiny(self) -> float:
        """An error variance that double precision cannot tell from none."""
        size = float(np.max(np.abs(self.y))) if self.y.size else 1.0
        return (1e-11 * max(size, 1e-300)) ** 2 * float(np.mean(self.weight))

    def mean(self, runs: Array) -> Array:
        """Mean over the seeds of each cell, of values [..., runs]."""
        member = self.cell[:, None] == np.arange(self.cells)
        return np.asarray(runs @ (member / self.repeats))


def surface_data(
    runs: pd.DataFrame, metric: str, transform: Transform | None = None
) -> SurfaceData:
    """Cells of the surface for one metric.

    Args:
        runs: the runs table (rows: run x axis).
        metric: column of the table.
        transform: scale of the fit; the metric's own (definitions.md) if not given.

    Raises:
        LawsError: a column is missing or holds an impossible value.
    """
    frame, notes = admitted(runs)
    transform = transform or transform_for(metric)
    value = metric_values(frame, metric)
    usable = transform.valid(value)
    if not usable.all():
        notes = (*notes, f"{int((~usable).sum())} runs without a usable {metric}: left out")
    frame, value = frame[usable], value[usable]
    cell, repeats, inputs = cell_inputs(frame)
    means = np.bincount(cell, value) / repeats
    seed = seed_noise(runs, metric)
    variance, known, extra = _run_variance(inputs, means, seed, transform)
    centred = value - means[cell]
    slope = transform.derivative(means)
    within = float(np.sum((centred * slope[cell]) ** 2 / variance[cell])) if known else 0.0
    df = float(np.sum(repeats - 1))
    told = known and df > 0
    level = NoiseLevel(within / df, df, "pooled") if told else NoiseLevel(None, 0.0, "")
    return SurfaceData(
        metric,
        transform,
        inputs,
        means,
        np.asarray(transform.forward(means), dtype=np.float64),
        repeats / variance,
        repeats,
        within,
        level,
        cell,
        frame,
        (*notes, *extra),
    )


def cell_inputs(frame: pd.DataFrame) -> tuple[npt.NDArray[np.int64], Array, dict[str, Array]]:
    """Cell of each run, runs of each cell, and the surface's inputs there in their own units."""
    keys = ["stage", "budget", *(column for column in DESIGN if column in frame.columns)]
    _, cell = np.unique(
        frame.groupby(keys, dropna=False, sort=True).ngroup().to_numpy(), return_inverse=True
    )
    repeats = np.bincount(cell).astype(np.float64) if cell.size else np.zeros(0)
    raw = {name: numbers(frame, column) for name, column in COLUMNS.items()}
    raw["stage2"] = (numbers(frame, "stage") == 2).astype(np.float64)
    raw["uniform_share"] = _uniform_share(frame)
    inputs = {name: np.bincount(cell, column) / repeats for name, column in raw.items()}
    inputs["budget"] = raw["budget"][np.unique(cell, return_index=True)[1]]  # exact, as a key
    return cell, repeats, inputs


def admitted(runs: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The runs that may enter a surface, each once, and what was left out in words."""
    rows = runs[(runs["outcome"] == "done") & runs["axis"].isin(AXES)]
    rows = rows[~rows["control"].fillna(False).astype(bool)]
    notes = []
    on_batch = (rows["axis"] == "batch").to_numpy()
    if on_batch.any() and all(column in rows.columns for column in ADMISSION):
        steps, unique, context = (numbers(rows, column) for column in ADMISSION)
        good = admissible(numbers(rows, "batch"), steps, unique, context)
        elsewhere = rows["id"].isin(rows.loc[~on_batch, "id"]).to_numpy()
        out = on_batch & ~good & ~elsewhere
        if out.any():
            notes.append(f"{int(out.sum())} runs of the batch axis not admissible: left out")
        rows = rows[~out]
    rows = rows.drop_duplicates("id")
    if "in_batch" in rows.columns:
        own = (numbers(rows, "batch") < LEAST_SEQUENCES) & (numbers(rows, "in_batch") > 0)
        if own.any():
            notes.append(
                f"{int(own.sum())} runs of fewer than {LEAST_SEQUENCES} sequences a step left out: "
                "too many of their candidates are items of the position's own sequence"
            )
        rows = rows[~own]
    if "objective" in rows.columns:
        for stage in sorted(set(rows["stage"])):
            here = rows["stage"] == stage
            counts = rows.loc[here, "objective"].value_counts()
            if len(counts) > 1:
                kept = sorted(counts.index, key=lambda kind: (-counts[kind], str(kind)))[0]
                other = here & (rows["objective"] != kept)
                notes.append(
                    f"stage {stage}: {int(other.sum())} runs with an objective other than {kept} "
                    "left out: the surface has no term for the objective"
                )
                rows = rows[~other]
    for name in COLUMNS.values():
        column = numbers(rows, name)
        bad = ~(np.isfinite(column) & (column > 0))
        if bad.any():
            at = int(np.flatnonzero(bad)[0])
            raise LawsError(
                f"runs: column {name!r} holds {float(column[at])!r} in run {rows['id'].iloc[at]}; "
                "the surface needs a positive number"
            )
    return rows, tuple(notes)


def _uniform_share(frame: pd.DataFrame) -> Array:
    """Share of a run's distinct candidates that no in-batch draw brought.

    With m in-batch candidates and K uniform ones of V, n = m + K (1 - m / V) are distinct.
    """
    if "uniform" not in frame.columns or "n_items" not in frame.columns:
        return np.zeros(len(frame))
    drawn, items = numbers(frame, "uniform"), numbers(frame, "n_items")
    distinct = numbers(frame, "n_cand_distinct")
    rest = np.maximum(items - drawn, 1.0)
    in_batch = np.clip((distinct - drawn) * items / rest, 0.0, distinct)
    return np.asarray(np.where(drawn > 0, 1 - in_batch / distinct, 0.0))


def _run_variance(
    inputs: Mapping[str, Array],
    means: Array,
    seed: Mapping[tuple[int, float], NoiseLevel],
    transform: Transform,
) -> tuple[Array, bool, tuple[str, ...]]:
    """Variance of one run of each cell on the fitted scale; whether seeds told it; notes."""
    stage = inputs["stage2"] + 1
    levels = {key: level for key, level in seed.items() if level.variance}
    if not levels:
        return transform.variance(means, np.ones_like(means)), False, ()
    own: list[float] = []
    borrowed: set[tuple[int, float]] = set()
    for s, c in zip(stage, inputs["budget"], strict=True):
        key = (round(float(s)), float(c))
        same = [level for (other, _), level in levels.items() if other == key[0]]
        pool = _pooled(same or list(levels.values()))
        level = levels.get(key)
        if level is None or level.variance is None:
            borrowed.add(key)
            own.append(pool)
        else:
            own.append((level.df * level.variance + PRIOR_DF * pool) / (level.df + PRIOR_DF))
    notes = tuple(
        f"stage {s}, budget {c:g}: no replicates, seed noise taken from the other budgets"
        for s, c in sorted(borrowed)
    )
    return transform.variance(means, np.asarray(own)), True, notes


def _pooled(levels: Sequence[NoiseLevel]) -> float:
    df = np.array([level.df for level in levels])
    return float(df @ np.array([level.variance or 0.0 for level in levels]) / df.sum())
