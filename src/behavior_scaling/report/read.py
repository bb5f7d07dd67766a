"""The runs table and the floors of one study, read and checked for the report."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from behavior_scaling.report.joint import ReportError
from behavior_scaling.report.text import LOSS, RECALL

Floors = dict[str, dict[str, dict[str, dict[str, float | int | None]]]]  # split, slice, floor
REQUIRED = [
    "id", "study", "source", "axis", "arm", "budget", "seed", "outcome", "error", "n_emb", "n_ctx",
    "n_total", "share", "batch", "context", "tokens", "in_batch", "uniform", "n_cand_distinct",
    "objective", "positions", "unique_positions", "epochs", "d_over_n", "train_loss", "seconds",
    "n_items", "control", LOSS, RECALL,
]  # fmt: skip


def read_runs(path: Path) -> pd.DataFrame:
    """The runs table.

    Raises:
        ReportError: it is missing or empty, or lacks a column.
    """
    if not path.is_file():
        raise ReportError(f"{path}: missing; run `behavior-scaling collect` first")
    runs = pd.read_parquet(path)
    absent = [name for name in REQUIRED if name not in runs.columns]
    if absent:
        raise ReportError(f"{path}: column {absent[0]!r} is missing; collect the study again")
    if runs.empty:
        raise ReportError(f"{path}: holds no run; train the study first")
    runs["arm"] = runs["arm"].fillna("")
    return runs


def read_floors(path: Path | None) -> Floors:
    """What `behavior-scaling floors` wrote; nothing without a file.

    Raises:
        ReportError: the file is missing or damaged.
    """
    if path is None:
        return {}
    if not path.is_file():
        raise ReportError(f"{path}: missing; run `behavior-scaling floors` first")
    try:
        floors: Floors = {
            split: {
                part: {floor: dict(values) for floor, values in rules.items()}
                for part, rules in parts.items()
            }
            for split, parts in json.loads(path.read_text()).items()
        }
    except (ValueError, TypeError, AttributeError):
        raise ReportError(
            f"{path}: not what `behavior-scaling floors` writes; run it again"
        ) from None
    return floors
