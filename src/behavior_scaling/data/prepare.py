"""Preparation: from a source's raw files to the memory-mapped data set, out of core.

The engine joins the catalogue's index and sorts by (user, time, line); one pass over the sorted
rows writes the arrays of events (sequence.py); further passes over those arrays find the cut, the
split and the levels of event features. No pass holds more than a piece of the events, so memory
does not grow with them; the items' features are made batch by batch (item_features.py).

Choices: everything that is counted, binned or smoothed reads training events only; users and
catalogue are sorted by id, so that the arrays follow from the canonical tables alone; the
folder appears whole or not at all (store_write.py).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data import sources
from behavior_scaling.data.assign import Assigned, assign_splits
from behavior_scaling.data.engine import engine, literal
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.events import canonical_events, canonical_items, refuse_unknown_items
from behavior_scaling.data.identity import digest_of_ids, identity
from behavior_scaling.data.item_features import ItemFacts, write_item_features
from behavior_scaling.data.levels import write_event_levels
from behavior_scaling.data.sequence import Sequences, write_sequences
from behavior_scaling.data.split import first_users, in_test_half
from behavior_scaling.data.store import Dataset, Meta
from behavior_scaling.data.store_write import finish, hashes, preparing, save
from behavior_scaling.data.tables import FeatureSchema, Tables
from behavior_scaling.records.spec import data_spec

ROWS = 1_000_000  # of a batch from the engine
ITEM_ROWS = 65_536  # items of a batch


def prepare(config: DataConfig, raw: Path, out: Path) -> Dataset:
    """Prepare a source.

    Args:
        config: which source, and how it becomes sequences and tokens.
        raw: what the source's fetch has returned.
        out: folder to write; an earlier preparation there is replaced.

    Raises:
        DataError: unknown source, unusable tables, too few evaluation targets, or the folder
            cannot be written.
    """
    with preparing(out) as folder:
        work = folder / "work"
        work.mkdir()
        return _prepare(sources.get(config).load(raw, work), config, out, folder)


def prepare_tables(tables: Tables, config: DataConfig, out: Path) -> Dataset:
    """Prepare tables that are at hand; config.source is their name.

    Raises:
        DataError: as prepare.
    """
    with preparing(out) as folder:
        return _prepare(tables, config, out, folder)


@dataclass(frozen=True)
class _Ids:
    """Ids of users and items, sorted."""

    users: list[int | str]
    items: NDArray[Any]  # [V] int64 or unicode


def _prepare(tables: Tables, config: DataConfig, out: Path, folder: Path) -> Dataset:
    """Work in `folder`/scratch and `folder`/whole; the latter becomes `out`."""
    scratch, whole = folder / "scratch", folder / "whole"
    for made in (scratch, whole):
        made.mkdir()
    schema = tables.schema
    if tables.items is None:
        schema = FeatureSchema((("item_id", "categorical"),), schema.events)
    sessions, sequences, ids = _events(tables, config, scratch, whole)
    _say(f"{config.name}: {sequences.n_events:,} events sorted, {sequences.dropped:,} repeated")
    assigned = assign_splits(
        config,
        sequences.offsets,
        in_test_half(ids.users),
        first_users(ids.users, config.train_users, b"order") if config.train_users < 1 else None,
        first_users(ids.users, config.eval_share, b"scored") if config.eval_share < 1 else None,
        len(ids.items),
        whole,
    )
    features = _items(schema, assigned, config, scratch, whole)
    names = write_event_levels(schema.events, sequences, config.codebook, whole, scratch)
    save(
        whole,
        offsets=sequences.offsets,
        train_counts=assigned.train_counts,
        user_in_train=assigned.train_lengths > 0,
        item_ids=ids.items,
    )
    files = hashes(whole)
    digests = {"users": digest_of_ids(ids.users), "items": digest_of_ids(ids.items.tolist())}
    spec = data_spec(
        config,
        identity(schema, sequences, digests, features.digest, files, scratch, sessions=sessions),
    )
    meta = Meta(
        spec=spec,
        n_events=sequences.n_events,
        n_users=len(ids.users),
        n_items=len(ids.items),
        n_train=int(assigned.train_counts.sum()),
        unique_positions=int(np.maximum(assigned.train_lengths - 1, 0).sum()),
        t1=assigned.t1,
        unigram_entropy=entropy(assigned.train_counts),
        eval_positions=dict(assigned.targets.items()),
        vocabulary=features.vocabulary,
        missing=features.missing,
        vectors=[name for name, kind in schema.columns if kind == "vector"],
        event_features=names,
        dropped=sequences.dropped,
    )
    return finish(whole, out, meta, files)


def entropy(counts: NDArray[np.int64]) -> float:
    """Entropy of the frequencies that the counts state, in nats."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _events(
    tables: Tables, config: DataConfig, scratch: Path, whole: Path
) -> tuple[bool, Sequences, _Ids]:
    """Check and sort the events; leave scratch/items.parquet in the catalogue's order."""
    where = config.name
    with engine(scratch) as connection:
        count = canonical_events(connection, tables, where)
        canonical_items(connection, tables, where)
        refuse_unknown_items(connection, tables, where)
        _say(f"{where}: {count:,} lines checked")
        connection.execute(
            f"COPY (SELECT * FROM items ORDER BY item_id) TO "
            f"{literal(str(scratch / 'items.parquet'))} (FORMAT parquet, ROW_GROUP_SIZE 100000)"
        )
        connection.execute(
            "CREATE TABLE users AS SELECT user_id, "
            "CAST(row_number() OVER (ORDER BY user_id) - 1 AS INTEGER) AS user "
            "FROM (SELECT DISTINCT user_id FROM events)"
        )
        columns = [name for name, *_ in connection.sql("DESCRIBE events").fetchall()]
        kept = [name for name in columns if name not in ("user_id", "item_id", "line")]
        listed = ", ".join(f'events."{name}"' for name in kept)
        ids = _Ids(
            _column(connection, "SELECT user_id FROM users ORDER BY user").to_pylist(),
            _item_ids(_column(connection, "SELECT item_id FROM catalogue ORDER BY item")),
        )
        rows = connection.sql(
            f"SELECT users.user, catalogue.item, {listed} FROM events "
            f"JOIN users USING (user_id) JOIN catalogue USING (item_id) "
            f"ORDER BY users.user, events.timestamp, events.line"
        ).to_arrow_reader(ROWS)
        sequences = write_sequences(
            rows, len(ids.users), tables.schema.events, config.session_gap, whole, scratch
        )
    return "session" in kept, sequences, ids


def _column(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.ChunkedArray:
    return connection.sql(sql).to_arrow_table().column(0)


def _item_ids(ids: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_integer(ids.type):
        return np.asarray(ids.to_numpy())
    return np.array(ids.to_pylist(), dtype="U")


def _items(
    schema: FeatureSchema, assigned: Assigned, config: DataConfig, scratch: Path, whole: Path
) -> ItemFacts:
    def batches() -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(scratch / "items.parquet") as file:
            yield from file.iter_batches(ITEM_ROWS)

    try:
        return write_item_features(
            batches,
            schema,
            assigned.train_counts > 0,
            whole,
            tokens=config.tokens,
            codebook=config.codebook,
            bins=config.numeric_bins,
            subwords=config.subwords,
        )
    except DataError as error:
        raise DataError(f"{config.name}: items, in order of their ids: {error}") from error


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
