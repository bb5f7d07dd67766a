"""A bundle: runs trained one after the other in one process, each committed as it ends.

Choices: what has an outcome is skipped, so a bundle that was killed goes on where it stopped;
one run's error is its own outcome, with the whole traceback in the run's log, and does not touch
the next; a request to stop ends the bundle after the step it is at, with every finished record in
the store and the checkpoint beside them.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from behavior_scaling.data.store import Dataset
from behavior_scaling.records.record import Outcome, Record
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import LOG, Store
from behavior_scaling.train.interrupt import InterruptedRunError, stop_flag
from behavior_scaling.train.run import EMBEDDER, clear_outputs, train_run
from behavior_scaling.train.run_log import RunLog

TRACEBACK_LINES = 20


class ParentError(RuntimeError):
    """A stage-2 run whose parent has no embedder to give."""


def train_bundle(
    specs: Sequence[RunSpec],
    dataset: Dataset,
    store: Store,
    checkpoint_seconds: float,
    log: Callable[[str], None],
    job_began: float | None = None,
) -> list[Outcome]:
    """Bring every run to an outcome, in order.

    Args:
        specs: the runs; a parent stands before its children, or is in the store already.
        dataset: the prepared data of all of them.
        store: where records are looked up and committed.
        checkpoint_seconds: seconds of training between checkpoints.
        log: takes lines of progress; each run's own stand beside its record, too.
        job_began: when the job began, on the clock of time.monotonic(); now if None.

    Returns:
        An outcome for each spec: 'done', 'diverged' or 'failed'.

    Raises:
        InterruptedRunError: SIGINT or SIGTERM came.
        OSError: a record could not be written.
    """
    outcomes: list[Outcome] = []
    job_began = time.monotonic() if job_began is None else job_began
    with stop_flag() as stopped:
        for number, spec in enumerate(specs, start=1):
            if stopped():
                raise InterruptedRunError(f"stopped before run {number} of {len(specs)}")
            name = f"run {number} of {len(specs)}, {describe(spec)}"
            state = store.state(spec.id)
            if state == "absent" or state == "damaged":
                say = RunLog(store.work_dir(spec.id) / LOG, log, name)
                say.keep(name)
                record = _train(spec, dataset, store, checkpoint_seconds, say, stopped, job_began)
                job_began = None  # the runs that follow start where this one ends
                state = record.outcome
            else:
                log(f"{name}: {state} already")
            outcomes.append(state)
    return outcomes


def describe(spec: RunSpec) -> str:
    """A run in a few words, for lines of progress."""
    return (
        f"stage {spec.stage}, C = {spec.budget:g}, d = {spec.contextualizer.width}, "
        f"e = {spec.embedder.width}, B = {spec.batch}, seed {spec.seed} ({spec.id[:12]})"
    )


def _train(
    spec: RunSpec,
    dataset: Dataset,
    store: Store,
    checkpoint_seconds: float,
    log: RunLog,
    stopped: Callable[[], bool],
    job_began: float | None,
) -> Record:
    work_dir = store.work_dir(spec.id)
    try:
        parent = _parent_embedder(spec, store)
        record = train_run(
            spec, dataset, work_dir, parent, checkpoint_seconds, log, stopped, job_began
        )
    except InterruptedRunError as error:
        log.keep(str(error))
        raise
    except Exception as error:
        clear_outputs(work_dir)
        whole = "".join(traceback.format_exception(error))
        log.keep(whole.rstrip())
        tail = whole.splitlines()[-TRACEBACK_LINES:]
        record = Record(spec=spec, outcome="failed", error="\n".join(tail))
    end = f"{record.outcome} after {record.timings.get('seconds', 0.0):.1f} s{_reason(record)}"
    log.keep(end)
    record = store.commit(record, work_dir)
    log.say(end)
    return record


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
