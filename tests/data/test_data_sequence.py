"""The sorted stream: repeats, sessions and features, whatever the batches it comes in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from behavior_scaling.data.npy import NpyWriter, pieces
from behavior_scaling.data.sequence import write_sequences

FEATURES = (("amount", "numeric"), ("channel", "categorical"))


def rows(seed: int, count: int, session: bool) -> dict[str, list[Any]]:
    """Sorted events with many ties and repeats."""
    rng = np.random.default_rng(seed)
    made = {
        "user": np.sort(rng.integers(5, size=count)),
        "timestamp": rng.integers(8, size=count),
        "item": rng.integers(3, size=count),
        "amount": rng.choice([np.nan, 1.0, -0.0, 0.0], size=count),
        "channel": rng.choice(np.array(["web", "shop", None]), size=count),
        "session": rng.integers(2, size=count),
    }
    order = np.lexsort((made["timestamp"], made["user"]))
    table = {name: values[order].tolist() for name, values in made.items()}
    if not session:
        del table["session"]
    return table


def batches(table: dict[str, list[Any]], size: int) -> Iterator[pa.RecordBatch]:
    types = {"amount": pa.float64(), "channel": pa.string()}
    whole = pa.table(
        {name: pa.array(values, types.get(name, pa.int64())) for name, values in table.items()}
    )
    yield from whole.to_batches(max_chunksize=size)


def expected(table: dict[str, list[Any]], gap: int) -> dict[str, list[Any]]:
    """The rule, line by line, in plain Python."""
    names = list(table)
    seen: set[tuple[Any, ...]] = set()
    found: dict[str, list[Any]] = {name: [] for name in (*names, "number")}
    last: dict[str, Any] = {}
    number = -1
    for line in zip(*table.values(), strict=True):
        event = dict(zip(names, line, strict=True))
        key = tuple("nan" if v != v else v for v in line)
        if key in seen:
            continue
        seen.add(key)
        fresh = not last or last["user"] != event["user"]
        if "session" in event:
            fresh = fresh or last["session"] != event["session"]
        else:
            fresh = fresh or event["timestamp"] - last["timestamp"] > gap
        number += fresh
        last = event
        for name, value in event.items():
            found[name].append(value)
        found["number"].append(number)
    return found


@pytest.mark.parametrize("session", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_any_batching_gives_what_the_rule_gives(tmp_path: Path, size: int, session: bool) -> None:
    table = rows(0, 300, session)
    want = expected(table, gap=1)
    folder, scratch = tmp_path / "d", tmp_path / "s"
    for made in (folder, scratch):
        made.mkdir()

    found = write_sequences(batches(table, size), 5, FEATURES, 1, folder, scratch)

    read = {p.stem: np.load(p) for d in (folder, scratch) for p in d.glob("*.npy")}
    assert read["items"].tolist() == want["item"]
    assert read["times"].tolist() == want["timestamp"]
    assert read["sessions"].tolist() == want["number"]
    assert np.array_equal(read["event_0"], np.array(want["amount"]), equal_nan=True)
    words = [*found.words["channel"].number, None]
    assert [words[code] for code in read["event_1"]] == want["channel"]
    assert found.offsets.tolist() == [want["user"].index(u) for u in range(5)] + [len(want["user"])]
    assert found.dropped == 300 - len(want["user"]) > 0


def test_pieces_are_what_was_written(tmp_path: Path) -> None:
    flat, wide = tmp_path / "flat.npy", tmp_path / "wide.npy"
    with NpyWriter(flat, "<i4") as one, NpyWriter(wide, "<u2", 3) as three:
        for first in (0, 4, 5):
            one.append(np.arange(first, first + 2))
            three.append(np.arange(6).reshape(2, 3))

    assert np.load(flat, allow_pickle=False).tolist() == [0, 1, 4, 5, 5, 6]
    assert np.load(wide, mmap_mode="r").shape == (6, 3)
    assert [piece.tolist() for piece in pieces(flat, 4)] == [[0, 1, 4, 5], [5, 6]]
    assert np.concatenate(list(pieces(wide, 5))).tolist() == np.load(wide).tolist()


def test_an_interrupted_file_is_no_array(tmp_path: Path) -> None:
    def interrupted() -> None:
        with NpyWriter(tmp_path / "a.npy", "<i4") as writer:
            writer.append(np.arange(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    with pytest.raises(ValueError, match=r"magic|pickle|Cannot load"):
        np.load(tmp_path / "a.npy", allow_pickle=False)
