"""What the report reads: the runs table, the fits and the floors of a study and of its parts.

Choices: everything is read once and checked on entry, so that a figure never fails half-way on a
missing column; a missing laws file means 'nothing fitted' (its axis was not run), a missing runs
table is an error; each fit keeps the file and key it came from, so that a printed
number can name its origin. What the later laws write is typed in joint.py. A study's parts
(parts.json) are results of their own; an axis is shown where most of its cells were run, so that
a figure, a table and a claim about it speak of one data set, with that one's fits and floors.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from behavior_scaling.config_parts import WORLD
from behavior_scaling.laws.results import Agreement, AxisFit
from behavior_scaling.laws.table import AXES
from behavior_scaling.laws.transforms import is_maximised
from behavior_scaling.report.calibration import Calibration, read_calibration
from behavior_scaling.report.joint import (
    Backtest,
    Choice,
    Critical,
    Origin,
    ReportError,
    Row,
    Surface,
    read_backtests,
    read_choices,
    read_critical,
    read_rows,
    read_surfaces,
)
from behavior_scaling.report.read import Floors, read_floors, read_runs
from behavior_scaling.report.text import ORACLE

__all__ = ["Origin", "ReportError", "Results", "cells", "load_results"]

PARTS = "parts.json"  # a list of {study, folder, floors}, paths relative to results/
CELL = ["axis", "arm", "budget", "n_emb", "n_ctx", "batch", "in_batch", "uniform", "positions"]


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
    calibration: Calibration = field(default_factory=Calibration)
    predictions: tuple[Row, ...] = ()  # of laws/prediction.json
    lifts: tuple[Row, ...] = ()
    world_rows: tuple[Row, ...] = ()  # of laws/worlds.json: a row a world
    repetition_rows: tuple[Row, ...] = ()  # of the same: fresh against repeated data
    across: tuple[Row, ...] = ()  # of laws/worlds.json: exponents over the worlds' entropy
    parts: tuple[Results, ...] = ()
    place: str = ""  # in front of this study's files, seen from the study that names it as a part

    @property
    def source(self) -> str:
        """Name of the data."""
        return str(self.runs["source"].iloc[0])

    @property
    def is_world(self) -> bool:
        """Whether the data are a synthetic world's, whose entropy is known."""
        return self.source.startswith(WORLD)

    @property
    def worlds(self) -> tuple[Results, ...]:
        """The parts that ran in synthetic worlds."""
        return tuple(part for part in self.parts if part.is_world)

    def for_axis(self, axis: str) -> Results:
        """The results that show an axis: its most cells, the study's own among equals.

        A world stands for an axis only where nothing else ran it; without any run of the axis
        the study stands for it itself.
        """
        if axis not in self._shows:
            real = [self, *(part for part in self.parts if not part.is_world)]
            ran = any(one.axis_cells(axis) for one in real)
            asked = real if ran else [self, *self.worlds]
            # the first among equals
            self._shows[axis] = max(asked, key=lambda one: one.axis_cells(axis))
        return self._shows[axis]

    @cached_property
    def _shows(self) -> dict[str, Results]:
        """What `for_axis` has found: tables ask it at every row."""
        return {}

    def axis_cells(self, axis: str) -> int:
        """How many cells of an axis can enter a fit: finished, and no controls."""
        runs = self.axis_runs(axis)
        runs = runs[(runs["outcome"] == "done") & ~runs["control"].astype(bool)]
        return len(runs[CELL].drop_duplicates())

    def other_source(self, axis: str) -> str:
        """The name of the data that show an axis where they are not the study's own; else ''."""
        shown = self.for_axis(axis)
        return "" if shown is self else shown.source

    @cached_property
    def shown(self) -> Results:
        """All axes side by side, each with the runs and fits of the results that show it.

        What is of no axis (surfaces, floors) stays the study's own: ask `for_axis` for those.
        """
        if not self.parts:
            return self
        owner = {axis: self.for_axis(axis) for axis in AXES}
        owner["compute"] = owner["allocation"]
        studies = [self, *self.parts]

        def kept(name: str, axis: Callable[[Any], str]) -> tuple[Any, ...]:
            return tuple(
                row
                for one in studies
                for row in getattr(one, name)
                if owner.get(axis(row), self) is one
            )

        runs = [
            one.runs[[owner.get(axis, self) is one for axis in one.runs["axis"]]] for one in studies
        ]
        return replace(
            self,
            # the copy holds one array a type, where the parts' own stood side by side
            runs=pd.concat([rows for rows in runs if len(rows)], ignore_index=True).copy(),
            fits=kept("fits", lambda located: str(located.fit.axis)),
            agreements=kept("agreements", lambda row: str(row.axis)),
            criticals=kept("criticals", lambda _: "batch"),
            backtests=kept("backtests", lambda row: str(row.axis)),
            choices=kept("choices", lambda row: str(row.axis)),
            parts=(),
        )

    @property
    def budgets(self) -> list[float]:
        """Every budget of the study, ascending: the key of the colours in all figures."""
        return sorted(float(budget) for budget in set(self.runs["budget"]))

    def axis_runs(self, axis: str, arm: str | None = None) -> pd.DataFrame:
        """Rows of one axis (and arm), in the order of the table; to be read, not written to."""
        if (axis, arm) not in self._rows:
            rows = self.runs[self.runs["axis"] == axis]
            self._rows[axis, arm] = rows if arm is None else rows[rows["arm"] == arm]
        return self._rows[axis, arm]

    @cached_property
    def _rows(self) -> dict[tuple[str, str | None], pd.DataFrame]:
        """What `axis_runs` has found: hundreds of columns, at every row of some tables."""
        return {}

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
    """Read results/<study>/, and the results of its parts where parts.json names some.

    Args:
        results_dir: folder with runs.parquet and laws/.
        floors: what `behavior-scaling floors` wrote; None where no floor is printed.

    Raises:
        ReportError: a file is missing or damaged, or the runs table lacks a column.
    """
    results = _load(results_dir, floors)
    path = results_dir / PARTS
    if not path.is_file():
        return results
    root = results_dir.parent
    try:
        named = [
            (root / row["folder"], root / row["floors"]) for row in json.loads(path.read_text())
        ]
    except (ValueError, TypeError, KeyError):
        raise ReportError(
            f"{path}: not what `behavior-scaling parts` writes; run it again"
        ) from None
    parts = tuple(_load(folder, own, f"../{folder.name}/") for folder, own in named)
    return replace(results, parts=parts)


