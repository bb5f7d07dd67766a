"""From the runs table to the cells of a curve: checks, replicates, means and seed noise.

Choices: a cell is every run of one axis, arm and budget that agrees in all design columns and
differs in its seed; controls (share 0, no uniform candidates) and runs that are not 'done' stay
out of every fit; a value that is missing, not finite or outside its transform's domain leaves the
run out for that metric, and is counted. Seed noise is pooled over all cells of a stage and budget,
each run once, whichever axes it serves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError
from behavior_scaling.laws.curve import CurveData, curve_data
from behavior_scaling.laws.noise import NoiseLevel, noise_levels, pooled
from behavior_scaling.laws.transforms import Transform, is_maximised
from behavior_scaling.laws.users import Users

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = ("id", "axis", "arm", "budget", "seed", "stage", "outcome", "control")
AXES = ("allocation", "share", "batch", "negatives")
VARIATION = "variation"  # an axis that no law is fitted on
X_COLUMN = {
    "allocation": "n_total",
    "share": "share",
    "batch": "batch",
    "negatives": "n_cand_distinct",
}
OTHER_COLUMNS = {
    "allocation": ("positions", "epochs"),
    "share": (),
    "batch": ("positions", "steps", "steps_after_warmup", "unique_positions", "context"),
    "negatives": ("n_items",),
}
ARMS = {"batch": ("clean", "as_paper")}
DESIGN = (
    "n_emb", "n_ctx", "d_model", "layers", "embedder_kind", "embedder_width", "embedder_depth",
    "batch", "context", "tokens", "in_batch", "uniform", "objective", "lr", "positions",
    "heads", "event_features", "event_width", "temperature", "same_sequence", "warmup", "lr_final",
    "weight_decay", "beta1", "beta2", "clip",
)  # fmt: skip

Noise = Mapping[tuple[int, float], NoiseLevel]


@dataclass(frozen=True)
class Group:
    """The runs of one axis and arm that may enter a fit, one row a run."""

    axis: str
    arm: str
    frame: pd.DataFrame  # with a column 'cell': 0..n-1
    notes: tuple[str, ...]


def check_runs(runs: pd.DataFrame) -> None:
    """Refuse a table that cannot be read.

    Raises:
        LawsError: a required column is missing, or axis, arm, budget or a cell's x holds a value
            that cannot be; the message names the column and the run.
    """
    _need(runs, REQUIRED, "every axis")
    unknown = sorted(set(runs["axis"]) - {*AXES, VARIATION, "control"}, key=str)
    if unknown:
        raise LawsError(f"runs: column 'axis' holds {unknown[0]!r}; known: {', '.join(AXES)}")
    _positive(runs, "budget")
    for axis, arms in ARMS.items():
        found = sorted(set(runs.loc[runs["axis"] == axis, "arm"].fillna("")) - set(arms), key=str)
        if found:
            raise LawsError(f"runs: column 'arm' holds {found[0]!r} on axis {axis}; known: {arms}")


def groups(runs: pd.DataFrame) -> list[Group]:
    """All (axis, arm) groups of a checked table, in the order of AXES."""
    found = []
    for axis in AXES:
        rows = runs[runs["axis"] == axis]
        for arm in sorted(set(rows["arm"].fillna(""))):
            found.append(_group(rows[rows["arm"].fillna("") == arm], axis, arm))
    return found


def _group(rows: pd.DataFrame, axis: str, arm: str) -> Group:
    rows = rows.drop_duplicates("id")
    done = rows[rows["outcome"] == "done"]
    lost = rows.loc[rows["outcome"] != "done", "outcome"].value_counts().sort_index()
    notes = [f"{count} runs {outcome}: left out" for outcome, count in lost.items()]
    control = done["control"].fillna(False).astype(bool)
    if control.any():
        notes.append(f"{int(control.sum())} control runs: left out")
    frame = done[~control].copy()
    if len(frame):
        _need(frame, (X_COLUMN[axis], *OTHER_COLUMNS[axis]), f"axis {axis}")
        for column in (X_COLUMN[axis], *OTHER_COLUMNS[axis]):
            _positive(frame, column, zero=column == "steps_after_warmup")
    frame["cell"] = cell_codes(frame)
    twice = frame[frame.duplicated(["cell", "seed"], keep=False)]
    if len(twice):
        first, second = twice.sort_values(["cell", "seed"])["id"].iloc[:2]
        raise LawsError(
            f"runs: column 'seed': runs {first} and {second} of axis {axis} are one cell with one "
            f"seed; they differ in something that is no design column"
        )
    return Group(axis, arm, frame, tuple(notes))


def cell_codes(frame: pd.DataFrame, without: str = "") -> npt.NDArray[np.int64]:
    """A number for every run's cell: runs of one cell agree in all design columns but `without`."""
    known = [column for column in DESIGN if column in frame.columns and column != without]
    keys = ["stage", "budget", *known]
    return np.asarray(frame.groupby(keys, dropna=False, sort=True).ngroup(), dtype=np.int64)


