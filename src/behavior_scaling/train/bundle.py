"""A bundle: runs trained one after the other in one process, each committed as it ends.

Choices: what has an outcome is skipped, so a bundle that was killed goes on where it stopped;
one run's error is its own outcome, with the whole traceback in the run's log, and does not touch
the next; a request to stop ends the bundle after the step it is at, with every finished record in
the store and the checkpoint beside them. A run is trained under its lease: one that another process
trains goes to the end of the bundle and is then waited for, and who waits holds no lease, so that
no two bundles wait for each other. Who has lost a lease stops and commits nothing.
"""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from behavior_scaling.data.store import Dataset
from behavior_scaling.files import is_storage_error
from behavior_scaling.records.lease import Lease
from behavior_scaling.records.record import Outcome, Record
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import LOG, Store
from behavior_scaling.sizes.execution import SINGLE, Execution
from behavior_scaling.train.interrupt import InterruptedRunError, stop_flag
from behavior_scaling.train.run import EMBEDDER, clear_outputs, train_run
from behavior_scaling.train.run_log import RunLog

TRACEBACK_LINES = 20
LOOK_SECONDS = 2.0  # between two looks at what others train
STOP_SECONDS = 0.2  # between two looks for a request to stop, while waiting


class ParentError(RuntimeError):
    """A stage-2 run whose parent has no embedder to give."""


def train_bundle(
    specs: Sequence[RunSpec],
    dataset: Dataset,
    store: Store,
    checkpoint_seconds: float,
    log: Callable[[str], None],
    job_began: float | None = None,
    executions: Sequence[Execution] | None = None,
    done: Callable[[str, Outcome], None] = lambda run_id, outcome: None,
) -> list[Outcome]:
    """Bring every run to an outcome, in order; those that others train come last.

    Args:
        specs: the runs; a parent stands before its children, or is in the store already.
        dataset: the prepared data of all of them.
        store: where records are looked up and committed.
        checkpoint_seconds: seconds of training between checkpoints.
        log: takes lines of progress; each run's own stand beside its record, too.
        job_began: when the job began, on the clock of time.monotonic(); now if None.
        executions: how each run is laid out over devices; on a single one if None.
        done: told the id and the outcome of every run that comes to it while this is at work.

    Returns:
        An outcome for each spec: 'done', 'diverged' or 'failed'.

    Raises:
        InterruptedRunError: SIGINT or SIGTERM came, or a lease was lost.
        OSError: a record or a lease could not be written.
    """
    job_began = time.monotonic() if job_began is None else job_began
    layout = [SINGLE] * len(specs) if executions is None else executions
    outcomes: dict[int, Outcome] = {}
    left = list(range(len(specs)))
    with stop_flag() as stopped:
        job = _Job(dataset, store, checkpoint_seconds, log, stopped, done, job_began)
        waited = False
        while left:
            others: list[int] = []  # what another process trains, and the children of such runs
            for number in left:
                spec = specs[number]
                if stopped():
                    raise InterruptedRunError(f"stopped before run {number + 1} of {len(specs)}")
                name = f"run {number + 1} of {len(specs)}, {describe(spec)}"
                held_up = spec.parent in {specs[one].id for one in others}
                outcome = None if held_up else job.bring(name, spec, layout[number], waited)
                if outcome is None:
                    others.append(number)
                    if not waited:
                        log(f"{name}: {_why(spec, store, held_up)}; it comes last")
                else:
                    outcomes[number] = outcome
            left = others
            if left and not waited:
                log(f"waiting for {len(left)} of {len(specs)} runs, trained by other processes")
            if left:
                waited = True
                _pause(stopped)
    return [outcomes[number] for number in range(len(specs))]


def describe(spec: RunSpec) -> str:
    """A run in a few words, for lines of progress."""
    return (
        f"stage {spec.stage}, C = {spec.budget:g}, d = {spec.contextualizer.width}, "
        f"e = {spec.embedder.width}, B = {spec.batch}, seed {spec.seed} ({spec.id[:12]})"
    )


