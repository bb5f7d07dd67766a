"""From a description and its files to queries: strict ones to prepare from, lenient to count from.

Choices: both kinds hold the same expressions (own_columns.py), so that validation speaks of what
preparation would do. Items without a table of their own take their features from their first event
in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from behavior_scaling.data.engine import FILE_BITS, literal, name
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.own_columns import (
    TEXT,
    Column,
    identifier,
    moment,
    number,
    several,
    vector,
    words,
)
from behavior_scaling.data.own_config import Description, ItemTable
from behavior_scaling.data.own_files import LINE, Opened, find, open_files
from behavior_scaling.data.own_profile import time_unit, whole_ids

MOMENT = "moment"  # microseconds of unix time
_MILLISECONDS_BITS = FILE_BITS + 13  # above the number of the file


@dataclass(frozen=True)
class OwnTable:
    """A table of one's own: its files, its canonical columns, and the rows that are kept."""

    opened: Opened
    columns: dict[str, Column]  # by canonical name
    named: dict[str, str]  # canonical name to the file's
    rows: str  # a FROM clause with the raw columns that `columns` speak of, and LINE

    def row(self, line: int) -> str:
        """A line as people count."""
        file, row = divmod(line, 1 << FILE_BITS)
        several_files = len(self.opened.files) > 1
        return f"{self.opened.files[file].name}, row {row}" if several_files else f"row {row}"

    def strict(self, place: str) -> str:
        """A query of the canonical columns that stops at the first value it cannot use."""
        files = ", ".join(literal(file.name) for file in self.opened.files)
        at = f"'row ' || ({LINE} & {(1 << FILE_BITS) - 1})"
        if len(self.opened.files) > 1:
            at = f"[{files}][({LINE} >> {FILE_BITS}) + 1] || ', ' || {at}"
        select = []
        for column, one in self.columns.items():
            value = one.value
            if one.bad != "false":
                shown = f"left(CAST({one.raw} AS {TEXT}), 60)"
                before, after = literal(f"{place}: {column}: "), literal(f"' {one.what}")
                text = f"{before} || {at} || ': ''' || {shown} || {after}"
                value = f"CASE WHEN {one.bad} THEN error({text}) ELSE {value} END"
            select.append(f"{value} AS {name(column)}")
        return f"SELECT {', '.join(select)}, {LINE} FROM {self.rows}"

    def events(self, place: str) -> str:
        """As strict, with `timestamp` in seconds; `line` keeps the order of milliseconds."""
        second = f"{MOMENT} // 1000000 - CAST({MOMENT} < 0 AND {MOMENT} % 1000000 <> 0 AS BIGINT)"
        within = f"({MOMENT} - ({second}) * 1000000) // 1000"
        return (
            f"SELECT * EXCLUDE ({MOMENT}, {LINE}), {second} AS timestamp, "
            f"({within} << {_MILLISECONDS_BITS}) | {LINE} AS line FROM ({self.strict(place)})"
        )


@dataclass(frozen=True)
class OwnQueries:
    """Both tables of a description."""

    events: OwnTable
    items: OwnTable | None
    unit: str | None  # of the times; None: the column holds no numbers


def own_queries(
    connection: duckdb.DuckDBPyConnection, description: Description, folder: Path, where: str
) -> OwnQueries:
    """Open the files and say how they are read.

    Args:
        connection: an engine.
        description: what they mean.
        folder: that its paths are relative to.
        where: name of the description, for messages.

    Raises:
        DataError: files cannot be read, a column is missing or of no usable type, or the unit of
            times is not plain.
    """
    given = description.events
    events = open_files(connection, find(given.files, folder), given.separator)
    own, items = description.items, None
    if own is not None and own.files is not None:
        items = open_files(connection, find(own.files, folder), own.separator)
        _check_present(items, [str(own.id), *own.features], f"{where}: items")
    elif own is not None:
        _check_present(events, list(own.features), f"{where}: items")
    roles = [given.user, given.item, given.time.column]
    roles += [given.session] if given.session is not None else []
    _check_present(events, [*roles, *given.features], f"{where}: events")
    unit = time_unit(connection, events, description, f"{where}: events: {given.time.column}")
    ids = [column for column in roles if column != given.time.column]
    whole = whole_ids(connection, events, ids, where)
    if items is not None and own is not None:
        key = str(own.id)
        both = whole[given.item] and whole_ids(connection, items, [key], where)[key]
        whole[given.item] = both
    table = _events(events, description, whole, unit, f"{where}: events")
    if own is None:
        return OwnQueries(table, None, unit)
    if items is None:
        first = _first_rows(table)
        return OwnQueries(
            table, _items(events, own, given.item, whole[given.item], where, first), unit
        )
    return OwnQueries(table, _items(items, own, str(own.id), whole[given.item], where), unit)


