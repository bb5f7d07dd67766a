"""What the joint surface, the critical batch, the backtest and the cost of choosing left in laws/.

Choices: rows become typed objects on reading, so that a file of another version is refused with
its name; an absent file is an empty list, 'nothing fitted'; every object keeps the place it was
read from, so that a printed number can name its origin.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from behavior_scaling.laws.results import Estimate

T = TypeVar("T")
NOMINAL = "nominal"
Row = dict[str, Any]


class ReportError(ValueError):
    """Results that cannot be reported; the message names the file and what to do."""


@dataclass(frozen=True)
class Origin:
    """Where a number comes from: a file of the results folder, and the key inside it."""

    file: str
    key: str

    def at(self, key: str) -> Origin:
        """A place below this one."""
        return Origin(self.file, f"{self.key}.{key}")


@dataclass(frozen=True)
class Optimum:
    """One optimum of the surface: axis, arm, budget, and how cost is counted."""

    axis: str
    arm: str
    convention: str
    budget: float  # nominal
    cost: float  # level of the iso-cost curve under the convention
    optimum: Estimate
    best: Estimate
    derived: dict[str, Estimate]
    notes: tuple[str, ...]
    origin: Origin


@dataclass(frozen=True)
class Exponent:
    """Slope over log C of an optimum ('optimum') or of D there ('D')."""

    axis: str
    arm: str
    convention: str
    of: str
    exponent: Estimate
    origin: Origin


@dataclass(frozen=True)
class Part:
    """A part of the surface: whether the runs show it, and what says so."""

    kept: bool
    aicc: float | None  # lost without it; None where it was never up for removal
    reason: str


@dataclass(frozen=True)
class Surface:
    """The joint surface of one metric."""

    metric: str
    form: str
    transform: str
    status: str
    reason: str
    runs: int
    cells: int
    parts: dict[str, Part]
    parameters: dict[str, Estimate]
    optima: tuple[Optimum, ...]
    exponents: tuple[Exponent, ...]
    fit: tuple[Row, ...]  # observed, fitted, low, high of every cell, in the order of the cells
    flags: tuple[str, ...]
    interval: str
    notes: tuple[str, ...]
    origin: Origin

    @property
    def fitted(self) -> bool:
        """Whether there was anything to fit: some part was kept."""
        return any(part.kept for part in self.parts.values())

    def optimum(self, axis: str, arm: str, convention: str = NOMINAL) -> list[Optimum]:
        """The optima of one axis and arm over budgets."""
        key = (axis, arm, convention)
        return [o for o in self.optima if (o.axis, o.arm, o.convention) == key]

    def exponent(self, axis: str, arm: str, of: str, convention: str = NOMINAL) -> Exponent | None:
        """The exponent of one axis and arm; None where the axis was not run."""
        key = (axis, arm, convention, of)
        known = [e for e in self.exponents if (e.axis, e.arm, e.convention, e.of) == key]
        return known[0] if known else None


@dataclass(frozen=True)
class Critical:
    """The critical batch of one metric and budget by one method."""

    method: str  # 'curve', 'steps', 'noise'
    metric: str
    budget: float
    runs: int
    form: str
    sequences: Estimate
    events: Estimate
    coefficients: dict[str, Estimate]  # steps: S_min, E_min, target
    trajectory: tuple[tuple[float, Estimate], ...]  # over target losses, or over training
    crossings: tuple[tuple[float, float], ...]  # batch, steps to the headline target
    disagreements: tuple[str, ...]
    notes: tuple[str, ...]
    origin: Origin


@dataclass(frozen=True)
class Backtest:
    """One held-out budget of one axis, arm and metric."""

    metric: str
    axis: str
    arm: str
    level: float
    held_out: float
    budgets_left: int
    status: str
    reason: str
    cells: tuple[Row, ...]  # x, observed, predicted, low, high, covered
    scores: dict[str, Row]  # surface, last, log_linear: coverage, crps, error, half_width
    optimum: Row  # status, reason, estimate, predicted, scores
    origin: Origin


@dataclass(frozen=True)
class Choice:
    """What choosing a cell by a loss costs in a ranking metric."""

    axis: str
    arm: str
    budget: float
    loss: str
    metric: str
    cells: int
    x: str  # column of the runs table
    chosen_x: float | None
    best_x: float | None
    cost: Estimate
    relative: Estimate
    origin: Origin


def read_rows(path: Path, key: str) -> list[Row]:
    """The list under a key of a laws file.

    Raises:
        ReportError: the file is damaged or holds no such list.
    """
    try:
        rows: list[Row] = json.loads(path.read_text())[key]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ReportError(f"{path}: no readable {key!r} list; run the fit again") from error
    return rows


def read_surfaces(laws: Path, place: str = "") -> tuple[Surface, ...]:
    """laws/surface.json; the headline metric first."""
    return _read(laws / "surface.json", "surface", _surface, place)


def read_critical(laws: Path, place: str = "") -> tuple[Critical, ...]:
    """laws/critical_batch.json."""
    return _read(laws / "critical_batch.json", "critical_batch", _critical, place)


def read_backtests(laws: Path, place: str = "") -> tuple[Backtest, ...]:
    """laws/backtest.json."""
    return _read(laws / "backtest.json", "backtest", _backtest, place)


def read_choices(laws: Path, place: str = "") -> tuple[Choice, ...]:
    """The costs of choosing by loss in laws/agreement.json; a file without them has none."""
    path = laws / "agreement.json"
    if path.is_file() and "choice_cost" not in json.loads(path.read_text()):
        return ()
    return _read(path, "choice_cost", _choice, place)


def _read(path: Path, key: str, parse: Callable[[Row, Origin], T], place: str) -> tuple[T, ...]:
    """Rows as objects; `place` stands before the names of files of another study's folder."""
    if not path.is_file():
        return ()
    return typed(read_rows(path, key), key, parse, f"{place}laws/{path.name}", str(path))


