"""MovieLens-1M: GroupLens's ml-1m.zip, read after its README.

Choices: see movielens.py. Fields are separated by '::' and never quoted, text is Latin-1; the
users' attributes (users.dat) are not used.
"""

from __future__ import annotations

from pathlib import Path

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.sources.archive import unpack
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.sources.movielens import CITATION, LICENCE, fetch_zip, load_movies
from behavior_scaling.data.sources.staging import delimited
from behavior_scaling.data.tables import Tables

MEMBERS = ("ml-1m/ratings.dat", "ml-1m/movies.dat")
RATINGS = {"user": "BIGINT", "movie": "BIGINT", "rating": "DOUBLE", "time": "BIGINT"}
MOVIES = {"movie": "BIGINT", "title": "VARCHAR", "genres": "VARCHAR"}


class MovieLens1m:
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

    def __init__(self, config: DataConfig) -> None: ...

    def fetch(self, cache: Path, mirror: Path | None) -> Path:
        """Get the zip archive; see Source.fetch."""
        return fetch_zip(self.info, cache, mirror)

    def load(self, raw: Path, work: Path) -> Tables:
        """Read the archive; see Source.load."""
        unpack(raw, dict.fromkeys(MEMBERS), work)
        ratings, movies = (work / Path(member).name for member in MEMBERS)
        return load_movies(
            (ratings, _records(ratings, RATINGS)), (movies, _records(movies, MOVIES)), work
        )


def _records(file: Path, columns: dict[str, str]) -> str:
    return delimited(file, columns, delimiter="::", header=False, quote="", encoding="latin-1")
