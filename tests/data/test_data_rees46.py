"""REES46: files after the Kaggle page's 'File structure' (2019-Oct.csv, 2019-Nov.csv and on)."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources import placed
from behavior_scaling.data.sources.rees46 import MONTHS, Rees46

from .source_rows import events_of, items_of, values

HEADER = (
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
)
OCTOBER = HEADER + (
    "2019-10-01 00:00:05 UTC,view,7,90,,,10.5,1,s-1\n"
    "2019-10-01 00:00:05 UTC,cart,8,91,electronics.smartphone,apple,99.0,1,s-1\n"
    "2019-10-01 00:00:00 UTC,view,8,91,electronics.smartphone,lenovo,98.0,2,\n"
)
NOVEMBER = HEADER + "2019-11-01 00:00:00 UTC,purchase,7,90,apparel.shoes,nike,12.0,1,s-2\n"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror" / "rees46"
    folder.mkdir(parents=True)
    (folder / "2019-Oct.csv.gz").write_bytes(gzip.compress(OCTOBER.encode()))
    (folder / "2019-Nov.csv").write_text(NOVEMBER)
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def source(variant: str | None = None) -> Rees46:
    return Rees46(DataConfig(source="rees46", variant=variant))


def test_months_become_events(raw: Path, work: Path) -> None:
    tables = source().load(raw, work)

    rows = events_of(tables, work)
    assert values(rows, "user_id", "item_id", "timestamp", "session_id", "event_type", "price") == [
        (1, 7, 1569888005, "s-1", "view", 10.5),
        (1, 8, 1569888005, "s-1", "cart", 99.0),  # the same second: the second line
        (1, 7, 1572566400, "s-2", "purchase", 12.0),
        (2, 8, 1569888000, "none", "view", 98.0),
    ]
    assert [name for name, _ in tables.schema.events] == ["event_type", "price"]


def test_an_item_is_described_by_its_first_event_alone(raw: Path, work: Path) -> None:
    rows = items_of(source().load(raw, work), work)

    # 7: November knows its brand and category, October, its first month, did not.
    # 8: the third line is earlier than the second.
    assert values(rows, "item_id", "category", "brand", "price", "category_id") == [
        (7, None, None, 10.5, 90),
        (8, ["electronics", "smartphone"], "lenovo", 98.0, 91),
    ]


def test_a_variant_reads_the_months_to_its_own(raw: Path, work: Path, tmp_path: Path) -> None:
    assert source("2019-Oct").fetch(tmp_path / "cache", raw.parent) == raw
    assert len(events_of(source("2019-Oct").load(raw, work), work)) == 3
    with pytest.raises(DataError, match=r"2019-Dec\.csv\.gz: no such file; fetch"):
        source("2019-Dec").load(raw, work)
    with pytest.raises(DataError, match="rees46: no variant 'May'; there are 2019-Oct, "):
        source("May")


def test_what_no_mirror_has_is_downloaded(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(placed, "retrieve", lambda *request: asked.append(request))

    folder = source("2019-Dec").fetch(tmp_path / "cache", raw.parent)

    assert folder == tmp_path / "cache" / "rees46"
    address = "https://data.rees46.com/datasets/marketplace"
    assert asked == [
        ("rees46", f"{address}/{month}.csv.gz", None, folder, f"{month}.csv.gz")
        for month in MONTHS[:3]
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("brand", "make", r"2019-Nov\.csv: column 'brand' is missing"),
        ("12.0", "twelve", r"2019-Nov\.csv: .*Line: 2 .*twelve"),
        (" UTC", "", r"2019-Nov\.csv: .*2019-11-01 00:00:00"),
        (",s-2", "", r"2019-Nov\.csv: .*Line: 2 .*Columns: 9 Found: 8"),
    ],
)
def test_a_changed_file_is_refused(raw: Path, work: Path, old: str, new: str, message: str) -> None:
    (raw / "2019-Nov.csv").write_text(NOVEMBER.replace(old, new))

    with pytest.raises(DataError, match=message):
        source().load(raw, work)


@pytest.mark.parametrize("damage", ["cut", "half", "checksum", "text"])
def test_a_damaged_gzip_file_is_refused(raw: Path, work: Path, damage: str) -> None:
    file = raw / "2019-Oct.csv.gz"
    whole = file.read_bytes()
    altered = whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]
    damaged = {"cut": whole[:-3], "half": whole[:60], "checksum": altered, "text": OCTOBER.encode()}
    file.write_bytes(damaged[damage])

    with pytest.raises(DataError, match=r"2019-Oct\.csv\.gz: (truncated or damaged|is no gzip)"):
        source().load(raw, work)
