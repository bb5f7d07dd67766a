"""MovieLens-32M: GroupLens's ml-32m.zip, read after its README.

Choices: see movielens.py. Ratings come in half stars; tags.csv and links.csv are not used.
"""

from __future__ import annotations

from pathlib import Path

from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.sources.movielens import CITATION, LICENCE, MovieLensZip
from behavior_scaling.data.sources.staging import delimited

MEMBERS = ("ml-32m/ratings.csv", "ml-32m/movies.csv")
RATINGS = {"userId": "BIGINT", "movieId": "BIGINT", "rating": "DOUBLE", "timestamp": "BIGINT"}
MOVIES = {"movieId": "BIGINT", "title": "VARCHAR", "genres": "VARCHAR"}


class MovieLens32m(MovieLensZip):
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

    members = MEMBERS

    def ratings(self, file: Path) -> str:
        """See MovieLensZip."""
        named = 'SELECT userId AS "user", movieId AS movie, rating, timestamp AS time'
        return f"({named} FROM {delimited(file, RATINGS)})"

    def movies(self, file: Path) -> str:
        """See MovieLensZip."""
        return f"(SELECT movieId AS movie, * FROM {delimited(file, MOVIES)})"
