"""Retailrocket: what visitors of a web shop viewed, put into the cart and bought, all hashed.

Choices: an item's properties are each its first value in time, whatever later snapshots say; a
property becomes one token a word of its value, 'property=word', those of short values first (a
value of one word is a category, one of many is a text). The category's ancestors come from the
category tree. The catalogue is every item of the events, also those without properties. A
transaction's number is not used; sessions are found by the study's gap of silence.
"""

from __future__ import annotations

from pathlib import Path

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.engine import parquet
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.sources.placed import find_placed
from behavior_scaling.data.sources.staging import delimited, earliest, stage, within_second
from behavior_scaling.data.tables import FeatureSchema, Query, Tables

WORDS = 128  # of an item's properties that are kept; a study's T is smaller
_PROPERTIES = {
    "timestamp": "BIGINT",
    "itemid": "BIGINT",
    "property": "VARCHAR",
    "value": "VARCHAR",
}
FILES = {
    "events.csv": {
        "timestamp": "BIGINT",
        "visitorid": "BIGINT",
        "event": "VARCHAR",
        "itemid": "BIGINT",
        "transactionid": "BIGINT",
    },
    "item_properties_part1.csv": _PROPERTIES,
    "item_properties_part2.csv": _PROPERTIES,
    "category_tree.csv": {"categoryid": "BIGINT", "parentid": "BIGINT"},
}
SCHEMA = FeatureSchema(
    (("category", "categorical"), ("ancestors", "multi"), ("properties", "multi")),
    (("event_type", "categorical"),),
)


class RetailRocket:
    """Events of four and a half months of 2015 (the publisher's description)."""

    info = SourceInfo(
        name="retailrocket",
        version="ecommerce-dataset",
        origin="https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset",
        licence="unchecked: CC BY-NC-SA 4.0 by report; read its Kaggle page",
        citation=(
            "R. Zykov, A. Noskov and A. Anokhin (2022). Retailrocket recommender system dataset. "
            "Kaggle. doi 10.34740/kaggle/dsv/4471234"
        ),
        verified="format tested",
        schema="the Kaggle page's 'Content'",
        manual=(
            "Download and unpack kaggle.com/datasets/retailrocket/ecommerce-dataset with your "
            "Kaggle account."
        ),
    )

    def __init__(self, config: DataConfig) -> None: ...

    def fetch(self, cache: Path, mirror: Path | None) -> Path:
        """Find the files; see Source.fetch."""
        return find_placed(self.info, [(name,) for name in FILES], cache, mirror)

    def load(self, raw: Path, work: Path) -> Tables:
        """Read the files; see Source.load."""
        staged = {
            name: stage(
                raw / name,
                f"SELECT * FROM {delimited(raw / name, columns)}",
                work,
                Path(name).stem,
            )
            for name, columns in FILES.items()
        }
        events, first, second, tree = staged.values()
        return Tables(
            Query(
                "SELECT visitorid AS user_id, itemid AS item_id, timestamp // 1000 AS timestamp, "
                f"event AS event_type, {within_second('timestamp')} FROM {parquet([events])}",
                (events,),
            ),
            Query(_items(events, (first, second), tree), (events, first, second, tree)),
            SCHEMA,
        )


def _items(events: Path, properties: tuple[Path, ...], tree: Path) -> str:
    """The items of the events, each with its properties' first values."""
    return f"""
    WITH RECURSIVE properties AS (
        SELECT itemid, property, {earliest("value", "timestamp")} AS value
        FROM {parquet(properties)} GROUP BY itemid, property
    ),
    tree AS (SELECT * FROM {parquet([tree])} WHERE parentid IS NOT NULL),
    paths AS (
        SELECT categoryid, parentid, [parentid] AS ancestors FROM tree
        UNION ALL
        SELECT paths.categoryid, tree.parentid, list_append(ancestors, tree.parentid)
        FROM paths JOIN tree ON paths.parentid = tree.categoryid
        WHERE NOT list_contains(ancestors, tree.parentid)
    ),
    categories AS (
        SELECT categoryid::VARCHAR AS category,
            arg_max(ancestors, len(ancestors))::VARCHAR[] AS ancestors
        FROM paths GROUP BY categoryid
    ),
    texts AS (
        SELECT itemid, property, string_split(value, ' ') AS split FROM properties
        WHERE property NOT IN ('categoryid', 'available')
    ),
    words AS (
        SELECT itemid, property, len(split) AS n_words, unnest(split) AS word,
            generate_subscripts(split, 1) AS place
        FROM texts
    ),
    tokens AS (
        SELECT itemid, list(property || '=' || word ORDER BY n_words, property, place) AS tokens
        FROM words GROUP BY itemid
    ),
    items AS (SELECT DISTINCT itemid FROM {parquet([events])})
    SELECT items.itemid AS item_id, own.value AS category, ancestors,
        tokens[:{WORDS}] AS properties
    FROM items
    LEFT JOIN properties AS own ON items.itemid = own.itemid AND own.property = 'categoryid'
    LEFT JOIN categories ON own.value = categories.category
    LEFT JOIN tokens ON items.itemid = tokens.itemid
    """
