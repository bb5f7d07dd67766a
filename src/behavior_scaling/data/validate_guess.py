"""A first description of files that have none, from common names of columns and a look at values.

Choices: a role goes to the first of its usual names that a table has, compared without case and
punctuation; a feature's kind follows from its type, in text files from the first SAMPLE rows.
Nothing guessed here enters a study: a person reads the proposed YAML and keeps it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import yaml

from behavior_scaling.data.engine import name
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.finding import ask
from behavior_scaling.data.own_columns import FLOATS, INTEGERS, MISSING, TEXT
from behavior_scaling.data.own_files import SEPARATORS, Opened, format_of, open_files, read_header
from behavior_scaling.data.own_profile import within_unit

SAMPLE = 10_000  # rows
MOSTLY = 0.9  # share of numbers from which a column of a text file is one of numbers
SAME = 1.5  # values an item up to which a column of the events is one of the items
WORDY = 12  # letters from which values that hardly repeat are taken for text
CATEGORIES = 200  # distinct values of the sample up to which an event's text is a category
NAMES = {
    "user": ("userid", "user", "customerid", "customer", "visitorid", "visitor", "uid", "memberid",
             "accountid", "clientid", "reviewerid", "customeruniqueid"),
    "item": ("itemid", "item", "productid", "product", "sku", "stockcode", "articleid", "movieid",
             "videoid", "trackid", "songid", "bookid", "asin", "parentasin", "aid", "iid"),
    "time": ("timestamp", "ts", "time", "datetime", "eventtime", "createdat", "occurredat",
             "date", "invoicedate", "unixreviewtime", "tdat"),
    "session": ("sessionid", "session", "usersession", "basketid", "basket", "orderid", "order",
                "invoiceno", "invoice", "transactionid", "commitid"),
}  # fmt: skip


def propose(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], folder: Path) -> str:
    """A YAML for files whose columns nobody has named yet.

    Args:
        connection: an engine.
        files: of events, and perhaps of items.
        folder: where the YAML will lie.

    Raises:
        DataError: files cannot be read, or no table has a user, an item and a time.
    """
    groups: dict[tuple[str, ...], list[Path]] = {}
    for file in files:
        groups.setdefault(tuple(_peek(connection, file).types), []).append(file)
    events = [columns for columns in groups if all(_role(columns, r) for r in NAMES if r[0] != "s")]
    if len(events) != 1:
        said = "; ".join(", ".join(columns) for columns in groups)
        raise DataError(
            f"{'no' if not events else 'more than one'} table has columns that look like user, "
            f"item and time (there are {said}); name them in a YAML (docs/data.md)"
        )
    rest = [columns for columns in groups if columns != events[0]]
    items = [columns for columns in rest if _item_key(columns, events[0])]
    if len(rest) > 1 or len(rest) != len(items):
        raise DataError(
            f"{rest[0] and groups[rest[0]][0]}: beside the events only one table, of items with "
            f"their id, is expected; name what is what in a YAML (docs/data.md)"
        )
    body, described, unused = _events(connection, groups[events[0]], folder)
    if items:
        described, unused = {}, [*described, *unused]
    whole: dict[str, Any] = {"events": body}
    if described:
        whole["items"] = {"features": described}
    if items:
        whole["items"] = _items(
            connection, groups[items[0]], _item_key(items[0], events[0]), folder
        )
    text = yaml.safe_dump(whole, sort_keys=False, default_flow_style=None, allow_unicode=True)
    notes = [
        "# Proposed by `behavior-scaling validate` from the columns' names and values: read it,",
        "# mend it, keep it. Optional: title, licence, citation; events.where; see docs/data.md.",
    ]
    if unused:
        notes.append(f"# Columns of the events that are not used: {', '.join(unused)}.")
    return "\n".join([*notes, text])


def _peek(connection: duckdb.DuckDBPyConnection, file: Path) -> Opened:
    return open_files(connection, (file,), _separator(file))


def _separator(file: Path) -> str | None:
    """Of a text file: its own, or the one mark that cuts the header in more than one."""
    if format_of(file) == "parquet":
        return None
    usual = SEPARATORS[format_of(file)]
    try:
        read_header(file, usual)
    except DataError:
        for mark in (";", "\t", "|", ","):
            try:
                read_header(file, mark)
            except DataError:
                continue
            return mark
    return None


def _events(
    connection: duckdb.DuckDBPyConnection, files: list[Path], folder: Path
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """The description, columns that tell of the item rather than of the event, and the rest."""
    opened = _peek(connection, files[0])
    columns = tuple(opened.types)
    roles = {role: _role(columns, role) for role in NAMES}
    body: dict[str, Any] = {"files": _relative(files, folder)}
    body |= {role: roles[role] for role in ("user", "item")}
    body["time"] = _time(connection, opened, str(roles["time"]))
    if roles["session"]:
        body["session"] = roles["session"]
    if (mark := _separator(files[0])) is not None:
        body["separator"] = mark
    features, described, unused = {}, {}, []
    key = name(str(roles["item"]))
    for column in (column for column in columns if column not in roles.values()):
        kind = _kind(connection, opened, column)
        distinct = _sample(connection, opened, f"count(DISTINCT {name(column)})")[0]
        if kind == "numeric" or (kind in ("categorical", "text") and distinct <= CATEGORIES):
            features[column] = "numeric" if kind == "numeric" else "categorical"
            continue
        pairs, things = _sample(
            connection, opened,
            f"count(DISTINCT ({key}, {name(column)})), count(DISTINCT {key})",
        )  # fmt: skip
        if kind in ("text", "categorical") and pairs <= SAME * things:
            described[column] = kind
        else:
            unused.append(column)
    if features:
        body["features"] = features
    return body, described, unused


def _items(
    connection: duckdb.DuckDBPyConnection, files: list[Path], key: str, folder: Path
) -> dict[str, Any]:
    opened = _peek(connection, files[0])
    body: dict[str, Any] = {"files": _relative(files, folder), "id": key}
    if (mark := _separator(files[0])) is not None:
        body["separator"] = mark
    kinds = {c: _kind(connection, opened, c) for c in opened.types if c != key}
    body["features"] = kinds or {key: "categorical"}
    return body


def _time(connection: duckdb.DuckDBPyConnection, opened: Opened, column: str) -> Any:
    """The column alone, or with the unit in which all of the sample lies in 1990 to 2100."""
    kind = opened.types[column]
    if kind not in (*INTEGERS, *FLOATS, TEXT):
        return column
    units = ("s", "ms", "us", "ns")
    asked = ", ".join(f"count(*) FILTER (WHERE {within_unit(name(column), u)})" for u in units)
    found = _sample(connection, opened, asked)
    best = max(range(len(units)), key=lambda place: int(found[place]))
    return {"column": column, "unit": units[best]} if found[best] else column


def _kind(connection: duckdb.DuckDBPyConnection, opened: Opened, column: str) -> str:
    kind, cell = opened.types[column], name(column)
    if kind in (*INTEGERS, *FLOATS, "BOOLEAN") or kind.startswith("DECIMAL"):
        return "numeric"
    if kind.endswith("]"):
        return "multi" if kind.startswith(TEXT) else "vector"
    if kind != TEXT:
        return "categorical"
    present, numbers, spaces, distinct, letters = _sample(
        connection,
        opened,
        f"count({cell}) - count(*) FILTER (WHERE lower(trim({cell})) IN {MISSING}), "
        f"count(TRY_CAST({cell} AS DOUBLE)), "
        f"avg(length({cell}) - length(replace({cell}, ' ', ''))), count(DISTINCT {cell}), "
        f"avg(length({cell}))",
    )
    if present <= 0:
        return "categorical"
    if opened.is_text and numbers >= MOSTLY * present:
        return "numeric"
    spoken = spaces >= 1 or (letters >= WORDY and distinct > present / 2)
    return "text" if spoken else "categorical"


def _sample(connection: duckdb.DuckDBPyConnection, opened: Opened, asked: str) -> tuple[Any, ...]:
    return ask(connection, f"SELECT {asked} FROM (SELECT * FROM {opened.sql} LIMIT {SAMPLE})")[0]


def _role(columns: Sequence[str], role: str) -> str | None:
    plain = {re.sub(r"[^a-z0-9]", "", column.lower()): column for column in reversed(columns)}
    return next((plain[usual] for usual in NAMES[role] if usual in plain), None)


def _item_key(columns: Sequence[str], events: Sequence[str]) -> str:
    """The item's id in a table of items: named as in the events, or as ids are; '' for none."""
    same = _role(events, "item")
    if same in columns:
        return str(same)
    return _role(columns, "item") or next((c for c in columns if c.lower() == "id"), "")


def _relative(files: list[Path], folder: Path) -> list[str]:
    return [os.path.relpath(file, folder) for file in files]
