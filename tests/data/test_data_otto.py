"""OTTO: sessions after 'Data Format' in the README of github.com/otto-de/recsys-dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources.otto import TEST, TRAIN, Otto

from .source_rows import events_of, values


def session(number: Any, *events: tuple[Any, Any, Any]) -> dict[str, Any]:
    keys = ("aid", "ts", "type")
    return {"session": number, "events": [dict(zip(keys, e, strict=True)) for e in events]}


FIRST = session(
    42,
    (0, 1661200010000, "clicks"),
    (2, 1661200080100, "orders"),
    (3, 1661200080100, "orders"),
    (1, 1661200080900, "carts"),
)
SECOND = session(43, (3, 1661200010000, "clicks"))
LATER = session(99, (2, 1661800000000, "clicks"))


def write(folder: Path, name: str, *sessions: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(each) + "\n" for each in sessions))


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    write(tmp_path / "otto", TRAIN, FIRST, SECOND)
    write(tmp_path / "otto", TEST, LATER)
    return tmp_path / "otto"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def source(variant: str | None = None) -> Otto:
    return Otto(DataConfig(source="otto", variant=variant))


def test_sessions_become_users(raw: Path, work: Path) -> None:
    tables = source().load(raw, work)

    assert values(events_of(tables, work), "user_id", "item_id", "timestamp", "event_type") == [
        (42, 0, 1661200010, "clicks"),
        (42, 2, 1661200080, "orders"),  # one second, in the order of the list
        (42, 3, 1661200080, "orders"),
        (42, 1, 1661200080, "carts"),
        (43, 3, 1661200010, "clicks"),
    ]
    assert tables.items is None
    assert tables.schema.columns == (("item_id", "categorical"),)


def test_the_full_variant_reads_the_week_after_too(raw: Path, work: Path) -> None:
    rows = events_of(source("full").load(raw, work), work)

    assert values(rows, "user_id")[-1] == (99,)
    assert len(rows) == 6
    with pytest.raises(DataError, match="otto: no variant 'all'; there are train, full"):
        source("all")


def test_many_sessions_keep_their_order(tmp_path: Path, work: Path) -> None:
    n, size = 20_000, 6  # more than the engine reads at once
    events = [(item, 1661200000000, "clicks") for item in range(size)]
    write(tmp_path, TRAIN, *(session(user, *events) for user in range(n)))

    rows = events_of(source().load(tmp_path, work), work)

    assert values(rows, "user_id", "item_id") == [
        (user, item) for user in range(n) for item in range(size)
    ]


def test_missing_files_are_asked_for_by_name(raw: Path, tmp_path: Path) -> None:
    assert source("full").fetch(tmp_path / "cache", tmp_path) == raw
    (raw / TEST).unlink()
    assert source().fetch(tmp_path / "cache", raw) == raw
    with pytest.raises(DataError, match=rf"Kaggle account\. Put {TRAIN}, {TEST} into .*cache.otto"):
        source("full").fetch(tmp_path / "cache", tmp_path)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            session(43, (3, "noon", "clicks")),
            r"train\.jsonl: .*row 2: ts is missing or no whole number",
        ),
        (
            session(43, (None, 1661200010000, "clicks")),
            r"train\.jsonl: .*row 2: aid is missing or no whole",
        ),
        (session(43, (3.7, 1661200010000, "clicks")), r"row 2: aid is missing or no whole number"),
        (session(43, (3, 1661200010000, None)), r"train\.jsonl: .*row 2: type is missing"),
        ({"session": 43, "clicks": []}, r"train\.jsonl: .*row 2: events is missing"),
        (
            {"user": 43, "events": SECOND["events"]},
            r"train\.jsonl: .*row 2: session is missing or no",
        ),
    ],
)
def test_a_bad_session_is_named(tmp_path: Path, work: Path, bad: Any, message: str) -> None:
    write(tmp_path, TRAIN, FIRST, bad)

    with pytest.raises(DataError, match=message):
        source().load(tmp_path, work)


def test_a_truncated_file_is_refused(raw: Path, work: Path) -> None:
    whole = (raw / TRAIN).read_text()
    (raw / TRAIN).write_text(whole[:-20])

    with pytest.raises(DataError, match=r"train\.jsonl: row 2 is no JSON"):
        source().load(raw, work)
