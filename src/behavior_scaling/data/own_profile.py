"""What a description leaves open and its files settle: whether ids are integers, the unit of times.

Choices: one pass over those columns of a text file, which finds a broken line before preparation
does; of a Parquet file only a bare number of time is looked at. A unit is taken where all the times
that it would put into 1990 to 2100 are of it alone: the units' ranges of numbers don't overlap.
"""

from __future__ import annotations

import duckdb

from behavior_scaling.data.engine import name
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.own_columns import FLOATS, INTEGERS, TEXT, UNITS, WHOLE
from behavior_scaling.data.own_config import Description
from behavior_scaling.data.own_files import Opened, first_line

YEAR_1990, YEAR_2100 = 631_152_000, 4_102_444_800  # seconds


def whole_ids(
    connection: duckdb.DuckDBPyConnection, opened: Opened, columns: list[str], where: str
) -> dict[str, bool]:
    """Whether ids are integers: by type, and in text files where all of them are written so."""
    if not opened.is_text:
        return {column: opened.types[column] in (*INTEGERS, *FLOATS) for column in columns}
    asked = ", ".join(
        f"coalesce(bool_and(regexp_matches({name(column)}, '{WHOLE}') "
        f"AND TRY_CAST({name(column)} AS BIGINT) IS NOT NULL), false)"
        for column in columns
    )
    found = _ask(connection, f"SELECT {asked} FROM {opened.sql}", opened, where)
    return dict(zip(columns, map(bool, found), strict=True))


def time_unit(
    connection: duckdb.DuckDBPyConnection, opened: Opened, description: Description, place: str
) -> str | None:
    """The unit of a column of numbers, as stated or as the size of all of them says."""
    time = description.events.time
    kind, cell = opened.types[time.column], name(time.column)
    numeric = kind in (*INTEGERS, *FLOATS) or kind.startswith("DECIMAL")
    if time.unit != "auto" and (numeric or kind == TEXT):
        return time.unit
    if not numeric and (kind != TEXT or time.format is not None):
        return None
    asked = ", ".join(f"count(*) FILTER (WHERE {within_unit(cell, unit)})" for unit in UNITS)
    found = _ask(
        connection,
        f"SELECT count({cell}), count(TRY_CAST({cell} AS DOUBLE)), {asked} FROM {opened.sql}",
        opened,
        place,
    )
    present, numbers, *counts = found
    if kind == TEXT and 2 * numbers < present:
        return None
    fitting = [unit for unit, count in zip(UNITS, counts, strict=True) if count]
    if len(fitting) == 1:
        return fitting[0]
    said = ", ".join(f"{n:,} in {unit}" for unit, n in zip(UNITS, counts, strict=True) if n)
    raise DataError(
        f"{place}: the unit of these numbers is not plain (read as times of 1990 to 2100: "
        f"{said or 'none in any unit'}); write time: {{column: {time.column}, unit: s}}, or "
        f"ms, us, ns; mend the lines that are in another unit"
    )


def within_unit(cell: str, unit: str) -> str:
    """SQL: whether a number, read in a unit, lies between 1990 and 2100."""
    per_second = 1_000_000 / UNITS[unit]
    return (
        f"TRY_CAST({cell} AS DOUBLE) BETWEEN {YEAR_1990 * per_second:.0f} "
        f"AND {YEAR_2100 * per_second:.0f}"
    )


def _ask(
    connection: duckdb.DuckDBPyConnection, sql: str, opened: Opened, place: str
) -> tuple[int, ...]:
    try:
        row: tuple[int, ...] = connection.execute(sql).fetchone() or ()
    except duckdb.Error as error:
        raise DataError(f"{place}: {_named(opened)}: {first_line(error)}") from None
    return row


def _named(opened: Opened) -> str:
    return ", ".join(file.name for file in opened.files[:3])
