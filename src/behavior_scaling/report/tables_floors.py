"""The table of floors: data set, split, slice and rule, with the best run of the study under them.

Choices: one row a rule and one for the best run; a value of the run that no better than equals the
best floor says so; what a rule left out of train or of the positions is printed with it.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from behavior_scaling.report.floors import METRICS, Slice, best_run, slices
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.text import (
    FLOORS,
    count,
    number,
    percent,
    slice_title,
    three_decimals,
)

COLUMNS = [
    "source", "split", "slice", "rule", "n_positions", "n_users", "small", "train_share", *METRICS,
    "behind", "epochs", "id",
]  # fmt: skip
BEST = "best run"


def floors_table(results: Results) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Numbers and words."""
    rows: list[dict[str, Any]] = []
    words: list[dict[str, Any]] = []
    for one in (results, *results.parts):
        _study(one, rows, words)
    return pd.DataFrame(rows, columns=COLUMNS), pd.DataFrame(words)


def _study(results: Results, rows: list[dict[str, Any]], words: list[dict[str, Any]]) -> None:
    """Append one study's rows."""
    source, run = results.source, best_run(results)
    for part in slices(results):
        base = {"source": source, "split": part.split, "slice": part.name, "small": part.small}
        said = {"data": source, "split": part.split, "slice": slice_title(part.name)}
        for rule, values in part.rules.items():
            rows.append(base | {"rule": rule} | {k: v for k, v in values.items() if k in COLUMNS})
            words.append(said | _rule_words(part, rule) | {"epochs": "–"})
        if run is None or not part.best:
            continue
        counts = {"n_positions": part.positions, "n_users": part.users}
        behind = "; ".join(part.behind)
        own = {"behind": behind, "epochs": run["epochs"], "id": run["id"]}
        rows.append(base | {"rule": BEST} | counts | part.best | own)
        words.append(
            said
            | {"rule": BEST, "positions": _count(part, part.positions), "users": count(part.users)}
            | {_head(name): _best_words(part, name) for name in METRICS}
            | {"epochs": number(run["epochs"])}
        )


def _rule_words(part: Slice, rule: str) -> dict[str, str]:
    values = part.rules[rule]
    share = values.get("train_share")
    name = FLOORS.get(rule, rule)
    if share is not None and share < 1:
        name += f" (of {percent(share)} of train)"
    texts = {"rule": name, "positions": _count(part, int(values.get("n_positions") or 0))}
    texts["users"] = count(values.get("n_users") or 0)
    for metric in METRICS:
        value = values.get(metric)
        texts[_head(metric)] = "–" if value is None else three_decimals(value)
    return texts


def _best_words(part: Slice, metric: str) -> str:
    if metric not in part.best:
        return "–"
    text = three_decimals(part.best[metric])
    rule = part.behind.get(metric)
    return f"{text}, behind {FLOORS.get(rule, rule)}" if rule else text


def _count(part: Slice, positions: int) -> str:
    return count(positions) + (" (small)" if part.small else "")


def _head(metric: str) -> str:
    return metric.replace("cross_entropy", "loss")
