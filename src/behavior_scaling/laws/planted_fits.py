"""The pipeline's own fits over replicates of a planted axis, gathered by estimand.

Choices: the fits are the public ones that a study's driver calls; an estimand keeps value, interval
and status of every replicate, so that any score (bias, coverage, power) is a matter of counting;
replicates are cut into equal parts for worker processes, and the parts are put together in order,
so that the number of workers changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws import batch, isoflop, two_term
from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.parts import AxisParts
from behavior_scaling.laws.planted_design import AxisDesign, Noise, replicate
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.study_compute import compute_fit
from behavior_scaling.laws.workers import worker_pool

LOSS = "validation/restored/all/cross_entropy"
EXPONENT = {"allocation": "N", "share": "share", "negatives": "K"}
NOISE_DRAWS = 2  # of the log-cubic, whose interval is not scored here
POWER_DRAWS = 400  # behind the interval of E

Strings = npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Draws:
    """One estimand over replicates; NaN where there is no number."""

    value: Array
    low: Array
    high: Array
    status: Strings

    @classmethod
    def of(cls, estimates: Sequence[Estimate]) -> Draws:
        """From the estimates of all replicates."""

        def column(name: str) -> Array:
            found = [getattr(estimate, name) for estimate in estimates]
            return np.array([np.nan if v is None else v for v in found], dtype=np.float64)

        status = np.array([estimate.status for estimate in estimates], dtype=np.str_)
        return cls(column("value"), column("low"), column("high"), status)

    @classmethod
    def joined(cls, parts: Sequence[Draws]) -> Draws:
        """Parts in order, as one."""
        return cls(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("value", "low", "high", "status")
            )
        )

    @property
    def converged(self) -> npt.NDArray[np.bool_]:
        """Which replicates give a number."""
        return np.asarray(self.status == "converged")

    def excludes(self, other: float) -> npt.NDArray[np.bool_]:
        """Whose 95% interval, or one-sided bound, leaves a value out."""
        with np.errstate(invalid="ignore"):
            return np.asarray((other < self.low) | (other > self.high))


@dataclass(frozen=True, eq=False)
class Task:
    """Replicates of one axis under one truth."""

    design: AxisDesign
    losses: tuple[Array, ...]  # of each curve, without noise
    noise: Noise
    seed: int

    def part(self, rows: slice) -> Task:
        """The same over some replicates."""
        noise = Noise(self.noise.values[rows], self.noise.levels[rows])
        return Task(self.design, self.losses, noise, self.seed)


def fit_axis(axis: str, arm: str, curves: Sequence[CurveData], seed: int) -> AxisParts:
    """The law of an axis, as a study fits it."""
    if axis == "allocation":
        return isoflop.fit_allocation(curves)
    if axis == "batch":
        clean = arm == "clean"
        return batch.fit_critical_batch(curves) if clean else batch.fit_optimal_batch(curves)
    return two_term.fit_two_term(curves, EXPONENT[axis], seed=seed, resamples=NOISE_DRAWS)


def estimates(axis: str, arm: str, curves: Sequence[CurveData], seed: int) -> dict[str, Estimate]:
    """What an axis says: 'optimum at C' of every budget, exponents, and E and b of allocation."""
    parts = fit_axis(axis, arm, curves, seed)
    out = {f"optimum at {fit.budget:g}": fit.optimum for fit in parts.curves}
    out |= {f"exponent {name}": estimate for name, estimate in parts.exponents.items()}
    if axis == "allocation":
        law = compute_fit(LOSS, curves, parts.best, seed, POWER_DRAWS)
        out |= law.curves[0].coefficients
    return out


def run_task(task: Task) -> dict[str, Draws]:
    """All replicates of a task, one after another."""
    found: list[dict[str, Estimate]] = []
    for index in range(len(task.noise.values)):
        curves = replicate(task.design, task.losses, task.noise, index)
        found.append(estimates(task.design.axis, task.design.arm, curves, task.seed))
    names = dict.fromkeys(name for one in found for name in one)
    absent = Estimate(None, None, None, "too few points", "the form has no such parameter")
    return {name: Draws.of([one.get(name, absent) for one in found]) for name in names}


def run_tasks(
    tasks: Mapping[str, Task],
    workers: int = 1,
    progress: Callable[[str], None] = lambda _: None,
    part: int = 25,
) -> dict[str, dict[str, Draws]]:
    """Every task's draws by its name.

    Args:
        tasks: by name.
        workers: processes; 1 runs them here.
        progress: is told, in words, how far it is.
        part: replicates that a worker takes at once.
    """
    jobs = [
        (name, task.part(slice(start, start + part)))
        for name, task in tasks.items()
        for start in range(0, len(task.noise.values), part)
    ]
    parts: dict[str, list[dict[str, Draws]]] = {name: [] for name in tasks}

    def gather(results: object) -> None:
        for done, ((name, _), result) in enumerate(zip(jobs, results, strict=True), 1):  # type: ignore[call-overload]
            parts[name].append(result)
            progress(f"{done} of {len(jobs)} parts of the simulation: {name}")

    if workers == 1:
        gather(map(run_task, (task for _, task in jobs)))
    else:
        with worker_pool(workers) as pool:
            gather(pool.map(run_task, [task for _, task in jobs]))
    return {
        name: {estimand: Draws.joined([one[estimand] for one in found]) for estimand in found[0]}
        for name, found in parts.items()
    }
