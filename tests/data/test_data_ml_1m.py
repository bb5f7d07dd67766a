"""MovieLens-1M: files after ml-1m-README.txt (ratings.dat, movies.dat, users.dat in ml-1m.zip)."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources import movielens
from behavior_scaling.data.sources.ml_1m import MovieLens1m

from .source_rows import events_of, items_of, values

RATINGS = (
    "1::1193::5::978300760\n1::661::3::978302109\n2::1193::4::978300760\n1::914::3::978300760\n"
)
MOVIES = (
    "661::James and the Giant Peach (1996)::Animation|Children's|Musical\n"
    '914::"Fair" Lady (1964)::Musical|Romance\n'
    "1193::Misérables, Les (1995)::Drama\n"
    "9::Untitled::Comedy\n"
)


def make(folder: Path, ratings: str = RATINGS, movies: str = MOVIES) -> Path:
    file = folder / "ml-1m.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("ml-1m/ratings.dat", ratings)
        opened.writestr("ml-1m/movies.dat", movies.encode("latin-1"))
        opened.writestr("ml-1m/users.dat", "1::F::1::10::48067\n2::M::56::16::70072\n")
    return file


@pytest.fixture
def source() -> MovieLens1m:
    return MovieLens1m(DataConfig(source="ml-1m"))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_ratings_become_events(source: MovieLens1m, tmp_path: Path, work: Path) -> None:
    tables = source.load(make(tmp_path), work)

    rows = events_of(tables, work)
    assert values(rows, "user_id", "item_id", "timestamp", "rating") == [
        (1, 1193, 978300760, 5.0),  # before 914: equal times keep the order of the lines
        (1, 914, 978300760, 3.0),
        (1, 661, 978302109, 3.0),
        (2, 1193, 978300760, 4.0),
    ]
    assert set(rows[0]) == {"user_id", "item_id", "timestamp", "rating"}
    assert tables.schema.events == (("rating", "numeric"),)


def test_movies_become_items(source: MovieLens1m, tmp_path: Path, work: Path) -> None:
    rows = items_of(source.load(make(tmp_path), work), work)

    assert values(rows, "item_id", "year", "genres", "title") == [
        (9, None, ["Comedy"], "Untitled"),
        (661, 1996.0, ["Animation", "Children's", "Musical"], "James and the Giant Peach"),
        (914, 1964.0, ["Musical", "Romance"], '"Fair" Lady'),
        (1193, 1995.0, ["Drama"], "Misérables, Les"),
    ]


@pytest.mark.parametrize(
    ("ratings", "message"),
    [
        (
            RATINGS.replace("::3::", "::three::", 1),
            r"ratings\.dat: .*Line: 2 .*1::661::three::978302109",
        ),
        (
            RATINGS.replace("1::661::3::", "1::661::"),
            r"ratings\.dat: .*Line: 2 .*Columns: 4 Found: 3",
        ),
        ("", r"ratings\.dat: the file is empty"),
    ],
)
def test_a_bad_line_is_named(
    source: MovieLens1m, tmp_path: Path, work: Path, ratings: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        source.load(make(tmp_path, ratings), work)


def test_a_damaged_archive_is_refused(source: MovieLens1m, tmp_path: Path, work: Path) -> None:
    whole = make(tmp_path).read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.zip: not a readable zip archive"):
        source.load(cut, work)

    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as opened:
        opened.writestr("ml-1m/ratings.csv", RATINGS)
    with pytest.raises(DataError, match=r"holds 0 members named 'ml-1m/ratings\.dat'"):
        source.load(other, work)


def test_the_mirror_is_searched_first(source: MovieLens1m, tmp_path: Path) -> None:
    (tmp_path / "ml-1m").mkdir()
    made = make(tmp_path / "ml-1m")

    assert source.fetch(tmp_path / "cache", tmp_path) == made


def test_without_a_mirror_it_is_downloaded_into_the_cache(
    source: MovieLens1m, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(movielens, "retrieve", lambda *request: asked.append(request))

    source.fetch(tmp_path, None)

    address = "https://files.grouplens.org/datasets/movielens/ml-1m.zip"
    assert asked == [("ml-1m", address, None, tmp_path / "ml-1m", "ml-1m.zip")]


def test_a_variant_is_refused() -> None:
    with pytest.raises(DataError, match="ml-1m has no variants: leave out 'small'"):
        MovieLens1m(DataConfig(source="ml-1m", variant="small"))