def _events(
    opened: Opened, description: Description, whole: dict[str, bool], unit: str | None, place: str
) -> OwnTable:
    given = description.events
    raw, types = _raw(opened)
    column = given.time.column
    columns = {
        "user_id": identifier(
            raw[given.user], types[given.user], whole[given.user], f"{place}: {given.user}"
        ),
        "item_id": identifier(
            raw[given.item], types[given.item], whole[given.item], f"{place}: {given.item}"
        ),
        MOMENT: moment(raw[column], types[column], given.time, unit, f"{place}: {column}"),
    }
    if given.session is not None:
        columns["session_id"] = identifier(
            raw[given.session],
            types[given.session],
            whole[given.session],
            f"{place}: {given.session}",
        )
    for feature, kind in given.features.items():
        read = number if kind == "numeric" else words
        columns[feature] = read(raw[feature], types[feature], f"{place}: {feature}")
    numeric = [feature for feature, kind in given.features.items() if kind == "numeric"]
    named = {"user_id": given.user, "item_id": given.item, MOMENT: column}
    if given.session is not None:
        named["session_id"] = given.session
    rows = _rows(opened, raw, columns, given.where, numeric)
    return OwnTable(opened, columns, named, rows)


def _items(
    opened: Opened, own: ItemTable, key: str, whole: bool, where: str, rows: str | None = None
) -> OwnTable:
    raw, types = _raw(opened)
    columns = {"item_id": identifier(raw[key], types[key], whole, f"{where}: items")}
    for feature, one in own.features.items():
        place, cell, kind = f"{where}: items: {feature}", raw[feature], types[feature]
        if feature == key:
            continue  # item_id itself
        if one.kind == "multi":
            columns[feature] = several(cell, kind, one.separator, place)
        elif one.kind == "vector":
            columns[feature] = vector(cell, kind, one.separator, place)
        elif one.kind == "numeric":
            columns[feature] = number(cell, kind, place)
        else:
            columns[feature] = words(cell, kind, place)
    rows = rows or _rows(opened, raw, columns, None, [])
    return OwnTable(opened, columns, {"item_id": key}, rows)


def _first_rows(events: OwnTable) -> str:
    """Each item's first event in time, the earlier line of equal ones."""
    raw, _ = _raw(events.opened)
    row = ", ".join(f"{cell} := {cell}" for cell in [*raw.values(), LINE])
    item, at = events.columns["item_id"].value, events.columns[MOMENT].value
    return (
        f"(SELECT unnest(first_row) FROM (SELECT arg_min(struct_pack({row}), "
        f"struct_pack(at := {at}, line := {LINE})) AS first_row FROM {events.rows} "
        f"WHERE {at} IS NOT NULL AND {item} IS NOT NULL GROUP BY {item}))"
    )


def _raw(opened: Opened) -> tuple[dict[str, str], dict[str, str]]:
    """Names, free of clashes, under which the file's columns are read; and their types."""
    return {column: f"__{place}" for place, column in enumerate(opened.types)}, opened.types


def _rows(
    opened: Opened,
    raw: dict[str, str],
    columns: dict[str, Column],
    where: str | None,
    numeric: list[str],
) -> str:
    renamed = ", ".join(f"{name(column)} AS {short}" for column, short in raw.items())
    if where is None:
        return f"(SELECT {renamed}, {LINE} FROM {opened.sql})"
    replaced, unusable = "", ""
    if opened.is_text and numeric:
        typed = (f"TRY_CAST({name(column)} AS DOUBLE) AS {name(column)}" for column in numeric)
        replaced = f" REPLACE ({', '.join(typed)})"
        unusable = "".join(f" OR {columns[column].bad}" for column in numeric)
    kept = ", ".join([*raw.values(), LINE])
    return (
        f"(SELECT {kept} FROM (SELECT *{replaced}, {renamed} FROM {opened.sql}) "
        f"WHERE ({where}){unusable})"
    )


def _check_present(opened: Opened, wanted: list[str], place: str) -> None:
    for column in wanted:
        if column not in opened.types:
            raise DataError(
                f"{place}: column {column!r} is missing in {opened.files[0].name}; there are "
                f"{', '.join(opened.types)}"
            )
