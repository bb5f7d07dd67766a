"""Feature tokens by hand: hashing, bins, rare words, priorities, missing values, cold items."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from behavior_scaling.data.features import code_of, knots_of, letter_runs, words

from .item_arrays import Made, token, write

Make = Callable[..., Made]


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """Write features into folders of their own."""
    count = iter(range(100))

    def make(columns: dict[str, Any], kinds: dict[str, str], **more: Any) -> Made:
        return write(tmp_path / str(next(count)), columns, kinds, **more)

    return make


def test_the_hash_is_a_published_one() -> None:
    # b2sum -l 64 of "genre=Drama", read as a little-endian integer.
    assert hashlib.blake2b(b"genre=Drama", digest_size=8).hexdigest() == "76bdee695a17c4f0"
    assert code_of("genre=Drama", 65536) == int.from_bytes(
        bytes.fromhex("76bdee695a17c4f0")[:2], "little"
    )


def test_tokens_by_hand(made: Make) -> None:
    result = made(
        {
            "genre": ["Drama", "War"],
            "tags": [["old", "slow"], ["new"]],
            "title": ["The End, the END!", "M*A*S*H"],
        },
        {"genre": "categorical", "tags": "multi", "title": "text"},
    )

    assert result.item(0) == [
        (token("genre=Drama"), 1),
        (token("tags=old"), 1),
        (token("tags=slow"), 1),
        (token("title=the"), 2),
        (token("title=end"), 2),
    ]
    initials = [(token(f"title={letter}"), 1) for letter in "mash"]
    assert result.item(1) == [(token("genre=War"), 1), (token("tags=new"), 1), *initials]
    assert result.facts.vocabulary == {
        "tokens": 11,
        "codes": 11,
        "tokens_per_item": 5.5,
        "cut_items": 0,
    }


def test_words_are_those_of_the_unicode_rule() -> None:
    """The quick way for ASCII and the general rule agree on every ASCII character, and beyond."""
    text = "".join(f"a{chr(code)}Bc_9{chr(code)} " for code in range(128))
    assert words(text) == re.findall(r"\w+", text.lower())
    assert words("Café-Crème Straße 北京 naïve") == ["café", "crème", "straße", "北京", "naïve"]


def test_what_exceeds_t_is_cut_from_the_end(made: Make) -> None:
    columns = {"title": ["one two three"], "genre": ["Drama"]}

    text_last = made(columns, {"genre": "categorical", "title": "text"}, tokens=3)
    text_first = made(columns, {"title": "text", "genre": "categorical"}, tokens=3)

    genre, one, two, three = (
        token(t) for t in ("genre=Drama", "title=one", "title=two", "title=three")
    )
    assert [code for code, _ in text_last.item(0)] == [genre, one, two]
    assert [code for code, _ in text_first.item(0)] == [one, two, three]
    vocabulary = text_last.facts.vocabulary
    assert vocabulary["cut_items"] == 1
    assert vocabulary["tokens"] == 3, "what was cut is not counted"
    assert vocabulary["tokens_per_item"] == 3


def test_a_repeat_beyond_the_cut_still_counts(made: Make) -> None:
    result = made({"title": ["a b c a"]}, {"title": "text"}, tokens=2)

    assert result.item(0) == [(token("title=a"), 2), (token("title=b"), 1)]


def test_missing_values_have_a_token_of_their_own(made: Make) -> None:
    result = made(
        {"genre": [None, "x"], "tags": [[], ["y"]], "year": [np.nan, 1.0], "title": ["?!", "z"]},
        {"genre": "categorical", "tags": "multi", "year": "numeric", "title": "text"},
    )

    columns = ("genre", "tags", "year", "title")
    assert result.item(0) == [(token(f"{name}=<missing>"), 1) for name in columns]
    assert result.facts.missing == {"genre": 0.5, "tags": 0.5, "year": 0.5, "title": 0.0}


def test_numbers_lie_between_two_knots(made: Make) -> None:
    # Quantiles 0, 1/2, 1 of 0, 1, 2, 6, 10 are 0, 2, 10.
    values = [0.0, 1.0, 2.0, 6.0, 10.0, 4.0, -5.0, 99.0]
    result = made({"price": values}, {"price": "numeric"}, trained=[True] * 5 + [False] * 3)

    bins = [token(f"price=bin {k}") for k in range(3)]
    assert result.item(0) == [(bins[0], 1)]
    assert result.item(1) == [(bins[0], 0.5), (bins[1], 0.5)]
    assert result.item(2) == [(bins[1], 1)]
    assert result.item(3) == [(bins[1], 0.5), (bins[2], 0.5)]
    assert result.item(4) == [(bins[2], 1)]
    assert result.item(5) == [(bins[1], 0.75), (bins[2], 0.25)]
    assert result.item(6) == [(bins[0], 1)], "below the knots: the outermost"
    assert result.item(7) == [(bins[2], 1)], "above the knots: the outermost"


def test_an_outlier_moves_no_other_number(made: Make) -> None:
    """1e30 among the training items takes the last knot; the bins below stay where they were."""
    values = [float(k) for k in range(100)]
    plain = made({"price": values}, {"price": "numeric"}, bins=5)
    wild = made({"price": [*values[:-1], 1e30]}, {"price": "numeric"}, bins=5)

    last = token("price=bin 4")
    assert [wild.item(k) for k in range(74)] == [plain.item(k) for k in range(74)]
    assert wild.item(99) == [(last, 1)]
    for row in range(75, 99):  # all but at the knot before
        assert dict(wild.item(row)).get(last, 0.0) < 1e-27
    cold = made(
        {"price": [*values, 1e30, -1e30]}, {"price": "numeric"}, trained=[True] * 100 + [False] * 2,
        bins=5,
    )  # fmt: skip
    assert cold.item(100) == [(last, 1)]
    assert cold.item(101) == [(token("price=bin 0"), 1)]
    assert [cold.item(k) for k in range(100)] == [plain.item(k) for k in range(100)]


def test_knots_merge_where_quantiles_coincide() -> None:
    assert knots_of(np.array([1.0, 1.0, 1.0, 1.0, 5.0, np.nan]), 5).tolist() == [1, 5]
    assert knots_of(np.array([np.nan]), 5).tolist() == []


def test_knots_next_to_each_other_divide_nothing_by_zero(made: Make) -> None:
    least = math.ulp(0.0)
    result = made({"x": [0.0, least, 1.0]}, {"x": "numeric"}, trained=[True, True, False], bins=2)

    assert [result.item(k) for k in range(3)] == [[(token(f"x=bin {k}"), 1)] for k in (0, 1, 1)]


def test_one_distinct_number_is_one_bin(made: Make) -> None:
    result = made({"price": [3.0, 3.0, 7.0]}, {"price": "numeric"}, trained=[True, True, False])

    assert [result.item(k) for k in range(3)] == [[(token("price=bin 0"), 1)]] * 3


def test_numbers_without_training_items_are_missing(made: Make) -> None:
    result = made({"price": [3.0]}, {"price": "numeric"}, trained=[False])

    assert result.item(0) == [(token("price=<missing>"), 1)]
    assert result.facts.missing == {"price": 0.0}, "the value is there"


def test_letter_runs_by_hand() -> None:
    assert letter_runs("word", 4) == ["<wor", "word", "ord>"]
    assert letter_runs("a", 4) == ["<a>"]
    assert letter_runs("ab", 4) == ["<ab>"]


def test_a_rare_word_is_given_by_its_letters_too(made: Make) -> None:
    """'red' is in two training items; 'lamp' in one, twice; 'lamps' only in a cold one."""
    result = made(
        {"title": ["red lamp lamp", "red", "lamps red"], "kind": ["x", "y", "z"]},
        {"title": "text", "kind": "categorical"},
        trained=[True, True, False],
        tokens=12,
        subwords=4,
    )

    assert result.item(1) == [(token("title=red"), 1), (token("kind=y"), 1)]
    assert result.item(0) == [
        (token("title=red"), 1),
        (token("title=lamp"), 2),
        (token("kind=x"), 1),
        *((token(f"title~{run}"), 2) for run in ("<lam", "lamp", "amp>")),
    ], "after the whole tokens of every column"
    assert result.item(2) == [
        (token("title=lamps"), 1),
        (token("title=red"), 1),
        (token("kind=z"), 1),
        *((token(f"title~{run}"), 1) for run in ("<lam", "lamp", "amps", "mps>")),
    ], "shares two runs with 'lamp'"


def test_letters_are_cut_first(made: Make) -> None:
    columns = {"title": ["lamp"], "note": ["old lamp"], "kind": ["x"]}
    kinds = {"title": "text", "note": "text", "kind": "categorical"}
    result = made(columns, kinds, tokens=6, subwords=4)

    wanted = ["title=lamp", "note=old", "note=lamp", "kind=x", "title~<lam", "title~lamp"]
    assert [code for code, _ in result.item(0)] == [token(text) for text in wanted]
    none = made(columns, kinds, tokens=6, subwords=0)
    assert [code for code, _ in none.item(0)] == [token(text) for text in wanted[:4]]


def test_words_of_one_column_are_not_those_of_another(made: Make) -> None:
    """A word counts by column: two items carry 'lamp', but none in the same column."""
    result = made(
        {"title": ["lamp", None], "note": [None, "lamp"]},
        {"title": "text", "note": "text"},
        subwords=9,
    )

    assert (token("title~<lamp>"), 1) in result.item(0)
    assert (token("note~<lamp>"), 1) in result.item(1)


def test_collisions_are_reported(made: Make) -> None:
    """500 values in 256 codes: codes are fewer than tokens, and the number is that of hashlib."""
    values = [f"v{k}" for k in range(500)]
    result = made({"id": values}, {"id": "categorical"}, codebook=256)

    vocabulary = result.facts.vocabulary
    assert vocabulary["tokens"] == 500
    assert vocabulary["codes"] == len({token(f"id={value}", 256) for value in values}) < 256.5


def test_cold_items_change_no_training_item(made: Make) -> None:
    """Words, knots, scale of numbers and vectors come from training items alone."""
    trained = np.arange(60) % 3 > 0
    letters = list("abcdefgh")

    def columns(seed: int) -> dict[str, Any]:
        own = np.random.default_rng(seed)

        def mixed(draw: Callable[[np.random.Generator], Any]) -> list[Any]:
            fixed = np.random.default_rng(7)
            return [draw(fixed) if warm else draw(own) for warm in trained]

        return {
            "title": mixed(lambda r: " ".join("".join(r.choice(letters, 2)) for _ in range(4))),
            "price": mixed(lambda r: float(r.normal())),
            "tags": mixed(lambda r: r.choice(letters, 2).tolist()),
            "image": mixed(lambda r: r.integers(0, 2, 3).astype(float).tolist()),
        }

    kinds = {"title": "text", "price": "numeric", "tags": "multi", "image": "vector"}
    one = made(columns(1), kinds, trained=trained, tokens=20, subwords=3)
    other = made(columns(2), kinds, trained=trained, tokens=20, subwords=3)
    for name in ("codes", "weights", "column_of_token", "numbers", "vectors_0"):
        np.testing.assert_array_equal(one[name][trained], other[name][trained])
        assert not np.array_equal(one[name][~trained], other[name][~trained]), name
    assert one["vector_scales"].tolist() == other["vector_scales"].tolist()
    assert one.facts.digest != other.facts.digest


def test_an_unseen_item_of_equal_features_is_the_same(made: Make) -> None:
    """Item 2 is cold and has the features of item 0: equal rows in every array of tokens."""
    result = made(
        {
            "title": ["old lamp", "new lamp", "old lamp"],
            "price": [1.0, 3.0, 1.0],
            "image": [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]],
        },
        {"title": "text", "price": "numeric", "image": "vector"},
        trained=[True, True, False],
        tokens=20,
        subwords=4,
    )

    assert result.item(2) == result.item(0) != result.item(1)
    assert result["numbers"][2].tolist() == result["numbers"][0].tolist()


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_a_plain_reference(made: Make, rows: int) -> None:
    """Item by item with dictionaries, for random values of every kind; any size of batches."""
    rng = np.random.default_rng(3)
    n, trained = 50, rng.random(50) < 0.6
    vocabulary = [f"w{k}" for k in range(30)]

    def maybe(value: Any) -> Any:
        return None if rng.random() < 0.2 else value

    columns = {
        "title": [maybe(" ".join(rng.choice(vocabulary, rng.integers(0, 9)))) for _ in range(n)],
        "price": [maybe(float(rng.normal())) for _ in range(n)],
        "tags": [maybe(rng.choice(vocabulary, rng.integers(0, 4)).tolist()) for _ in range(n)],
        "brand": [maybe(str(rng.choice(vocabulary))) for _ in range(n)],
    }
    kinds = {"title": "text", "price": "numeric", "tags": "multi", "brand": "categorical"}
    result = made(columns, kinds, trained=trained, rows=rows, tokens=10, bins=4, subwords=2)

    known = [p for p, t in zip(columns["price"], trained, strict=True) if t and p is not None]
    knots = np.quantile(known, [0, 1 / 3, 2 / 3, 1])
    titles = [(title or "").split() for title in columns["title"]]
    carriers = [set(title) for title, t in zip(titles, trained, strict=True) if t]
    for row in range(n):
        wanted: dict[str, float] = {}

        def add(text: str, weight: float = 1.0, into: dict[str, float] = wanted) -> None:
            into[text] = into.get(text, 0.0) + weight

        for word in titles[row] or ["<missing>"]:
            add(f"title={word}")
        price = columns["price"][row]
        if price is None:
            add("price=<missing>")
        else:
            parts = np.maximum(0, [np.interp(price, knots, np.eye(4)[k]) for k in range(4)])
            for k in np.flatnonzero(parts):
                add(f"price=bin {k}", parts[k])
        for tag in columns["tags"][row] or ["<missing>"]:
            add(f"tags={tag}")
        add(f"brand={columns['brand'][row] or '<missing>'}")
        for word in titles[row]:
            if sum(word in carried for carried in carriers) < 2:
                for run in (f"<{word}>"[at : at + 2] for at in range(len(word) + 1)):
                    add(f"title~{run}")
        pairs = list(wanted.items())[:10]
        assert [code for code, _ in result.item(row)] == [token(text) for text, _ in pairs]
        np.testing.assert_allclose([w for _, w in result.item(row)], [w for _, w in pairs], 1e-5)


@pytest.mark.parametrize("name", ["codes", "weights", "column_of_token"])
def test_shapes_and_kinds(made: Make, name: str) -> None:
    result = made({"genre": ["a", "b", "c"]}, {"genre": "categorical"}, tokens=4)

    assert result[name].shape == (3, 4)
    assert result[name].dtype == {"weights": np.float32}.get(name, np.int32)
    assert result["numbers"].shape == (3, 0)
    assert result["number_codes"].shape == (0, 2)
