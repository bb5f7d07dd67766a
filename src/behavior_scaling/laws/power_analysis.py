"""What a study's grid will be able to tell, before any run: planted pairs of truths, told apart.

For every axis two truths are planted that a study should tell from one another (an optimum at 2%
and at 4%; N* growing as C^.62 and as C^.50; a floor E and none; K* and B_crit a factor of two
apart, around the middle of the cells), each in the plan's own cells with seed noise, and the
pipeline's own fits are run on every replicate. Told means that the 95% interval (or one-sided
bound) of the one excludes the other. The chance of a question is the smaller of both directions,
at the budget that tells best. What is planted is printed with the answer: the chances are those of
a study whose truth has that curvature and whose optimum lies there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.planted import Bowl, Compute, Knee, Truth
from behavior_scaling.laws.planted_design import AxisDesign, Key, Noise, StudyDesign, draw_noise
from behavior_scaling.laws.planted_fits import Draws, Task
from behavior_scaling.laws.power import MIN_FLOOR_BUDGETS
from behavior_scaling.laws.power_analysis_score import Chance, Score, score, told

FACTOR = 2.0  # between the two optima of negatives and batch
SHARES = (0.02, 0.04)
EXPONENTS = (0.62, 0.50)
Pair = tuple[dict[str, Draws], dict[str, Draws]]  # of either world, by estimand
SYMBOL = {"allocation": "N*", "share": "s*", "negatives": "K*", "batch": "B_crit"}


@dataclass(frozen=True)
class Question:
    """Two truths that a plan is asked to tell apart on one axis and arm."""

    name: str
    axis: str
    arm: str
    asked: str  # estimand, or how the names of those asked for begin: 'optimum'
    worlds: tuple[Truth, Truth]

    @property
    def key(self) -> tuple[str, str]:
        """Which design answers it."""
        return self.axis, self.arm

    def values(self, axis: AxisDesign) -> dict[str, tuple[float, float]]:
        """What the estimands asked for are in either world."""
        first, second = (planted_values(axis, truth) for truth in self.worlds)
        return {
            name: (value, second[name])
            for name, value in first.items()
            if name.startswith(self.asked)
        }


@dataclass(frozen=True)
class Answer:
    """What the replicates say to a question."""

    question: str
    axis: str
    arm: str
    told: Chance | None  # the smaller direction, at the budget that tells best
    at: str  # the estimand that tells best; '' where the fits have no such parameter
    scores: tuple[tuple[Score, ...], ...]  # of each world


def default_truth(design: StudyDesign) -> Truth:
    """A truth whose optima lie where the grid was laid for them.

    Curvatures and falls are of the size that the quick study's fits show; they are assumptions.
    """
    axes = {(axis.axis, axis.arm): axis for axis in design.axes}
    allocation = axes.get(("allocation", ""))
    budgets = [c.budget for c in allocation.curves] if allocation else [k[1] for k in design.keys]
    pivot = float(np.exp(np.mean(np.log(sorted(set(budgets))))))
    size = 1e4 if allocation is None else middle(allocation)
    clean = [middle(a) for a in design.axes if a.axis == "batch"]
    candidates = [middle(a) for a in design.axes if a.axis == "negatives"]
    return Truth(
        pivot=pivot,
        compute=Compute(floor=5.3, level=6.5, fall=0.2),
        allocation=Bowl(size, EXPONENTS[0], 0.1, 0.34, 0.28),
        share=Bowl(SHARES[0], 0.0, 0.1, 1.0, 0.5),
        negatives=Bowl(candidates[0] if candidates else 1e3, 0.0, 0.02, 0.8, 0.9),
        batch=Knee(clean[0] if clean else 64.0, 0.0, 0.1, 0.3),
    )


def middle(axis: AxisDesign) -> float:
    """Geometric mean of each curve's ends, over its budgets."""
    ends = [np.log(curve.x[[0, -1]]) for curve in axis.curves]
    return float(np.exp(np.mean(ends)))


def questions(design: StudyDesign, truth: Truth, stated: Sequence[str] = ()) -> list[Question]:
    """What a plan is asked on each of its axes.

    Args:
        design: the study.
        truth: the first world; its optimum of negatives and batch is the geometric mean of both.
        stated: parameters that a person set; 'negatives.optimum' and 'batch.optimum' then hold for
            every arm, else each arm's pair lies around the middle of its own cells.
    """
    out: list[Question] = []
    for axis in design.axes:
        name, arm = axis.axis, axis.arm
        if name == "allocation":
            text = f"exponent of N* {EXPONENTS[0]:.2f} from {EXPONENTS[1]:.2f}"
            first, second = (truth.moved(name, exponent=value) for value in EXPONENTS)
            out.append(Question(text, name, arm, "exponent N", (first, second)))
            free = replace(truth, compute=truth.compute.without_floor())
            text = f"E = {truth.compute.floor:g} from none"
            out.append(Question(text, name, arm, "E", (truth, free)))
            continue
        own = f"{name}.optimum" in stated
        if name == "share" and not own:
            pair = SHARES
        else:
            pair = _around(truth.law(name).optimum if own else middle(axis))
        first, second = (truth.moved(name, optimum=value) for value in pair)
        values = " from ".join(_shown(name, value) for value in pair)
        symbol = "optimal batch" if arm == "as_paper" else SYMBOL[name]
        text = f"{symbol} = {values}" + (f" ({arm})" if name == "negatives" else "")
        out.append(Question(text, name, arm, "optimum", (first, second)))
    return out


