"""Sources: found by name, fetched whole and unaltered, unpacked safely, read with clear errors."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data import sources
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.prepare import prepare_tables
from behavior_scaling.data.sources import ml_100k
from behavior_scaling.data.sources.archive import only_member, unpack
from behavior_scaling.data.sources.ml_100k import MovieLens100k
from behavior_scaling.data.tables import Tables

CONFIG = DataConfig(source="ml-100k")

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
    monkeypatch.setattr(ml_100k, "WHEEL_SHA256", sha256(file.read_bytes()))
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

        monkeypatch.setattr(subprocess, "run", run)
        return calls

    return install


def test_an_unknown_source_lists_the_known() -> None:
    with pytest.raises(DataError, match="no source is named 'ml-1k'; there are amazon-2023, git-"):
        sources.get(DataConfig(source="ml-1k"))
    assert sources.get(CONFIG).info.name == "ml-100k"


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
    source = MovieLens100k(CONFIG)

    first = source.fetch(tmp_path / "cache", None)
    again = source.fetch(tmp_path / "cache", None)

    assert first == again == tmp_path / "cache" / "ml-100k"
    assert sorted(path.name for path in first.iterdir()) == sorted(CONTENT)
    assert (first / "ml-100k.item").read_text() == ITEM
    assert len(calls) == 1
    assert {"download", "recbole==1.2.1", "--no-deps"} <= set(calls[0])


def test_a_damaged_cache_is_fetched_again(tmp_path: Path, wheel: Path, pip) -> None:
    calls = pip(wheel.read_bytes())
    folder = MovieLens100k(CONFIG).fetch(tmp_path / "cache", None)
    (folder / "ml-100k.inter").write_text("garbage")

    MovieLens100k(CONFIG).fetch(tmp_path / "cache", None)

    assert (folder / "ml-100k.inter").read_text() == INTER
    assert len(calls) == 2


def test_a_corrupt_download_is_refused(tmp_path: Path, wheel: Path, pip) -> None:
    content = bytearray(wheel.read_bytes())
    content[100] ^= 1
    pip(bytes(content))

    with pytest.raises(DataError, match=f"{ml_100k.WHEEL}: has SHA-256 {sha256(content)}, not"):
        MovieLens100k(CONFIG).fetch(tmp_path / "cache", None)

    assert not (tmp_path / "cache" / "ml-100k").exists()


def test_a_failed_download_says_what_pip_said(tmp_path: Path, wheel: Path, pip) -> None:
    pip(None)

    with pytest.raises(DataError, match=r"no route to host\nPut recbole-1.2.1-py3-none-any.whl"):
        MovieLens100k(CONFIG).fetch(tmp_path / "cache", None)


@pytest.mark.parametrize("under", ["", "ml-100k"])
def test_files_in_the_mirror_are_checked_and_copied(
    tmp_path: Path, wheel: Path, pip, under: str
) -> None:
    calls = pip(None)
    folder = write_files(tmp_path / "files" / under)
    (folder / "other").write_text("not ours")

    kept = MovieLens100k(CONFIG).fetch(tmp_path / "cache", tmp_path / "files")

    assert kept == tmp_path / "cache" / "ml-100k"
    assert {path.name: path.read_text() for path in kept.iterdir()} == CONTENT
    assert not calls
    (folder / "ml-100k.user").write_text("altered")
    with pytest.raises(DataError, match=r"files.*/ml-100k\.user: has SHA-256"):
        MovieLens100k(CONFIG).fetch(tmp_path / "cache", tmp_path / "files")


def test_the_wheel_in_the_mirror_is_used(tmp_path: Path, wheel: Path, pip) -> None:
    calls = pip(None)

    folder = MovieLens100k(CONFIG).fetch(tmp_path / "cache", wheel.parent)

    assert (folder / "ml-100k.inter").read_text() == INTER
    assert not calls


def test_a_mirror_without_the_file_is_passed_over(tmp_path: Path, wheel: Path, pip) -> None:
    calls = pip(wheel.read_bytes())
    (tmp_path / "empty").mkdir()

    MovieLens100k(CONFIG).fetch(tmp_path / "cache", tmp_path / "empty")

    assert len(calls) == 1


def load(folder: Path) -> Tables:
    return MovieLens100k(CONFIG).load(folder, folder)


def test_the_files_become_canonical_tables(tmp_path: Path) -> None:
    tables = load(write_files(tmp_path))

    assert tables.events.to_dict("list") == {
        "user_id": [7, 7],
        "item_id": [2, 1],
        "timestamp": [881250949, 881250950],
        "rating": [3, 5],
    }
    assert tables.items.to_pydict() == {
        "item_id": [1, 2],
        "title": ['"Toy" Story', None],
        "year": [1995, None],
        "genres": [["Animation", "Children's", "Comedy"], None],
    }
    assert tables.schema.columns[-1] == ("title", "text")
    assert tables.schema.events == (("rating", "numeric"),)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("inter", "timestamp:float", "time:float", r"ml-100k\.inter: column 'timestamp:float'"),
        ("inter", "881250950", "NaN", "ml-100k: events: timestamp: row 2: .* is no timestamp"),
        ("inter", "7\t1\t5", "\t1\t5", "ml-100k: events: user_id: row 2: '' is no id"),
        ("item", "\n2\t", "\n1\t", "ml-100k: items: item_id 1 stands in row 1 and row 2"),
        ("item", "class:token_seq", "genre", r"ml-100k\.item: column 'class:token_seq'"),
    ],
)
def test_a_changed_file_is_refused_by_name_and_row(
    tmp_path: Path, file: str, old: str, new: str, message: str
) -> None:
    path = write_files(tmp_path) / f"ml-100k.{file}"
    path.write_text(path.read_text().replace(old, new))

    with pytest.raises(DataError, match=message):
        prepare_tables(load(tmp_path), CONFIG, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ml-100k\.inter: missing; fetch ml-100k again"):
        load(tmp_path)


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


def test_a_bomb_and_a_file_that_is_no_archive_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unpacks to more than 5 bytes"):
        unpack(archive(tmp_path / "a.zip", ["a/data.csv"]), GOOD, tmp_path / "out", largest=5)
    (tmp_path / "b.zip").write_text("<html>404</html>")
    with pytest.raises(DataError, match=r"b\.zip: not a readable zip archive"):
        unpack(tmp_path / "b.zip", GOOD, tmp_path / "out")


def test_a_member_of_no_known_hash_is_checked_by_the_archive(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.zip", ["a/data.csv", "b.csv"])
    unpack(made, {"b.csv": None}, tmp_path / "out")
    assert (tmp_path / "out" / "b.csv").read_bytes() == b"content"

    content = made.read_bytes()
    made.write_bytes(content.replace(b"content", b"altered"))
    with pytest.raises(DataError, match=r"a\.zip: not a readable zip archive: Bad CRC-32"):
        unpack(made, {"b.csv": None}, tmp_path / "out")
    made.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"a\.zip: not a readable zip archive"):
        unpack(made, {"b.csv": None}, tmp_path / "out")
    assert (tmp_path / "out" / "b.csv").read_bytes() == b"content"


def test_a_damaged_archive_gives_its_content_or_an_error(tmp_path: Path) -> None:
    """Every byte turned over, and every length cut off: never another content, never a crash."""
    made = tmp_path / "a.zip"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("b.csv", "some text, some text")
    content = made.read_bytes()
    turned = [
        content[:n] + bytes([content[n] ^ 0xFF]) + content[n + 1 :] for n in range(len(content))
    ]
    refused = 0
    for altered in [*turned, *(content[:n] for n in range(len(content)))]:
        made.write_bytes(altered)
        out = tmp_path / "out"
        try:
            unpack(made, {"b.csv": None}, out)
        except DataError:
            refused += 1
            assert not out.exists()
            continue
        assert (out / "b.csv").read_text() == "some text, some text"
        (out / "b.csv").unlink()
        out.rmdir()
    assert refused >= len(content)


def test_the_only_member_of_a_kind_is_found(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.zip", ["a/data.csv", "b.txt"])
    assert only_member(made, ".csv") == "a/data.csv"
    with pytest.raises(DataError, match=r"a\.zip: holds 0 members that end with \.xlsx, not one"):
        only_member(made, ".xlsx")
    with pytest.raises(DataError, match="holds 2 members"):
        only_member(archive(tmp_path / "b.zip", ["1.csv", "2.csv"]), ".csv")
    with pytest.raises(DataError, match="unsafe member"):
        only_member(archive(tmp_path / "c.zip", ["1.csv", "../2.csv"]), "1.csv")


def test_a_full_disk_leaves_no_member_behind(tmp_path: Path, monkeypatch) -> None:
    made = archive(tmp_path / "a.zip", ["a/data.csv", "b.csv"])
    whole = Path.open

    def full(path, mode="r", *arguments, **options):
        if path.name == "b.csv":
            raise OSError(28, "No space left on device")
        return whole(path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DataError, match=f"{tmp_path / 'out'}: could not be written: No space"):
        unpack(made, GOOD | {"b.csv": None}, tmp_path / "out")

    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
