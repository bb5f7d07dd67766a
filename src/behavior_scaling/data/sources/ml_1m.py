"""MovieLens-1M: GroupLens's ml-1m.zip, read after its README.

Choices: see movielens.py. Fields are separated by '::' and never quoted, text is Latin-1; the
users' attributes (users.dat) are not used.
"""

from __future__ import annotations

from pathlib import Path

from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.sources.movielens import CITATION, LICENCE, MovieLensZip
from behavior_scaling.data.sources.staging import delimited

MEMBERS = ("ml-1m/ratings.dat", "ml-1m/movies.dat")
RATINGS = {"user": "BIGINT", "movie": "BIGINT", "rating": "DOUBLE", "time": "BIGINT"}
MOVIES = {"movie": "BIGINT", "title": "VARCHAR", "genres": "VARCHAR"}


class MovieLens1m(MovieLensZip):
    """Ratings of some 3,900 movies by 6,040 users who joined in 2000 (its README)."""

    info = SourceInfo(
        name="ml-1m",
        version="2/2003",
        origin="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        licence=LICENCE,
        citation=CITATION,
        verified="format tested",
        schema="https://files.grouplens.org/datasets/movielens/ml-1m-README.txt",
    )

    members = MEMBERS

    def ratings(self, file: Path) -> str:
        """See MovieLensZip."""
        return _records(file, RATINGS)

    def movies(self, file: Path) -> str:
        """See MovieLensZip."""
        return _records(file, MOVIES)


def _records(file: Path, columns: dict[str, str]) -> str:
    return delimited(file, columns, delimiter="::", header=False, quote="", encoding="latin-1")
