"""Yambda: files after 'Data Format' of the card of huggingface.co/datasets/yandex/yambda."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources import placed
from behavior_scaling.data.sources.yambda import Yambda

from .source_rows import events_of, items_of, values

U32 = pa.uint32()
EVENTS = pa.table(
    {
        "uid": pa.array([10, 10, 10, 20], U32),
        "timestamp": pa.array([5, 5, 15, 10], U32),
        "item_id": pa.array([7, 3, 3, 7], U32),
        "is_organic": pa.array([1, 0, 1, 0], pa.uint8()),
        "event_type": pa.array(["listen", "like", "listen", "listen"]).dictionary_encode(),
        "played_ratio_pct": pa.array([100, None, 33, 120], pa.uint16()),
        "track_length_seconds": pa.array([180, None, 200, 185], U32),
    }
)
ARTISTS = pa.table({"artist_id": pa.array([9, 4, 4], U32), "item_id": pa.array([7, 7, 5], U32)})
ALBUMS = pa.table({"album_id": pa.array([11], U32), "item_id": pa.array([3], U32)})
EMBEDDINGS = pa.table(
    {
        "item_id": pa.array([7, 5], U32),
        "embed": pa.array([[2.0, 0.0], [0.0, 3.0]]),
        "normalized_embed": pa.array([[1.0, 0.0], [0.0, 1.0]]),
    }
)


def write(folder: Path, events: Any = EVENTS, name: str = "multi_event") -> Path:
    (folder / "flat" / "50m").mkdir(parents=True, exist_ok=True)
    pq.write_table(events, folder / "flat" / "50m" / f"{name}.parquet", row_group_size=3)
    pq.write_table(ARTISTS, folder / "artist_item_mapping.parquet")
    pq.write_table(ALBUMS, folder / "album_item_mapping.parquet")
    return folder


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return write(tmp_path / "yambda")


def source(variant: str | None = None) -> Yambda:
    return Yambda(DataConfig(source="yambda", variant=variant))


def test_events_of_all_types(raw: Path, tmp_path: Path) -> None:
    tables = source().load(raw, tmp_path)

    names = [name for name, _ in tables.schema.events]
    assert names == ["event_type", "is_organic", "played_ratio_pct", "track_length_seconds"]
    rows = events_of(tables, tmp_path)
    assert values(rows, "user_id", "item_id", "timestamp", *names) == [
        (10, 7, 5, "listen", "1", 100.0, 180.0),  # before the like: equal times keep their rows
        (10, 3, 5, "like", "0", None, None),
        (10, 3, 15, "listen", "1", 33.0, 200.0),
        (20, 7, 10, "listen", "0", 120.0, 185.0),
    ]


def test_listens_alone_have_no_type(tmp_path: Path) -> None:
    raw = write(tmp_path / "yambda", EVENTS.drop(["event_type"]), "listens")

    tables = source("50m-listens").load(raw, tmp_path)

    assert [name for name, _ in tables.schema.events] == [
        "is_organic",
        "played_ratio_pct",
        "track_length_seconds",
    ]
    assert "event_type" not in events_of(tables, tmp_path)[0]


def test_tracks_without_audio(raw: Path, tmp_path: Path) -> None:
    tables = source().load(raw, tmp_path)

    assert [name for name, _ in tables.schema.columns] == ["artists", "albums", "length"]
    # Track 5 is in no event; track 3's length is known from its second event on; 7's changes later.
    assert values(items_of(tables, tmp_path), "item_id", "artists", "albums", "length") == [
        (3, None, ["11"], 200.0),
        (7, ["4", "9"], None, 180.0),
    ]


def test_audio_vectors_are_used_where_they_are(raw: Path, tmp_path: Path) -> None:
    pq.write_table(EMBEDDINGS, raw / "embeddings.parquet")

    tables = source().load(raw, tmp_path)

    assert tables.schema.columns[-1] == ("audio", "vector")
    assert values(items_of(tables, tmp_path), "item_id", "audio") == [(3, None), (7, [1.0, 0.0])]


def test_the_publishers_folders_are_searched(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert source().fetch(tmp_path / "cache", tmp_path) == raw
    assert source().fetch(tmp_path / "cache", raw) == raw
    asked: list[tuple[str, Path]] = []
    monkeypatch.setattr(
        placed, "retrieve", lambda _, url, sha256, folder, name: asked.append((url, folder / name))
    )

    folder = source("500m-listens").fetch(tmp_path / "cache", raw)

    assert folder == tmp_path / "cache" / "yambda"
    address = "https://huggingface.co/datasets/yandex/yambda/resolve/main"
    assert asked == [
        (f"{address}/{name}", folder / name)
        for name in (
            "flat/500m/listens.parquet",
            "artist_item_mapping.parquet",
            "album_item_mapping.parquet",
        )
    ]


def test_an_unknown_variant_lists_the_known() -> None:
    with pytest.raises(
        DataError, match="yambda: no variant '1b'; there are 50m, 50m-listens, 500m"
    ):
        source("1b")


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (
            EVENTS.rename_columns(["user", *EVENTS.column_names[1:]]),
            "column 'uid' is missing; there",
        ),
        (EVENTS.drop(["event_type"]), "column 'event_type' is missing"),
        (
            EVENTS.set_column(1, "timestamp", pa.array(["a", "b", "c", "d"])),
            "column 'timestamp' holds string, not integers",
        ),
        (
            EVENTS.set_column(4, "event_type", pa.array([1, 2, 3, 4])),
            "column 'event_type' holds int64, not text",
        ),
    ],
)
def test_a_wrong_schema_is_refused(tmp_path: Path, events: pa.Table, message: str) -> None:
    with pytest.raises(DataError, match=rf"multi_event\.parquet: {message}"):
        source().load(write(tmp_path / "yambda", events), tmp_path)


def test_vectors_of_the_wrong_kind_are_refused(raw: Path, tmp_path: Path) -> None:
    file = raw / "embeddings.parquet"
    pq.write_table(EMBEDDINGS.set_column(2, "normalized_embed", pa.array(["x", "y"])), file)
    with pytest.raises(DataError, match="'normalized_embed' holds string, not lists of numbers"):
        source().load(raw, tmp_path)


def test_truncated_and_missing_files_are_refused(raw: Path, tmp_path: Path) -> None:
    file = raw / "flat" / "50m" / "multi_event.parquet"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"multi_event\.parquet: not a readable Parquet file"):
        source().load(raw, tmp_path)
    file.unlink()
    with pytest.raises(DataError, match=r"multi_event\.parquet: no such file"):
        source().load(raw, tmp_path)