def _around(value: float) -> tuple[float, float]:
    return value / FACTOR**0.5, value * FACTOR**0.5


def _shown(axis: str, value: float) -> str:
    return f"{value:.2%}".replace(".00%", "%") if axis == "share" else f"{value:.3g}"


def planted_values(axis: AxisDesign, truth: Truth) -> dict[str, float]:
    """The truth of every estimand of an axis that a question or a table scores.

    Below five budgets the law over compute is a plain power law: no E, and another b.
    """
    out = {f"optimum at {c.budget:g}": truth.optimum(axis.axis, c.budget) for c in axis.curves}
    law = truth.law(axis.axis)
    if axis.axis == "allocation":
        out["exponent N"] = law.exponent
        if len(axis.curves) >= MIN_FLOOR_BUDGETS:
            out |= {"E": truth.compute.floor, "b": truth.compute.fall}
        return out
    if axis.axis == "batch":
        name = "B_crit" if axis.arm == "clean" else "batch"
        return out | {f"exponent {name}": law.exponent}
    name = "share" if axis.axis == "share" else "K"
    return out | {f"exponent {name}": law.exponent}


def task(axis: AxisDesign, truth: Truth, noise: Noise, seed: int) -> Task:
    """Replicates of an axis under a truth."""
    losses = tuple(
        truth.losses(
            axis.axis, axis.arm, c.budget, c.x, c.columns.get("positions", np.ones(c.x.size))
        )
        for c in axis.curves
    )
    return Task(axis, losses, noise, seed)


@dataclass(frozen=True)
class Simulation:
    """Tasks of a plan's questions; equal worlds are simulated once."""

    tasks: dict[str, Task]
    names: tuple[tuple[str, str], ...]  # of each question's two worlds

    def draws(self, found: Mapping[str, dict[str, Draws]]) -> list[Pair]:
        """Of each question, from what run_tasks found."""
        return [(found[first], found[second]) for first, second in self.names]


def simulation(
    design: StudyDesign,
    asked: Sequence[Question],
    sd: Mapping[Key, float],
    *,
    replicates: int,
    seed: int,
    label: str = "plan",
) -> Simulation:
    """What has to be run to answer some questions.

    Args:
        design: the study.
        asked: questions whose axes the design has.
        sd: noise of one run at each stage and budget, nats.
        replicates: how many.
        seed: of the noise.
        label: begins the names of the tasks.
    """
    if replicates < 1:
        raise LawsError(f"replicates: {replicates}; at least one is needed")
    noise = draw_noise(design, sd, seed, replicates)
    axes = {(axis.axis, axis.arm): axis for axis in design.axes}
    known: dict[tuple[tuple[str, str], Truth], str] = {}
    tasks: dict[str, Task] = {}
    for question in asked:
        for world in question.worlds:
            at = (question.key, world)
            if at not in known:
                words = (label, question.axis, question.arm, f"truth {len(known) + 1}")
                known[at] = ", ".join(word for word in words if word)
                tasks[known[at]] = task(axes[question.key], world, noise, seed)
    names = tuple((known[q.key, q.worlds[0]], known[q.key, q.worlds[1]]) for q in asked)
    return Simulation(tasks, names)


def answer(axis: AxisDesign, question: Question, draws: Pair) -> Answer:
    """Score a question's replicates."""
    asked = question.values(axis)
    scores = []
    for world, found in zip((0, 1), draws, strict=True):
        values = planted_values(axis, question.worlds[world])
        scores.append(
            tuple(
                score(
                    name,
                    found[name],
                    value,
                    asked[name][1 - world] if name in asked else None,
                    additive=not name.startswith("optimum"),
                )
                for name, value in values.items()
                if name in found
            )
        )
    name, hits = best_told(axis, question, draws)
    return Answer(question.name, question.axis, question.arm, Chance.of(hits), name, tuple(scores))


def best_told(
    axis: AxisDesign, question: Question, draws: Sequence[Mapping[str, Draws] | None]
) -> tuple[str, npt.NDArray[np.bool_]]:
    """The estimand that tells best, and which replicates of its worse direction tell.

    Args:
        axis: the question's axis.
        question: the question.
        draws: of either world; None leaves out the direction that starts from it.
    """
    best: tuple[str, npt.NDArray[np.bool_]] = ("", np.zeros(0, dtype=bool))
    for name, values in question.values(axis).items():
        directions = [
            told(found[name], values[world], values[1 - world])
            for world, found in enumerate(draws)
            if found is not None and name in found
        ]
        if len(directions) < sum(found is not None for found in draws):
            continue
        worse = min(directions, key=lambda hits: float(np.mean(hits)))
        if not best[0] or np.mean(worse) > np.mean(best[1]):
            best = (name, worse)
    return best
