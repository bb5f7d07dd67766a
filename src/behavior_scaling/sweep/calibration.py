"""How long runs really take: measured over estimated seconds of a study's finished runs.

Choices: the ratio's median, for an estimate is off by a factor, not by an amount; a stage and
budget speaks for itself once ENOUGH of its runs have finished, else its stage does, else all of
them; only runs on the device of the latest one count, because a study may begin on a laptop and
go on elsewhere; the spread is what eight in ten finished runs keep to, and is carried to a sum as
it is, as if all runs to come were off by the same factor, because mostly they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from behavior_scaling.sweep.cells import Cell

ENOUGH = 5


@dataclass(frozen=True)
class Ratio:
    """Measured over estimated seconds; without a spread where too few runs have finished."""

    value: float
    low: float | None = None  # one in ten takes less
    high: float | None = None  # one in ten takes more
    runs: int = 0


UNMEASURED = Ratio(1.0)


@dataclass(frozen=True)
class Finished:
    """A run that ended well."""

    cell: Cell
    estimated: float  # seconds
    measured: float  # seconds
    evaluating: float  # seconds of `measured` after its training
    device: str
    ended: float  # unix seconds


class Calibration:
    """Ratios of a study's finished runs, by stage and budget, by stage and of all."""

    def __init__(self, finished: Sequence[Finished]) -> None:
        """Args: finished: runs that ended well, in any order."""
        latest = max(finished, key=lambda run: run.ended, default=None)
        self.device = latest.device if latest else ""
        kept = [run for run in finished if run.device == self.device and run.measured > 0]
        groups: dict[tuple[float, ...], list[float]] = defaultdict(list)
        for run in kept:
            ratio = run.measured / run.estimated
            for group in _groups(run.cell):
                groups[group].append(ratio)
        self._ratios = {
            group: _ratio(ratios)
            for group, ratios in groups.items()
            if len(ratios) >= ENOUGH or group == ()
        }
        self.evaluating = median(run.evaluating / run.measured for run in kept) if kept else 0.0

    @property
    def all(self) -> Ratio:
        """Of all finished runs."""
        return self._ratios.get((), UNMEASURED)

    def of(self, cell: Cell) -> Ratio:
        """Of the runs that are most like a cell's."""
        known = (self._ratios[group] for group in _groups(cell) if group in self._ratios)
        return next(known, UNMEASURED)


def _groups(cell: Cell) -> tuple[tuple[float, ...], ...]:
    """The nearest first."""
    return (cell.stage, cell.budget), (cell.stage,), ()


def _ratio(ratios: list[float]) -> Ratio:
    if len(ratios) < ENOUGH:
        return Ratio(median(ratios), runs=len(ratios))
    tenths = quantiles(ratios, n=10, method="inclusive")
    return Ratio(median(ratios), tenths[0], tenths[-1], len(ratios))
