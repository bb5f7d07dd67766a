"""Canonical events: what is refused, with which words, and what an identity depends on."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.engine import engine, parquet
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.events import canonical_events, canonical_items, refuse_unknown_items
from behavior_scaling.data.prepare import prepare_tables
from behavior_scaling.data.tables import FeatureSchema, Query, Table, Tables

SCHEMA = FeatureSchema(
    (("kind", "categorical"), ("tags", "multi"), ("price", "numeric"), ("name", "text"))
)
FEATURES = FeatureSchema((), (("amount", "numeric"), ("channel", "categorical")))


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


def read(scratch: Path, tables: Tables, columns: str = "*") -> list[tuple[Any, ...]]:
    """The canonical events in line order."""
    with engine(scratch) as connection:
        canonical_events(connection, tables, "f")
        canonical_items(connection, tables, "f")
        refuse_unknown_items(connection, tables, "f")
        return connection.sql(f"SELECT {columns} FROM events ORDER BY line").fetchall()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"timestamp": [5, np.inf, 7]}, "f: events: timestamp: row 2: 'inf' is no timestamp"),
        ({"timestamp": pa.array([5, None, 7])}, "timestamp: row 2: nothing is no timestamp"),
        ({"timestamp": [5, 6.5, 7]}, "f: events: timestamp: row 2: '6.5' is no whole number"),
        ({"timestamp": ["5", "6", "7"]}, "f: events: timestamp: times are VARCHAR"),
        ({"timestamp": [5, -6, 7]}, "timestamp: row 2: '-6' is before 1970"),
        ({"timestamp": [5, 1_700_000_000_000, 7]}, "row 2: '1700000000000' lies in the future"),
        ({"user_id": [1.0, 2.0, 3.0]}, "f: events: user_id: ids are DOUBLE"),
        ({"user_id": ["a", None, "b"]}, "f: events: user_id: row 2: nothing is no id"),
        ({"user_id": ["a", "b", ""]}, "f: events: user_id: row 3: '' is no id"),
        ({"user_id": ["a", "b" * 201, "c"]}, "user_id: row 2: 'b+' is longer than the 200"),
        ({"user_id": pd.Series([1, "1", 2], dtype=object)}, "a column mixes kinds of values"),
        ({"user_id": np.array([1, 2**63, 3], dtype=np.uint64)}, "row 2: .* is beyond 64 bits"),
        ({"rating": [1, 2, 3]}, "f: events: column 'rating' is not known"),
        ({"session_id": pa.array([1, None, 2])}, "f: events: session_id: row 2: nothing is no id"),
    ],
)
def test_unusable_events_are_refused_by_row_and_column(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    table = events().to_dict("list") | columns
    with pytest.raises(DataError, match=message):
        read(
            tmp_path,
            Tables(
                pa.table(table) if _arrow(columns) else events(**columns), None, FeatureSchema(())
            ),
        )


def _arrow(columns: dict[str, Any]) -> bool:
    return any(isinstance(values, pa.Array) for values in columns.values())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"amount": [1.0, np.inf, 2.0]}, "amount: row 2: 'inf' is not finite"),
        ({"amount": [1.0, 2.0, 1e308]}, r"amount: row 3: '1e\+308' is beyond 1e\+30"),
        ({"amount": ["1", "2", "3"]}, "amount: values are VARCHAR, not numbers"),
    ],
)
def test_unusable_event_features_are_refused(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    table = events(**({"amount": [1.0, 2.0, 3.0], "channel": ["a", "b", None]} | columns))
    with pytest.raises(DataError, match=message):
        read(tmp_path, Tables(table, None, FEATURES))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    table = events().drop(columns="timestamp")
    with pytest.raises(DataError, match=re.escape("column 'timestamp' is missing; there are")):
        read(tmp_path, Tables(table, None, FeatureSchema(())))
    with pytest.raises(DataError, match="column 'amount' is missing"):
        read(tmp_path, Tables(events(), None, FEATURES))


def test_no_rows_are_refused(tmp_path: Path) -> None:
    empty = pa.table(
        {name: pa.array([], pa.int64()) for name in ("user_id", "item_id", "timestamp")}
    )
    with pytest.raises(DataError, match=r"f: events: the table has no rows"):
        read(tmp_path, Tables(empty, None, FeatureSchema(())))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item_id": [10, 10]}, "f: items: item_id 10 stands in row 1 and row 2"),
        ({"colour": ["red", "blue"]}, "f: items: column 'colour' is not known"),
        ({"item_id": pa.array([10, None])}, "f: items: item_id: row 2: nothing is no id"),
        ({"item_id": ["10", "11"]}, "events' item_id are BIGINT and the items' are VARCHAR"),
    ],
)
def test_unusable_items_are_refused(tmp_path: Path, columns: Any, message: str) -> None:
    table: Table = (
        items(**columns) if not _arrow(columns) else pa.table(items().to_dict("list") | columns)
    )
    with pytest.raises(DataError, match=message):
        read(tmp_path, Tables(events(), table, SCHEMA))


def test_an_event_of_an_unknown_item_is_refused(tmp_path: Path) -> None:
    tables = Tables(events(item_id=[10, 12, 11]), items(), SCHEMA)

    with pytest.raises(DataError, match="f: events: row 2: item_id 12 is not among the items"):
        read(tmp_path, tables)


def test_rows_of_several_files_are_named_by_file(tmp_path: Path) -> None:
    files = (tmp_path / "a.parquet", tmp_path / "b.parquet")
    pq.write_table(pa.table(events().to_dict("list")), files[0])
    pq.write_table(pa.table({**events().to_dict("list"), "timestamp": [5, 6, -7]}), files[1])
    query = Query(f"SELECT * FROM {parquet(files)}", files)

    with pytest.raises(DataError, match=r"timestamp: b\.parquet, row 3: '-7' is before 1970"):
        read(tmp_path, Tables(query, None, FeatureSchema(())))


def test_datetimes_become_unix_seconds(tmp_path: Path) -> None:
    given = ["1970-01-02 00:00:00.0", "2001-09-09 01:46:40.9", "2001-09-09 01:46:41.0"]
    utc = pd.to_datetime(given)
    zoned = utc.tz_localize("UTC").tz_convert("Asia/Tokyo")

    for times in (utc, zoned):
        tables = Tables(events(timestamp=times), None, FeatureSchema(()))
        found = read(tmp_path, tables, "timestamp")
        assert found == [(86_400,), (1_000_000_000,), (1_000_000_001,)]


def test_tomorrow_is_allowed_for_clocks_that_differ(tmp_path: Path) -> None:
    soon = int(time.time()) + 3600

    assert read(tmp_path, Tables(events(timestamp=[5, 6, soon]), None, FeatureSchema(())))


def identity_of(
    folder: Path, table: pd.DataFrame, items_table: pd.DataFrame | None = None, **change: Any
) -> str:
    tables = Tables(table, items() if items_table is None else items_table, SCHEMA)
    given = {"schema": SCHEMA} | change
    config = DataConfig(source="shop", least_targets=0, train_fraction=0.7)
    made = Tables(tables.events, tables.items, given["schema"])
    return prepare_tables(made, config, folder / "d").meta.spec.identity


def test_identity_ignores_repeated_lines_and_the_order_of_users(tmp_path: Path) -> None:
    table = events()

    assert identity_of(tmp_path, table) == identity_of(tmp_path, pd.concat([table, table.iloc[:1]]))
    assert identity_of(tmp_path, table) == identity_of(tmp_path, table.iloc[[2, 0, 1]])
    assert identity_of(tmp_path, table) == identity_of(tmp_path, table, items().iloc[::-1])


def test_identity_sees_every_value(tmp_path: Path) -> None:
    tied = events(timestamp=[5, 5, 7])
    different = [
        identity_of(tmp_path, events()),
        identity_of(tmp_path, tied),
        identity_of(tmp_path, tied.iloc[[1, 0, 2]]),  # order among equal times is information
        identity_of(tmp_path, events(item_id=[10, 11, 11])),
        identity_of(tmp_path, events(user_id=[1, 1, 3])),
        identity_of(tmp_path, events(user_id=["1", "1", "2"])),
        identity_of(tmp_path, events(session_id=[1, 1, 1])),
        identity_of(tmp_path, events(), items(price=[1.5, np.nan])),
        identity_of(tmp_path, events(), items(tags=[["y", "x"], []])),
        identity_of(tmp_path, events(), items(name=["One thing", "another"])),
        identity_of(
            tmp_path,
            events(),
            schema=FeatureSchema((SCHEMA.columns[1], SCHEMA.columns[0], *SCHEMA.columns[2:])),
        ),
    ]

    assert len(set(different)) == len(different)


def test_identity_does_not_see_what_a_study_chooses(tmp_path: Path) -> None:
    tables = Tables(events(), items(), SCHEMA)
    found = {
        prepare_tables(
            tables, DataConfig(source="shop", least_targets=0, **changed), tmp_path / "d"
        ).meta.spec.identity
        for changed in (
            {"train_fraction": 0.4},
            {"train_fraction": 0.7, "tokens": 3, "numeric_bins": 4, "session_gap": 1},
            {"split": "leave_one_out", "subwords": 0},
        )
    }

    assert len(found) == 1
