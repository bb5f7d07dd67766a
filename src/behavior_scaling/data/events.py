"""Canonical tables: events, items, and the schema of the items' features, checked on entry.

Choices: ids are kept as int64 where all are integers and as text otherwise (the kind is part of
the identity); timestamps are whole unix seconds; an event that repeats an earlier line in every
canonical column is dropped; the order of lines matters only among one user's events of equal
time, so tables that differ in nothing else have the same identity. Feature values may be
missing; ids and timestamps may not.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from behavior_scaling.data.errors import DataError
from behavior_scaling.records.spec import canonical_json

Kind = Literal["categorical", "multi", "numeric", "text"]
REQUIRED = ("user_id", "item_id", "timestamp")


@dataclass(frozen=True)
class FeatureSchema:
    """Feature columns of the items and their kinds, in order of priority."""

    columns: tuple[tuple[str, Kind], ...]


@dataclass(frozen=True)
class Tables:
    """What a source loads: events in line order, items, and the kinds of the items' features."""

    events: pd.DataFrame
    items: pd.DataFrame
    schema: FeatureSchema


def check_tables(tables: Tables, where: str) -> Tables:
    """Check both tables against each other, drop repeated lines and sort the catalogue by id.

    Raises:
        DataError: as check_events and check_items; or an event names an item that no row has.
    """
    events = check_events(tables.events, f"{where}: events")
    items = check_items(tables.items, tables.schema, f"{where}: items")
    unknown = ~events["item_id"].isin(items["item_id"]).to_numpy()
    if unknown.any():
        row = int(np.argmax(unknown))
        raise DataError(
            f"{where}: events: {_row(row)}: item_id {_shown(events['item_id'], row)} is not "
            f"among the items (both tables must hold ids of the same kind); add its row"
        )
    return Tables(
        events.drop_duplicates(ignore_index=True),
        items.sort_values("item_id", ignore_index=True),
        tables.schema,
    )


def check_events(events: pd.DataFrame, where: str) -> pd.DataFrame:
    """The events in canonical form: user_id, item_id, timestamp and, where given, session_id.

    Args:
        events: one line an event, in the order that breaks ties of time; timestamps in unix
            seconds or as datetimes (UTC where they name no zone), which are cut to seconds.
        where: file or table, for messages.

    Raises:
        DataError: a column is missing or unknown, the table is empty, an id or timestamp is
            missing, of no usable kind, or no whole second; the message names row and column.
    """
    _check_columns(events, REQUIRED, (*REQUIRED, "session_id"), where)
    columns = [*REQUIRED, *(["session_id"] if "session_id" in events else [])]
    return pd.DataFrame(
        {
            name: (_seconds if name == "timestamp" else _ids)(events[name], f"{where}: {name}")
            for name in columns
        }
    )


def check_items(items: pd.DataFrame, schema: FeatureSchema, where: str) -> pd.DataFrame:
    """The items in canonical form: item_id and the schema's columns, missing values None or NaN.

    Raises:
        DataError: a column is missing or unknown, the table is empty, an id is missing or
            stands in two rows, or a value is not of its column's kind.
    """
    names = tuple(name for name, _ in schema.columns)
    _check_columns(items, ("item_id", *names), ("item_id", *names), where)
    ids = _ids(items["item_id"], f"{where}: item_id")
    again = ids.duplicated().to_numpy()
    if again.any():
        second = int(np.argmax(again))
        first = int(np.argmax((ids == ids.iloc[second]).to_numpy()))
        raise DataError(
            f"{where}: item_id {_shown(ids, second)} stands in {_row(first)} and {_row(second)}; "
            f"keep one"
        )
    columns: dict[str, Any] = {"item_id": ids}
    for name, kind in schema.columns:
        values = [
            _feature(value, kind, f"{where}: {name}: {_row(row)}")
            for row, value in enumerate(items[name])
        ]
        dtype = "float64" if kind == "numeric" else object
        columns[name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(columns)


def identity(tables: Tables) -> str:
    """SHA-256 of checked tables, in hexadecimal: the same for every mirror of the same data."""
    digest = hashlib.sha256()

    def add(table: str, name: str, kind: str, values: Iterable[Any]) -> None:
        column = {"table": table, "column": name, "kind": kind, "values": list(values)}
        digest.update(canonical_json(column).encode() + b"\n")

    events = tables.events.sort_values(["user_id", "timestamp"], kind="stable")
    for name in events.columns:
        add("events", name, _id_kind(events[name]), events[name].tolist())
    add("items", "item_id", _id_kind(tables.items["item_id"]), tables.items["item_id"].tolist())
    for name, kind in tables.schema.columns:
        values = tables.items[name].tolist()
        if kind == "numeric":
            values = [None if math.isnan(value) else value for value in values]
        add("items", name, kind, values)
    return digest.hexdigest()


def _id_kind(ids: pd.Series[Any]) -> str:
    return "int" if pd.api.types.is_integer_dtype(ids) else "text"


def _row(index: int) -> str:
    """A row as people count: from 1, the header left out."""
    return f"row {index + 1}"


def _shown(values: pd.Series[Any], row: int) -> str:
    """A cell as Python writes it, without numpy's type around it."""
    value = values.iloc[row]
    return repr(value.item() if isinstance(value, np.generic) else value)


def _check_columns(
    table: pd.DataFrame, required: tuple[str, ...], known: tuple[str, ...], where: str
) -> None:
    missing = [name for name in required if name not in table]
    if missing:
        raise DataError(
            f"{where}: column {missing[0]!r} is missing; there are {list(table.columns)}"
        )
    odd = [name for name in table.columns if name not in known]
    if odd:
        raise DataError(f"{where}: column {odd[0]!r} is not known here; known are {list(known)}")
    if table.empty:
        raise DataError(f"{where}: the table has no rows")


def _refuse(bad: Any, values: pd.Series[Any], where: str, what: str) -> None:
    """Raise for the first row where `bad` is true."""
    bad = np.asarray(bad, dtype=bool)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"{where}: {_row(row)}: {_shown(values, row)} {what}")


