"""Sequences: the engine's sorted rows become arrays of events, in one pass.

Choices: events are sorted by (user, time, line), so equal times keep their line order; an event
that repeats an earlier line in every canonical column is dropped; a session starts with a user,
where the source's session changes or, where it names none, after a silence. What the pass holds is
a piece of the stream and the last events of equal user and time, which the next may still repeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from behavior_scaling.data.npy import NpyWriter
from behavior_scaling.data.tables import EventKind

Columns = dict[str, NDArray[Any]]


@dataclass
class Words:
    """Values of a categorical event feature, numbered as they come; -1: missing."""

    number: dict[str, int] = field(default_factory=dict)

    def encode(self, column: pa.Array) -> NDArray[np.int32]:
        """Numbers of a column's values [n]."""
        encoded = column.dictionary_encode()
        known = [
            self.number.setdefault(word, len(self.number))
            for word in encoded.dictionary.to_pylist()
        ]
        places = pc.fill_null(encoded.indices, len(known)).to_numpy(zero_copy_only=False)
        return np.asarray(np.array([*known, -1], dtype=np.int32)[places])


@dataclass(frozen=True)
class Sequences:
    """What the pass leaves beside its files."""

    offsets: NDArray[np.int64]  # [n_users + 1] user u owns events offsets[u]:offsets[u + 1]
    words: dict[str, Words]  # of categorical event features
    dropped: int  # repeated lines

    @property
    def n_events(self) -> int:
        """Events kept."""
        return int(self.offsets[-1])


def write_sequences(
    batches: Iterable[pa.RecordBatch],
    n_users: int,
    features: tuple[tuple[str, EventKind], ...],
    gap: int,
    folder: Path,
    scratch: Path,
) -> Sequences:
    """Write items.npy, times.npy and sessions.npy, and the raw event features.

    Args:
        batches: rows sorted by (user, timestamp, line) with columns user, item, timestamp, the
            features and, where the source names sessions, session.
        n_users: users of the whole stream.
        features: event features and their kinds.
        gap: seconds of silence that end a session where the source names none.
        folder: for the three arrays of the data set.
        scratch: for event_{number}.npy, float64 or (categorical) int32 [E].
    """
    words = {name: Words() for name, kind in features if kind == "categorical"}
    counts = np.zeros(n_users, dtype=np.int64)
    sessions = last_user = last_time = -1
    last_session: Any = None
    rows = kept = 0
    with ExitStack() as stack:
        items, times, opened = (
            stack.enter_context(NpyWriter(folder / f"{name}.npy", dtype))
            for name, dtype in (("items", "<i4"), ("times", "<i8"), ("sessions", "<i4"))
        )
        raw = [
            stack.enter_context(
                NpyWriter(scratch / f"event_{number}.npy", "<i4" if name in words else "<f8")
            )
            for number, (name, _) in enumerate(features)
        ]
        for piece in _whole_ties(_numpy(batches, features, words)):
            rows += len(piece["user"])
            fresh = {name: values[~_repeats(piece)] for name, values in piece.items()}
            user, time = fresh["user"], fresh["timestamp"]
            kept += len(user)
            before = np.concatenate(([last_user], user[:-1]))
            starts = user != before
            if "session" in fresh:
                session = fresh["session"]
                first = session[:1] if last_session is None else np.array([last_session])
                starts |= session != np.concatenate((first, session[:-1]))
                last_session = session[-1]
            else:
                starts |= np.diff(time, prepend=last_time) > gap
            number = sessions + np.cumsum(starts)
            counts[user[0] : user[-1] + 1] += np.bincount(user - user[0])
            items.append(fresh["item"])
            times.append(time)
            opened.append(number)
            for writer, (name, _) in zip(raw, features, strict=True):
                writer.append(fresh[name])
            sessions, last_user, last_time = int(number[-1]), int(user[-1]), int(time[-1])
    return Sequences(np.concatenate(([0], np.cumsum(counts))), words, rows - kept)


def _numpy(
    batches: Iterable[pa.RecordBatch],
    features: tuple[tuple[str, EventKind], ...],
    words: dict[str, Words],
) -> Iterator[Columns]:
    for batch in batches:
        if not batch.num_rows:
            continue
        piece: Columns = {
            name: batch.column(name).to_numpy(zero_copy_only=False)
            for name in ("user", "item", "timestamp", "session")
            if name in batch.schema.names
        }
        for name, kind in features:
            column = batch.column(name)
            if kind == "categorical":
                piece[name] = words[name].encode(column)
            else:
                values = pc.fill_null(column, np.nan).to_numpy(zero_copy_only=False)
                piece[name] = np.where(np.isnan(values), np.nan, values + 0.0)  # no -0
        yield piece


def _whole_ties(pieces: Iterator[Columns]) -> Iterator[Columns]:
    """Pieces that never cut through events of equal user and time."""
    held: list[Columns] = []
    for piece in pieces:
        tied = _last_tie(piece)
        if tied == 0 and held and _same(held[-1], piece):
            held.append(piece)
            continue
        ready = [*held, {name: values[:tied] for name, values in piece.items()}]
        held = [{name: values[tied:] for name, values in piece.items()}]
        if sum(len(part["user"]) for part in ready):
            yield _joined(ready)
    if held:
        yield _joined(held)


def _joined(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _same(earlier: Columns, later: Columns) -> bool:
    return bool(
        len(earlier["user"])
        and earlier["user"][-1] == later["user"][0]
        and earlier["timestamp"][-1] == later["timestamp"][0]
    )


def _last_tie(piece: Columns) -> int:
    """Where the last events of equal user and time begin."""
    other = (piece["user"] != piece["user"][-1]) | (piece["timestamp"] != piece["timestamp"][-1])
    differing = np.flatnonzero(other)
    return int(differing[-1]) + 1 if len(differing) else 0


def _repeats(piece: Columns) -> NDArray[np.bool_]:
    """Which events repeat an earlier one of the piece in every column [n]."""
    user, time = piece["user"], piece["timestamp"]
    repeated = np.zeros(len(user), dtype=bool)
    level = (user[1:] == user[:-1]) & (time[1:] == time[:-1])  # with the event before it
    tied = np.flatnonzero(np.concatenate(([False], level)) | np.concatenate((level, [False])))
    if not len(tied):
        return repeated
    run = np.cumsum(np.concatenate(([True], ~level)))[tied]
    keys = [_bits(piece[name][tied]) for name in piece if name not in ("user", "timestamp")]
    order = np.lexsort((*keys, run))  # stable: an earlier line comes first
    again = np.ones(len(order) - 1, dtype=bool)
    for key in (run, *keys):
        again &= key[order[1:]] == key[order[:-1]]
    repeated[tied[order[1:][again]]] = True
    return repeated


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    """Values as integers, so that a missing number equals a missing number."""
    return values.view(np.int64) if values.dtype == np.float64 else values
