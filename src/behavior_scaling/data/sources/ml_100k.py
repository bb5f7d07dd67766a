"""MovieLens-100k, out of the wheel of recbole 1.2.1 on PyPI.

Choices: GroupLens's terms forbid redistribution, so the wheel is fetched with pip (nothing of it
is installed or run) and three of its members are unpacked, every file by its SHA-256; a movie's
year and genres come before the words of its title, so that these are cut first; an event is that a
user rated a movie, its rating (1 to 5) an event feature; user attributes are not used. A year that
is no year (two movies) and the one title 'unkonwn' (the wheel's spelling) are missing values.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources.archive import unpack
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.sources.download import expect, find_in_mirror, gather
from behavior_scaling.data.sources.wheel import download_wheel
from behavior_scaling.data.tables import FeatureSchema, Tables
from behavior_scaling.files import sha256_file

PACKAGE = "recbole==1.2.1"
WHEEL = "recbole-1.2.1-py3-none-any.whl"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
FILES = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
}
FOLDER_IN_WHEEL = "recbole/dataset_example/ml-100k"
SCHEMA = FeatureSchema(
    (("year", "numeric"), ("genres", "multi"), ("title", "text")), (("rating", "numeric"),)
)
_EVENTS = {
    "user_id:token": "user_id",
    "item_id:token": "item_id",
    "timestamp:float": "timestamp",
    "rating:float": "rating",
}
_ITEMS = {
    "item_id:token": "item_id",
    "movie_title:token_seq": "title",
    "release_year:token": "year",
    "class:token_seq": "genres",
}
_ITEM_TYPES = {"year": pa.float64(), "genres": pa.list_(pa.string()), "title": pa.string()}


class MovieLens100k:
    """100,000 ratings of 1,682 movies by 943 users, September 1997 to April 1998."""

    info = SourceInfo(
        name="ml-100k",
        version="recbole 1.2.1",
        origin=f"https://pypi.org/project/recbole/1.2.1/ ({WHEEL})",
        sha256=WHEEL_SHA256,
        licence="GroupLens terms of use: research only, no redistribution",
        size=2_130_151,
        verified="loaded in full",
        citation=(
            "F. M. Harper and J. A. Konstan (2015). The MovieLens Datasets: History and "
            "Context. ACM Transactions on Interactive Intelligent Systems 5(4), 19. "
            "doi 10.1145/2827872"
        ),
        n_events=100_000,
        n_users=943,
        n_items=1_682,
    )

    def __init__(self, config: DataConfig) -> None: ...

    def fetch(self, cache: Path, mirror: Path | None) -> Path:
        """Get the three files; see Source.fetch.

        The mirror may hold the files, a folder 'ml-100k' with them, or the wheel.
        """
        folder = cache / self.info.name
        for under in ("", f"{self.info.name}/"):
            found = [find_in_mirror(mirror, [under + name]) for name in FILES]
            files = [file for file in found if file is not None]
            if len(files) == len(FILES):
                return gather({file: FILES[file.name] for file in files}, folder)
        wheel = find_in_mirror(mirror, [WHEEL])
        if wheel is not None:
            self._unpack(wheel, folder)
        elif not all(_is_intact(folder / name, sha256) for name, sha256 in FILES.items()):
            with tempfile.TemporaryDirectory() as temporary:
                wheel = download_wheel(self.info.name, PACKAGE, WHEEL, Path(temporary))
                self._unpack(wheel, folder)
        return folder

    def load(self, raw: Path, work: Path) -> Tables:
        """Read the files; see Source.load."""
        events = _read(raw / "ml-100k.inter", _EVENTS)
        events["timestamp"] = pd.to_numeric(events["timestamp"], errors="coerce")
        events["rating"] = pd.to_numeric(events["rating"], errors="coerce")
        items = _read(raw / "ml-100k.item", _ITEMS)
        items["genres"] = items["genres"].str.split().where(items["genres"] != "")
        items["year"] = pd.to_numeric(items["year"].where(items["year"].str.fullmatch(r"\d{4}")))
        items["title"] = items["title"].where(items["title"] != "unkonwn")
        for table in (events, items):
            for name in ("user_id", "item_id"):
                if name in table and table[name].str.fullmatch(r"\d+").all():
                    table[name] = table[name].astype("int64")
        ids = pa.int64() if items["item_id"].dtype == "int64" else pa.string()
        types = pa.schema([("item_id", ids), *_ITEM_TYPES.items()])
        return Tables(events, pa.Table.from_pandas(items, types, preserve_index=False), SCHEMA)

    def _unpack(self, wheel: Path, folder: Path) -> None:
        expect(wheel, WHEEL_SHA256)
        unpack(wheel, {f"{FOLDER_IN_WHEEL}/{name}": FILES[name] for name in FILES}, folder)


def _is_intact(file: Path, sha256: str) -> bool:
    return file.is_file() and sha256_file(file) == sha256


def _read(file: Path, names: Mapping[str, str]) -> pd.DataFrame:
    """Read some columns of a tab-separated file as text, under their canonical names."""
    if not file.is_file():
        raise DataError(f"{file}: missing; fetch ml-100k again")
    table = pd.read_csv(file, sep="\t", dtype="str", keep_default_na=False, quoting=3)
    missing = [name for name in names if name not in table]
    if missing:
        raise DataError(f"{file}: column {missing[0]!r} is missing; there are {list(table)}")
    return table[list(names)].rename(columns=dict(names))
