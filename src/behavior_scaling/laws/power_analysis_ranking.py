"""Which added runs would help most: each candidate simulated again, ranked by gain per FLOP.

Choices: a run that both plans hold has the same noise in both (common random numbers), so the gain
in power is a paired difference and its standard error that of a paired mean; only the direction
that the plan tells worse is simulated again, at the budget that then tells best; questions that
the plan already answers with a chance of .95 or more get no candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.planted_design import StudyDesign
from behavior_scaling.laws.planted_fits import Draws, Task, run_tasks
from behavior_scaling.laws.power_analysis import (
    Pair,
    Question,
    Simulation,
    best_told,
    simulation,
)

ENOUGH = 0.95


@dataclass(frozen=True)
class Gain:
    """What a candidate adds to the chance of one question."""

    question: str
    axis: str
    arm: str
    addition: str
    before: float
    after: float
    gain: float
    error: float  # standard error of the paired difference
    runs: int
    flops: float
    seconds: float | None  # predicted, where throughput is known

    @property
    def per_flop(self) -> float:
        """Gain per nominal FLOP added."""
        return self.gain / self.flops


@dataclass(frozen=True)
class Candidate:
    """An addition as the simulation sees it."""

    axis: str
    text: str
    design: StudyDesign
    sd: Mapping[tuple[int, float], float]
    runs: int
    flops: float
    seconds: float | None


def gains(
    design: StudyDesign,
    asked: Sequence[Question],
    draws: Sequence[Pair],
    candidates: Sequence[Candidate],
    *,
    replicates: int,
    seed: int,
    workers: int = 1,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Gain]:
    """Gains of every candidate for every open question of its axis, best per FLOP first.

    Args:
        design: the study without additions.
        asked: its questions.
        draws: of the study, for every question; their first replicates are compared with.
        candidates: changed studies.
        replicates: simulated for each candidate, no more than `draws` hold.
        seed: of the noise, that of `draws`.
        workers: processes.
        progress: is told how far it is.
    """
    axes = {(axis.axis, axis.arm): axis for axis in design.axes}
    worse: list[int] = []  # of each question, the world from which the plan tells worse
    before: list[npt.NDArray[np.float64]] = []
    for question, pair in zip(asked, draws, strict=True):
        hits = [
            _hits(best_told(axes[question.key], question, _only(pair, world))[1], replicates)
            for world in (0, 1)
        ]
        worse.append(int(np.mean(hits[1]) < np.mean(hits[0])))
        before.append(hits[worse[-1]])
    jobs: list[tuple[Candidate, list[int], Simulation]] = []
    tasks: dict[str, Task] = {}
    for number, candidate in enumerate(candidates, 1):
        mine = {(axis.axis, axis.arm) for axis in candidate.design.axes}
        chosen = [
            i
            for i, question in enumerate(asked)
            if question.axis == candidate.axis
            and question.key in mine
            and _touches(candidate.text, question)
            and float(np.mean(before[i])) < ENOUGH
        ]
        if chosen:
            label = f"addition {number} of {len(candidates)} ({candidate.text})"
            part = [asked[i] for i in chosen]
            prepared = simulation(
                candidate.design, part, candidate.sd,
                replicates=replicates, seed=seed, label=label,
            )  # fmt: skip
            jobs.append((candidate, chosen, prepared))
            needed = [pair[worse[i]] for i, pair in zip(chosen, prepared.names, strict=True)]
            tasks |= {name: prepared.tasks[name] for name in needed}
    found = run_tasks(tasks, workers, progress)
    out = []
    for candidate, chosen, prepared in jobs:
        own = {(axis.axis, axis.arm): axis for axis in candidate.design.axes}
        for i, names in zip(chosen, prepared.names, strict=True):
            side: list[dict[str, Draws] | None] = [None, None]
            side[worse[i]] = found[names[worse[i]]]
            new = _hits(best_told(own[asked[i].key], asked[i], side)[1], replicates)
            out.append(_gain(asked[i], candidate, before[i], new))
    return sorted(out, key=lambda gain: -gain.per_flop)


def _only(pair: Pair, world: int) -> list[dict[str, Draws] | None]:
    return [found if i == world else None for i, found in enumerate(pair)]


def _gain(
    question: Question,
    candidate: Candidate,
    before: npt.NDArray[np.float64],
    after: npt.NDArray[np.float64],
) -> Gain:
    moved = after - before
    return Gain(
        question=question.name,
        axis=question.axis,
        arm=question.arm,
        addition=candidate.text,
        before=float(np.mean(before)),
        after=float(np.mean(after)),
        gain=float(np.mean(moved)),
        error=float(np.std(moved) / np.sqrt(moved.size)),
        runs=candidate.runs,
        flops=candidate.flops,
        seconds=candidate.seconds,
    )


def _touches(text: str, question: Question) -> bool:
    """Whether a candidate adds to the question's arm: those of one arm name it."""
    return ", arm " not in text or text.endswith(f", arm {question.arm}")


def _hits(hits: npt.NDArray[np.bool_], replicates: int) -> npt.NDArray[np.float64]:
    """The first replicates as numbers; none told where the fits have no such parameter."""
    if hits.size == 0:
        return np.zeros(replicates)
    return hits[:replicates].astype(np.float64)
