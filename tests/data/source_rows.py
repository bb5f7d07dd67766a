"""Canonical rows of a source's tables, read through the engine as preparation reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from behavior_scaling.data.engine import engine, view
from behavior_scaling.data.tables import Table, Tables

Row = dict[str, Any]


def events_of(tables: Tables, scratch: Path) -> list[Row]:
    """Events by user and time, ties by line; without the line."""
    return _rows(tables.events, "user_id, timestamp, line", scratch)


def items_of(tables: Tables, scratch: Path) -> list[Row]:
    """Items by id."""
    assert tables.items is not None
    return _rows(tables.items, "item_id", scratch)


def _rows(table: Table, order: str, scratch: Path) -> list[Row]:
    with engine(scratch) as connection:
        view(connection, "rows", table)
        found = connection.sql(f"SELECT * EXCLUDE (line) FROM rows ORDER BY {order}")
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def values(rows: list[Row], *columns: str) -> list[tuple[Any, ...]]:
    """Some columns of rows."""
    return [tuple(row[column] for column in columns) for row in rows]