def typed(
    rows: Sequence[Row], key: str, parse: Callable[[Row, Origin], T], file: str, where: str = ""
) -> tuple[T, ...]:
    """Rows of one list of a laws file as objects.

    Args:
        rows: of the list.
        key: its name.
        parse: makes an object of a row and its origin.
        file: the laws file, as origins name it.
        where: as errors name it; else the same.

    Raises:
        ReportError: a row is not what laws writes.
    """
    found = []
    for index, raw in enumerate(rows):
        try:
            found.append(parse(raw, Origin(file, f"{key}[{index}]")))
        except (TypeError, KeyError) as error:
            raise ReportError(
                f"{where or file}: {key}[{index}] is not what laws writes: {error!r}; "
                "run the fit again"
            ) from error
    return tuple(found)


def _surface(raw: Row, origin: Origin) -> Surface:
    plain = ("metric", "form", "transform", "status", "reason", "runs", "cells", "interval")
    optima = tuple(
        Optimum(
            **{name: o[name] for name in ("axis", "arm", "convention", "budget", "cost")},
            optimum=Estimate(**o["optimum"]),
            best=Estimate(**o["best"]),
            derived=_estimates(o["derived"]),
            notes=tuple(o["notes"]),
            origin=origin.at(f"optima[{i}]"),
        )
        for i, o in enumerate(raw["optima"])
    )
    exponents = tuple(
        Exponent(
            **{name: e[name] for name in ("axis", "arm", "convention", "of")},
            exponent=Estimate(**e["exponent"]),
            origin=origin.at(f"exponents[{i}].exponent"),
        )
        for i, e in enumerate(raw["exponents"])
    )
    return Surface(
        **{name: raw[name] for name in plain},
        parts={
            name: Part(part["kept"], part.get("aicc"), part.get("reason", ""))
            for name, part in raw["parts"].items()
        },
        parameters=_estimates(raw["parameters"]),
        optima=optima,
        exponents=exponents,
        fit=tuple(raw["fit"]),
        flags=tuple(raw["flags"]),
        notes=tuple(raw["notes"]),
        origin=origin,
    )


def _critical(raw: Row, origin: Origin) -> Critical:
    plain = ("method", "metric", "budget", "runs", "form")
    return Critical(
        **{name: raw[name] for name in plain},
        sequences=Estimate(**raw["sequences"]),
        events=Estimate(**raw["events"]),
        coefficients=_estimates(raw["coefficients"]),
        trajectory=tuple((m["at"], Estimate(**m["sequences"])) for m in raw["trajectory"]),
        crossings=tuple((c["batch"], c["steps"]) for c in raw["crossings"]),
        disagreements=tuple(raw["disagreements"]),
        notes=tuple(raw["notes"]),
        origin=origin,
    )


def _backtest(raw: Row, origin: Origin) -> Backtest:
    plain = ("metric", "axis", "arm", "level", "held_out", "budgets_left", "status", "reason")
    return Backtest(
        **{name: raw[name] for name in plain},
        cells=tuple(raw.get("cells", ())),
        scores=raw.get("scores", {}),
        optimum=raw.get("optimum", {}),
        origin=origin,
    )


def _choice(raw: Row, origin: Origin) -> Choice:
    estimates = {name: Estimate(**raw[name]) for name in ("cost", "relative")}
    return Choice(**{**raw, **estimates}, origin=origin)


def _estimates(raw: dict[str, Row]) -> dict[str, Estimate]:
    return {name: Estimate(**value) for name, value in raw.items()}
