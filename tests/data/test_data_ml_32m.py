"""MovieLens-32M: files after ml-32m-README.html (ratings.csv, movies.csv, tags.csv, links.csv)."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources.ml_32m import MovieLens32m

from .source_rows import events_of, items_of, values

RATINGS = (
    "userId,movieId,rating,timestamp\r\n1,17,4.5,944249077\r\n1,25,1.0,944250228\r\n"
    "2,17,0.5,835355493\r\n"
)
MOVIES = (
    "movieId,title,genres\r\n17,Sense and Sensibility (1995),Drama|Romance\r\n"
    '25,"American President, The (1995)",Comedy\r\n30,Babylon 5,(no genres listed)\r\n'
)


def make(folder: Path, ratings: str = RATINGS, movies: str = MOVIES) -> Path:
    file = folder / "ml-32m.zip"
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("ml-32m/ratings.csv", ratings)
        opened.writestr("ml-32m/movies.csv", movies)
        opened.writestr(
            "ml-32m/tags.csv", "userId,movieId,tag,timestamp\r\n1,17,Austen,1430666558\r\n"
        )
        opened.writestr("ml-32m/links.csv", "movieId,imdbId,tmdbId\r\n17,0114388,4584\r\n")
    return file


@pytest.fixture
def source() -> MovieLens32m:
    return MovieLens32m(DataConfig(source="ml-32m"))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_the_files_become_canonical_tables(
    source: MovieLens32m, tmp_path: Path, work: Path
) -> None:
    tables = source.load(make(tmp_path), work)

    events, items = events_of(tables, work), items_of(tables, work)
    assert values(events, "user_id", "item_id", "timestamp", "rating") == [
        (1, 17, 944249077, 4.5),
        (1, 25, 944250228, 1.0),
        (2, 17, 835355493, 0.5),
    ]
    assert values(items, "item_id", "year", "genres", "title") == [
        (17, 1995.0, ["Drama", "Romance"], "Sense and Sensibility"),
        (25, 1995.0, ["Comedy"], "American President, The"),
        (30, None, None, "Babylon 5"),
    ]
    assert set(items[0]) == {"item_id", "year", "genres", "title"}  # no tag: it came years later


@pytest.mark.parametrize(
    ("ratings", "movies", "message"),
    [
        (RATINGS.replace("rating,", "stars,"), MOVIES, r"ratings\.csv: column 'rating' is missing"),
        (
            RATINGS,
            MOVIES.replace(",genres", ",genres,x"),
            r"movies\.csv: its columns are \[.*'x'\]",
        ),
        (RATINGS.replace("944250228", "?"), MOVIES, r"ratings\.csv: .*Line: 3 .*1,25,1\.0,\?"),
        (RATINGS, MOVIES.replace("25,", "25th,"), r"movies\.csv: .*Line: 3 .*25th"),
    ],
)
def test_a_wrong_column_or_value_is_named(
    source: MovieLens32m, tmp_path: Path, work: Path, ratings: str, movies: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        source.load(make(tmp_path, ratings, movies), work)
