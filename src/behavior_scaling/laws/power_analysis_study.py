"""The power analysis of a study file: plan, planted truths, chances, and the runs worth adding.

Choices: noise is stated (one standard deviation for all) or measured by noise.py in a table of
runs, the level of each stage and budget; a budget that the table does not tell takes the geometric
mean of its stage, else of all. Additions are simulated with a fifth of the replicates. Seconds
are predicted only where a table of runs gives throughput: nominal FLOPs over the stage's median
rate at the nearest budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.config import Study
from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.planted import Truth, stated
from behavior_scaling.laws.planted_design import Key, StudyDesign, study_design
from behavior_scaling.laws.planted_fits import LOSS, run_tasks
from behavior_scaling.laws.planted_table import Facts, facts_of_runs, planned_runs
from behavior_scaling.laws.power_analysis import (
    Answer,
    answer,
    default_truth,
    questions,
    simulation,
)
from behavior_scaling.laws.power_analysis_additions import Addition, Impossible, Planner, additions
from behavior_scaling.laws.power_analysis_ranking import Candidate, Gain, gains
from behavior_scaling.laws.table import numbers, seed_noise
from behavior_scaling.sweep.cells import Cell, unique
from behavior_scaling.sweep.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

FEWER = 5  # replicates over those of an addition
LEAST = 25
AXES = ("allocation", "share", "negatives", "batch")


@dataclass(frozen=True)
class PowerReport:
    """What a plan can tell."""

    study: str
    runs: int
    flops: float
    seconds: float | None
    replicates: int
    addition_replicates: int
    seed: int
    truth: Truth
    noise: dict[str, float]  # 'stage s, budget c' -> standard deviation of one run, nats
    assumed: tuple[str, ...]
    left_out: tuple[str, ...]
    missing: tuple[str, ...]  # axes that the plan does not have
    answers: tuple[Answer, ...]
    gains: tuple[Gain, ...]
    impossible: tuple[Impossible, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def power(
    study: Study,
    planner: Planner,
    facts: Facts,
    *,
    noise: float = 0.01,
    runs: pd.DataFrame | None = None,
    truth: Mapping[str, float] | None = None,
    replicates: int = 200,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[str], None] = lambda _: None,
) -> PowerReport:
    """Chances of a study's plan, and what added runs would change.

    Args:
        study: the study.
        planner: study to plan (the catalogue's size lies with the caller).
        facts: of its data.
        noise: seed standard deviation of one run, nats, where no runs are given.
        runs: table of earlier runs, for noise, distinct candidates and throughput.
        truth: parameters of the planted truth by name (planted.stated).
        replicates: of the plan.
        seed: of all draws.
        workers: processes.
        progress: is told how far it is.

    Raises:
        LawsError: no axis to analyse, an impossible number, or runs that tell no noise.
    """
    if not (np.isfinite(noise) and noise > 0):
        raise LawsError(f"noise: {noise!r} is not a positive number of nats")
    if runs is not None:
        facts = facts_of_runs(runs, facts)
    plan = planner(study)
    if not plan.cells:
        raise LawsError(f"study {study.name}: its plan has no cell on any axis")
    design = _design(study, plan, facts)
    level = _Level(noise, runs)
    planted = stated(default_truth(design), truth or {})
    asked = questions(design, planted, tuple(truth or ()))
    first = simulation(design, asked, level.sd(design), replicates=replicates, seed=seed)
    draws = first.draws(run_tasks(first.tasks, workers, progress))
    axes = {(axis.axis, axis.arm): axis for axis in design.axes}
    answers = [answer(axes[q.key], q, pair) for q, pair in zip(asked, draws, strict=True)]
    found = additions(study, plan, planted, planner)
    candidates = [_candidate(item, facts, level) for item in found if isinstance(item, Addition)]
    fewer = min(replicates, max(LEAST, replicates // FEWER))
    ranked = gains(
        design, asked, draws, candidates,
        replicates=fewer, seed=seed, workers=workers, progress=progress,
    )  # fmt: skip
    cells = list(unique(list(plan.cells)))
    return PowerReport(
        study=study.name,
        runs=len(cells),
        flops=float(sum(cell.budget for cell in cells)),
        seconds=level.seconds(cells),
        replicates=replicates,
        addition_replicates=fewer,
        seed=seed,
        truth=planted,
        noise={f"stage {s}, budget {c:g}": v for (s, c), v in sorted(level.sd(design).items())},
        assumed=(*facts.assumed, *level.notes),
        left_out=tuple(
            f"{item.axis} {item.label} at {item.budget:g}: {item.reason}" for item in plan.left_out
        ),
        missing=tuple(axis for axis in AXES if getattr(study.axes, axis) is None),
        answers=tuple(answers),
        gains=tuple(ranked),
        impossible=tuple(item for item in found if isinstance(item, Impossible)),
    )


def _design(study: Study, plan: Plan, facts: Facts) -> StudyDesign:
    return study_design(planned_runs(study, plan, facts))


def _candidate(item: Addition, facts: Facts, level: _Level) -> Candidate:
    design = _design(item.study, item.plan, facts)
    return Candidate(
        item.axis, item.text, design, level.sd(design), item.runs, item.flops,
        level.seconds(item.cells),
    )  # fmt: skip


class _Level:
    """Noise and throughput, stated or measured."""

    def __init__(self, noise: float, runs: pd.DataFrame | None) -> None:
        self.stated = noise
        self.measured: dict[Key, float] = {}
        self.rates: dict[Key, float] = {}
        self.notes: tuple[str, ...] = (f"seed noise {noise:g} nats at every budget",)
        if runs is None:
            return
        levels = seed_noise(runs, LOSS)
        self.measured = {
            key: float(np.sqrt(level.variance)) for key, level in levels.items() if level.variance
        }
        if not self.measured:
            raise LawsError(
                "runs: no cell was run with two seeds, so the table tells no seed noise; "
                "state it with --noise"
            )
        known = ", ".join(f"stage {s} at {c:g}" for s, c in sorted(self.measured))
        self.notes = (f"seed noise measured ({known}), elsewhere the geometric mean",)
        done = runs[runs["outcome"] == "done"].drop_duplicates("id")
        rate = numbers(done, "budget") / numbers(done, "seconds")
        keys = list(zip(numbers(done, "stage"), numbers(done, "budget"), strict=True))
        for key in sorted(set(keys)):
            here = np.array([other == key for other in keys]) & np.isfinite(rate)
            if here.any():
                self.rates[int(key[0]), float(key[1])] = float(np.median(rate[here]))

    def sd(self, design: StudyDesign) -> dict[Key, float]:
        """Of every stage and budget of a design."""
        return {key: self._one(key) for key in sorted(set(design.keys))}

    def _one(self, key: Key) -> float:
        if not self.measured:
            return self.stated
        if key in self.measured:
            return self.measured[key]
        same = [v for (stage, _), v in self.measured.items() if stage == key[0]]
        return float(np.exp(np.mean(np.log(same or list(self.measured.values())))))

    def seconds(self, cells: tuple[Cell, ...] | list[Cell]) -> float | None:
        """Predicted, on one worker of the machine that the runs came from."""
        total = 0.0
        for cell in cells:
            near = [c for stage, c in self.rates if stage == cell.stage]
            if not near:
                return None
            apart = [abs(np.log(c / cell.budget)) for c in near]
            total += cell.budget / self.rates[cell.stage, near[int(np.argmin(apart))]]
        return total
