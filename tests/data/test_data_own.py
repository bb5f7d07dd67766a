"""Bring your own tables: what a description means, and which values and files it refuses."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.engine import engine
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.own import OwnTables
from behavior_scaling.data.own_config import read_description
from behavior_scaling.data.prepare import prepare
from behavior_scaling.data.tables import Query

T0 = 1_600_000_000  # seconds: 2020-09-13 12:26:40 UTC
CSV = "customer,sku,ts\n8,a,1600000000\n8,b,1600000001\n9,a,1600000002\n"
EVENTS = {"files": "events.csv", "user": "customer", "item": "sku", "time": "ts"}


def describe(folder: Path, events: dict[str, Any], **rest: Any) -> Path:
    file = folder / "shop.yaml"
    file.write_text(yaml.safe_dump({"events": {**EVENTS, **events}, **rest}))
    return file


def load(file: Path, table: str = "events") -> list[dict[str, Any]]:
    """The rows that preparation would be given, in line order."""
    source = OwnTables(DataConfig(source=str(file)))
    work = file.parent / "work"
    work.mkdir(exist_ok=True)
    tables = source.load(source.fetch(file.parent / "cache", None), work)
    query = getattr(tables, table)
    assert isinstance(query, Query)
    with engine(work) as connection:
        rows = connection.execute(f"SELECT * FROM ({query.sql}) ORDER BY line")
        names = [column[0] for column in rows.description]
        return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


def events_of(folder: Path, csv: str, **events: Any) -> list[dict[str, Any]]:
    (folder / "events.csv").write_text(csv)
    return load(describe(folder, events))


def of(rows: list[dict[str, Any]], column: str) -> list[Any]:
    return [row[column] for row in rows]


def test_ids_of_text_files_are_integers_where_all_are_written_so(tmp_path: Path) -> None:
    rows = events_of(tmp_path, CSV)
    assert of(rows, "user_id") == [8, 8, 9]
    assert of(rows, "item_id") == ["a", "b", "a"]
    assert of(rows, "timestamp") == [T0, T0 + 1, T0 + 2]


@pytest.mark.parametrize("odd", ["007", "+9", "9.0", "9223372036854775808"])
def test_one_id_that_is_no_plain_integer_keeps_all_as_text(tmp_path: Path, odd: str) -> None:
    rows = events_of(tmp_path, CSV.replace("9,a", f"{odd},a"))
    assert of(rows, "user_id") == ["8", "8", odd]


def test_ids_of_events_and_items_are_of_one_kind(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("sku,brand\n1,x\n02,y\n")
    (tmp_path / "events.csv").write_text(CSV.replace(",a,", ",1,").replace(",b,", ",2,"))
    items = {"files": "items.csv", "id": "sku", "features": {"brand": "categorical"}}
    file = describe(tmp_path, {}, items=items)
    assert of(load(file, "items"), "item_id") == ["1", "02"]
    assert of(load(file), "item_id") == ["1", "2", "1"]


@pytest.mark.parametrize(
    ("text", "time", "expected"),
    [
        ("1600000000", "ts", T0),
        ("1600000000999", "ts", T0),
        ("1600000000999999", "ts", T0),
        ("1600000000999999999", "ts", T0),
        ("1600000000.75", "ts", T0),
        ("1600000", {"column": "ts", "unit": "ms"}, 1600),
        ("2020-09-13 12:26:40", "ts", T0),
        ("2020-09-13T12:26:40.9", "ts", T0),
        ("2020-09-13T12:26:40Z", "ts", T0),
        ("2020-09-13T14:26:40+02:00", "ts", T0),
        ("2020-09-13", "ts", T0 - 44_800),
        ("13/09/2020 12:26", {"column": "ts", "format": "%d/%m/%Y %H:%M"}, T0 - 40),
    ],
)
def test_times_in_every_notation(tmp_path: Path, text: str, time: Any, expected: int) -> None:
    rows = events_of(tmp_path, f"customer,sku,ts\n1,2,{text}\n", time=time)
    assert of(rows, "timestamp") == [expected]


@pytest.mark.parametrize("local", ["2020-07-01 12:00:00", "2020-12-01 12:00:00"])
def test_local_times_are_of_the_stated_zone_in_summer_and_winter(
    tmp_path: Path, local: str
) -> None:
    zone = "Europe/London"
    rows = events_of(
        tmp_path, f"customer,sku,ts\n1,2,{local}\n", time={"column": "ts", "zone": zone}
    )
    known = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).timestamp()
    assert of(rows, "timestamp") == [known]


def test_a_unit_that_is_not_plain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ts: the unit .* 2 in s, 1 in ms\); write time: \{col"):
        events_of(tmp_path, CSV.replace("1600000002", "1600000002000"))


def test_events_of_one_second_keep_the_order_of_milliseconds(tmp_path: Path) -> None:
    rows = events_of(
        tmp_path,
        "customer,sku,ts\n1,third,1600000000900\n1,first,1600000000100\n1,second,1600000000100\n",
    )
    assert of(rows, "item_id") == ["first", "second", "third"]


def test_parquet_ids_that_went_through_floating_point_are_taken_back(tmp_path: Path) -> None:
    table = pa.table({"customer": [1.0, 2.0**53], "sku": ["a", "b"], "ts": [T0, T0 + 1]})
    pq.write_table(table, tmp_path / "events.parquet")
    file = describe(tmp_path, {"files": "events.parquet"})
    assert of(load(file), "user_id") == [1, 2**53]
    beyond = table.set_column(0, "customer", pa.array([1.0, 2.0**53 + 2]))
    pq.write_table(beyond, tmp_path / "events.parquet")
    with pytest.raises(DataError, match=r"user_id: row 2: '9007199254740994.0' is no whole number"):
        load(file)


def test_missing_marks_are_missing_in_numbers_and_text_elsewhere(tmp_path: Path) -> None:
    rows = events_of(
        tmp_path,
        "customer,sku,ts,n,c\n1,2,1600000000,NA,NA\n1,2,1600000001,,\n1,2,1600000002,0.5,None\n",
        features={"n": "numeric", "c": "categorical"},
    )
    assert of(rows, "n") == [None, None, 0.5]
    assert of(rows, "c") == ["NA", None, "None"]


def test_where_compares_numbers_as_numbers(tmp_path: Path) -> None:
    csv = "customer,sku,ts,n\n1,a,1600000000,0.4\n1,b,1600000001,10\n1,c,1600000002,9\n"
    rows = events_of(tmp_path, csv, features={"n": "numeric"}, where="n > 0 AND n < 9.5")
    assert of(rows, "item_id") == ["a", "c"]


def test_where_hides_no_value_that_is_no_number(tmp_path: Path) -> None:
    csv = "customer,sku,ts,n\n1,a,1600000000,many\n1,b,1600000001,10\n"
    with pytest.raises(DataError, match=r"events: n: row 1: 'many' is no number"):
        events_of(tmp_path, csv, features={"n": "numeric"}, where="n > 0")


def test_rows_of_several_files_are_named_by_file(tmp_path: Path) -> None:
    (tmp_path / "events-1.csv").write_text(CSV)
    (tmp_path / "events-2.csv").write_text(CSV.replace("1600000001", "later"))
    with pytest.raises(DataError, match=r"events-2\.csv, row 2: 'later' is no time"):
        load(describe(tmp_path, {"files": "events-*.csv", "time": {"column": "ts", "unit": "s"}}))


def test_item_features_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(CSV)
    (tmp_path / "items.csv").write_text(
        "sku|name|tags|price|vec\na|An apple|red; green;|1.5|0.5 2\nb||||\n"
    )
    features = {
        "name": "text",
        "tags": {"kind": "multi", "separator": ";"},
        "price": "numeric",
        "vec": {"kind": "vector", "separator": " "},
        "sku": "categorical",
    }
    items = {"files": "items.csv", "id": "sku", "separator": "|", "features": features}
    file = describe(tmp_path, {}, items=items)
    first, second = load(file, "items")
    assert first | {"line": 1} == {
        "item_id": "a", "name": "An apple", "tags": ["red", "green"], "price": 1.5,
        "vec": [0.5, 2.0], "line": 1,
    }  # fmt: skip
    assert [second[column] for column in ("name", "tags", "price", "vec")] == [None] * 4
    schema = read_description(file).schema_
    assert dict(schema.columns)["item_id"] == "categorical"
    assert "sku" not in dict(schema.columns)


def test_without_a_table_an_items_features_are_those_of_its_first_event(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        "customer,sku,ts,name,price\n"
        "1,a,1600000009,Later,3\n"
        "1,a,1600000000,Dropped,2\n"
        "2,a,1600000001,First,\n"
        "2,a,1600000001,Line after,1\n"
        "2,b,1600000005,Only,4\n"
    )
    features = {"name": "text", "price": "numeric"}
    where = {"where": "name <> 'Dropped'"}
    file = describe(tmp_path, where, items={"features": features})
    found = {row["item_id"]: (row["name"], row["price"]) for row in load(file, "items")}
    assert found == {"a": ("First", None), "b": ("Only", 4.0)}  # missing first, missing for good


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ({"features": {"n": "text"}}, "events.features.n: Input should be 'categorical' or"),
        ({"files": "none-*.csv"}, "none-.*: no such file"),
        ({"user": "client"}, "column 'client' is missing in events.csv; there are customer, sku"),
        ({"item": "ts", "time": "sku"}, "'a' is no time as ISO 8601 writes it"),
        ({"user": "sku"}, "user, item and time name a column twice"),
        ({"where": "1; DROP TABLE x"}, "events.where: .*';'"),
        ({"where": "n in (SELECT 1)"}, "events.where: .*'SELECT'"),
        ({"whree": "n > 0"}, "events.whree: Extra inputs"),
        ({"time": {"column": "ts", "zone": "Mars"}}, "events.time.zone: .*'Mars' is no time zone"),
        ({"time": {"column": "ts", "format": "%d.%m."}}, "events.time.format: .*names no year"),
        ({"features": {"line": "numeric"}}, "features.line: the name is kept"),
        ({"separator": ";"}, "only one column: 'customer,sku,ts'; is the separator ','"),
    ],
)
def test_descriptions_that_do_not_fit(tmp_path: Path, events: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        events_of(tmp_path, CSV, **events)


def test_what_was_fetched_must_not_change(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(CSV)
    source = OwnTables(DataConfig(source=str(describe(tmp_path, {}))))
    raw = source.fetch(tmp_path / "cache", None)
    listed = json.loads(raw.read_text())["files"]
    assert [Path(entry["path"]).name for entry in listed] == ["events.csv"]
    (tmp_path / "events.csv").write_text(CSV.replace("9,a", "7,a"))
    with pytest.raises(DataError, match=r"events\.csv: added, removed or altered"):
        source.load(raw, tmp_path)


def test_csv_and_parquet_of_the_same_data_have_one_identity(tmp_path: Path) -> None:
    users = [i % 7 for i in range(200)]
    skus = [f"{i * 5 % 11:02}" for i in range(200)]
    times = [T0 + i // 2 for i in range(200)]
    table = pa.table({"customer": users, "sku": skus, "ts": times, "n": [i / 4 for i in users]})
    lines = [f"{u},{s},{t},{u / 4}" for u, s, t in zip(users, skus, times, strict=True)]
    pq.write_table(table, tmp_path / "events.parquet")
    (tmp_path / "events.csv").write_text("\n".join(["customer,sku,ts,n", *lines]) + "\n")
    identities = set()
    for name in ("events.parquet", "events.csv"):
        file = describe(tmp_path, {"files": name, "features": {"n": "numeric"}})
        config = DataConfig(source=str(file), least_targets=0, context=4, tokens=2)
        raw = OwnTables(config).fetch(tmp_path / "cache", None)
        dataset = prepare(config, raw, tmp_path / f"out-{name}")
        assert (dataset.meta.n_events, dataset.meta.n_users, dataset.meta.n_items) == (200, 7, 11)
        identities.add(dataset.meta.spec.identity)
    assert len(identities) == 1


def test_online_retail_as_a_description_has_the_published_counts(tmp_path: Path) -> None:
    mirror = os.environ.get("BEHAVIOR_SCALING_MIRROR", "")
    table = Path(mirror) / "online_retail_ii.parquet"
    if not mirror or not table.is_file():
        pytest.skip("online_retail_ii.parquet is not in $BEHAVIOR_SCALING_MIRROR")
    body = {
        "files": str(table), "user": "CustomerID", "item": "StockCode", "time": "InvoiceDate",
        "where": "CustomerID IS NOT NULL AND Quantity > 0 AND InvoiceNo NOT LIKE 'C%'",
    }  # fmt: skip
    file = describe(tmp_path, body, items={"features": {"Description": "text"}})
    rows = load(file)
    assert (len(rows), len(set(of(rows, "user_id")))) == (791_114, 5_881)
    things = of(load(file, "items"), "item_id")
    assert len(things) == len(set(things)) == len(set(of(rows, "item_id"))) == 4_631
