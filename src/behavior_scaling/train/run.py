"""One sweep point from spec to record.

Choices: a run works in a folder of its own, where its checkpoint waits if it is killed and its
files lie when it is done; the caller turns the folder into the record. A loss or a score that is
not finite is an outcome of its own, 'diverged'; every other error is the caller's to record.
torch and Lightning are imported when a run starts, not before.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from behavior_scaling.data.store import Dataset
from behavior_scaling.files import replacing
from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import DataSpec, RunSpec
from behavior_scaling.records.store import CHECKPOINT, LOG, USERS
from behavior_scaling.sizes import flops
from behavior_scaling.sizes.counts import sizes_of, table_counts

if TYPE_CHECKING:
    from behavior_scaling.train.tally import Tally

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

    Returns:
        The record, outcome 'done' or 'diverged', its `files` empty; training seconds include
        those of earlier processes that the checkpoint remembers.

    Raises:
        ValueError: the data are not those of the spec or leave nothing to evaluate, or the
            parent's embedder does not fit.
        InterruptedRunError: `stopped` said so; the checkpoint is in the work folder.
    """
    job_began = time.monotonic() if job_began is None else job_began
    _check(spec, dataset, parent_embedder)
    clear_outputs(work_dir)
    from behavior_scaling.train.lightning_import import import_lightning

    import_lightning()
    from behavior_scaling.evaluate.ranking import NonFiniteScoresError, evaluate
    from behavior_scaling.evaluate.ranks import Metrics, write_ranks
    from behavior_scaling.evaluate.users import write_user_sums
    from behavior_scaling.train.fit import build, fit
    from behavior_scaling.train.machine import PeakMemory, machine, versions
    from behavior_scaling.train.matmul_rate import rate_of_run
    from behavior_scaling.train.module import DivergedError
    from behavior_scaling.train.timings import Spent, timings
    from behavior_scaling.train.weights import save_embedder

    began = time.monotonic()
    peak = PeakMemory()
    module = build(spec, dataset, parent_embedder)
    error: str | None = None
    metrics: Metrics = {}
    evaluate_seconds = 0.0
    try:
        fit(module, dataset, work_dir / CHECKPOINT, checkpoint_seconds, log, stopped)
        trained = time.monotonic()
        evaluation = evaluate(module.model, module.objective, dataset)
        metrics = {**evaluation.metrics(), "train_loss": module.tally.train_loss}
        write_ranks(evaluation.ranks, work_dir / RANKS)
        write_user_sums(evaluation.ranks, work_dir / USERS)
        save_embedder(module.model, work_dir / EMBEDDER)
        evaluate_seconds = time.monotonic() - trained
    except (DivergedError, NonFiniteScoresError) as reason:
        error = str(reason)
    tally = module.tally
    peak_bytes = peak.bytes()
    ended = time.monotonic()
    rate = rate_of_run(module, dataset)
    spent = Spent(
        import_seconds=began - job_began,
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
        machine=machine() | {"peak_memory": peak.source},
    )


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
