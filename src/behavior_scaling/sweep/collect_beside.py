"""Records to the tables beside the table of runs: user sums and probes, each run once.

A run that is missing or damaged, that came to no evaluation, or that was not probed has no rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Protocol

import pandas as pd

from behavior_scaling.records.columns import (
    PROBE_COLUMNS,
    PROBE_PLACE,
    PROBE_VALUES,
    USER_COLUMNS,
)
from behavior_scaling.records.record import Record
from behavior_scaling.records.store import USERS


class Records(Protocol):
    """Where records come from: the store or an archive."""

    def load(self, run_id: str) -> Record:
        """A record; RecordError where there is none."""

    def file(self, run_id: str, name: str) -> Path:
        """A file beside it; RecordError where it is missing or altered."""


class Remembered:
    """Records, each read and checked once, however many tables ask for it."""

    def __init__(self, records: Records) -> None:
        self.load = cache(records.load)
        self.file = records.file


def collected_ids(runs: pd.DataFrame) -> list[str]:
    """Ids of the table of runs that have a record, in its order, each once."""
    return list(runs.loc[runs["outcome"] != "missing", "id"].unique())


def collect_users(ids: Iterable[str], records: Records) -> pd.DataFrame:
    """The user sums of all runs: id and USER_COLUMNS."""
    tables = []
    for run_id in ids:
        if USERS in records.load(run_id).files:
            table = pd.read_parquet(records.file(run_id, USERS))
            tables.append(table.assign(id=run_id)[["id", *USER_COLUMNS]])
    if not tables:
        return pd.DataFrame(columns=["id", *USER_COLUMNS])
    return pd.concat(tables, ignore_index=True)


def collect_probes(ids: Iterable[str], records: Records) -> pd.DataFrame:
    """The probes of all runs: id and PROBE_COLUMNS; a value that was not finite is NaN."""
    rows = [{"id": run_id, **probe} for run_id in ids for probe in records.load(run_id).probes]
    table = pd.DataFrame(rows, columns=["id", *PROBE_COLUMNS])
    kinds = dict.fromkeys(PROBE_PLACE, "int64") | dict.fromkeys(PROBE_VALUES, "float64")
    return table.astype(kinds)
