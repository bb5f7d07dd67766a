"""Where a study stands: its runs by outcome, what is left of each, and when the last one ends.

Choices: everything here is arithmetic on what a look at the store gave (records/survey.py,
records/lease.py); a run that two axes ask for counts once, for the first of them; a failed or
diverged run has its outcome, so nothing of it is left until `retry`; a damaged record is trained
again, so all of it is; a run at work is reckoned by its own rate, with the share of its time that
finished runs spent evaluating, and any other by its calibrated estimate; the end is the later of
two: the work divided by the devices at work, and the longest chain of jobs (a job's runs follow
one another, and its parents' jobs come before).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from behavior_scaling.config import Study
from behavior_scaling.records.lease import STALE_SECONDS, Holder
from behavior_scaling.records.spec import DataSpec
from behavior_scaling.records.survey import ABSENT, Entry
from behavior_scaling.sweep.calibration import Calibration, Finished, Ratio
from behavior_scaling.sweep.cells import Cell, resolve
from behavior_scaling.sweep.execution import execution_of
from behavior_scaling.sweep.plan import Bundle, Plan
from behavior_scaling.sweep.seconds import run_seconds

RunState = Literal["done", "running", "waiting", "damaged", "failed", "diverged"]
Reckoned = Literal["asked for", "at work", "one run at a time"]
TO_COME = ("running", "waiting", "damaged")  # without an outcome that stands


@dataclass(frozen=True)
class Asked:
    """A run of the plan."""

    cell: Cell
    run_id: str  # "" while its data are not prepared
    seconds: float  # estimated, before anything is measured
    devices: int  # it takes: cores, or GPUs where the study is planned for them


@dataclass(frozen=True)
class Span:
    """Seconds, and what they are if all runs are as quick or as slow as one in ten."""

    value: float = 0.0
    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: Span) -> Span:
        return Span(self.value + other.value, self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> Span:
        """All three, times a factor."""
        return Span(self.value * factor, self.low * factor, self.high * factor)

    def later(self, other: Span) -> Span:
        """The larger of two, each for itself."""
        return Span(
            max(self.value, other.value), max(self.low, other.low), max(self.high, other.high)
        )


@dataclass(frozen=True)
class Run:
    """A run as it stands."""

    cell: Cell
    run_id: str
    state: RunState
    devices: int
    left: Span
    error: str = ""
    holder: Holder | None = None  # whoever works on it, or (not running) has left it half done

    @property
    def share(self) -> float | None:
        """Of D that is trained; None before the run has said anything."""
        said = self.holder.progress if self.holder else {}
        return said["consumed"] / said["positions"] if said.get("positions") else None


@dataclass(frozen=True)
class Progress:
    """A study at one moment."""

    study: Study
    prepared: bool  # whether its data are
    runs: tuple[Run, ...]  # once each, in the order of the plan's jobs
    calibration: Calibration
    capacity: int  # devices that the end is reckoned with
    reckoned: Reckoned  # where that comes from
    end: Span  # seconds until the last run ends
    work: Span  # device-seconds left

    @property
    def counts(self) -> Counter[RunState]:
        """Runs by state."""
        return Counter(run.state for run in self.runs)

    @property
    def to_come(self) -> int:
        """Runs without an outcome."""
        return sum(run.state in TO_COME for run in self.runs)

    @property
    def ratio(self) -> Ratio:
        """What the estimates were multiplied with, over all finished runs."""
        return self.calibration.all

    @property
    def spread_known(self) -> bool:
        """Whether the low and the high end of every span mean something."""
        return self.ratio.low is not None

    @property
    def device(self) -> Literal["core", "GPU"]:
        """What is counted in device-hours: by the plan, or by where the latest run was made."""
        on_gpu = self.study.execution.gpu or self.calibration.device not in ("", "cpu")
        return "GPU" if on_gpu else "core"


def asked_runs(study: Study, plan: Plan, n_items: int, data: DataSpec | None) -> list[Asked]:
    """The runs of a plan, once each, in the order of its jobs.

    Args:
        study: the study.
        plan: its plan.
        n_items: V.
        data: its prepared data; None while there are none.
    """
    asked = []
    cores = study.execution.threads
    for bundle in plan.bundles:
        for cell in bundle.cells:
            execution = execution_of(cell, study, n_items)
            asked.append(
                Asked(
                    cell=cell,
                    run_id=resolve(cell, study, data).id if data else "",
                    seconds=run_seconds(cell, study, n_items, execution),
                    devices=execution.devices * (1 if study.execution.gpu else cores),
                )
            )
    return asked


def progress(
    study: Study,
    plan: Plan,
    asked: Sequence[Asked],
    found: Mapping[str, Entry],
    holders: Iterable[Holder],
    cores: int | None = None,
) -> Progress:
    """Where a study stands.

    Args:
        study: the study.
        plan: its plan.
        asked: the plan's runs (asked_runs).
        found: what the store holds, by run id; none: nothing.
        holders: who works in the store, on this study's runs or others'.
        cores: devices to reckon the end with; those of the runs at work if None, and while none
            is at work those of the largest run to come: one run at a time.
    """
    entries = [found.get(run.run_id, ABSENT) for run in asked]
    calibration = Calibration(
        [
            Finished(
                run.cell, run.seconds, entry.seconds, entry.evaluate_seconds, entry.device,
                entry.ended,
            )
            for run, entry in zip(asked, entries, strict=True)
            if entry.state == "done"
        ]
    )  # fmt: skip
    held: dict[str, Holder] = {}
    for holder in sorted(holders, key=lambda one: -one.age_seconds):
        held[holder.run_id] = holder  # the one heard last
    runs = tuple(
        _run(one, entry, held.get(one.run_id), calibration)
        for one, entry in zip(asked, entries, strict=True)
    )
    capacity, reckoned = _capacity(runs, cores)
    work = sum((run.left.times(run.devices) for run in runs), Span())
    longest = _longest_chain(plan.bundles, {run.cell.key: run.left for run in runs})
    return Progress(
        study=study,
        prepared=all(run.run_id for run in runs),
        runs=runs,
        calibration=calibration,
        capacity=capacity,
        reckoned=reckoned,
        end=longest.later(work.times(1 / capacity)),
        work=work,
    )


def _capacity(runs: Iterable[Run], cores: int | None) -> tuple[int, Reckoned]:
    if cores:
        return cores, "asked for"
    at_work = sum(run.devices for run in runs if run.state == "running")
    if at_work:
        return at_work, "at work"
    single = max((run.devices for run in runs if run.state in TO_COME), default=1)
    return single, "one run at a time"


def _run(asked: Asked, entry: Entry, holder: Holder | None, calibration: Calibration) -> Run:
    cell, state = asked.cell, entry.state
    if state in ("done", "failed", "diverged"):
        return Run(cell, asked.run_id, state, asked.devices, Span(), entry.error)
    ratio = calibration.of(cell)
    low, high = ratio.low or ratio.value, ratio.high or ratio.value
    whole = Span(ratio.value, low, high).times(asked.seconds)
    if holder is None or holder.age_seconds >= STALE_SECONDS:
        name: RunState = "damaged" if state == "damaged" else "waiting"
        return Run(cell, asked.run_id, name, asked.devices, whole, entry.error, holder)
    left = _left(whole, holder, calibration.evaluating)
    return Run(cell, asked.run_id, "running", asked.devices, left, entry.error, holder)


def _left(whole: Span, holder: Holder, evaluating: float) -> Span:
    """Of a run at work: by its own rate once it has trained for a while, else its estimate."""
    said = holder.progress
    rate = said.get("events_per_second", 0.0)
    if rate <= 0:
        return whole
    training = max(0.0, said["positions"] - said["consumed"]) / rate
    # What was trained since its last beat; of a clock that runs ahead of ours, nothing.
    training = max(0.0, training - max(0.0, holder.age_seconds))
    return Span(training, training, training) + whole.times(evaluating)


def _longest_chain(bundles: Sequence[Bundle], left: Mapping[str, Span]) -> Span:
    """Seconds until a job ends that nothing holds up but its parents; parents stand before it."""
    ends: dict[str, Span] = {}
    for bundle in bundles:
        before = Span()
        for parent in bundle.parents:
            before = before.later(ends[parent])
        ends[bundle.key] = sum((left[cell.key] for cell in bundle.cells), before)
    longest = Span()
    for end in ends.values():
        longest = longest.later(end)
    return longest
