"""Amazon Reviews 2023: files after 'Data Fields' on amazon-reviews-2023.github.io.

Reviews and products are JSON lines; the 0core CSVs have the header that the publisher's commit
'Add column head' gave them.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources import placed
from behavior_scaling.data.sources.amazon_2023 import CATEGORIES, Amazon2023

from .source_rows import events_of, items_of, values


def review(user: Any, item: Any, timestamp: Any, rating: Any = 5.0) -> dict[str, Any]:
    return {
        "rating": rating,
        "title": "Such a lovely scent",
        "text": 'A "quoted" text,\nof two lines.',
        "images": [],
        "asin": "B00YQ6X8EO",
        "parent_asin": item,
        "user_id": user,
        "timestamp": timestamp,
        "helpful_vote": 3,
        "verified_purchase": True,
    }


def product(item: Any, price: Any, **changed: Any) -> dict[str, Any]:
    known = {
        "main_category": "All Beauty",
        "title": "Howard Leather Conditioner",
        "average_rating": 4.8,
        "rating_number": 10,
        "features": [],
        "description": [],
        "price": price,
        "images": [{"thumb": "https://example.org/1.jpg"}],
        "videos": [],
        "store": "Howard Products",
        "categories": ["Beauty", "Skin Care"],
        "details": {"Brand": "Howard"},
        "parent_asin": item,
        "bought_together": None,
    }
    return known | changed


REVIEWS = [
    review("u1", "P2", 1588687728923),
    review("u1", "P1", 1588687728100, 4.0),
    review("u2", "P1", 1600000000000, 1.0),
    review("u2", "P9", 1600000001000),
]
PRODUCTS = [
    product("P1", 14.99),
    product("P2", None, title=None, main_category=None, store=None, categories=[]),
    product("P7", 3.0),
]


def lines(objects: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in objects).encode()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "amazon-2023"
    folder.mkdir()
    (folder / "All_Beauty.jsonl.gz").write_bytes(gzip.compress(lines(REVIEWS)))
    (folder / "meta_All_Beauty.jsonl").write_bytes(lines(PRODUCTS))
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def source(variant: str | None = "All_Beauty") -> Amazon2023:
    return Amazon2023(DataConfig(source="amazon-2023", variant=variant))


def test_reviews_become_events(raw: Path, work: Path) -> None:
    rows = events_of(source().load(raw, work), work)

    assert values(rows, "user_id", "item_id", "timestamp", "rating") == [
        ("u1", "P1", 1588687728, 4.0),  # .100 of the second comes before .923
        ("u1", "P2", 1588687728, 5.0),
        ("u2", "P1", 1600000000, 1.0),
        ("u2", "P9", 1600000001, 5.0),
    ]
    assert set(rows[0]) == {"user_id", "item_id", "timestamp", "rating"}  # no text, no votes


def test_products_become_items(raw: Path, work: Path) -> None:
    tables = source().load(raw, work)

    names = [name for name, _ in tables.schema.columns]
    assert names == ["main_category", "categories", "store", "price", "title"]
    assert values(items_of(tables, work), "item_id", *names) == [
        (
            "P1",
            "All Beauty",
            ["Beauty", "Skin Care"],
            "Howard Products",
            14.99,
            "Howard Leather Conditioner",
        ),
        ("P2", None, [], None, None, None),
        ("P9", None, None, None, None, None),  # reviewed, but not described; P7 the other way round
    ]


@pytest.mark.parametrize(
    ("price", "read"),
    [
        (7, 7.0),
        ("7.50", 7.5),
        ("$1,299.00", 1299.0),
        ("from 12.99", None),
        ("12.99 - 15.00", None),
        ("—", None),
        ("", None),
    ],
)
def test_prices_are_single_numbers(raw: Path, work: Path, price: Any, read: float | None) -> None:
    (raw / "meta_All_Beauty.jsonl").write_bytes(lines([product("P1", price)]))

    assert values(items_of(source().load(raw, work), work), "price")[0] == (read,)


def test_the_ratings_without_repeats(raw: Path, work: Path) -> None:
    (raw / "All_Beauty.csv.gz").write_bytes(
        gzip.compress(b"user_id,parent_asin,rating,timestamp\nu1,P1,2.0,1588687728923\n")
    )

    rows = events_of(source("All_Beauty-0core").load(raw, work), work)

    assert values(rows, "user_id", "item_id", "timestamp", "rating") == [
        ("u1", "P1", 1588687728, 2.0)
    ]


@pytest.mark.parametrize("variant", ["Beauty", "All_Beauty-5core", "All_Beauty-"])
def test_a_variant_is_one_of_the_categories(variant: str) -> None:
    assert len(set(CATEGORIES)) == 34  # the publisher's all_categories.txt: 33 and 'Unknown'
    with pytest.raises(DataError, match=rf"no variant {variant!r}; there are All_Beauty, Amaz"):
        source(variant)


@pytest.mark.parametrize(
    ("variant", "reviews"),
    [
        ("Books", "raw/review_categories/Books.jsonl.gz"),
        ("Books-0core", "benchmark/0core/rating_only/Books.csv.gz"),
    ],
)
def test_what_no_mirror_has_is_downloaded(
    raw: Path, monkeypatch: pytest.MonkeyPatch, variant: str, reviews: str
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(placed, "retrieve", lambda _, url, *rest: asked.append(url))
    assert source().fetch(raw.parent / "cache", raw.parent) == raw

    folder = source(variant).fetch(raw.parent / "cache", raw.parent)

    assert folder == raw.parent / "cache" / "amazon-2023"
    address = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_2023"
    assert asked == [
        f"{address}/{reviews}",
        f"{address}/raw/meta_categories/meta_Books.jsonl.gz",
    ]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (review("u3", "P1", "yesterday"), "row 5: timestamp is missing or no whole number"),
        (review("u3", "P1", 1600000000000, None), "row 5: rating is missing or no number"),
        (review(None, "P1", 1600000000000), "row 5: user_id is missing"),
        ({"reviewerID": "u3", "asin": "P1"}, "row 5: user_id is missing"),
    ],
)
def test_a_bad_review_is_named(raw: Path, work: Path, bad: dict[str, Any], message: str) -> None:
    (raw / "All_Beauty.jsonl.gz").write_bytes(gzip.compress(lines([*REVIEWS, bad])))

    with pytest.raises(DataError, match=rf"All_Beauty\.jsonl\.gz: .*{message}"):
        source().load(raw, work)


def test_bad_products_are_refused(raw: Path, work: Path) -> None:
    meta = raw / "meta_All_Beauty.jsonl"
    meta.write_bytes(lines([*PRODUCTS, product(None, 1.0)]))
    with pytest.raises(DataError, match=r"meta_All_Beauty\.jsonl: .*row 4: parent_asin is missing"):
        source().load(raw, work)
    meta.write_bytes(lines([product("P1", 1.0, categories="Beauty")]))
    with pytest.raises(DataError, match=r"meta_All_Beauty\.jsonl: .*Expected ARRAY"):
        source().load(raw, work)


def test_damaged_and_missing_files_are_refused(raw: Path, work: Path) -> None:
    file = raw / "All_Beauty.jsonl.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    with pytest.raises(DataError, match=r"All_Beauty\.jsonl\.gz: truncated or damaged"):
        source().load(raw, work)
    file.write_bytes(gzip.compress(gzip.decompress(whole)[:-20]))
    with pytest.raises(DataError, match=r"All_Beauty\.jsonl\.gz: row 4 is no JSON"):
        source().load(raw, work)
    file.unlink()
    with pytest.raises(DataError, match=r"All_Beauty\.jsonl\.gz: no such file; fetch"):
        source().load(raw, work)
