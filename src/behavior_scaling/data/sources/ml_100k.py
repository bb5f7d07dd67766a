"""MovieLens-100k, out of the wheel of recbole 1.2.1 on PyPI.

Choices: GroupLens's terms forbid redistribution, so the wheel is fetched with pip (nothing of it
is installed or run) and three of its members are unpacked, every file by its SHA-256; a movie's
year and genres come before the words of its title, so that these are cut first; ratings and user
attributes are not used: an event is that a user rated a movie. A year that is no year (two
movies) and the one title 'unkonwn' (the wheel's spelling) are missing values.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.events import FeatureSchema, Tables, check_events, check_items
from behavior_scaling.data.sources.archive import unpack
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.files import sha256_file

PACKAGE = "recbole==1.2.1"
WHEEL = "recbole-1.2.1-py3-none-any.whl"
FILES = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
}
FOLDER_IN_WHEEL = "recbole/dataset_example/ml-100k"
SCHEMA = FeatureSchema((("year", "numeric"), ("genres", "multi"), ("title", "text")))
_EVENTS = {
    "user_id:token": "user_id",
    "item_id:token": "item_id",
    "timestamp:float": "timestamp",
}
_ITEMS = {
    "item_id:token": "item_id",
    "movie_title:token_seq": "title",
    "release_year:token": "year",
    "class:token_seq": "genres",
}


class MovieLens100k:
    """100,000 ratings of 1,682 movies by 943 users, September 1997 to April 1998."""

    info = SourceInfo(
        name="ml-100k",
        version="recbole 1.2.1",
        origin=f"https://pypi.org/project/recbole/1.2.1/ ({WHEEL})",
        sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        licence="GroupLens terms of use: research only, no redistribution",
        citation=(
            "F. M. Harper and J. A. Konstan (2015). The MovieLens Datasets: History and "
            "Context. ACM Transactions on Interactive Intelligent Systems 5(4), 19. "
            "doi 10.1145/2827872"
        ),
        n_events=100_000,
        n_users=943,
        n_items=1_682,
    )

    def fetch(self, cache: Path, mirror: Path | None) -> Path:
        """Get the three files; see Source.fetch.

        The mirror may hold the files, a folder 'ml-100k' with them, or the wheel.
        """
        folder = cache / self.info.name
        if mirror is not None:
            for candidate in (mirror, mirror / self.info.name):
                if all((candidate / name).is_file() for name in FILES):
                    self._check(candidate)
                    return candidate
            if (mirror / WHEEL).is_file():
                self._unpack(mirror / WHEEL, folder)
                return folder
        if not all(_is_intact(folder / name, sha256) for name, sha256 in FILES.items()):
            with tempfile.TemporaryDirectory() as temporary:
                self._unpack(_download(Path(temporary)), folder)
        return folder

    def load(self, raw: Path) -> Tables:
        """Read the files; see Source.load."""
        events = _read(raw / "ml-100k.inter", _EVENTS)
        events["timestamp"] = pd.to_numeric(events["timestamp"], errors="coerce")
        items = _read(raw / "ml-100k.item", _ITEMS)
        items["genres"] = items["genres"].str.split()
        items["year"] = pd.to_numeric(
            items["year"].where(items["year"].str.fullmatch(r"\d{4}")), errors="raise"
        )
        items["title"] = items["title"].where(items["title"] != "unkonwn")
        for table in (events, items):
            for name in ("user_id", "item_id"):
                if name in table and table[name].str.fullmatch(r"\d+").all():
                    table[name] = table[name].astype("int64")
        return Tables(
            check_events(events, str(raw / "ml-100k.inter")),
            check_items(items, SCHEMA, str(raw / "ml-100k.item")),
            SCHEMA,
        )

    def _unpack(self, wheel: Path, folder: Path) -> None:
        _expect(wheel, self.info.sha256)
        unpack(wheel, {f"{FOLDER_IN_WHEEL}/{name}": FILES[name] for name in FILES}, folder)

    def _check(self, folder: Path) -> None:
        for name, sha256 in FILES.items():
            _expect(folder / name, sha256)


def _expect(file: Path, sha256: str) -> None:
    actual = sha256_file(file)
    if actual != sha256:
        raise DataError(
            f"{file}: has SHA-256 {actual}, not {sha256}: corrupt or another version; "
            f"delete it and fetch it again"
        )


def _is_intact(file: Path, sha256: str) -> bool:
    return file.is_file() and sha256_file(file) == sha256


def _download(folder: Path) -> Path:
    """Download the wheel with pip into a folder."""
    command = [sys.executable, "-m", "pip", "download", PACKAGE, "--no-deps", "--quiet"]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(  # noqa: S603 (a fixed command)
        [*command, "--dest", str(folder)], capture_output=True, text=True, check=False
    )
    wheel = folder / WHEEL
    if done.returncode or not wheel.is_file():
        raise DataError(
            f"ml-100k: pip could not download {PACKAGE} (exit {done.returncode}): "
            f"{done.stderr.strip()[-500:]}\nPut {WHEEL} or {', '.join(FILES)} into a folder and "
            f"name it in BEHAVIOR_SCALING_MIRROR"
        )
    return wheel


def _read(file: Path, names: Mapping[str, str]) -> pd.DataFrame:
    """Read some columns of a tab-separated file as text, under their canonical names."""
    if not file.is_file():
        raise DataError(f"{file}: missing; fetch ml-100k again")
    table = pd.read_csv(file, sep="\t", dtype="str", keep_default_na=False, quoting=3)
    missing = [name for name in names if name not in table]
    if missing:
        raise DataError(f"{file}: column {missing[0]!r} is missing; there are {list(table)}")
    return table[list(names)].rename(columns=dict(names))
