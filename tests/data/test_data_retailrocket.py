"""Retailrocket: files after the Kaggle page's 'Content' (events, properties, category tree)."""

from __future__ import annotations

from pathlib import Path

import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources.retailrocket import FILES, RetailRocket

from .source_rows import events_of, items_of, values

CONTENT = {
    "events.csv": (
        "timestamp,visitorid,event,itemid,transactionid\n"
        "1439694000900,1,view,100,\n"
        "1439694000100,1,addtocart,200,\n"
        "1439694000100,1,transaction,200,7\n"
        "1439690000000,2,view,300,\n"
    ),
    "item_properties_part1.csv": (
        "timestamp,itemid,property,value\n"
        "1439696000000,100,categoryid,5\n"
        "1439694000000,100,283,1116713 n277.200\n"
        "1439694000000,100,790,n15360.000\n"
        "1439694000000,999,categoryid,6\n"
    ),
    "item_properties_part2.csv": (
        "timestamp,itemid,property,value\n"
        "1439695000000,100,categoryid,6\n"
        "1439695000000,100,790,n20000.000\n"
        "1439694000000,100,available,1\n"
        "1439694000000,200,categoryid,9\n"
    ),
    "category_tree.csv": "categoryid,parentid\n6,3\n3,1\n1,\n9,\n5,6\n8,7\n7,8\n",
}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for name, text in CONTENT.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def source() -> RetailRocket:
    return RetailRocket(DataConfig(source="retailrocket"))


def test_events_of_one_second_follow_their_milliseconds(
    source: RetailRocket, raw: Path, work: Path
) -> None:
    rows = events_of(source.load(raw, work), work)

    assert values(rows, "user_id", "item_id", "timestamp", "event_type") == [
        (1, 200, 1439694000, "addtocart"),
        (1, 200, 1439694000, "transaction"),  # the same millisecond: the later line
        (1, 100, 1439694000, "view"),
        (2, 300, 1439690000, "view"),
    ]


def test_properties_are_the_first_in_time(source: RetailRocket, raw: Path, work: Path) -> None:
    rows = items_of(source.load(raw, work), work)

    # 100: its category at ...695 was 6, 5 came later; 790 changed later; one-word values lead.
    # 300 has no properties; 999 has no events and is no item; 9 is a root of the tree.
    assert values(rows, "item_id", "category", "ancestors", "properties") == [
        (100, "6", ["3", "1"], ["790=n15360.000", "283=1116713", "283=n277.200"]),
        (200, "9", None, None),
        (300, None, None, None),
    ]


def test_a_circle_in_the_tree_ends(source: RetailRocket, raw: Path, work: Path) -> None:
    part = raw / "item_properties_part1.csv"
    part.write_text(CONTENT[part.name] + "1439690000000,300,categoryid,8\n")

    rows = items_of(source.load(raw, work), work)

    assert values(rows, "item_id", "category", "ancestors")[2] == (300, "8", ["7", "8"])


def test_missing_files_are_asked_for_by_name(
    source: RetailRocket, raw: Path, tmp_path: Path
) -> None:
    assert source.fetch(tmp_path / "cache", raw) == raw
    (raw / "category_tree.csv").unlink()
    with pytest.raises(
        DataError, match=rf"Kaggle account\. Put {', '.join(FILES)} into .*cache.retailrocket"
    ):
        source.fetch(tmp_path / "cache", raw)
    with pytest.raises(DataError, match=r"category_tree\.csv: no such file"):
        source.load(raw, tmp_path)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("events.csv", "visitorid", "visitor", r"events\.csv: column 'visitorid' is missing"),
        ("events.csv", "1439690000000", "soon", r"events\.csv: .*Line: 5 .*soon,2,view,300"),
        ("item_properties_part2.csv", "200,", "item,", r"part2\.csv: .*Line: 5 .*item"),
        ("category_tree.csv", "3,1", "3", r"category_tree\.csv: .*Line: 3 .*Columns: 2 Found: 1"),
    ],
)
def test_a_changed_file_is_refused(
    source: RetailRocket, raw: Path, work: Path, name: str, old: str, new: str, message: str
) -> None:
    (raw / name).write_text(CONTENT[name].replace(old, new))

    with pytest.raises(DataError, match=message):
        source.load(raw, work)