def seed_noise(runs: pd.DataFrame, metric: str) -> Noise:
    """Noise level of every (stage, budget), in the metric's own unit."""
    done = runs[runs["outcome"] == "done"].drop_duplicates("id")
    value = numbers(done, metric)
    done, value = done[np.isfinite(value)], value[np.isfinite(value)]
    cell = cell_codes(done)
    levels: dict[tuple[int, float], NoiseLevel] = {}
    stage, budget = numbers(done, "stage"), numbers(done, "budget")
    for s in np.unique(stage):
        here = np.unique(budget[stage == s])
        parts = [pooled(cell[m], value[m]) for c in here for m in [(stage == s) & (budget == c)]]
        fitted = noise_levels(here, [p[0] for p in parts], [p[1] for p in parts])
        levels.update({(int(s), c): level for c, level in fitted.items()})
    return levels


def seed_residuals(runs: pd.DataFrame, metrics: Sequence[str]) -> tuple[Array, dict[str, Array]]:
    """Stage [runs], and by metric how far each run lies from its cell's mean [runs].

    In units of the seed noise of its budget; NaN for a run without a value or a noise level.
    """
    done = runs[runs["outcome"] == "done"].drop_duplicates("id")
    stage, budget, cell = numbers(done, "stage"), numbers(done, "budget"), cell_codes(done)
    out = {}
    for metric in metrics:
        value, residual = numbers(done, metric), np.full(len(done), np.nan)
        has = np.isfinite(value)
        mean = CellMean(cell[has])
        residual[has] = value[has] - mean(value[has])[mean.index]
        levels = seed_noise(runs, metric)
        for (s, c), level in levels.items():
            here = (stage == s) & (budget == c)
            known = level.variance is not None and level.variance > 0
            residual[here] /= np.sqrt(level.variance or 0.0) if known else np.nan
        out[metric] = residual
    return stage, out


