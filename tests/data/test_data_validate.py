"""Validation: planted problems with numbers counted by hand, and nothing on clean tables."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from behavior_scaling.cli import main
from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.finding import Finding, percent
from behavior_scaling.data.own import OwnTables
from behavior_scaling.data.own_config import read_description
from behavior_scaling.data.prepare import prepare
from behavior_scaling.data.validate import Report, validate
from behavior_scaling.data.validate_text import as_text

T0 = 1_600_000_000  # seconds: 2020-09-13 12:26:40 UTC
N_USERS, N_ITEMS, EACH = 60, 30, 12

Columns = dict[str, list[Any]]


def clean() -> tuple[Columns, Columns]:
    """Events in order of time, each user's at times of their own, and items that tell no tales."""
    n = N_USERS * EACH
    rng = np.random.default_rng(0)
    events = {
        "user": [i % N_USERS for i in range(n)],
        "item": [*range(N_ITEMS), *rng.integers(N_ITEMS, size=n - N_ITEMS).tolist()],
        "ts": [T0 + 10 * i for i in range(n)],
        "quantity": [float(1 + i % 3) for i in range(n)],
    }  # fmt: skip
    items = {
        "item": list(range(N_ITEMS)),
        "title": [f"Thing {i} of 2019-01-02" for i in range(N_ITEMS)],
        "price": [float(x) for x in rng.permutation(N_ITEMS)],
        "vec": [[float(i), 1.0] for i in range(N_ITEMS)],
    }
    return events, items


def report(folder: Path, events: Columns, items: Columns | None = None, **rest: Any) -> Report:
    pq.write_table(pa.table(events), folder / "events.parquet")
    body: dict[str, Any] = {
        "files": "events.parquet", "user": "user", "item": "item", "time": "ts",
        "features": {"quantity": "numeric"}, **rest,
    }  # fmt: skip
    whole: dict[str, Any] = {"events": body}
    if items is not None:
        pq.write_table(pa.table(items), folder / "items.parquet")
        features = {"title": "text", "price": "numeric", "vec": "vector"}
        whole["items"] = {"files": "items.parquet", "id": "item", "features": features}
    file = folder / "shop.yaml"
    file.write_text(yaml.safe_dump(whole))
    config = DataConfig(source=str(file), least_targets=10)
    return validate(read_description(file), folder, file.name, config)


def only(found: Report, check: str) -> Finding:
    (finding,) = (finding for finding in found.findings if finding.check == check)
    return finding


def test_clean_tables_give_no_finding(tmp_path: Path) -> None:
    found = report(tmp_path, *clean())
    assert found.findings == []
    assert not found.failed
    assert found.facts["events"] == found.facts["usable events"] == N_USERS * EACH
    assert (found.facts["users"], found.facts["items with events"]) == (N_USERS, N_ITEMS)
    assert as_text(found).endswith("0 errors, 0 warnings, 0 notes: ready to prepare; nothing to "
                                   "remark.")  # fmt: skip


def test_targets_are_those_of_preparation(tmp_path: Path) -> None:
    events, items = clean()
    events["user"][700], events["user"][701] = 1001, 1002  # users first seen after the cut
    events["user"][3] = events["user"][63]  # and a repeated line
    events = {name: [*values, values[710]] for name, values in events.items()}
    found = report(tmp_path, events, items)
    config = DataConfig(source=str(tmp_path / "shop.yaml"), least_targets=10, context=4)
    raw = OwnTables(config).fetch(tmp_path / "cache", None)
    meta = prepare(config, raw, tmp_path / "out").meta
    assert found.facts["usable events"] == meta.n_events == 720
    for half, count in meta.eval_positions.items():
        assert found.facts[f"{half} targets"] == count


def test_missing_ids_and_times(tmp_path: Path) -> None:
    events, items = clean()
    events["user"][4] = events["user"][9] = None
    events["ts"][0] = None
    found = report(tmp_path, events, items)
    users, times = (f for f in found.findings if f.check == "missing")
    assert (users.count, users.rows) == (2, ("row 5", "row 10"))
    assert "leaving them out drops 0.3%" in users.cost
    assert "where: 'user IS NOT NULL'" in users.advice
    assert (times.count, times.rows) == (1, ("row 1",))
    assert found.failed
    assert found.facts["usable events"] == N_USERS * EACH - 3


