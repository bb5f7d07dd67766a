"""A bundle: runs trained one after the other in one process, each committed as it ends.

Choices: what has an outcome is skipped, so a bundle that was killed goes on where it stopped;
one run's error is its own outcome and does not touch the next; a request to stop ends the bundle
after the step it is at, with every finished record in the store and the checkpoint beside them.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from behavior_scaling.data.store import Dataset
from behavior_scaling.records.record import Outcome, Record
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import Store
from behavior_scaling.train.interrupt import InterruptedRunError, stop_flag
from behavior_scaling.train.run import EMBEDDER, clear_outputs, train_run

TRACEBACK_LINES = 20


class ParentError(RuntimeError):
    """A stage-2 run whose parent has no embedder to give."""


def train_bundle(
    specs: Sequence[RunSpec],
    dataset: Dataset,
    store: Store,
    checkpoint_seconds: float,
    log: Callable[[str], None],
) -> list[Outcome]:
    """Bring every run to an outcome, in order.

    Args:
        specs: the runs; a parent stands before its children, or is in the store already.
        dataset: the prepared data of all of them.
        store: where records are looked up and committed.
        checkpoint_seconds: seconds of training between checkpoints.
        log: takes lines of progress.

    Returns:
        An outcome for each spec: 'done', 'diverged' or 'failed'.

    Raises:
        InterruptedRunError: SIGINT or SIGTERM came.
        OSError: a record could not be written.
    """
    outcomes: list[Outcome] = []
    with stop_flag() as stopped:
        for number, spec in enumerate(specs, start=1):
            if stopped():
                raise InterruptedRunError(f"stopped before run {number} of {len(specs)}")
            say = _prefixed(log, f"run {number} of {len(specs)}, {describe(spec)}")
            state = store.state(spec.id)
            if state == "absent" or state == "damaged":
                record = _train(spec, dataset, store, checkpoint_seconds, say, stopped)
                state = record.outcome
                seconds = record.timings.get("seconds", 0.0)
                say(f"{state} after {seconds:.1f} s{_reason(record)}")
            else:
                say(f"{state} already")
            outcomes.append(state)
    return outcomes


def _prefixed(log: Callable[[str], None], name: str) -> Callable[[str], None]:
    return lambda line: log(f"{name}: {line}")


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
    log: Callable[[str], None],
    stopped: Callable[[], bool],
) -> Record:
    work_dir = store.work_dir(spec.id)
    try:
        parent = _parent_embedder(spec, store)
        record = train_run(spec, dataset, work_dir, parent, checkpoint_seconds, log, stopped)
    except InterruptedRunError:
        raise
    except Exception as error:
        clear_outputs(work_dir)
        lines = traceback.format_exception(error)
        tail = "".join(lines).splitlines()[-TRACEBACK_LINES:]
        record = Record(spec=spec, outcome="failed", error="\n".join(tail))
    return store.commit(record, work_dir)


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
