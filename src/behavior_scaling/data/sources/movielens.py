"""What the MovieLens releases share: a zip archive of ratings and movies, its terms, its citation.

Choices: an event is that a user rated a movie, its rating an event feature; a movie's year stands
at the end of its title and becomes a feature of its own; genres and year come before the words of
the title, so that the words are cut first. The catalogue is every movie of the movies' file. Tags
are not read: people add them long after a movie's first rating, so they would tell the future.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.engine import parquet
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources.archive import unpack
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.sources.download import find_in_mirror, retrieve
from behavior_scaling.data.sources.staging import stage
from behavior_scaling.data.tables import FeatureSchema, Query, Tables

LICENCE = "GroupLens terms of use: research only, no redistribution without permission"
CITATION = (
    "F. M. Harper and J. A. Konstan (2015). The MovieLens Datasets: History and Context. ACM "
    "Transactions on Interactive Intelligent Systems 5(4), 19. doi 10.1145/2827872"
)
SCHEMA = FeatureSchema(
    (("year", "numeric"), ("genres", "multi"), ("title", "text")), (("rating", "numeric"),)
)


class MovieLensZip(ABC):
    """A release that GroupLens ships as one zip archive; releases differ in their files' format."""

    info: SourceInfo
    members: tuple[str, str]  # ratings, movies

    def __init__(self, config: DataConfig) -> None:
        if config.variant is not None:
            raise DataError(f"{self.info.name} has no variants: leave out {config.variant!r}")

    def fetch(self, cache: Path, mirror: Path | None) -> Path:
        """The zip archive, out of the mirror or from GroupLens; see Source.fetch."""
        name, file_name = self.info.name, f"{self.info.name}.zip"
        found = find_in_mirror(mirror, (file_name, f"{name}/{file_name}"))
        return found or retrieve(name, self.info.origin, self.info.sha256, cache / name, file_name)

    def load(self, raw: Path, work: Path) -> Tables:
        """Read the archive; see Source.load."""
        unpack(raw, dict.fromkeys(self.members), work)
        ratings, movies = (work / Path(member).name for member in self.members)
        return load_movies((ratings, self.ratings(ratings)), (movies, self.movies(movies)), work)

    @abstractmethod
    def ratings(self, file: Path) -> str:
        """A FROM clause over the ratings with user, movie, rating and time."""

    @abstractmethod
    def movies(self, file: Path) -> str:
        """A FROM clause over the movies with movie, title and genres separated by '|'."""


def load_movies(ratings: tuple[Path, str], movies: tuple[Path, str], work: Path) -> Tables:
    """Canonical tables of both files.

    Args:
        ratings: file, and a FROM clause over it with user, movie, rating and time.
        movies: file, and a FROM clause over it with movie, title and genres separated by '|'.
        work: folder for what is made on the way.
    """
    file, rows = ratings
    events = stage(
        file,
        "SELECT user AS user_id, movie AS item_id, time AS timestamp, rating FROM " + rows,
        work,
        "events",
    )
    file, rows = movies
    items = stage(
        file,
        r"""
        SELECT movie AS item_id,
            TRY_CAST(regexp_extract(title, '\((\d{4})\)\s*$', 1) AS DOUBLE) AS year,
            string_split(nullif(genres, '(no genres listed)'), '|') AS genres,
            nullif(trim(regexp_replace(title, '\s*\(\d{4}\)\s*$', '')), '') AS title
        FROM """
        + rows,
        work,
        "items",
    )
    return Tables(
        Query(f"SELECT * FROM {parquet([events])}", (events,)),
        Query(f"SELECT * FROM {parquet([items])}", (items,)),
        SCHEMA,
    )
