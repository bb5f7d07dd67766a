"""Yambda: what a million users of a music service listened to, liked and disliked.

Choices: the variant is a size (50m, 500m, 5b), whose multi_event.parquet holds events of all
types, or a size and '-listens', for listens.parquet alone; files lie as in the publisher's
repository, and the engine reads them row group by row group. Times are seconds from an unnamed
start in steps of five, so the calendar is shifted by a constant. A track's length is the first one
known in time. Audio embeddings (13.8 GB) are used where a person put embeddings.parquet, and are
never downloaded. The catalogue is every track of the events.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.engine import parquet
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.plausible import check_files
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.sources.placed import Names, find_or_download
from behavior_scaling.data.sources.staging import earliest
from behavior_scaling.data.tables import EventKind, FeatureSchema, ItemKind, Query, Tables

ADDRESS = "https://huggingface.co/datasets/yandex/yambda/resolve/main"
VARIANTS = tuple(size + kind for size in ("50m", "500m", "5b") for kind in ("", "-listens"))
ARTISTS, ALBUMS = "artist_item_mapping.parquet", "album_item_mapping.parquet"
EMBEDDINGS = "embeddings.parquet"
NUMBERS = ("uid", "item_id", "timestamp", "is_organic", "played_ratio_pct", "track_length_seconds")


class Yambda:
    """Events of some ten months of Yandex Music, in three sizes."""

    info = SourceInfo(
        name="yambda",
        version=f"variants {', '.join(VARIANTS)} (default 50m)",
        origin=f"{ADDRESS}/flat/50m/multi_event.parquet and, beside flat, {ARTISTS}, {ALBUMS}",
        licence="Apache 2.0",
        citation=(
            "A. Ploshkin et al. (2025). Yambda-5B: A Large-Scale Multi-modal Dataset for Ranking "
            "And Retrieval. arXiv 2505.22238"
        ),
        verified="format tested",
        schema="https://huggingface.co/datasets/yandex/yambda, 'Data Format'",
        manual=f"For audio vectors put {EMBEDDINGS} beside {ARTISTS}.",
    )

    def __init__(self, config: DataConfig) -> None:
        variant = config.variant or "50m"
        if variant not in VARIANTS:
            raise DataError(f"yambda: no variant {variant!r}; there are {', '.join(VARIANTS)}")
        size, _, only = variant.partition("-")
        self._typed = not only
        self._events = f"flat/{size}/{only or 'multi_event'}.parquet"

    def fetch(self, cache: Path, mirror: Path | None) -> Path:
        """Get the events and both mappings; see Source.fetch."""
        urls: dict[Names, str] = {
            (name,): f"{ADDRESS}/{name}" for name in (self._events, ARTISTS, ALBUMS)
        }
        return find_or_download(self.info.name, urls, cache, mirror)

    def load(self, raw: Path, work: Path) -> Tables:
        """Read the files; see Source.load."""
        events, artists, albums = raw / self._events, raw / ARTISTS, raw / ALBUMS
        _check(events, NUMBERS, text="event_type" if self._typed else None)
        _check(artists, ("artist_id", "item_id"))
        _check(albums, ("album_id", "item_id"))
        files, columns = [events, artists, albums], list(_COLUMNS)
        if (raw / EMBEDDINGS).is_file():
            _check(raw / EMBEDDINGS, ("item_id",), numbers="normalized_embed")
            files.append(raw / EMBEDDINGS)
            columns.append(("audio", "vector"))
        typed = ", event_type::VARCHAR AS event_type" if self._typed else ""
        return Tables(
            Query(
                f"""
                SELECT uid::BIGINT AS user_id, item_id::BIGINT AS item_id,
                    timestamp::BIGINT AS timestamp, is_organic::VARCHAR AS is_organic,
                    played_ratio_pct::DOUBLE AS played_ratio_pct,
                    track_length_seconds::DOUBLE AS track_length_seconds{typed}, line
                FROM {parquet([events])}
                """,
                (events,),
            ),
            Query(_items(*files), tuple(files)),
            FeatureSchema(tuple(columns), _EVENT_COLUMNS if self._typed else _EVENT_COLUMNS[1:]),
        )


_COLUMNS: tuple[tuple[str, ItemKind], ...] = (
    ("artists", "multi"),
    ("albums", "multi"),
    ("length", "numeric"),
)
_EVENT_COLUMNS: tuple[tuple[str, EventKind], ...] = (
    ("event_type", "categorical"),
    ("is_organic", "categorical"),
    ("played_ratio_pct", "numeric"),
    ("track_length_seconds", "numeric"),
)


def _items(events: Path, artists: Path, albums: Path, embeddings: Path | None = None) -> str:
    vector, joined = "", ""
    if embeddings is not None:
        vector = ", normalized_embed::FLOAT[] AS audio"
        joined = f"LEFT JOIN {parquet([embeddings])} AS embeddings USING (item_id)"
    return f"""
    WITH tracks AS (
        SELECT item_id, {earliest("track_length_seconds", "timestamp")}::DOUBLE AS length
        FROM {parquet([events])} GROUP BY item_id
    ),
    artists AS (
        SELECT item_id, list(artist_id::VARCHAR ORDER BY artist_id) AS artists
        FROM {parquet([artists])} GROUP BY item_id
    ),
    albums AS (
        SELECT item_id, list(album_id::VARCHAR ORDER BY album_id) AS albums
        FROM {parquet([albums])} GROUP BY item_id
    )
    SELECT item_id::BIGINT AS item_id, artists, albums, length{vector}
    FROM tracks LEFT JOIN artists USING (item_id) LEFT JOIN albums USING (item_id) {joined}
    """


def _check(
    file: Path, integers: tuple[str, ...], text: str | None = None, numbers: str | None = None
) -> None:
    """Check by its footer that a file has columns of integers, one of text, one of lists."""
    check_files([file])
    schema = pq.read_schema(file)
    wanted: dict[str, tuple[Callable[[pa.DataType], bool], str]]
    wanted = dict.fromkeys(integers, (_is_integer, "integers"))
    wanted |= {text: (_is_text, "text")} if text else {}
    wanted |= {numbers: (_is_vector, "lists of numbers")} if numbers else {}
    for name, (is_right, what) in wanted.items():
        if name not in schema.names:
            raise DataError(f"{file}: column {name!r} is missing; there are {schema.names}")
        if not is_right(schema.field(name).type):
            raise DataError(f"{file}: column {name!r} holds {schema.field(name).type}, not {what}")


def _is_integer(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))


def _is_vector(kind: pa.DataType) -> bool:
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(
        (listed or pa.types.is_fixed_size_list(kind)) and pa.types.is_floating(kind.value_type)
    )
