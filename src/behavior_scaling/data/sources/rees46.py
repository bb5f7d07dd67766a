"""REES46: what visitors of a large multi-category shop viewed, put into the cart and bought.

Choices: the variant names the last month, the months from October 2019 to it are read (2019-Nov,
the default, gives the two months of the Kaggle data set). A product's category, brand and price
are those of its first event in time, also where a later event knows more. A few events name no
session: they share one per user.
"""

from __future__ import annotations

from pathlib import Path

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.engine import parquet
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.sources.placed import Names, find_or_download, one_of
from behavior_scaling.data.sources.staging import delimited, earliest, stage
from behavior_scaling.data.tables import FeatureSchema, Query, Tables

ADDRESS = "https://data.rees46.com/datasets/marketplace"
MONTHS = ("2019-Oct", "2019-Nov", "2019-Dec", "2020-Jan", "2020-Feb", "2020-Mar", "2020-Apr")
COLUMNS = {
    "event_time": "VARCHAR",
    "event_type": "VARCHAR",
    "product_id": "BIGINT",
    "category_id": "BIGINT",
    "category_code": "VARCHAR",
    "brand": "VARCHAR",
    "price": "DOUBLE",
    "user_id": "BIGINT",
    "user_session": "VARCHAR",
}
SCHEMA = FeatureSchema(
    (
        ("category", "multi"),
        ("brand", "categorical"),
        ("price", "numeric"),
        ("category_id", "categorical"),
    ),
    (("event_type", "categorical"), ("price", "numeric")),
)


class Rees46:
    """Events of one shop, October 2019 to April 2020."""

    info = SourceInfo(
        name="rees46",
        version=f"variants {', '.join(MONTHS)}: the last month read (default 2019-Nov)",
        origin=f"{ADDRESS}/2019-Oct.csv.gz and one file a month",
        licence="the authors'; free to use with a link to the Kaggle page and to rees46.com",
        citation=(
            "M. Kechinov, REES46 Marketing Platform (2019). eCommerce behavior data from multi "
            "category store. kaggle.com/datasets/mkechinov/"
            "ecommerce-behavior-data-from-multi-category-store"
        ),
        verified="format tested",
        schema="the Kaggle page's 'File structure' and 'How to read it'",
        manual="Kaggle's 2019-Oct.csv and 2019-Nov.csv are read as well.",
    )

    def __init__(self, config: DataConfig) -> None:
        last = config.variant or "2019-Nov"
        if last not in MONTHS:
            raise DataError(f"rees46: no variant {last!r}; there are {', '.join(MONTHS)}")
        self._months = MONTHS[: MONTHS.index(last) + 1]

    def fetch(self, cache: Path, mirror: Path | None) -> Path:
        """Get the months' files; see Source.fetch."""
        urls: dict[Names, str] = {
            _names(month): f"{ADDRESS}/{month}.csv.gz" for month in self._months
        }
        return find_or_download(self.info.name, urls, cache, mirror)

    def load(self, raw: Path, work: Path) -> Tables:
        """Read the months' files; see Source.load."""
        months = tuple(self._stage(one_of(raw, _names(month)), work) for month in self._months)
        events = parquet(months)
        return Tables(
            Query(
                "SELECT user_id, product_id AS item_id, timestamp, session_id, event_type, price, "
                f"line FROM {events}",
                months,
            ),
            Query(_items(events), months),
            SCHEMA,
        )

    def _stage(self, file: Path, work: Path) -> Path:
        return stage(
            file,
            f"""
            SELECT epoch(strptime(event_time, '%Y-%m-%d %H:%M:%S UTC'))::BIGINT AS timestamp,
                coalesce(user_session, 'none') AS session_id,
                event_type, product_id, category_id, category_code, brand, price, user_id
            FROM {delimited(file, COLUMNS)}
            """,
            work,
            file.name.split(".")[0],
        )


def _items(events: str) -> str:
    """Products, each as its first event in time describes it, missing values included."""
    named = "category_code, brand, price, category_id"
    described = "struct_pack(" + ", ".join(f"{key} := {key}" for key in named.split(", ")) + ")"
    return f"""
    SELECT item_id, string_split(described.category_code, '.') AS category,
        described.brand AS brand, described.price AS price, described.category_id AS category_id
    FROM (
        SELECT product_id AS item_id, {earliest(described, "timestamp")} AS described
        FROM {events} GROUP BY product_id
    )
    """


def _names(month: str) -> Names:
    return f"{month}.csv.gz", f"{month}.csv"
