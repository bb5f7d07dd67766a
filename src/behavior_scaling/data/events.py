"""Canonical views: the source's rows checked column by column and row by row, in the engine.

Choices: ids are int64 where the column is of integers and text otherwise (the kind is part of the
identity); timestamps are whole unix seconds, datetimes are cut to seconds and are UTC where they
name no zone; nothing lies before 1970 or more than a day ahead of the clock (milliseconds taken
for seconds do). Every refusal names the first row. Checks are one pass of aggregates, so that a
table of any size is checked in bounded memory.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import duckdb

from behavior_scaling.data.engine import LINE, name, row_of, view
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.tables import EVENT_COLUMNS, FeatureSchema, Table, Tables

LONGEST_ID = 200  # letters
LARGEST = 1e30  # of a feature: beyond it float32 overflows soon
DAY = 86_400

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER",
             "UBIGINT", "HUGEINT", "UHUGEINT")  # fmt: skip
_FLOATS = ("FLOAT", "DOUBLE")


@dataclass(frozen=True)
class Check:
    """Rows that cannot be used."""

    column: str
    bad: str  # SQL condition
    what: str  # what to say of the first such row


def canonical_events(connection: duckdb.DuckDBPyConnection, tables: Tables, where: str) -> int:
    """Make the view `events`: user_id, item_id, timestamp, [session], features, line.

    Returns:
        How many there are, repeated lines included.

    Raises:
        DataError: a column is missing, unknown or of no usable kind; the table is empty; an id or
            a time is missing or impossible, by its first row.
    """
    table, place = tables.events, f"{where}: events"
    view(connection, "raw_events", table)
    types = _types(connection, "raw_events")
    features = dict(tables.schema.events)
    _check_columns(types, EVENT_COLUMNS, (*EVENT_COLUMNS, "session_id", *features), place)
    select = {
        "user_id": _id(types, "user_id", place),
        "item_id": _id(types, "item_id", place),
        "timestamp": _seconds(types["timestamp"], place),
    }
    checks = [*_id_checks(types, "user_id"), *_id_checks(types, "item_id"), *_time_checks(types)]
    if "session_id" in types:
        select["session"] = 'hash("session_id")'  # read for equality only
        checks.append(Check("session_id", '"session_id" IS NULL', "is no id; name the session"))
    for feature, kind in features.items():
        select[feature] = f"CAST({name(feature)} AS VARCHAR)"
        if kind == "numeric":
            select[feature] = f"CAST({name(feature)} AS DOUBLE)"
            checks += _number_checks(types, feature, place)
    count = _refuse(connection, "raw_events", checks, table, place)
    columns = ", ".join(f"{sql} AS {name(column)}" for column, sql in select.items())
    connection.execute(f"CREATE VIEW events AS SELECT {columns}, {LINE} FROM raw_events")
    return count


def canonical_items(connection: duckdb.DuckDBPyConnection, tables: Tables, where: str) -> None:
    """Make the table `catalogue` (item_id, item: its index by sorted id) and the view `items`.

    Raises:
        DataError: a column is missing or unknown, the table is empty, an id is missing or stands
            in two rows, or ids are of another kind than the events'.
    """
    if tables.items is None:
        connection.execute("CREATE VIEW items AS SELECT DISTINCT item_id FROM events")
    else:
        _given_items(connection, tables.items, tables.schema, f"{where}: items")
    kinds = [_types(connection, table)["item_id"] for table in ("events", "items")]
    if kinds[0] != kinds[1]:
        raise DataError(
            f"{where}: the events' item_id are {kinds[0]} and the items' are {kinds[1]} (both "
            f"tables must hold ids of the same kind)"
        )
    connection.execute(
        "CREATE TABLE catalogue AS SELECT item_id, "
        "CAST(row_number() OVER (ORDER BY item_id) - 1 AS INTEGER) AS item FROM items"
    )


def refuse_unknown_items(connection: duckdb.DuckDBPyConnection, tables: Tables, where: str) -> None:
    """Raise DataError for the first event whose item has no row."""
    if tables.items is None:
        return
    found = connection.sql(
        f"SELECT arg_min(item_id, {LINE}), min({LINE}), count(*) FROM events "
        f"ANTI JOIN catalogue USING (item_id)"
    ).fetchall()[0]
    if found[2]:
        raise DataError(
            f"{where}: events: {row_of(found[1], tables.events)}: item_id {found[0]!r} is not "
            f"among the items ({found[2]:,} such events); add its row"
        )


def _given_items(
    connection: duckdb.DuckDBPyConnection, table: Table, schema: FeatureSchema, place: str
) -> None:
    view(connection, "raw_items", table)
    types = _types(connection, "raw_items")
    names = tuple(column for column, _ in schema.columns)
    _check_columns(types, ("item_id", *names), ("item_id", *names), place)
    select = ", ".join(name(column) for column in names if column != "item_id")
    identifier = _id(types, "item_id", place)
    _refuse(connection, "raw_items", _id_checks(types, "item_id"), table, place)
    again = connection.sql(
        f"SELECT {identifier} AS i, list_sort(list({LINE}))[:2] FROM raw_items "
        f"GROUP BY i HAVING count(*) > 1 ORDER BY min({LINE}) LIMIT 1"
    ).fetchall()
    if again:
        identity, lines = again[0]
        rows = " and ".join(row_of(line, table) for line in lines)
        raise DataError(f"{place}: item_id {identity!r} stands in {rows}; keep one")
    connection.execute(
        f"CREATE VIEW items AS SELECT {identifier} AS item_id{select and ', '}{select} "
        f"FROM raw_items"
    )


def _types(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Column to type, `line` left out."""
    described = connection.sql(f"DESCRIBE {table}").fetchall()
    return {column: kind for column, kind, *_ in described if column != LINE}


