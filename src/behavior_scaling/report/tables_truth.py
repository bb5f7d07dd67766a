"""The table of truth: what a synthetic world's entropy is, and what fits and runs make of it.

Choices: a fitted E is held against the entropy only where the loss is one over the whole catalogue
(the restored one is); against the oracle on the same validation positions, whose own draw moves
both, and against the entropy over fresh events. Other data have no truth, which the table says.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from behavior_scaling.report.floors import best_run
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.text import FLOORS, LOSS, ORACLE, number, three_decimals

COLUMNS = ["quantity", "value", "low", "high", "standard_error", "epochs", "status", "reason"]
HEADS = ["quantity", "nats", "95% interval or s.e.", "epochs", "status"]
Row = dict[str, Any]


def truth_table(results: Results) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Numbers and words."""
    rules = results.floors.get("validation", {}).get("all", {})
    rows = list(_rows(results, rules[ORACLE])) if ORACLE in rules else []
    frame = pd.DataFrame(rows, columns=COLUMNS)
    said = [_words(row) for row in rows] or [
        _words({"quantity": "no truth is known of these data"})
    ]
    return frame, pd.DataFrame(said, columns=HEADS)


def _rows(results: Results, truth: dict[str, float | int | None]) -> list[Row]:
    rows: list[Row] = [
        {
            "quantity": "entropy H_L, fresh events",
            "value": truth["H"],
            "standard_error": truth["H_se"],
        },
        {
            "quantity": "oracle on the validation positions",
            "value": truth["cross_entropy"],
            "standard_error": truth["standard_error"],
        },
    ]
    surface = results.surface(LOSS)
    if surface is not None and "E" in surface.parameters:
        found = surface.parameters["E"]
        rows.append(
            {
                "quantity": "E of the joint surface",
                "value": found.value,
                "low": found.low,
                "high": found.high,
                "status": found.status,
                "reason": found.reason,
            }
        )
    run = best_run(results)
    if run is not None:
        rows.append({"quantity": "best run", "value": run[LOSS], "epochs": run["epochs"]})
    floor = results.floor_to_beat(LOSS)
    if floor is not None:
        rows.append({"quantity": f"best floor ({FLOORS[floor[0]]})", "value": floor[1]})
    return rows


def _words(row: Row) -> Row:
    value, low, high, error = (row.get(k) for k in ("value", "low", "high", "standard_error"))
    interval = "–"
    if low is not None and high is not None:
        interval = f"{three_decimals(low)} to {three_decimals(high)}"
    elif error is not None:
        interval = f"± {error:.4f}"
    said = (None if value is None else three_decimals(value)) or "–"
    status = ": ".join(text for text in (row.get("status"), row.get("reason")) if text)
    epochs = number(row["epochs"]) if "epochs" in row else "–"
    return dict(zip(HEADS, (row["quantity"], said, interval, epochs, status or "–"), strict=True))
