"""Sources: found by name, fetched whole and unaltered, unpacked safely, read with clear errors."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from behavior_scaling.data import sources
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources import ml_100k
from behavior_scaling.data.sources.archive import unpack
from behavior_scaling.data.sources.ml_100k import MovieLens100k

INTER = (
    "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    "7\t2\t3\t881250949\n7\t1\t5\t881250950\n"
)
ITEM = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    '1\t"Toy" Story\t1995\tAnimation Children\'s Comedy\n2\tunkonwn\tunkonwn\t\n'
)
USER = "user_id:token\tage:token\n7\t24\n"
CONTENT = {"ml-100k.inter": INTER, "ml-100k.item": ITEM, "ml-100k.user": USER}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_files(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in CONTENT.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch) -> Path:
    """A small wheel in a mirror, known to the source by its hashes."""
    file = tmp_path / "mirror" / ml_100k.WHEEL
    file.parent.mkdir()
    with zipfile.ZipFile(file, "w") as opened:
        for name, text in CONTENT.items():
            opened.writestr(f"{ml_100k.FOLDER_IN_WHEEL}/{name}", text)
        opened.writestr("recbole/other.py", "not wanted")
    hashes = {name: sha256(text.encode()) for name, text in CONTENT.items()}
    monkeypatch.setattr(ml_100k, "FILES", hashes)
    known = replace(MovieLens100k.info, sha256=sha256(file.read_bytes()))
    monkeypatch.setattr(MovieLens100k, "info", known)
    return file


@pytest.fixture
def pip(monkeypatch) -> Callable[[bytes | None], list[list[str]]]:
    """Make pip deliver given bytes (or fail); returns the list of the calls it gets."""

    def install(content: bytes | None) -> list[list[str]]:
        calls: list[list[str]] = []

        def run(command, **_options):
            calls.append(command)
            if content is None:
                return subprocess.CompletedProcess(command, 1, "", "ERROR: no route to host")
            (Path(command[command.index("--dest") + 1]) / ml_100k.WHEEL).write_bytes(content)
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr(ml_100k.subprocess, "run", run)
        return calls

    return install


def test_an_unknown_source_lists_the_known() -> None:
    with pytest.raises(DataError, match="no source is named 'ml-1m'; there are ml-100k"):
        sources.get("ml-1m")
    assert sources.get("ml-100k").info.name == "ml-100k"


def test_folders_come_from_the_study_or_the_environment(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("BEHAVIOR_SCALING_MIRROR", raising=False)
    monkeypatch.setenv("BEHAVIOR_SCALING_CACHE", str(tmp_path / "kept"))
    assert sources.cache_folder() == tmp_path / "kept"
    assert sources.mirror_folder() is None

    monkeypatch.setenv("BEHAVIOR_SCALING_MIRROR", str(tmp_path))
    assert sources.mirror_folder() == tmp_path
    (tmp_path / "own").mkdir()
    assert sources.mirror_folder(str(tmp_path / "own")) == tmp_path / "own"
    with pytest.raises(DataError, match="absent: the folder of mirrors does not exist"):
        sources.mirror_folder(str(tmp_path / "absent"))


def test_the_download_is_unpacked_and_cached(tmp_path: Path, wheel: Path, pip) -> None:
    calls = pip(wheel.read_bytes())
    source = MovieLens100k()

    first = source.fetch(tmp_path / "cache", None)
    again = source.fetch(tmp_path / "cache", None)

    assert first == again == tmp_path / "cache" / "ml-100k"
    assert sorted(path.name for path in first.iterdir()) == sorted(CONTENT)
    assert (first / "ml-100k.item").read_text() == ITEM
    assert len(calls) == 1
    assert {"download", "recbole==1.2.1", "--no-deps"} <= set(calls[0])


def test_a_damaged_cache_is_fetched_again(tmp_path: Path, wheel: Path, pip) -> None:
    calls = pip(wheel.read_bytes())
    folder = MovieLens100k().fetch(tmp_path / "cache", None)
    (folder / "ml-100k.inter").write_text("garbage")

    MovieLens100k().fetch(tmp_path / "cache", None)

    assert (folder / "ml-100k.inter").read_text() == INTER
    assert len(calls) == 2


def test_a_corrupt_download_is_refused(tmp_path: Path, wheel: Path, pip) -> None:
    content = bytearray(wheel.read_bytes())
    content[100] ^= 1
    pip(bytes(content))

    with pytest.raises(DataError, match=f"{ml_100k.WHEEL}: has SHA-256 {sha256(content)}, not"):
        MovieLens100k().fetch(tmp_path / "cache", None)

    assert not (tmp_path / "cache" / "ml-100k").exists()


def test_a_failed_download_says_what_pip_said(tmp_path: Path, wheel: Path, pip) -> None:
    pip(None)

    with pytest.raises(DataError, match=r"no route to host\nPut recbole-1.2.1-py3-none-any.whl"):
        MovieLens100k().fetch(tmp_path / "cache", None)


@pytest.mark.parametrize("under", ["", "ml-100k"])
def test_files_in_the_mirror_are_used_where_they_lie(
    tmp_path: Path, wheel: Path, pip, under: str
) -> None:
    calls = pip(None)
    folder = write_files(tmp_path / "files" / under)

    assert MovieLens100k().fetch(tmp_path / "cache", tmp_path / "files") == folder
    assert not calls
    (folder / "ml-100k.user").write_text("altered")
    with pytest.raises(DataError, match=r"ml-100k\.user: has SHA-256"):
        MovieLens100k().fetch(tmp_path / "cache", tmp_path / "files")


def test_the_wheel_in_the_mirror_is_used(tmp_path: Path, wheel: Path, pip) -> None:
    calls = pip(None)

    folder = MovieLens100k().fetch(tmp_path / "cache", wheel.parent)

    assert (folder / "ml-100k.inter").read_text() == INTER
    assert not calls


def test_a_mirror_without_the_file_is_passed_over(tmp_path: Path, wheel: Path, pip) -> None:
    calls = pip(wheel.read_bytes())
    (tmp_path / "empty").mkdir()

    MovieLens100k().fetch(tmp_path / "cache", tmp_path / "empty")

    assert len(calls) == 1


def test_the_files_become_canonical_tables(tmp_path: Path) -> None:
    tables = MovieLens100k().load(write_files(tmp_path))

    assert tables.events.to_dict("list") == {
        "user_id": [7, 7],
        "item_id": [2, 1],
        "timestamp": [881250949, 881250950],
    }
    assert tables.items["item_id"].tolist() == [1, 2]
    assert tables.items["title"].tolist() == ['"Toy" Story', None]
    assert tables.items["genres"].tolist() == [("Animation", "Children's", "Comedy"), None]
    assert tables.items["year"].isna().tolist() == [False, True]
    assert tables.schema.columns[-1] == ("title", "text")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("inter", "timestamp:float", "time:float", r"ml-100k\.inter: column 'timestamp:float'"),
        ("inter", "881250950", "NaN", r"ml-100k\.inter: timestamp: row 2: nan is no timestamp"),
        ("inter", "7\t1\t5", "\t1\t5", r"ml-100k\.inter: user_id: row 2: '' is no id"),
        ("item", "\n2\t", "\n1\t", r"ml-100k\.item: item_id 1 stands in row 1 and row 2"),
        ("item", "class:token_seq", "genre", r"ml-100k\.item: column 'class:token_seq'"),
    ],
)
def test_a_changed_file_is_refused_by_name_and_row(
    tmp_path: Path, file: str, old: str, new: str, message: str
) -> None:
    path = write_files(tmp_path) / f"ml-100k.{file}"
    path.write_text(path.read_text().replace(old, new))

    with pytest.raises(DataError, match=message):
        MovieLens100k().load(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ml-100k\.inter: missing; fetch ml-100k again"):
        MovieLens100k().load(tmp_path)


def archive(path: Path, names: list[str], link: bool = False) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK if link else stat.S_IFREG) << 16
            opened.writestr(info, b"content")
    return path


GOOD = {"a/data.csv": sha256(b"content")}


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "C:\\evil", "..\\evil"])
def test_an_archive_with_an_unsafe_name_is_refused(tmp_path: Path, name: str) -> None:
    made = archive(tmp_path / "a.zip", ["a/data.csv", name])

    with pytest.raises(DataError, match=r"a\.zip: unsafe member"):
        unpack(made, GOOD, tmp_path / "out" / "deep")

    assert [path.name for path in tmp_path.rglob("*")] == ["a.zip"]


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unsafe member 'a/data\.csv'"):
        unpack(archive(tmp_path / "a.zip", ["a/data.csv"], link=True), GOOD, tmp_path / "out")


def test_only_the_wanted_members_are_written(tmp_path: Path) -> None:
    unpack(archive(tmp_path / "a.zip", ["a/data.csv", "a/code.py"]), GOOD, tmp_path / "out")

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["data.csv"]


def test_missing_altered_and_doubled_members_are_refused(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.zip", ["a/data.csv"])
    with pytest.raises(DataError, match=r"holds 0 members named 'a/other\.csv'"):
        unpack(made, {"a/other.csv": ""}, tmp_path / "out")
    with pytest.raises(DataError, match=r"member 'a/data\.csv' has SHA-256 .*, not 00"):
        unpack(made, {"a/data.csv": "00"}, tmp_path / "out")
    with pytest.warns(UserWarning, match="Duplicate name"):
        doubled = archive(tmp_path / "b.zip", ["a/data.csv", "a/data.csv"])
    with pytest.raises(DataError, match="holds 2 members"):
        unpack(doubled, GOOD, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bomb_and_a_file_that_is_no_archive_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("behavior_scaling.data.sources.archive.LARGEST", 5)
    with pytest.raises(DataError, match="unpacks to more than 5 bytes"):
        unpack(archive(tmp_path / "a.zip", ["a/data.csv"]), GOOD, tmp_path / "out")
    (tmp_path / "b.zip").write_text("<html>404</html>")
    with pytest.raises(DataError, match=r"b\.zip: not a readable zip archive"):
        unpack(tmp_path / "b.zip", GOOD, tmp_path / "out")


def test_a_full_disk_leaves_no_member_behind(tmp_path: Path, monkeypatch) -> None:
    def full(_path, _content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match=f"{tmp_path / 'out'}: could not be written: No space"):
        unpack(archive(tmp_path / "a.zip", ["a/data.csv"]), GOOD, tmp_path / "out")

    assert list((tmp_path / "out").iterdir()) == []
