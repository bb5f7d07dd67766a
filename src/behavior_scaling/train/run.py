"""One sweep point from spec to record.

Choices: a run works in a folder of its own, where its checkpoint waits if it is killed and its
files lie when it is done; the caller turns the folder into the record. On one device it is trained
in this process, on several by processes of its own (launch.py), which end with the run. A loss or a
score that is not finite is an outcome of its own, 'diverged'; every other error is the caller's to
record. torch and Lightning are imported when a run starts, not before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from behavior_scaling.data.store import Dataset
from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import DataSpec, RunSpec
from behavior_scaling.records.store import CHECKPOINT, LOG
from behavior_scaling.sizes.execution import SINGLE, Execution
from behavior_scaling.train.job import Job

RANKS = "ranks.parquet"
CURVE = "curve.csv"
EMBEDDER = "embedder.safetensors"


def train_run(
    spec: RunSpec,
    dataset: Dataset,
    work_dir: Path,
    parent_embedder: Path | None,
    checkpoint_seconds: float,
    log: Callable[[str], None],
    stopped: Callable[[], bool] = lambda: False,
    job_began: float | None = None,
    execution: Execution = SINGLE,
    told: Callable[[dict[str, float]], None] = lambda numbers: None,
) -> Record:
    """Train and evaluate one sweep point, going on from its checkpoint if there is one.

    Args:
        spec: the run.
        dataset: the prepared data that spec.data names.
        work_dir: the run's own folder; ranks.parquet, users.parquet, curve.csv and
            embedder.safetensors are left in it (of a diverged run the curve alone).
        parent_embedder: safetensors file of the parent's embedder, in stage 2 only.
        checkpoint_seconds: seconds of training between checkpoints.
        log: takes a line of progress, every ten seconds at most.
        stopped: whether the run has been asked to stop.
        job_began: when the job began, on the clock of time.monotonic(), in its first run; None in
            the others.
        execution: devices of this node, and how the run is laid out over them.
        told: takes the numbers of progress (callbacks.progress_numbers) when training starts, and
            whenever a line of progress is logged.

    Returns:
        The record, outcome 'done' or 'diverged', its `files` empty; training seconds include
        those of earlier processes that the checkpoint remembers.

    Raises:
        ValueError: the data are not those of the spec or leave nothing to evaluate, the parent's
            embedder does not fit, or the execution is none that this machine has.
        MissingPackageError: the execution asks for DeepSpeed, which is not installed.
        InterruptedRunError: `stopped` said so; the checkpoint is in the work folder.
        WorkerLostError: one of several processes was killed: an interruption, too.
        WorkerError: an error in one of several processes; its text has the traceback.
    """
    job_began = time.monotonic() if job_began is None else job_began
    _check(spec, dataset, parent_embedder)
    clear_outputs(work_dir)
    job = Job(spec, work_dir, parent_embedder, checkpoint_seconds, job_began, execution)
    from behavior_scaling.train.launch import check_execution, train_in_workers
    from behavior_scaling.train.lightning_import import import_lightning

    check_execution(execution)
    if execution.strategy != "single":
        return train_in_workers(job, dataset.path, log, stopped, told)
    import_lightning()
    from behavior_scaling.train.attempt import attempt

    return attempt(job, dataset, 0, log, stopped, told)


def clear_outputs(work_dir: Path) -> None:
    """Remove what an earlier attempt left, its checkpoint and its log aside."""
    for file in work_dir.iterdir():
        if file.name not in (CHECKPOINT, LOG):
            file.unlink()


def _check(spec: RunSpec, dataset: Dataset, parent_embedder: Path | None) -> None:
    prepared = dataset.data_spec()
    for field in fields(DataSpec):
        wanted, found = getattr(spec.data, field.name), getattr(prepared, field.name)
        if wanted != found:
            raise ValueError(
                f"{dataset.path}: prepared with {field.name} {found!r}, "
                f"the run {spec.id[:12]} needs {wanted!r}; prepare the data of its study"
            )
    for split, n in dataset.meta.eval_positions.items():
        if n == 0:
            raise ValueError(f"{dataset.path}: no {split} event has a predecessor to predict from")
    if (spec.stage == 2) != (parent_embedder is not None):
        raise ValueError(f"run {spec.id[:12]} is of stage {spec.stage}: a parent is for stage 2")