def _check_columns(
    types: dict[str, str], required: tuple[str, ...], known: tuple[str, ...], place: str
) -> None:
    missing = [column for column in (*required, *known[len(required) :]) if column not in types]
    missing = [column for column in missing if column != "session_id"]
    if missing:
        raise DataError(f"{place}: column {missing[0]!r} is missing; there are {list(types)}")
    odd = [column for column in types if column not in known]
    if odd:
        raise DataError(f"{place}: column {odd[0]!r} is not known here; known are {list(known)}")


def _id(types: dict[str, str], column: str, place: str) -> str:
    kind = types[column]
    if kind in _INTEGERS:
        return f"CAST({name(column)} AS BIGINT)"
    if kind == "VARCHAR" or kind.startswith("ENUM"):
        return f"CAST({name(column)} AS VARCHAR)"
    raise DataError(f"{place}: {column}: ids are {kind}; read them as integers or as text")


def _id_checks(types: dict[str, str], column: str) -> list[Check]:
    quoted = name(column)
    checks = [Check(column, f"{quoted} IS NULL", "is no id; drop the line or name the id")]
    if types[column] in ("UBIGINT", "HUGEINT", "UHUGEINT"):
        beyond = f"{quoted} > 9223372036854775807 OR {quoted} < -9223372036854775808"
        checks.append(Check(column, beyond, "is beyond 64 bits; read the ids as text"))
    elif types[column] not in _INTEGERS:
        checks += [
            Check(column, f"{quoted} = ''", "is no id; drop the line or name the id"),
            Check(column, f"length({quoted}) > {LONGEST_ID}",
                  f"is longer than the {LONGEST_ID} letters of an id; is a delimiter wrong?"),
        ]  # fmt: skip
    return checks


def _seconds(kind: str, place: str) -> str:
    if kind in _INTEGERS or kind in _FLOATS:
        return "CAST(timestamp AS BIGINT)"
    if kind.startswith("TIMESTAMP"):
        return "epoch_us(timestamp) // 1000000"
    if kind == "DATE":
        return "epoch_us(CAST(timestamp AS TIMESTAMP)) // 1000000"
    raise DataError(f"{place}: timestamp: times are {kind}; give unix seconds or datetimes")


def _time_checks(types: dict[str, str]) -> list[Check]:
    kind = types["timestamp"]
    checks = [Check("timestamp", "timestamp IS NULL", "is no timestamp; give its time")]
    seconds = "timestamp"
    if kind in _FLOATS:
        checks += [
            Check("timestamp", "NOT isfinite(timestamp)", "is no timestamp; give unix seconds"),
            Check("timestamp", "timestamp % 1 <> 0", "is no whole number of seconds; round it"),
        ]
    elif kind not in _INTEGERS:
        seconds = "epoch_us(CAST(timestamp AS TIMESTAMP)) // 1000000"
        if kind == "TIMESTAMP WITH TIME ZONE":
            seconds = "epoch_us(timestamp) // 1000000"
    latest = int(time.time()) + DAY
    return [
        *checks,
        Check("timestamp", f"{seconds} < 0", "is before 1970; drop the line or mend its time"),
        Check("timestamp", f"{seconds} > {latest}",
              "lies in the future; are these milliseconds? give unix seconds"),
    ]  # fmt: skip


def _number_checks(types: dict[str, str], column: str, place: str) -> list[Check]:
    kind, quoted = types[column], name(column)
    numeric = (*_INTEGERS, *_FLOATS, "BOOLEAN")
    if kind not in numeric and not kind.startswith("DECIMAL"):
        raise DataError(f"{place}: {column}: values are {kind}, not numbers; cast the column")
    if kind not in _FLOATS:
        return []
    return [
        Check(column, f"isinf({quoted})", "is not finite; leave the value out"),
        Check(column, f"abs({quoted}) > {LARGEST} AND NOT isnan({quoted})",
              f"is beyond {LARGEST:g}; leave the value out"),
    ]  # fmt: skip


def _refuse(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    checks: list[Check],
    table: Table,
    place: str,
) -> int:
    """Count the rows and raise for the first check that a row fails."""
    asked = ", ".join(
        f"min({LINE}) FILTER (WHERE {check.bad}), "
        f"arg_min(CAST({name(check.column)} AS VARCHAR), {LINE}) FILTER (WHERE {check.bad})"
        for check in checks
    )
    found = connection.sql(f"SELECT count(*), {asked} FROM {source}").fetchall()[0]
    for number, check in enumerate(checks):
        line, value = found[1 + 2 * number : 3 + 2 * number]
        if line is not None:
            shown = repr(value[:60]) if isinstance(value, str) else "nothing"
            raise DataError(f"{place}: {check.column}: {row_of(line, table)}: {shown} {check.what}")
    if not found[0]:
        raise DataError(f"{place}: the table has no rows")
    return int(found[0])
