"""The plan: every cell of a study, and the bundles of short runs that become jobs.

Choices: bundles are cut within one stage and one budget, so that a new budget leaves the old
bundles as they are, within one number of devices, because a job asks for them once, and by
estimated seconds (seconds.py), because short runs cost overhead, not FLOPs; a bundle's key hashes
its cells, so the key changes when the work does; a bundle of stage 2 names the bundles that train
its parents.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from behavior_scaling.config import Study
from behavior_scaling.sweep.axes import AXES, joined
from behavior_scaling.sweep.cells import Cell, CellMaker, LeftOut, unique
from behavior_scaling.sweep.execution import execution_of
from behavior_scaling.sweep.seconds import run_seconds

Timed = tuple[Cell, float]  # a run and its estimated seconds


@dataclass(frozen=True)
class Bundle:
    """Runs that share a job, in order."""

    key: str
    cells: tuple[Cell, ...]
    parents: tuple[str, ...]  # keys of bundles that must come first
    seconds: float  # estimated, of all its runs
    devices: int = 1  # that each of its runs takes

    @property
    def flops(self) -> float:
        """Nominal FLOPs of the job."""
        return sum(cell.budget for cell in self.cells)


@dataclass(frozen=True)
class Plan:
    """What a study runs, what it leaves out, and in which jobs."""

    cells: tuple[Cell, ...]  # one for every (axis, arm, point, seed)
    left_out: tuple[LeftOut, ...]
    bundles: tuple[Bundle, ...]

    def bundle(self, key: str) -> Bundle:
        """The bundle of a key.

        Raises:
            KeyError: the study has changed since the key was made.
        """
        for bundle in self.bundles:
            if bundle.key == key:
                return bundle
        raise KeyError(f"no bundle {key} in this study (has the study file changed?)")


def make_plan(study: Study, n_items: int) -> Plan:
    """All cells and bundles of a study over a catalogue of n_items."""
    maker = CellMaker(study, n_items)
    cells, left = joined(axis(study, maker) for axis in AXES.values())
    return Plan(tuple(cells), tuple(left), _bundle(study, n_items, list(unique(cells))))


def _bundle(study: Study, n_items: int, cells: list[Cell]) -> tuple[Bundle, ...]:
    groups: dict[tuple[int, float, int], list[Timed]] = defaultdict(list)
    for cell in cells:
        execution = execution_of(cell, study, n_items)
        seconds = run_seconds(cell, study, n_items, execution)
        groups[cell.stage, cell.budget, execution.devices].append((cell, seconds))
    bundles: list[Bundle] = []
    home: dict[str, str] = {}  # cell key -> bundle key
    # Long runs first within a stage: two workers then finish at nearly the same time.
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], -item[0][1], -item[0][2]))
    for (_, _, devices), group in ordered:
        for part, seconds in _jobs(study, group):
            text = "\n".join(cell.key for cell in part)
            key = hashlib.sha256(text.encode()).hexdigest()[:16]
            parents = sorted({home[cell.parent.key] for cell in part if cell.parent})
            bundles.append(Bundle(key, part, tuple(parents), seconds, devices))
            home |= {cell.key: key for cell in part}
    return tuple(bundles)


def _jobs(study: Study, cells: list[Timed]) -> Iterator[tuple[tuple[Cell, ...], float]]:
    """Consecutive cells, as many as fit a job, and their seconds."""
    part: list[Cell] = []
    total = 0.0
    for cell, seconds in cells:
        if part and total + seconds > study.execution.bundle_seconds:
            yield tuple(part), total
            part, total = [], 0.0
        part.append(cell)
        total += seconds
    yield tuple(part), total