def test_duplicates_and_time_order(tmp_path: Path) -> None:
    events, items = clean()
    again = [0, 0, 5]
    doubled = {name: [*values, *(values[i] for i in again)] for name, values in events.items()}
    found = report(tmp_path, doubled, items)
    repeated = only(found, "duplicates")
    assert (repeated.level, repeated.count) == ("warning", 3)
    assert repeated.rows == ("row 1 = row 722", "row 6 = row 723")
    order = only(found, "time order")  # 721 before 720, and nothing else
    assert (order.level, order.count, order.rows) == ("note", 1, ("row 721",))


def test_times_of_another_unit_in_the_future_and_too_early(tmp_path: Path) -> None:
    events, items = clean()
    events["ts"][1] *= 1000
    events["ts"][2] = int(time.time()) + 3 * 86_400
    events["ts"][3] = 0
    events["ts"][4] = -5
    found = report(tmp_path, events, items, time={"column": "ts", "unit": "s"})
    expected = {
        "mixed units": ("error", f"row 2: {events['ts'][1]}"),
        "future": ("error", "row 3: 20"),
        "before 1990": ("warning", "row 4: 1970-01-01 00:00:00"),
        "before 1970": ("error", "row 5: 1969-12-31 23:59:55"),
    }
    for check, (level, row) in expected.items():
        finding = only(found, check)
        assert (finding.level, finding.count) == (level, 1)
        assert finding.rows[0].startswith(row)


def test_seconds_among_milliseconds(tmp_path: Path) -> None:
    events, items = clean()
    seconds = events["ts"][7]
    events["ts"] = [t if t == seconds else t * 1000 for t in events["ts"]]
    found = report(tmp_path, events, items, time={"column": "ts", "unit": "ms"})
    assert only(found, "mixed units").rows == (f"row 8: {seconds}",)
    assert all(finding.check != "before 1990" for finding in found.findings)


def test_users_of_one_event_bear_no_loss(tmp_path: Path) -> None:
    events, items = clean()
    events["user"][10:13] = [501, 502, 503]
    finding = only(report(tmp_path, events, items), "single events")
    assert finding.count == 3
    assert finding.what == "only one event: 3 users (4.8%)"  # of 63
    assert finding.rows[0] == "user 501: 1 event, first in row 11"


def test_robots(tmp_path: Path) -> None:
    n = 2001
    start = T0 // 3600 * 3600
    robot = {
        "user": [-1] * n,
        "item": [i % N_ITEMS for i in range(n)],
        "ts": [start + i for i in range(n)],
        "quantity": [1.0 + i % 2 for i in range(n)],
    }
    events, items = clean()
    joined = {name: robot[name] + values for name, values in events.items()}
    found = report(tmp_path, joined, items)
    finding = only(found, "robots by rate")
    assert finding.rows == ("user -1: 2,001 in an hour, from row 1",)
    assert finding.cost.startswith(f"{percent(n, n + N_USERS * EACH)} of all events")
    fewer = {name: values[1:] for name, values in joined.items()}
    assert all(f.check != "robots by rate" for f in report(tmp_path, fewer, items).findings)


