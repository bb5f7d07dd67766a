"""One attempt at a run in this process: built, trained, evaluated, and its files written.

Choices: of several processes all build and train; when training is over their group is dissolved
and rank 0 evaluates alone, while the others have ended and left their devices free.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from torch import distributed

from behavior_scaling.data.store import Dataset
from behavior_scaling.evaluate.ranking import NonFiniteScoresError, evaluate
from behavior_scaling.evaluate.ranks import Metrics, write_ranks
from behavior_scaling.evaluate.users import write_user_sums
from behavior_scaling.files import replacing
from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import CHECKPOINT, USERS
from behavior_scaling.sizes import flops
from behavior_scaling.sizes.counts import sizes_of, table_counts
from behavior_scaling.train import weights
from behavior_scaling.train.fit import build, fit
from behavior_scaling.train.job import Job
from behavior_scaling.train.machine import PeakMemory, machine, versions
from behavior_scaling.train.matmul_rate import rate_of_run
from behavior_scaling.train.module import DivergedError, RunModule
from behavior_scaling.train.run import CURVE, EMBEDDER, RANKS
from behavior_scaling.train.tally import Tally
from behavior_scaling.train.timings import Spent, timings


class NotTheFirstError(Exception):
    """A process other than rank 0, which has the record to itself, is done."""


def attempt(
    job: Job,
    dataset: Dataset,
    rank: int,
    log: Callable[[str], None],
    stopped: Callable[[], bool],
    told: Callable[[dict[str, float]], None],
) -> Record:
    """Train and evaluate; all but `rank` as of train_run.

    Args:
        job: the run, its folder, and how it is laid out over devices.
        dataset: the prepared data.
        rank: of this process among the run's.
        log: takes lines of progress, on rank 0.
        stopped: whether this process has been asked to stop; all stop if one is.
        told: takes numbers of progress, on rank 0.

    Returns:
        The record, on rank 0.

    Raises:
        NotTheFirstError: training is over, on another rank.
        InterruptedRunError: some process was asked to stop.
    """
    spec, work_dir, execution = job.spec, job.work_dir, job.execution
    began = time.monotonic()
    peak = PeakMemory()
    module = build(spec, dataset, job.parent_embedder, execution, rank)
    error: str | None = None
    metrics: Metrics = {}
    evaluate_seconds = 0.0
    try:
        _train(job, module, dataset, log, stopped, told)
        trained = time.monotonic()
        evaluation = evaluate(module.model, module.objective, dataset, module.frozen)
        metrics = {**evaluation.metrics(), "train_loss": module.tally.train_loss}
        write_ranks(evaluation.ranks, work_dir / RANKS)
        write_user_sums(evaluation.ranks, work_dir / USERS)
        weights.save_embedder(module.model, work_dir / EMBEDDER)
        evaluate_seconds = time.monotonic() - trained
    except (DivergedError, NonFiniteScoresError) as reason:
        error = str(reason)
    tally = module.tally
    peak_bytes = peak.bytes()
    ended = time.monotonic()
    rate = rate_of_run(module, dataset)
    spent = Spent(
        import_seconds=began - job.job_began,
        start_seconds=(module.began or ended) - began,
        evaluate_seconds=evaluate_seconds,
        rate_seconds=time.monotonic() - ended,
        peak_memory_bytes=peak_bytes,
    )
    _write_curve(tally.curve, work_dir / CURVE)
    return Record(
        spec=spec,
        outcome="done" if error is None else "diverged",
        error=error,
        counts=_counts(spec, dataset, tally),
        metrics=metrics,
        curve=tally.curve,
        probes=tally.probes,
        timings=timings(tally, spent, rate),
        versions=versions(),
        machine=machine() | {"peak_memory": peak.source} | _layout(job),
    )


def _train(
    job: Job,
    module: RunModule,
    dataset: Dataset,
    log: Callable[[str], None],
    stopped: Callable[[], bool],
    told: Callable[[dict[str, float]], None],
) -> None:
    checkpoint = job.work_dir / CHECKPOINT
    diverged: DivergedError | None = None
    try:
        fit(module, dataset, checkpoint, job.checkpoint_seconds, log, stopped, told)
    except DivergedError as reason:  # in all processes, after the same step
        diverged = reason
    if distributed.is_initialized():
        distributed.destroy_process_group()
    if module.share.rank > 0:
        raise NotTheFirstError
    if diverged is not None:
        raise diverged


def _layout(job: Job) -> dict[str, str]:
    """The execution, as a record holds it."""
    return {name: str(value) for name, value in asdict(job.execution).items()}


def _counts(spec: RunSpec, dataset: Dataset, tally: Tally) -> dict[str, int | float]:
    """Sizes, positions, steps, candidates and FLOPs, by their column in the table of runs."""
    width, tokens, items = spec.contextualizer.width, spec.data.tokens, dataset.n_items
    cost = flops.nominal(
        spec.embedder,
        spec.contextualizer,
        spec.objective,
        stage=spec.stage,
        batch=spec.batch,
        context=spec.data.context,
        tokens=tokens,
        n_items=items,
    )
    steps = max(1, tally.steps)
    return {
        **sizes_of(spec, tally.consumed),
        **table_counts(spec, items),
        "n_items": items,
        "n_cand": flops.candidates_drawn(spec.objective, items),
        "n_cand_distinct": tally.candidates / steps,
        "items_embedded": tally.items_embedded / steps,
        "unique_positions": dataset.unique_positions,
        "epochs": tally.consumed / dataset.unique_positions,
        "steps": tally.steps,
        "steps_after_warmup": tally.steps_after_warmup,
        "flops_nominal": cost.total * tally.consumed,
        "flops_executed": tally.flops,
        "flops_probe": tally.probe_flops,
        "flops_cache": flops.flops_cache(spec.embedder, width, tokens, items),
    }


def _write_curve(curve: list[dict[str, float]], path: Path) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["positions", "train_loss", "lr"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(curve)
