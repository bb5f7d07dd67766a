"""Canonical tables before they are prepared: events, items, and what their columns mean.

Canonical events: user_id, item_id, timestamp (unix seconds, or a timestamp type; UTC where it names
no zone), optionally session_id, and the schema's event features; line order breaks ties of time.
Canonical items: item_id and the schema's feature columns. Ids are integers or text; feature values
may be missing (NULL), ids and timestamps may not.

Choices: a table is either at hand (pandas or Arrow) or a query that the engine runs over files, so
that a source of any size says what its rows are and nothing is read until preparation asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ItemKind = Literal["categorical", "multi", "numeric", "text", "vector"]
EventKind = Literal["categorical", "numeric"]

EVENT_COLUMNS = ("user_id", "item_id", "timestamp")  # required; session_id may follow


@dataclass(frozen=True)
class FeatureSchema:
    """Feature columns and their kinds; the items' in order of priority where T is short.

    The column item_id may itself be a categorical feature of the items.
    """

    columns: tuple[tuple[str, ItemKind], ...]  # of the items
    events: tuple[tuple[str, EventKind], ...] = ()


@dataclass(frozen=True)
class Query:
    """Rows that the engine reads from files: one SELECT in DuckDB's dialect, no semicolon.

    Attributes:
        sql: gives the canonical columns; a column named `line` orders the rows and is otherwise
            ignored, without it the order is that of the files.
        files: what it reads; checked before it is run.
    """

    sql: str
    files: tuple[Path, ...]


Table: TypeAlias = "pd.DataFrame | pa.Table | Query"


@dataclass(frozen=True)
class Tables:
    """What a source loads."""

    events: Table
    items: Table | None  # None: the items of the events, with no feature but their id
    schema: FeatureSchema