def test_a_user_of_too_large_a_share(tmp_path: Path) -> None:
    n = 1000
    users = [i // 2 for i in range(2 * n)] + [-1] * 201  # median 2 events; one user has 201
    events = {
        "user": users, "item": [i % 9 for i in range(len(users))],
        "ts": [T0 + 3600 * i for i in range(len(users))],
        "quantity": [float(i % 2) for i in range(len(users))],
    }  # fmt: skip
    finding = only(report(tmp_path, events), "robots by share")
    assert finding.rows == ("user -1: 201 events, first in row 2001",)
    less = {name: values[:-1] for name, values in events.items()}
    assert all(f.check != "robots by share" for f in report(tmp_path, less).findings)


def test_events_and_items_that_miss_each_other(tmp_path: Path) -> None:
    events, items = clean()
    events["item"] = [99 if i in (20, 30) else item for i, item in enumerate(events["item"])]
    items = {name: [*values, values[0]] for name, values in items.items()}
    items["item"] += [77]
    for name in ("title", "price", "vec"):
        items[name] += [items[name][1]]
    found = report(tmp_path, events, items)
    unseen = only(found, "items without a row")
    assert (unseen.level, unseen.count, unseen.rows) == ("error", 2, ("row 21: 99", "row 31: 99"))
    assert only(found, "items twice").rows == ("row 1 and row 31: 0",)
    assert only(found, "items without events").rows == ("row 32: 77",)


def test_extreme_missing_and_constant_values(tmp_path: Path) -> None:
    events, items = clean()
    events["quantity"][8], events["quantity"][9] = 1e308, float("inf")
    items["price"] = [7.0] * (N_ITEMS - 1) + [None]
    found = report(tmp_path, events, items)
    assert only(found, "extreme").rows == ("row 9: 1e+308", "row 10: inf")
    assert only(found, "constant").column == "price"
    assert only(found, "missing values").count == 1
    assert found.missing["items.price"] == pytest.approx(1 / N_ITEMS)
    assert "missing: items.price 3.3%" in as_text(found)


def test_vectors_of_other_lengths_and_not_finite(tmp_path: Path) -> None:
    events, items = clean()
    items["vec"][3] = [1.0]
    items["vec"][5] = [1.0, float("nan")]
    items["vec"][6] = None
    found = report(tmp_path, events, items)
    assert only(found, "vector lengths").rows == ("row 4: 1 entries",)
    assert only(found, "vectors not finite").rows == ("row 6",)


def test_a_number_that_orders_items_as_their_counts_is_suspect(tmp_path: Path) -> None:
    events, items = clean()
    counts = np.bincount(events["item"], minlength=N_ITEMS)
    items["price"] = [float(c) ** 3 for c in counts]  # monotone, not equal
    finding = only(report(tmp_path, events, items), "leakage suspect")
    assert "as their number of events does (rank correlation 1.000)" in finding.what
    last = [max(t for t, i in zip(events["ts"], events["item"], strict=True) if i == item)
            for item in range(N_ITEMS)]  # fmt: skip
    items["price"] = [-float(t) for t in last]
    finding = only(report(tmp_path, events, items), "leakage suspect")
    assert "time of the last event does (rank correlation -1.000)" in finding.what


def test_spearman_is_scipys(tmp_path: Path) -> None:
    from scipy.stats import spearmanr

    events, items = clean()
    counts = np.bincount(events["item"], minlength=N_ITEMS)
    noisy = counts + np.random.default_rng(1).normal(size=N_ITEMS) * 0.3
    items["price"] = [float(x) for x in noisy.round(1)]
    rho = spearmanr(items["price"], counts).statistic
    assert 0.95 < rho < 1
    finding = only(report(tmp_path, events, items), "leakage suspect")
    assert f"(rank correlation {rho:.3f})" in finding.what


def test_a_text_with_a_date_after_the_items_first_event_is_suspect(tmp_path: Path) -> None:
    events, items = clean()
    items["title"][2] = "First 2019-05-05, sold out on 2020-09-14"
    items["title"][4] = "Of the day itself: 2020-09-13"
    finding = only(report(tmp_path, events, items), "leakage suspect")
    assert (finding.count, finding.column) == (1, "title")
    assert finding.rows == ("row 3: says 2020-09-14, first event 2020-09-13",)


def test_values_of_text_files_that_cannot_be_read(tmp_path: Path) -> None:
    lines = ["user,item,ts,quantity", "1,a,2020-09-13 10:00:00,1", "1,b,soon,2",
             "1 ,a,2020-09-13T12:00:00+02:00,two", "1,c,2020-09-13 10:00:00,"]  # fmt: skip
    (tmp_path / "events.csv").write_text("\n".join(lines) + "\n")
    events, _ = clean()
    found = report(tmp_path, events, files="events.csv")
    unusable = {f.column: f for f in found.findings if f.check == "unusable"}
    assert unusable["time"].rows == ("row 2: 'soon'",)
    assert unusable["quantity"].rows == ("row 3: 'two'",)
    assert only(found, "spaces").rows == ("row 3: '1 '",)
    assert only(found, "time zones").rows == ("row 3",)
    assert only(found, "missing values").count == 1  # 'two' is there
    assert only(found, "few targets").level == "error"


def test_a_file_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user,item,ts,quantity\n1,2,3\n")
    events, _ = clean()
    found = report(tmp_path, events, files="events.csv")
    finding = only(found, "unreadable")
    assert "Line: 2" in finding.what
    assert len(finding.what) < 300
    assert found.failed


def test_files_without_a_description_get_one_proposed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{i % 40};S{i % 25:02};{T0 + i}000;{1 + i % 3};web" for i in range(20_000)]
    orders = tmp_path / "orders.csv"
    orders.write_text("\n".join(["Customer ID;SKU;time;quantity;channel", *rows]) + "\n")
    things = [f"S{i:02};Thing number {i};{i * 7 % 25}" for i in range(25)]
    goods = tmp_path / "goods.csv"
    goods.write_text("\n".join(["sku;name;weight", *things]) + "\n")
    out, body = tmp_path / "shop.yaml", tmp_path / "report.json"
    arguments = [str(orders), str(goods), "--write", str(out), "--json", str(body)]
    assert main(["validate", *arguments]) == 0
    written = read_description(out)
    assert (written.events.user, written.events.item) == ("Customer ID", "SKU")
    assert (written.events.time.column, written.events.time.unit) == ("time", "ms")
    assert written.events.features == {"quantity": "numeric", "channel": "categorical"}
    assert written.items is not None
    kinds = {name: one.kind for name, one in written.items.features.items()}
    assert kinds == {"name": "text", "weight": "numeric"}
    found = json.loads(body.read_text())
    assert [finding["check"] for finding in found["findings"]] == ["constant"]  # channel
    assert not found["failed"]
    capsys.readouterr()
    assert main(["validate", str(out)]) == 0
    assert "can be prepared; look at the warnings" in capsys.readouterr().out
    assert main(["validate", *arguments]) == 2
    assert "is there already" in capsys.readouterr().err


def test_errors_give_status_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events, items = clean()
    report(tmp_path, events, items)
    assert main(["validate", str(tmp_path / "shop.yaml")]) == 1  # too few targets
    assert "ERROR  few targets" in capsys.readouterr().out


def test_texts_of_items_in_the_events_are_proposed_as_the_items(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n = 1000
    table = pa.table(
        {
            "CustomerID": [i % 40 for i in range(n)],
            "StockCode": [f"S{i % 300}" for i in range(n)],
            "InvoiceDate": pa.array([T0 + i for i in range(n)], type=pa.timestamp("s")),
            "Description": [f"Thing number {i % 300}" for i in range(n)],
            "Remark": [f"remark number {i}" for i in range(n)],
        }
    )
    pq.write_table(table, tmp_path / "sales.parquet")
    out = tmp_path / "shop.yaml"
    assert main(["validate", str(tmp_path / "sales.parquet"), "--write", str(out)]) == 1
    capsys.readouterr()
    written = read_description(out)
    assert written.items is not None
    assert written.items.files is None
    assert {name: one.kind for name, one in written.items.features.items()} == {
        "Description": "text"
    }
    assert "# Columns of the events that are not used: Remark." in out.read_text()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"who": [1], "item": [1], "ts": [T0]}, "no table has columns that look like user, item"),
        ({"user": [1], "uid": [1], "item": [1]}, "no table has columns"),
    ],
)
def test_columns_of_no_usual_name_are_asked_for(
    tmp_path: Path, columns: Columns, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "e.parquet")
    assert main(["validate", str(tmp_path / "e.parquet")]) == 2
    assert message in capsys.readouterr().err
