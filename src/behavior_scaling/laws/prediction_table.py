"""What a prediction is made from, and the planned runs of the budget that it is made for.

Choices: a prediction reads finished runs below the held-out budget and nothing else; a SHA-256
over their design and metrics says later whether the same runs are still there. Some inputs of a
planned run only a run can measure: unique positions and items are those of the finished runs,
distinct candidates the mean of the finished runs with the same stage, objective, in-batch and
uniform draws at the nearest batch size; nominal FLOPs are the budget (finished runs keep to it
within 0.01%).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws.arrays import Array, LawsError
from behavior_scaling.laws.table import DESIGN, numbers

if TYPE_CHECKING:
    import pandas as pd

PREDICTED_AXES = ("allocation", "share")
DRAW = ("stage", "objective", "in_batch", "uniform")  # runs that draw their candidates alike
KEYS = ("id", "axis", "arm", "budget", "seed", "stage")
ASSUMED = (
    "unique_positions and n_items: as in the finished runs",
    "n_cand_distinct: mean of the finished runs with the same stage, objective, in_batch and "
    "uniform, at the nearest batch",
    "epochs: positions / unique_positions; flops_nominal: the budget",
)


def finished_below(runs: pd.DataFrame, held_out: float) -> pd.DataFrame:
    """The rows that a prediction may read."""
    return runs[(runs["outcome"] == "done") & (numbers(runs, "budget") < held_out)]


def with_planned(runs: pd.DataFrame, held_out: float) -> pd.DataFrame:
    """Finished runs below a budget, and its planned ones as if done; those have no metric.

    Args:
        runs: the runs table; rows of the held-out budget need the columns of the plan only.
        held_out: nominal FLOPs.

    Raises:
        LawsError: no run of that budget is planned, or what it would measure is not known.
    """
    import pandas as pd

    known = finished_below(runs, held_out)
    chosen = (numbers(runs, "budget") == held_out) & runs["axis"].isin(PREDICTED_AXES)
    planned = runs[chosen & ~runs["control"].fillna(False).astype(bool)].copy()
    if not (planned["axis"] == "allocation").any():
        raise LawsError(
            f"runs: no run of the allocation axis is planned at {held_out:g} FLOPs; its budgets: "
            + ", ".join(f"{c:g}" for c in allocation_budgets(runs))
        )
    unique = _constant(known, "unique_positions")
    planned["unique_positions"], planned["n_items"] = unique, _constant(known, "n_items")
    planned["epochs"] = numbers(planned, "positions") / unique
    planned["flops_nominal"], planned["outcome"] = held_out, "done"
    planned["n_cand_distinct"] = _distinct(planned, known)
    metrics = [name for name in planned.columns if "/" in name or name == "train_loss"]
    shared = planned.drop(columns=metrics).dropna(axis="columns", how="all")
    table: pd.DataFrame = pd.concat([known, shared], ignore_index=True)
    return table


def allocation_budgets(runs: pd.DataFrame) -> list[float]:
    """Budgets of the allocation axis, planned or run, ascending."""
    return sorted({float(c) for c in runs.loc[runs["axis"] == "allocation", "budget"]})


def made_from(runs: pd.DataFrame, held_out: float, metrics: Sequence[str]) -> dict[str, Any]:
    """{'runs': ids ascending, 'sha256'}: the finished runs below a budget and their content."""
    known = finished_below(runs, held_out)
    names = [*KEYS, *(name for name in DESIGN if name in known.columns)]
    names += ["n_cand_distinct", "unique_positions", *sorted(metrics)]
    rows = [[_plain(value) for value in row] for row in known[names].itertuples(index=False)]
    lines = sorted(json.dumps(row) for row in rows)
    digest = hashlib.sha256("\n".join([json.dumps(names), *lines]).encode()).hexdigest()
    return {"runs": sorted(set(known["id"])), "sha256": digest}


def _plain(value: Any) -> str | float | None:
    """The same for a whole number that another table holds as a float."""
    if isinstance(value, str):
        return value
    return None if value is None or value != value else float(value)


def _constant(known: pd.DataFrame, column: str) -> float:
    values = np.unique(numbers(known, column))
    if values.size != 1 or not np.isfinite(values[0]):
        raise LawsError(
            f"runs: column {column!r} holds {values.size} values over the finished runs; a planned "
            "run needs the one of its data"
        )
    return float(values[0])


def _distinct(planned: pd.DataFrame, known: pd.DataFrame) -> Array:
    keys = [name for name in DRAW if name in planned.columns]
    batches, measured = numbers(known, "batch"), numbers(known, "n_cand_distinct")
    out = []
    for row in planned[[*keys, "batch", "id"]].to_dict("records"):
        alike = np.ones(len(known), dtype=bool)
        for key in keys:
            alike &= (known[key] == row[key]).to_numpy()
        if not alike.any():
            said = ", ".join(f"{key} {row[key]}" for key in keys)
            raise LawsError(
                f"runs: run {row['id']} is planned with {said}, and no finished run below its "
                "budget draws its candidates so: how many are distinct is not known"
            )
        far = np.abs(np.log(batches[alike] / row["batch"]))
        out.append(float(np.mean(measured[alike][far == far.min()])))
    return np.array(out)