@dataclass
class _Job:
    """What the runs of a bundle share."""

    dataset: Dataset
    store: Store
    checkpoint_seconds: float
    log: Callable[[str], None]
    stopped: Callable[[], bool]
    done: Callable[[str, Outcome], None]
    began: float | None  # of the job, until its first run has taken it for its own beginning

    def bring(self, name: str, spec: RunSpec, execution: Execution, waited: bool) -> Outcome | None:
        """The run's outcome, trained if it has none; None while another process trains it."""
        outcome = self._outcome(spec)
        if outcome is None:
            lease = self.store.lease(spec.id)
            if lease is None:
                return None
            with lease:
                outcome = self._outcome(spec)  # it may have come before the lease was free
                if outcome is None:
                    outcome = self._train(name, spec, execution, lease)
                    self.done(spec.id, outcome)
                    return outcome
        self.log(f"{name}: {outcome} {'by another process' if waited else 'already'}")
        if waited:
            self.done(spec.id, outcome)
        return outcome

    def _outcome(self, spec: RunSpec) -> Outcome | None:
        state = self.store.state(spec.id)
        return None if state == "absent" or state == "damaged" else state

    def _train(self, name: str, spec: RunSpec, execution: Execution, lease: Lease) -> Outcome:
        work_dir = self.store.work_dir(spec.id)
        log = RunLog(work_dir / LOG, self.log, name)
        log.keep(name)
        try:
            record = train_run(
                spec,
                self.dataset,
                work_dir,
                _parent_embedder(spec, self.store),
                self.checkpoint_seconds,
                log,
                lambda: self.stopped() or lease.lost,
                self.began,
                execution,
                lease.say,
            )
        except Exception as error:
            self._still_ours(spec, lease)
            if isinstance(error, InterruptedRunError):
                log.keep(str(error))
                raise
            if is_storage_error(error):  # no room, say: the checkpoint stays for the next attempt
                raise
            clear_outputs(work_dir)
            whole = "".join(traceback.format_exception(error))
            log.keep(whole.rstrip())
            tail = whole.splitlines()[-TRACEBACK_LINES:]
            record = Record(spec=spec, outcome="failed", error="\n".join(tail))
        self.began = None  # the runs that follow start where this one ends
        self._still_ours(spec, lease)
        end = f"{record.outcome} after {record.timings.get('seconds', 0.0):.1f} s{_reason(record)}"
        log.keep(end)
        record = self.store.commit(record, work_dir)
        log.say(end)
        return record.outcome

    def _still_ours(self, spec: RunSpec, lease: Lease) -> None:
        if lease.held():
            return
        if self._outcome(spec) is not None:  # what we left in the way of work is in nobody's use
            shutil.rmtree(self.store.root / ".work" / spec.id, ignore_errors=True)
        raise InterruptedRunError(
            f"run {spec.id[:12]}: its lease was taken over, as if this process had ended (was it "
            "suspended, or the file system away?); it is left to the other one"
        )


def _why(spec: RunSpec, store: Store, held_up: bool) -> str:
    if held_up:
        return "its parent is not there yet"
    holder = store.holder(spec.id)
    if holder is None:
        return "another process has its lease"
    return f"process {holder.pid} on {holder.host} trains it since {holder.since}"


def _pause(stopped: Callable[[], bool]) -> None:
    """A while, or until a request to stop has come."""
    end = time.monotonic() + LOOK_SECONDS
    while time.monotonic() < end and not stopped():
        time.sleep(STOP_SECONDS)


def _parent_embedder(spec: RunSpec, store: Store) -> Path | None:
    """The file with the parent's embedder; None in stage 1.

    Raises:
        ParentError: the parent is not in the store, or did not end well.
    """
    if spec.parent is None:
        return None
    state = store.state(spec.parent)
    if state != "done":
        what = "missing" if state == "absent" else f"missing its embedder: it is {state}"
        raise ParentError(f"parent {spec.parent} is {what}")
    return store.path(spec.parent) / EMBEDDER


def _reason(record: Record) -> str:
    return "" if record.error is None else f": {record.error.splitlines()[-1]}"
