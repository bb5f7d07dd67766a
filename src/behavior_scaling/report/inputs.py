"""What the report reads: the runs table, the fits and the floors of one study.

Choices: everything is read once and checked on entry, so that a figure never fails half-way on a
missing column; a missing laws file means 'nothing fitted' (its axis was not run), a missing runs
table is an error; each fit keeps the file and key it came from, so that a printed
number can name its origin. What the later laws write is typed in joint.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from behavior_scaling.laws.results import Agreement, AxisFit
from behavior_scaling.laws.table import AXES
from behavior_scaling.laws.transforms import is_maximised
from behavior_scaling.report.joint import (
    Backtest,
    Choice,
    Critical,
    Origin,
    ReportError,
    Surface,
    read_backtests,
    read_choices,
    read_critical,
    read_rows,
    read_surfaces,
)
from behavior_scaling.report.text import LOSS, ORACLE, RECALL

__all__ = ["Origin", "ReportError", "Results", "cells", "load_results"]

Floors = dict[str, dict[str, dict[str, dict[str, float | int | None]]]]  # split, slice, floor
CELL = ["axis", "arm", "budget", "n_emb", "n_ctx", "batch", "in_batch", "uniform", "positions"]
REQUIRED = [
    "id", "study", "source", "axis", "arm", "budget", "seed", "outcome", "error", "n_emb", "n_ctx",
    "n_total", "share", "batch", "context", "tokens", "in_batch", "uniform", "n_cand_distinct",
    "objective", "positions", "unique_positions", "epochs", "d_over_n", "train_loss", "seconds",
    "n_items", "control", LOSS, RECALL,
]  # fmt: skip


@dataclass(frozen=True)
class LocatedFit:
    """A fit and the place it was read from."""

    fit: AxisFit
    origin: Origin


@dataclass(frozen=True)
class Results:
    """One study's results, as the report reads them."""

    study: str
    runs: pd.DataFrame
    fits: tuple[LocatedFit, ...]
    agreements: tuple[Agreement, ...]
    floors: Floors
    surfaces: tuple[Surface, ...] = ()
    criticals: tuple[Critical, ...] = ()
    backtests: tuple[Backtest, ...] = ()
    choices: tuple[Choice, ...] = ()

    @property
    def budgets(self) -> list[float]:
        """Every budget of the study, ascending: the key of the colours in all figures."""
        return sorted(float(budget) for budget in set(self.runs["budget"]))

    def axis_runs(self, axis: str, arm: str | None = None) -> pd.DataFrame:
        """Rows of one axis (and arm), in the order of the table."""
        rows = self.runs[self.runs["axis"] == axis]
        return rows if arm is None else rows[rows["arm"] == arm]

    def arms(self, axis: str) -> list[str]:
        """The arms that an axis was run with, sorted; empty where the axis was not run."""
        return sorted(set(self.axis_runs(axis)["arm"]))

    def find(self, axis: str, metric: str, arm: str = "") -> LocatedFit | None:
        """The first fit of an axis, arm and metric: laws writes the headline form first."""
        for located in self.fits:
            fit = located.fit
            if (fit.axis, fit.arm, fit.metric) == (axis, arm, metric):
                return located
        return None

    def surface(self, metric: str) -> Surface | None:
        """The joint surface of a metric."""
        return next((found for found in self.surfaces if found.metric == metric), None)

    def floor_values(self, metric: str) -> dict[str, float]:
        """Floors on the positions and metric of a runs-table column: its split and slice."""
        if metric.count("/") != 3:  # a training loss is of no split
            return {}
        split, _, part, name = metric.split("/")
        rules = self.floors.get(split, {}).get(part, {})
        found = {floor: row.get(name) for floor, row in rules.items()}
        return {floor: value for floor, value in found.items() if value is not None}

    def floor_to_beat(self, metric: str) -> tuple[str, float] | None:
        """The best floor and its value; None where no floor knows the metric."""
        known = {k: v for k, v in self.floor_values(metric).items() if k != ORACLE}
        if not known:
            return None
        best = (max if is_maximised(metric) else min)(known, key=known.__getitem__)
        return best, known[best]


def cells(runs: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Means over the seeds of each cell, for finished runs; `runs` counts them.

    Columns: those that define a cell, the mean of each of `columns`, control, runs.
    """
    done = runs[runs["outcome"] == "done"]
    wanted = [name for name in dict.fromkeys(columns) if name not in CELL]
    grouped = done.groupby(CELL, dropna=False, sort=True)
    means = grouped[wanted].mean()
    means["control"] = grouped["control"].first().astype(bool)
    means["runs"] = grouped.size()
    return means.reset_index()


def load_results(results_dir: Path, floors: Path | None = None) -> Results:
    """Read results/<study>/.

    Args:
        results_dir: folder with runs.parquet and laws/.
        floors: what `behavior-scaling floors` wrote; None where no floor is printed.

    Raises:
        ReportError: a file is missing or damaged, or the runs table lacks a column.
    """
    runs = _read_runs(results_dir / "runs.parquet")
    fits: list[LocatedFit] = []
    for axis in (*AXES, "compute"):
        path = results_dir / "laws" / f"{axis}.json"
        if path.is_file():
            for index, raw in enumerate(read_rows(path, "fits")):
                origin = Origin(f"laws/{axis}.json", f"fits[{index}]")
                fits.append(LocatedFit(_parse(path, index, raw), origin))
    laws = results_dir / "laws"
    path = laws / "agreement.json"
    rows = read_rows(path, "agreement") if path.is_file() else []
    try:
        agreements = tuple(Agreement.from_dict(raw) for raw in rows)
    except (TypeError, KeyError) as error:
        raise ReportError(f"{path}: not what laws writes: {error!r}; run the fit again") from error
    return Results(
        study=str(runs["study"].iloc[0]),
        runs=runs,
        fits=tuple(fits),
        agreements=agreements,
        floors=_read_floors(floors),
        surfaces=read_surfaces(laws),
        criticals=read_critical(laws),
        backtests=read_backtests(laws),
        choices=read_choices(laws),
    )


def _read_runs(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise ReportError(f"{path}: missing; run `behavior-scaling collect` first")
    runs = pd.read_parquet(path)
    absent = [name for name in REQUIRED if name not in runs.columns]
    if absent:
        raise ReportError(f"{path}: column {absent[0]!r} is missing; collect the study again")
    if runs.empty:
        raise ReportError(f"{path}: holds no run; train the study first")
    runs["arm"] = runs["arm"].fillna("")
    return runs


def _read_floors(path: Path | None) -> Floors:
    if path is None:
        return {}
    if not path.is_file():
        raise ReportError(f"{path}: missing; run `behavior-scaling floors` first")
    try:
        floors: Floors = {
            split: {
                part: {floor: dict(values) for floor, values in rules.items()}
                for part, rules in parts.items()
            }
            for split, parts in json.loads(path.read_text()).items()
        }
    except (ValueError, TypeError, AttributeError):
        raise ReportError(
            f"{path}: not what `behavior-scaling floors` writes; run it again"
        ) from None
    return floors


def _parse(path: Path, index: int, raw: dict[str, Any]) -> AxisFit:
    try:
        return AxisFit.from_dict(raw)
    except (TypeError, KeyError) as error:
        raise ReportError(
            f"{path}: fits[{index}] is not what laws writes: {error!r}; run the fit again"
        ) from error