def metric_curves(
    group: Group, metric: str, transform: Transform, noise: Noise, users: Users | None = None
) -> tuple[list[CurveData], tuple[str, ...]]:
    """One CurveData per budget of the group, ascending; and what was left out, in words.

    With user sums every curve carries its cells' deviations under redrawn users.
    """
    frame = group.frame
    value = metric_values(frame, metric)
    usable = transform.valid(value)
    notes = []
    if not usable.all():
        notes.append(f"{int((~usable).sum())} runs without a usable {metric}: left out")
    budget, stage = numbers(frame, "budget"), numbers(frame, "stage")
    columns = {name: numbers(frame, name) for name in OTHER_COLUMNS[group.axis]}
    if group.axis == "batch":
        sequences = columns["steps"] * numbers(frame, "batch")
        columns["sequence_events"] = columns["positions"] / sequences
    x, cell = numbers(frame, X_COLUMN[group.axis]), frame["cell"].to_numpy()
    redrawn = None
    if users is None:
        notes.append("users not redrawn: no file of user sums")
    elif usable.any():
        found = users.deviations(list(frame["id"][usable]), metric, value[usable])
        if isinstance(found, str):
            notes.append(f"users not redrawn: {found}")
        else:
            redrawn = np.zeros((found.shape[0], len(frame)))
            redrawn[:, usable] = found
    curves = []
    for c in np.unique(budget[usable]):
        mask = usable & (budget == c)
        within, _ = pooled(cell[mask], value[mask])
        mean = CellMean(cell[mask])
        curves.append(
            curve_data(
                float(c),
                mean(x[mask]),
                mean(value[mask]),
                transform=transform,
                noise=noise.get((int(stage[mask][0]), float(c)), NO_LEVEL),
                repeats=mean.counts,
                within=within,
                columns={name: mean(column[mask]) for name, column in columns.items()},
                users=None if redrawn is None else mean.rows(redrawn[:, mask]),
            )
        )
    return curves, tuple(notes)


NO_LEVEL = NoiseLevel(None, 0.0, "no cell of this budget was run with two seeds")


def metric_values(frame: pd.DataFrame, metric: str) -> Array:
    """A metric's column; NaN where there is none.

    Raises:
        LawsError: a finite value that the metric cannot take, naming column and run.
    """
    value = numbers(frame, metric)
    high = 1.0 if is_maximised(metric) else np.inf
    with np.errstate(invalid="ignore"):
        bad = np.isfinite(value) & ((value < 0) | (value > high))
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise LawsError(
            f"runs: column {metric!r} holds {float(value[at])!r} in run {frame['id'].iloc[at]}; "
            f"it lies between 0 and {high}"
        )
    return np.where(np.isfinite(value), value, np.nan)


def cell_means(frame: pd.DataFrame, columns: Sequence[str]) -> dict[str, Array]:
    """Mean of each column over the seeds of every cell; NaN where a run has none."""
    mean = per_cell(frame)
    return {column: mean(metric_values(frame, column)) for column in columns}


def per_cell(frame: pd.DataFrame) -> CellMean:
    """Means over the cells of a frame with a column 'cell'."""
    return CellMean(frame["cell"].to_numpy())


class CellMean:
    """Mean over the runs of each cell, cells in the order of their codes."""

    def __init__(self, cell: npt.NDArray[np.int64]) -> None:
        _, self.index = np.unique(cell, return_inverse=True)
        self.counts = np.bincount(self.index).astype(np.float64)

    def __call__(self, values: Array) -> Array:
        """[runs] -> [cells]."""
        return np.asarray(np.bincount(self.index, values) / self.counts)

    def rows(self, values: Array) -> Array:
        """The same of every row: [r, runs] -> [r, cells]."""
        member = np.zeros((self.index.size, self.counts.size))
        member[np.arange(self.index.size), self.index] = 1.0
        return np.asarray(values @ (member / self.counts))


def numbers(frame: pd.DataFrame, column: str) -> Array:
    """A column as floats.

    Raises:
        LawsError: the column is missing or holds something that is no number.
    """
    _need(frame, (column,), "a fit")
    try:
        return np.asarray(frame[column].to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError):
        raise LawsError(f"runs: column {column!r} holds values that are no numbers") from None


def _need(frame: pd.DataFrame, columns: Sequence[str], who: str) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise LawsError(f"runs: column {missing[0]!r} is missing ({who} needs it)")


def _positive(frame: pd.DataFrame, column: str, *, zero: bool = False) -> None:
    value = numbers(frame, column)
    good = np.isfinite(value) & ((value >= 0) if zero else (value > 0))
    if not good.all():
        at = int(np.flatnonzero(~good)[0])
        raise LawsError(
            f"runs: column {column!r} holds {float(value[at])!r} in run {frame['id'].iloc[at]}; it "
            f"must be a {'non-negative' if zero else 'positive'} number"
        )