def _ids(values: pd.Series[Any], where: str) -> pd.Series[Any]:
    values = values.reset_index(drop=True)
    _refuse(values.isna(), values, where, "is no id; drop the line or name the id")
    if pd.api.types.is_float_dtype(values) or pd.api.types.is_bool_dtype(values):
        raise DataError(f"{where}: ids are {values.dtype}; read them as integers or as text")
    if pd.api.types.is_integer_dtype(values):
        return values.astype("int64")
    if not pd.api.types.is_string_dtype(values.dtype) or values.dtype == object:
        kinds = values.map(type)
        _refuse(kinds != kinds.iloc[0], values, where, "is of another kind than the ids above it")
        if issubclass(kinds.iloc[0], int | np.integer):
            return values.astype("int64")
    text = values.astype(str).astype("str")
    _refuse(text == "", values, where, "is no id; drop the line or name the id")
    return text


def _seconds(values: pd.Series[Any], where: str) -> pd.Series[Any]:
    values = values.reset_index(drop=True)
    _refuse(values.isna(), values, where, "is no timestamp; drop the line or give its time")
    if pd.api.types.is_datetime64_any_dtype(values):
        naive = values.dt.tz_convert(None) if values.dt.tz is not None else values
        return naive.astype("datetime64[s]").astype("int64")
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        raise DataError(f"{where}: timestamps are {values.dtype}; give unix seconds or datetimes")
    if pd.api.types.is_float_dtype(values):
        _refuse(~np.isfinite(values), values, where, "is no timestamp; give finite unix seconds")
        _refuse(values % 1 != 0, values, where, "is no whole number of seconds; round it")
    return values.astype("int64")


def _feature(value: Any, kind: Kind, where: str) -> Hashable:
    """A value in canonical form; None (NaN for a number) is a missing one."""
    if not isinstance(value, list | tuple | set | frozenset | np.ndarray) and pd.isna(value):
        return math.nan if kind == "numeric" else None
    readers: dict[Kind, Callable[[Any, str], Hashable]] = {
        "categorical": lambda value, _: str(value).strip() or None,
        "multi": _several,
        "numeric": _number,
        "text": _text,
    }
    return readers[kind](value, where)


def _several(value: Any, where: str) -> tuple[str, ...] | None:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise DataError(f"{where}: {value!r} is not a list of values; split it")
    parts = [str(part) for part in value]
    if isinstance(value, set | frozenset):
        parts.sort()  # a set's order differs from process to process
    return tuple(part for part in parts if part) or None


def _number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{where}: {value!r} is not a number") from None
    if not math.isfinite(number):
        raise DataError(f"{where}: {value!r} is not finite; leave the value out")
    return number


def _text(value: Any, where: str) -> str | None:
    if not isinstance(value, str):
        raise DataError(f"{where}: {value!r} is not text")
    return value.strip() or None
