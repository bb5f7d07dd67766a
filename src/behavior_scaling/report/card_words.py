"""How a data card words times, and the floors it was given as a table.

Choices: floors come as `behavior-scaling floors` writes them, {split: {slice: {floor: {metric:
value}}}}; without a file the table is empty, so that a card can be made before they are measured.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from behavior_scaling.data.errors import DataError

METRICS = ("cross_entropy", "recall@10", "ndcg@10", "n_positions", "n_users")
COLUMNS = ("split", "slice", "floor", *METRICS)
_UNITS = ((365.25 * 86400, "y"), (86400, "d"), (3600, "h"), (60, "min"))


def date(seconds: int) -> str:
    """The day of a time in unix seconds, UTC."""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def duration(seconds: float) -> str:
    """Three significant digits in the largest unit that gives at least 1: '2.5 min'."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def read_floors(path: Path | None) -> pd.DataFrame:
    """One row a split, slice and floor; without a file none.

    Raises:
        DataError: the file is missing or is not what `behavior-scaling floors` writes.
    """
    if path is None:
        return pd.DataFrame(columns=list(COLUMNS))
    if not path.is_file():
        raise DataError(f"{path}: missing; run `behavior-scaling floors` first, or leave it out")
    try:
        rows = [
            {"split": split, "slice": name, "floor": floor}
            | {metric: values[metric] for metric in METRICS}
            for split, slices in json.loads(path.read_text()).items()
            for name, rules in slices.items()
            for floor, values in rules.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not what `behavior-scaling floors` writes ({error!r}); run it again"
        ) from None
    return pd.DataFrame(rows, columns=list(COLUMNS))
