"""Checks of feature values: every refusal names row and item; canonical forms and their digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from behavior_scaling.data import item_measure
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.hash_set import HashSet
from behavior_scaling.data.item_features import write_item_features
from behavior_scaling.data.tables import FeatureSchema

from .item_arrays import token, write

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("numeric", [1.0, 1e308], r"x: row 2: 1e\+308 is beyond 1e30: leave the value out \(item_"),
        ("numeric", [None, -2e30], r"x: row 2: -2e\+30 is beyond 1e30"),
        ("numeric", [INF, 1.0], r"x: row 1: inf is not finite; leave the value out \(item_id 'a'"),
        ("numeric", ["1", "dear"], r"x: row 2: 'dear' is not a number \(item_id 'b'\)"),
        ("numeric", ["nan", "1"], r"x: row 1: 'nan' is not finite"),
        ("numeric", [None, [1.0]], r"x: row 2: \[1.0\] is not a number"),
        ("multi", [None, "a, b"], r"x: row 2: 'a, b' is not a list of values; split it"),
        ("multi", [[["a"]], None], r"x: row 1: \[\['a'\]\] is a list of lists"),
        ("text", [None, 7], r"x: row 2: 7 is not text"),
        ("text", [["a"], None], r"x: row 1: \['a'\] is not text"),
        ("categorical", [["a"], None], r"x: row 1: \['a'\] is a list of values: .* 'multi'"),
        ("vector", [[1.0, 2.0], [1.0]], r"x: row 2: the vector has 1 entries, others have 2"),
        ("vector", [[1.0, NAN], [1.0, 2.0]], r"x: row 1: the vector has an entry that is missing"),
        ("vector", [[1.0, 2.0], [None, 2.0]], r"x: row 2: the vector has an entry that is missing"),
        ("vector", [[1.0], [1e31]], r"x: row 2: the vector has an entry beyond 1e30"),
        ("vector", [None, []], r"x: row 2: the vector is empty; leave the value out"),
        ("vector", ["a", None], r"x: row 1: 'a' is not a list of numbers"),
        ("vector", [["a"], None], r"x: row 1: \['a'\] is not a list of numbers"),
        ("categorical", [{"a": 1}, None], r"x: values of the type struct.* cannot be read as cat"),
        ("categorical", [b"\xff", None], r"x: values of the type binary cannot be read as cat"),
        ("vector", [None, None], r"x: no item has a vector; leave the column out"),
    ],
)
@pytest.mark.parametrize("rows", [1, 2])
def test_what_cannot_be_used_is_refused(
    tmp_path: Path, kind: str, values: list[Any], message: str, rows: int
) -> None:
    """Rows count from 1 over all batches."""
    with pytest.raises(DataError, match=message):
        write(tmp_path, {"item_id": ["a", "b"], "x": values}, {"x": kind}, rows=rows)


def test_a_column_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"column 'prize' is missing; there are \['item_id', 'x'\]"):
        write(tmp_path, {"item_id": ["a"], "x": [1.0]}, {"prize": "numeric"})


def test_more_items_than_were_announced_are_noticed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 items were announced, 2 were given"):
        write(tmp_path, {"x": [1.0, 2.0]}, {"x": "numeric"}, trained=[True] * 3)


def test_vectors_of_too_many_items_are_refused(tmp_path: Path) -> None:
    """Codes are 32 bits: three columns of a billion items do not fit, and nothing is read."""
    schema = FeatureSchema((("a", "vector"), ("b", "vector"), ("c", "vector")))
    trained = np.broadcast_to(np.True_, 10**9)
    with pytest.raises(DataError, match="3 columns of vectors for 1,000,000,000 items need more"):
        write_item_features(
            lambda: iter(()), schema, trained, tmp_path, tokens=1, codebook=256, bins=2, subwords=0
        )


def test_values_become_canonical(tmp_path: Path) -> None:
    """Stripped; empty is missing; categories are text whatever their type."""
    result = write(
        tmp_path,
        {
            "whole": [3, None],
            "float": [3.0, NAN],
            "yes": pa.array([" y ", "  "]).dictionary_encode(),
            "tags": [[" a", "", None, "b "], ["", None]],
            "price": [" 2.5 ", ""],
            "exact": [Decimal("1.5"), None],
        },
        {
            "whole": "categorical",
            "float": "categorical",
            "yes": "categorical",
            "tags": "multi",
            "price": "numeric",
            "exact": "numeric",
        },
        tokens=9,
    )
    texts = ["whole=3", "float=3", "yes=y", "tags=a", "tags=b", "price=bin 0", "exact=bin 0"]
    assert result.item(0) == [(token(text), 1) for text in texts]
    names = ("whole", "float", "yes", "tags", "price", "exact")
    assert result.item(1) == [(token(f"{name}=<missing>"), 1) for name in names]
    assert set(result.facts.missing.values()) == {0.5}


BASE: dict[str, Any] = {
    "item_id": [1, 2, 3],
    "brand": ["a", "bc", None],
    "tags": [["x", "y"], None, ["z"]],
    "price": [0.0, None, 2.5],
    "title": ["Old Lamp", "lamp", None],
    "image": [[1.0, 2.0], None, [0.0, 4.0]],
}
KINDS = {
    "brand": "categorical",
    "tags": "multi",
    "price": "numeric",
    "title": "text",
    "image": "vector",
}


def _digest(folder: Path, change: Mapping[str, Sequence[Any] | pa.Array], **more: Any) -> str:
    return write(folder, {**BASE, **change}, more.pop("kinds", KINDS), **more).facts.digest


@pytest.mark.parametrize(
    "change",
    [
        {"item_id": pa.array([1, 2, 3], pa.int32())},
        {"brand": [" a", "bc ", ""]},
        {"brand": pa.array(["a", "bc", None]).dictionary_encode()},
        {"price": pa.array([-0.0, NAN, 2.5], pa.float32())},
        {"price": ["0", None, "2.50"]},
        {"title": ["Old Lamp ", "lamp", " "]},
        {"tags": pa.array([["x", "y"], [], ["z", ""]], pa.large_list(pa.string()))},
        {"image": pa.array([[1, 2], None, [-0.0, 4]], pa.list_(pa.float32(), 2))},
    ],
)
def test_the_digest_is_that_of_the_values(
    tmp_path: Path, change: dict[str, Sequence[Any] | pa.Array]
) -> None:
    """Types, blanks, and the kind of missing value do not matter."""
    assert _digest(tmp_path / "a", change) == _digest(tmp_path / "b", {})


@pytest.mark.parametrize(
    "change",
    [
        {"item_id": [1, 2, 4]},
        {"item_id": ["1", "2", "3"]},
        {"brand": ["ab", "c", None]},
        {"brand": ["a", None, "bc"]},
        {"tags": [["x"], ["y"], ["z"]]},
        {"tags": [["xy"], None, ["z"]]},
        {"price": [0.0, None, 2.4999999999999996]},
        {"price": [0.0, 2.5, None]},
        {"title": ["Old lamp", "lamp", None]},
        {"image": [[1.0, 2.0], [0.0, 4.0], None]},
        {"image": [[1.0, 2.0], None, [0.0, 5.0]]},
    ],
)
def test_the_digest_tells_values_apart(tmp_path: Path, change: dict[str, Sequence[Any]]) -> None:
    """Also those that differ in where one value ends and the next begins."""
    assert _digest(tmp_path / "a", change) != _digest(tmp_path / "b", {})


def test_the_digest_names_columns_and_kinds_and_no_choice_of_a_study(tmp_path: Path) -> None:
    plain = _digest(tmp_path / "a", {})
    assert _digest(tmp_path / "b", {}, rows=1, tokens=9, bins=2, codebook=256, subwords=3) == plain
    assert _digest(tmp_path / "c", {}, kinds={**KINDS, "title": "categorical"}) != plain
    assert _digest(tmp_path / "d", {}, trained=[True, False, False]) == plain


def test_any_slices_give_the_same_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of a few bytes, of one row, or one for all."""
    whole = write(tmp_path / "a", BASE, KINDS, subwords=3, tokens=20)
    monkeypatch.setattr(item_measure, "SLICE_BYTES", 1)
    sliced = write(tmp_path / "b", BASE, KINDS, subwords=3, tokens=20)
    assert sliced.facts == whole.facts
    names = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert names == sorted(file.name for file in (tmp_path / "b").iterdir())
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


@pytest.mark.parametrize("copies", [1, 2, 3])
@pytest.mark.parametrize("waiting", [1, 5, 10_000])
def test_hashes_are_counted_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, copies: int, waiting: int
) -> None:
    """Against a bag of Python integers, however often the parts are merged."""
    monkeypatch.setattr("behavior_scaling.data.hash_set.WAITING", waiting)
    rng = np.random.default_rng(0)
    added = [rng.integers(0, 40, rng.integers(0, 8), dtype=np.uint64) for _ in range(12)]
    counted = HashSet(copies)
    for part in added:
        counted.add(part)
    whole = np.concatenate(added).tolist()
    asked = np.arange(40, dtype=np.uint64)
    assert counted.often(asked).tolist() == [whole.count(h) >= copies for h in range(40)]
    kept = [h for h in range(40) for _ in range(min(copies, whole.count(h)))]
    assert counted.all().tolist() == kept
    assert not HashSet(copies).often(asked).any()
