"""Canonical tables: what is refused, with which words, and what an identity depends on."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.events import (
    FeatureSchema,
    Tables,
    check_events,
    check_items,
    check_tables,
    identity,
)

SCHEMA = FeatureSchema(
    (("kind", "categorical"), ("tags", "multi"), ("price", "numeric"), ("name", "text"))
)


def events(**columns: Any) -> pd.DataFrame:
    table = {"user_id": [1, 1, 2], "item_id": [10, 11, 10], "timestamp": [5, 6, 7]}
    return pd.DataFrame({**table, **columns})


def items(**columns: Any) -> pd.DataFrame:
    table = {
        "item_id": [10, 11],
        "kind": ["a", "b"],
        "tags": [["x", "y"], []],
        "price": [1.5, 2.0],
        "name": ["One thing", "Another"],
    }
    return pd.DataFrame({**table, **columns})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"timestamp": [5, np.nan, 7]}, "f.csv: timestamp: row 2: nan is no timestamp"),
        ({"timestamp": [5, np.inf, 7]}, "f.csv: timestamp: row 2: inf is no timestamp"),
        ({"timestamp": [5, 6.5, 7]}, "f.csv: timestamp: row 2: 6.5 is no whole number"),
        ({"timestamp": ["5", "6", "7"]}, "f.csv: timestamp: timestamps are str"),
        ({"user_id": [1.0, 2.0, 3.0]}, "f.csv: user_id: ids are float64"),
        ({"user_id": ["a", None, "b"]}, "f.csv: user_id: row 2: .* is no id"),
        ({"user_id": ["a", "b", ""]}, "f.csv: user_id: row 3: '' is no id"),
        ({"user_id": pd.Series([1, "1", 2], dtype=object)}, "row 2: '1' is of another kind"),
        ({"rating": [1, 2, 3]}, "f.csv: column 'rating' is not known"),
        ({"session_id": [1, pd.NA, 2]}, "f.csv: session_id: row 2: .* is no id"),
    ],
)
def test_unusable_events_are_refused_by_row_and_column(columns, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_events(events(**columns), "f.csv")


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match=re.escape("column 'timestamp' is missing; there are")):
        check_events(events().drop(columns="timestamp"), "f.csv")


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match=r"f\.csv: the table has no rows"):
        check_events(events().iloc[:0], "f.csv")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item_id": [10, 10]}, "item_id 10 stands in row 1 and row 2"),
        ({"tags": [["x"], "y, z"]}, "tags: row 2: 'y, z' is not a list"),
        ({"price": ["1.5", "cheap"]}, "price: row 2: 'cheap' is not a number"),
        ({"price": [np.inf, 1.0]}, "price: row 1: inf is not finite"),
        ({"name": pd.Series([3, "b"], dtype=object)}, "name: row 1: 3 is not text"),
        ({"colour": ["red", "blue"]}, "column 'colour' is not known"),
    ],
)
def test_unusable_items_are_refused_by_row_and_column(columns, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_items(items(**columns), SCHEMA, "i.csv")


def test_missing_features_are_allowed() -> None:
    empty = items(kind=["a", None], tags=[None, ["", "x"]], price=[np.nan, 1], name=["  ", None])

    table = check_items(empty, SCHEMA, "i.csv")

    assert table["kind"].tolist() == ["a", None]
    assert table["tags"].tolist() == [None, ("x",)]
    assert np.isnan(table["price"].iloc[0])
    assert table["name"].tolist() == [None, None]


def test_an_event_of_an_unknown_item_is_refused() -> None:
    tables = Tables(events(item_id=[10, 12, 11]), items(), SCHEMA)

    with pytest.raises(DataError, match="shop: events: row 2: item_id 12 is not among the items"):
        check_tables(tables, "shop")


def test_datetimes_become_unix_seconds() -> None:
    utc = pd.to_datetime(["1970-01-02 00:00:00", "2001-09-09 01:46:40", "2001-09-09 01:46:41"])
    zoned = utc.tz_localize("UTC").tz_convert("Asia/Tokyo")

    for times in (utc, zoned):
        table = check_events(events(timestamp=times), "f.csv")
        assert table["timestamp"].tolist() == [86_400, 1_000_000_000, 1_000_000_001]


def identity_of(events_table: pd.DataFrame, items_table: pd.DataFrame | None = None) -> str:
    tables = Tables(events_table, items() if items_table is None else items_table, SCHEMA)
    return identity(check_tables(tables, "shop"))


def test_identity_ignores_repeated_lines_and_the_order_of_users() -> None:
    table = events()

    assert identity_of(table) == identity_of(pd.concat([table, table.iloc[:1]]))
    assert identity_of(table) == identity_of(table.iloc[[2, 0, 1]])
    assert identity_of(table) == identity_of(table, items().iloc[::-1])


def test_identity_sees_every_value() -> None:
    tied = events(timestamp=[5, 5, 7])
    different = [
        identity_of(events()),
        identity_of(tied),
        identity_of(tied.iloc[[1, 0, 2]]),  # order among equal times is information
        identity_of(events(item_id=[10, 11, 11])),
        identity_of(events(user_id=[1, 1, 3])),
        identity_of(events(user_id=["1", "1", "2"])),
        identity_of(events(session_id=[1, 1, 1])),
        identity_of(events(), items(price=[1.5, np.nan])),
        identity_of(events(), items(tags=[["y", "x"], []])),
        identity_of(events(), items(name=["One thing", "another"])),
    ]

    assert len(set(different)) == len(different)


def test_identity_sees_the_schema() -> None:
    swapped = FeatureSchema((SCHEMA.columns[1], SCHEMA.columns[0], *SCHEMA.columns[2:]))
    tables = check_tables(Tables(events(), items(), SCHEMA), "shop")
    other = check_tables(Tables(events(), items(), swapped), "shop")

    assert identity(tables) != identity(other)


def test_repeats_in_another_session_are_kept() -> None:
    twice = events(user_id=[1, 1, 1], item_id=[10, 10, 10], timestamp=[5, 5, 5])

    kept = check_tables(Tables(twice, items(), SCHEMA), "shop").events
    sessions = check_tables(Tables(twice.assign(session_id=[1, 2, 2]), items(), SCHEMA), "shop")

    assert len(kept) == 1
    assert sessions.events["session_id"].tolist() == [1, 2]