def _load(results_dir: Path, floors: Path | None, place: str = "") -> Results:
    runs = read_runs(results_dir / "runs.parquet")
    fits: list[LocatedFit] = []
    for axis in (*AXES, "compute"):
        path = results_dir / "laws" / f"{axis}.json"
        if path.is_file():
            for index, raw in enumerate(read_rows(path, "fits")):
                origin = Origin(f"{place}laws/{axis}.json", f"fits[{index}]")
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
        floors=read_floors(floors),
        surfaces=read_surfaces(laws, place),
        criticals=read_critical(laws, place),
        backtests=read_backtests(laws, place),
        choices=read_choices(laws, place),
        calibration=read_calibration(laws, place),
        predictions=_optional(laws / "prediction.json", "prediction"),
        lifts=_optional(laws / "prediction.json", "lift"),
        world_rows=_optional(laws / "worlds.json", "worlds"),
        repetition_rows=_optional(laws / "worlds.json", "repetition"),
        across=_optional(laws / "worlds.json", "across"),
        place=place,
    )


def _optional(path: Path, key: str) -> tuple[Row, ...]:
    """Rows of a file that a study need not have."""
    return tuple(read_rows(path, key)) if path.is_file() else ()


def _parse(path: Path, index: int, raw: dict[str, Any]) -> AxisFit:
    try:
        return AxisFit.from_dict(raw)
    except (TypeError, KeyError) as error:
        raise ReportError(
            f"{path}: fits[{index}] is not what laws writes: {error!r}; run the fit again"
        ) from error
