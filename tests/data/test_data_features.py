"""Feature tokens by hand: hashing, bins, priorities, missing values."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.data.events import FeatureSchema, check_items
from behavior_scaling.data.features import Tokens, code_of, feature_tokens, knots_of

CODEBOOK = 2**20


def made(
    columns: dict[str, list[Any]],
    kinds: dict[str, str],
    tokens: int = 6,
    bins: int = 3,
    **more: Any,
) -> Tokens:
    schema = FeatureSchema(tuple(kinds.items()))  # type: ignore[arg-type]
    n = len(next(iter(columns.values())))
    table = check_items(pd.DataFrame({"item_id": range(n), **columns}), schema, "items")
    trained = more.get("trained", np.ones(n, dtype=bool))
    return feature_tokens(table, schema, trained, tokens=tokens, codebook=CODEBOOK, bins=bins)


def token(text: str) -> int:
    """The code of a token, from hashlib alone."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % CODEBOOK


def item(result: Tokens, index: int) -> list[tuple[int, float]]:
    """Codes and weights of an item, padding left out."""
    kept = result.weights[index] > 0
    assert not result.codes[index][~kept].any()
    return list(
        zip(result.codes[index][kept].tolist(), result.weights[index][kept].tolist(), strict=True)
    )


def test_the_hash_is_a_published_one() -> None:
    # b2sum -l 64 of "genre=Drama", read as a little-endian integer.
    assert hashlib.blake2b(b"genre=Drama", digest_size=8).hexdigest() == "76bdee695a17c4f0"
    assert code_of("genre=Drama", 65536) == int.from_bytes(
        bytes.fromhex("76bdee695a17c4f0")[:2], "little"
    )


def test_tokens_by_hand() -> None:
    result = made(
        {
            "genre": ["Drama", "War"],
            "tags": [["old", "slow"], ["new"]],
            "title": ["The End, the END!", "M*A*S*H"],
        },
        {"genre": "categorical", "tags": "multi", "title": "text"},
    )

    assert item(result, 0) == [
        (token("genre=Drama"), 1),
        (token("tags=old"), 1),
        (token("tags=slow"), 1),
        (token("title=the"), 2),
        (token("title=end"), 2),
    ]
    words = [(token(f"title={letter}"), 1) for letter in "mash"]
    assert item(result, 1) == [(token("genre=War"), 1), (token("tags=new"), 1), *words]
    assert result.vocabulary == {"tokens": 11, "codes": 11, "tokens_per_item": 5.5, "cut_items": 0}


def test_what_exceeds_t_is_cut_from_the_end() -> None:
    columns = {"title": ["one two three"], "genre": ["Drama"]}

    text_last = made(columns, {"genre": "categorical", "title": "text"}, tokens=3)
    text_first = made(columns, {"title": "text", "genre": "categorical"}, tokens=3)

    genre, one, two, three = (
        token(t) for t in ("genre=Drama", "title=one", "title=two", "title=three")
    )
    assert [code for code, _ in item(text_last, 0)] == [genre, one, two]
    assert [code for code, _ in item(text_first, 0)] == [one, two, three]
    assert text_last.vocabulary["cut_items"] == 1
    assert text_last.vocabulary["tokens"] == 3  # what was cut is not counted


def test_missing_values_have_a_token_of_their_own() -> None:
    result = made(
        {"genre": [None, "x"], "tags": [[], ["y"]], "year": [np.nan, 1.0], "title": ["?!", "z"]},
        {"genre": "categorical", "tags": "multi", "year": "numeric", "title": "text"},
    )

    columns = ("genre", "tags", "year", "title")
    assert item(result, 0) == [(token(f"{name}=<missing>"), 1) for name in columns]


def test_numbers_lie_between_two_knots() -> None:
    # Quantiles 0, 1/2, 1 of 0, 1, 2, 6, 10 are 0, 2, 10.
    values = [0.0, 1.0, 2.0, 6.0, 10.0, 4.0, -5.0, 99.0]
    trained = np.array([True] * 5 + [False] * 3)
    result = made({"price": values}, {"price": "numeric"}, trained=trained)

    bins = [token(f"price=bin {k}") for k in range(3)]
    assert item(result, 0) == [(bins[0], 1)]
    assert item(result, 1) == [(bins[0], 0.5), (bins[1], 0.5)]
    assert item(result, 2) == [(bins[1], 1)]
    assert item(result, 3) == [(bins[1], 0.5), (bins[2], 0.5)]
    assert item(result, 4) == [(bins[2], 1)]
    assert item(result, 5) == [(bins[1], 0.75), (bins[2], 0.25)]
    assert item(result, 6) == [(bins[0], 1)]  # below and above the knots: the outermost
    assert item(result, 7) == [(bins[2], 1)]


def test_knots_merge_where_quantiles_coincide() -> None:
    assert knots_of(np.array([1.0, 1.0, 1.0, 1.0, 5.0, np.nan]), 5).tolist() == [1, 5]
    assert knots_of(np.array([np.nan]), 5).tolist() == []


def test_one_distinct_number_is_one_bin() -> None:
    result = made({"price": [3.0, 3.0, 7.0]}, {"price": "numeric"}, trained=np.array([1, 1, 0]) > 0)

    assert [item(result, k) for k in range(3)] == [[(token("price=bin 0"), 1)]] * 3


def test_numbers_without_training_items_are_missing() -> None:
    result = made({"price": [3.0]}, {"price": "numeric"}, trained=np.zeros(1, dtype=bool))

    assert item(result, 0) == [(token("price=<missing>"), 1)]


@pytest.mark.parametrize("name", ["codes", "weights"])
def test_shapes_and_kinds(name: str) -> None:
    result = made({"genre": ["a", "b", "c"]}, {"genre": "categorical"}, tokens=4)

    array = getattr(result, name)
    assert array.shape == (3, 4)
    assert array.dtype == {"codes": np.int32, "weights": np.float32}[name]
