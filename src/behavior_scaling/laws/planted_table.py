"""The table of runs that a study's plan promises, before anything is trained.

The same columns as runs.parquet, from the same code, for a plan whose runs all come to their end.
What only training or data tell is assumed, and said: U = train_fraction x events - users; every
step but the last is full, so steps = ceil(D / (B L)); candidates drawn from a batch follow a Zipf
law of exponent one over the catalogue, so that m draws bring sum_i 1 - (1 - p_i)^m distinct items
and K uniform ones K / V of the rest besides. Where a table of earlier runs is given, U, V and the
distinct candidates of the same draw are taken from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from behavior_scaling.config import Study
from behavior_scaling.laws.arrays import Array, LawsError
from behavior_scaling.laws.table import numbers
from behavior_scaling.records.record import Record, RecordError
from behavior_scaling.records.spec import data_spec
from behavior_scaling.sweep.plan import Plan

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Facts:
    """What a plan has to know of its data."""

    n_items: int  # V
    unique_positions: int  # U
    distinct: dict[tuple[int, int, int], float]  # (stage, M, K) -> measured distinct candidates
    assumed: tuple[str, ...]  # in words


def facts_of_source(study: Study, n_items: int, n_events: int, n_users: int) -> Facts:
    """Facts from what is published of a source."""
    unique = max(int(study.data.train_fraction * n_events) - n_users, 1)
    return Facts(
        n_items,
        unique,
        {},
        (
            f"U = {unique:,} unique training positions (train_fraction x events - users)",
            "distinct candidates from a Zipf law of exponent 1 over the catalogue",
        ),
    )


def facts_of_runs(runs: pd.DataFrame, fallback: Facts) -> Facts:
    """Facts from a table of earlier runs on the same data; what it lacks from the fallback."""
    done = runs[runs["outcome"] == "done"]
    if not len(done):
        raise LawsError("runs: no run is done: nothing can be measured from this table")
    unique = int(np.median(numbers(done, "unique_positions")))
    keys = zip(*(numbers(done, name) for name in ("stage", "in_batch", "uniform")), strict=True)
    found: dict[tuple[int, int, int], list[float]] = {}
    for key, value in zip(keys, numbers(done, "n_cand_distinct"), strict=True):
        found.setdefault((int(key[0]), int(key[1]), int(key[2])), []).append(float(value))
    distinct = {key: float(np.mean(values)) for key, values in found.items()}
    said = (
        f"U = {unique:,} unique training positions, as in the runs given",
        "distinct candidates as in the runs given, else from a Zipf law of exponent 1",
    )
    return Facts(fallback.n_items, unique, distinct, said)


def planned_runs(study: Study, plan: Plan, facts: Facts) -> pd.DataFrame:
    """The runs table of a plan whose every run is done; it has no metric yet.

    Args:
        study: the study.
        plan: its plan.
        facts: of its data.

    Returns:
        One row for every (axis, arm, cell, seed), as `collect` would write.
    """
    from behavior_scaling.sweep.collect import collect_runs

    data = data_spec(study.data, "planned")

    def load(run_id: str) -> Record:
        raise RecordError(f"{run_id} is planned only")

    table = collect_runs(study, plan, data, load)
    positions, batch = numbers(table, "positions"), numbers(table, "batch")
    steps = np.ceil(positions / (batch * study.data.context))
    table["n_items"] = facts.n_items
    table["unique_positions"] = facts.unique_positions
    table["epochs"] = positions / facts.unique_positions
    table["steps"] = steps
    table["steps_after_warmup"] = np.floor(steps * (1 - study.optimizer.warmup))
    table["flops_nominal"] = table["budget"]
    table["n_cand_distinct"] = _distinct(table, facts)
    table["outcome"], table["error"] = "done", None
    return table


def _distinct(table: pd.DataFrame, facts: Facts) -> Array:
    weight = 1.0 / np.arange(1, facts.n_items + 1)
    log_rest = np.log1p(-weight / weight.sum())
    out = []
    rows = zip(table["stage"], table["objective"], table["in_batch"], table["uniform"], strict=True)
    for stage, objective, in_batch, uniform in rows:
        if objective == "full":
            out.append(float(facts.n_items))
            continue
        measured = facts.distinct.get((int(stage), int(in_batch), int(uniform)))
        drawn = float(-np.expm1(in_batch * log_rest).sum())
        out.append(measured or drawn + uniform * (1 - drawn / facts.n_items))
    return np.array(out)
