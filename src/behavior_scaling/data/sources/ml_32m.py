"""MovieLens-32M: GroupLens's ml-32m.zip, read after its README.

Choices: see movielens.py. Ratings come in half stars; tags.csv and links.csv are not used.
"""

from __future__ import annotations

from pathlib import Path

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.sources.archive import unpack
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.sources.movielens import CITATION, LICENCE, fetch_zip, load_movies
from behavior_scaling.data.sources.staging import delimited
from behavior_scaling.data.tables import Tables

MEMBERS = ("ml-32m/ratings.csv", "ml-32m/movies.csv")
RATINGS = {"userId": "BIGINT", "movieId": "BIGINT", "rating": "DOUBLE", "timestamp": "BIGINT"}
MOVIES = {"movieId": "BIGINT", "title": "VARCHAR", "genres": "VARCHAR"}


class MovieLens32m:
    """Ratings of 87,585 movies by 200,948 users, January 1995 to October 2023 (its README)."""

    info = SourceInfo(
        name="ml-32m",
        version="generated 2023-10-13",
        origin="https://files.grouplens.org/datasets/movielens/ml-32m.zip",
        licence=LICENCE,
        citation=CITATION,
        verified="format tested",
        schema="https://files.grouplens.org/datasets/movielens/ml-32m-README.html",
    )

    def __init__(self, config: DataConfig) -> None: ...

    def fetch(self, cache: Path, mirror: Path | None) -> Path:
        """Get the zip archive; see Source.fetch."""
        return fetch_zip(self.info, cache, mirror)

    def load(self, raw: Path, work: Path) -> Tables:
        """Read the archive; see Source.load."""
        unpack(raw, dict.fromkeys(MEMBERS), work)
        ratings, movies = (work / Path(member).name for member in MEMBERS)
        named = 'SELECT userId AS "user", movieId AS movie, rating, timestamp AS time'
        return load_movies(
            (ratings, f"({named} FROM {delimited(ratings, RATINGS)})"),
            (movies, f"(SELECT movieId AS movie, * FROM {delimited(movies, MOVIES)})"),
            work,
        )
