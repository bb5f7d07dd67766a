"""Amazon Reviews 2023: who reviewed which product, by category, with what the shop said of it.

Choices: the variant is a category (its raw reviews) or a category and '-0core' (the publisher's
CSV of the same ratings without repeated reviews of a product). An event is a review, its rating an
event feature; the text of reviews and the votes they got later are not used. Items are parent
products, of the events alone. Their features come from one snapshot of 2023: a title or price of
that day may be younger than the review, and average ratings, which sum up the future, are left out,
as are pictures. A price that is no single number ('from 12.99', a dash) is missing.
"""

from __future__ import annotations

from pathlib import Path

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.engine import literal, parquet
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.sources.placed import Names, find_or_download, one_of
from behavior_scaling.data.sources.staging import (
    Number,
    delimited,
    json_lines,
    required,
    stage,
    within_second,
)
from behavior_scaling.data.tables import FeatureSchema, Query, Tables

ADDRESS = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_2023"
CATEGORIES = (
    "All_Beauty", "Amazon_Fashion", "Appliances", "Arts_Crafts_and_Sewing", "Automotive",
    "Baby_Products", "Beauty_and_Personal_Care", "Books", "CDs_and_Vinyl",
    "Cell_Phones_and_Accessories", "Clothing_Shoes_and_Jewelry", "Digital_Music", "Electronics",
    "Gift_Cards", "Grocery_and_Gourmet_Food", "Handmade_Products", "Health_and_Household",
    "Health_and_Personal_Care", "Home_and_Kitchen", "Industrial_and_Scientific", "Kindle_Store",
    "Magazine_Subscriptions", "Movies_and_TV", "Musical_Instruments", "Office_Products",
    "Patio_Lawn_and_Garden", "Pet_Supplies", "Software", "Sports_and_Outdoors",
    "Subscription_Boxes", "Tools_and_Home_Improvement", "Toys_and_Games", "Video_Games", "Unknown",
)  # fmt: skip
REVIEW = {
    "user_id": "VARCHAR",
    "parent_asin": "VARCHAR",
    "rating": "DOUBLE",
    "timestamp": "BIGINT",
}
PRICE = r"^\s*\$?([0-9][0-9,]*\.?[0-9]*)\s*$"
META = {
    "parent_asin": "VARCHAR",
    "title": "VARCHAR",
    "main_category": "VARCHAR",
    "store": "VARCHAR",
    "categories": "VARCHAR[]",
    "price": "VARCHAR",
}
SCHEMA = FeatureSchema(
    (
        ("main_category", "categorical"),
        ("categories", "multi"),
        ("store", "categorical"),
        ("price", "numeric"),
        ("title", "text"),
    ),
    (("rating", "numeric"),),
)


class Amazon2023:
    """Reviews of one of 34 categories, May 1996 to September 2023."""

    info = SourceInfo(
        name="amazon-2023",
        version="variants: 34 categories (default All_Beauty), each also as CATEGORY-0core",
        origin=f"{ADDRESS}/raw/review_categories/All_Beauty.jsonl.gz and "
        "raw/meta_categories/meta_All_Beauty.jsonl.gz",
        licence="none stated by the publisher; reviews and texts are Amazon's users' and sellers'",
        citation=(
            "Y. Hou, J. Li, Z. He, A. Yan, X. Chen and J. McAuley (2024). Bridging Language and "
            "Items for Retrieval and Recommendation. arXiv 2403.03952"
        ),
        verified="format tested",
        schema="https://amazon-reviews-2023.github.io/, 'Data Fields'",
    )

    def __init__(self, config: DataConfig) -> None:
        category, dash, subset = (config.variant or "All_Beauty").partition("-")
        if category not in CATEGORIES or dash + subset not in ("", "-0core"):
            raise DataError(
                f"amazon-2023: no variant {config.variant!r}; there are {', '.join(CATEGORIES)}, "
                f"and each of them with -0core"
            )
        self._deduplicated = bool(subset)
        ending = "csv" if subset else "jsonl"
        self._reviews: Names = (f"{category}.{ending}.gz", f"{category}.{ending}")
        self._meta: Names = (f"meta_{category}.jsonl.gz", f"meta_{category}.jsonl")

    def fetch(self, cache: Path, mirror: Path | None) -> Path:
        """Get the reviews and the products' file; see Source.fetch."""
        folder = "benchmark/0core/rating_only" if self._deduplicated else "raw/review_categories"
        urls = {
            self._reviews: f"{ADDRESS}/{folder}/{self._reviews[0]}",
            self._meta: f"{ADDRESS}/raw/meta_categories/{self._meta[0]}",
        }
        return find_or_download(self.info.name, urls, cache, mirror)

    def load(self, raw: Path, work: Path) -> Tables:
        """Read both files; see Source.load."""
        reviews, meta = one_of(raw, self._reviews), one_of(raw, self._meta)
        if self._deduplicated:
            rows = f"SELECT * FROM {delimited(reviews, REVIEW)}"
        else:
            rows = _raw_reviews(reviews)
        events = stage(reviews, rows, work, "events")
        products = stage(meta, _products(meta), work, "products")
        return Tables(
            Query(
                "SELECT user_id, parent_asin AS item_id, timestamp // 1000 AS timestamp, rating, "
                f"{within_second('timestamp')} FROM {parquet([events])}",
                (events,),
            ),
            Query(
                f"""
                SELECT item_id, main_category, categories, store, price, title
                FROM (SELECT DISTINCT parent_asin AS item_id FROM {parquet([events])})
                LEFT JOIN {parquet([products])} USING (item_id)
                """,
                (events, products),
            ),
            SCHEMA,
        )


def _raw_reviews(file: Path) -> str:
    numbers: dict[str, Number] = {"rating": "DOUBLE", "timestamp": "BIGINT"}
    keys = ", ".join(f"{required(key, key, numbers.get(key))} AS {key}" for key in REVIEW)
    return f"SELECT {keys} FROM {json_lines(file, dict.fromkeys(REVIEW, 'VARCHAR'))}"


def _products(file: Path) -> str:
    return f"""
    SELECT {required("parent_asin", "parent_asin")} AS item_id, main_category, categories,
        store, title,
        TRY_CAST(replace(regexp_extract(price, {literal(PRICE)}, 1), ',', '') AS DOUBLE) AS price
    FROM {json_lines(file, META)}
    """
