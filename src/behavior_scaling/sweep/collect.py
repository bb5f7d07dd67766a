"""Records to the table of runs: one row for every cell of every axis, missing runs included.

Choices: a run on two axes stands in two rows with one id; what follows from the spec is computed
here by `sizes`, what was measured is copied from the record; a run that is absent or damaged is a
row with outcome 'missing' and the reason, so that every table can name it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from behavior_scaling.config import Study
from behavior_scaling.files import replacing
from behavior_scaling.records.columns import TIMINGS
from behavior_scaling.records.record import Record, RecordError
from behavior_scaling.records.spec import NUMERICS, DataSpec, RunSpec
from behavior_scaling.sizes.counts import sizes_of
from behavior_scaling.sweep.cells import Cell, resolve
from behavior_scaling.sweep.plan import Plan

MEASURED = (
    "n_items", "n_cand_distinct", "unique_positions", "steps", "steps_after_warmup",
    "flops_nominal", "flops_executed", "flops_probe", "flops_cache",
)  # fmt: skip

# Columns that a table has even where no run came to an end.
ALWAYS = (*MEASURED, "n_table", "epochs", "flops_parent", *TIMINGS, "train_loss")


def collect_runs(
    study: Study,
    plan: Plan,
    data: DataSpec,
    load: Callable[[str], Record],
    numerics: int = NUMERICS,
) -> pd.DataFrame:
    """One row for every (axis, arm, cell, seed) of the plan, in its order.

    Args:
        study: the study.
        plan: its plan.
        data: the data that its runs were trained on.
        load: gives a record by id, raising RecordError where there is none.
        numerics: of the code that made the records.
    """
    cache: dict[str, Record | str] = {}

    def fetch(run_id: str) -> Record | str:
        if run_id not in cache:
            try:
                cache[run_id] = load(run_id)
            except RecordError as error:
                cache[run_id] = str(error)
        return cache[run_id]

    rows = []
    for cell in plan.cells:
        spec = resolve(cell, study, data, numerics)
        row = dict.fromkeys(ALWAYS) | _asked(study, cell, spec)
        found = fetch(spec.id)
        if isinstance(found, str):
            row |= {"outcome": "missing", "error": found}
        else:
            parent = fetch(spec.parent) if spec.parent else None
            row |= _found(found, parent if isinstance(parent, Record) else None)
        rows.append(row)
    return pd.DataFrame(rows)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table whole or not at all."""
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def _asked(study: Study, cell: Cell, spec: RunSpec) -> dict[str, Any]:
    objective, context, optimizer = spec.objective, spec.contextualizer, spec.optimizer
    reference = resolve(cell.reference, study, spec.data, spec.numerics) if cell.reference else None
    return {
        "id": spec.id,
        "study": study.name,
        "axis": cell.axis,
        "arm": cell.arm,
        "cell": cell.label,
        "control": cell.control,
        "budget": spec.budget,
        "seed": spec.seed,
        "stage": spec.stage,
        "parent": spec.parent,
        "source": spec.data.source,
        **sizes_of(spec, spec.positions),
        "d_model": context.width,
        "layers": context.layers,
        "embedder_kind": spec.embedder.kind,
        "embedder_width": spec.embedder.width,
        "embedder_depth": spec.embedder.depth,
        "batch": spec.batch,
        "context": spec.data.context,
        "tokens": spec.data.tokens,
        "in_batch": objective.in_batch,
        "uniform": objective.uniform,
        "n_cand": objective.in_batch + objective.uniform,
        "objective": objective.kind,
        "lr": optimizer.lr,
        "heads": context.heads,
        "event_features": ",".join(context.event_features),
        "event_width": context.event_width,
        "temperature": context.temperature,
        "same_sequence": objective.same_sequence,
        "warmup": optimizer.warmup,
        "lr_final": optimizer.final,
        "weight_decay": optimizer.weight_decay,
        "beta1": optimizer.beta1,
        "beta2": optimizer.beta2,
        "clip": optimizer.clip,
        "reference": reference.id if reference else None,
        **{f"lr_rule_{name}": value for name, value in study.optimizer.lr.model_dump().items()},
    }


def _found(record: Record, parent: Record | None) -> dict[str, Any]:
    counts, timings = record.counts, record.timings
    row: dict[str, Any] = {name: counts.get(name) for name in MEASURED}
    if record.spec.objective.kind == "full":
        row["n_cand"] = counts.get("n_items")
    unique = counts.get("unique_positions")
    return {
        "outcome": record.outcome,
        "error": record.error,
        **row,
        "n_table": counts.get("n_table", 0),
        "epochs": record.spec.positions / unique if unique else None,
        "flops_parent": parent.counts.get("flops_nominal") if parent else 0.0,
        **{name: timings.get(name) for name in TIMINGS},
        **record.metrics,
    }
