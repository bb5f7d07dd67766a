"""Records between a store and a folder elsewhere: a folder, and a file system without renaming."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from behavior_scaling.records import remote as remote_module
from behavior_scaling.records.record import Record
from behavior_scaling.records.remote import Remote, ShareError
from behavior_scaling.records.share import Copy, pull_records, push_records
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import CHECKPOINT, RECORD, Store

from .helpers import example_record

FOLDER, OBJECTS = "folder", "objects"


@pytest.fixture(params=[FOLDER, OBJECTS, "moved"])
def remote(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Remote]:
    """A folder; an object store, in which nothing is renamed; another kind, in which files are."""
    if request.param == FOLDER:
        yield Remote(str(tmp_path / "far"))
        return
    if request.param == OBJECTS:
        monkeypatch.setattr(remote_module, "OBJECT_STORES", {"memory"})
    MemoryFileSystem.store.clear()
    yield Remote("memory://far/study")
    MemoryFileSystem.store.clear()


def spec(seed: int) -> RunSpec:
    return dataclasses.replace(example_record().spec, seed=seed)


def committed(store: Store, seed: int, **changes: Any) -> Record:
    record = dataclasses.replace(example_record(), spec=spec(seed), **changes)
    work = store.work_dir(record.id)
    for name in ("ranks.parquet", "users.parquet"):
        (work / name).write_bytes(f"{name} {seed}".encode() * 1000)
    return store.commit(record, work)


@pytest.fixture
def near(tmp_path: Path) -> Store:
    """Seeds 0 to 2 are done, 3 is failed, 4 unfinished, 5 leased."""
    store = Store(tmp_path / "near" / "store")
    for seed in range(3):
        committed(store, seed)
    committed(store, 3, outcome="failed", error="out of memory")
    (store.work_dir(spec(4).id) / CHECKPOINT).write_bytes(b"half")
    return store


IDS = [spec(seed).id for seed in range(6)]


def push(store: Store, remote: Remote, verify: bool = False) -> Counter[str]:
    copies = push_records(store, remote, IDS, lambda copy: None, False, verify)
    return Counter(copy.verdict for copy in copies)


def pull(remote: Remote, store: Store, told: list[Copy] | None = None) -> Counter[str]:
    copies = pull_records(remote, store, IDS, (told or []).append, False)
    return Counter(copy.verdict for copy in copies)


def files(store: Store) -> dict[str, bytes]:
    found = (path for path in store.root.rglob("*") if path.is_file())
    return {path.relative_to(store.root).as_posix(): path.read_bytes() for path in found}


def far(remote: Remote) -> set[str]:
    return set(remote.sizes("store"))


def damage(remote: Remote, name: str, content: bytes = b"flipped") -> None:
    """Alter a file on the far side, behind everyone's back."""
    fs, path = fsspec.url_to_fs(f"{remote.url}/{name}")
    fs.pipe_file(path, content)


def test_finished_records_travel_whole_and_nothing_else_does(
    near: Store, remote: Remote, tmp_path: Path
) -> None:
    with near.lease(IDS[5]):  # type: ignore[union-attr]
        assert push(near, remote) == {"copied": 3, "failed": 1, "absent": 2}
    names = {f"{run_id}/{name}" for run_id in IDS[:3]
             for name in (RECORD, "ranks.parquet", "users.parquet")}  # fmt: skip
    assert far(remote) == names
    other = Store(tmp_path / "other" / "store")
    assert pull(remote, other) == {"copied": 3, "absent": 3}
    assert files(other) == {name: files(near)[name] for name in names}
    for run_id in IDS[:3]:
        assert other.load(run_id) == near.load(run_id)


def test_what_is_there_is_not_sent_again(
    near: Store, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(near, remote)
    other = Store(tmp_path / "other" / "store")
    pull(remote, other)

    def refuse(*arguments: object) -> None:
        raise AssertionError("nothing is to be copied")

    monkeypatch.setattr(Remote, "put", refuse)
    monkeypatch.setattr(Remote, "fetch", refuse)
    assert push(near, remote, verify=True)["there"] == 3
    assert pull(remote, other)["there"] == 3


def test_a_dry_run_says_what_it_would_copy_and_copies_nothing(
    near: Store, remote: Remote, tmp_path: Path
) -> None:
    copies = push_records(near, remote, IDS, lambda copy: None, True, False)
    sizes = [sum(len(files(near)[name]) for name in files(near) if name.startswith(run_id))
             for run_id in IDS[:3]]  # fmt: skip
    assert [(copy.verdict, copy.size) for copy in copies[:3]] == [("copied", n) for n in sizes]
    assert far(remote) == set()
    push(near, remote)
    other = Store(tmp_path / "other" / "store")
    copies = pull_records(remote, other, IDS, lambda copy: None, True)
    assert [(copy.verdict, copy.size) for copy in copies[:3]] == [("copied", n) for n in sizes]
    assert not other.root.exists()


@pytest.mark.parametrize("name", [RECORD, "ranks.parquet"])
@pytest.mark.parametrize("content", [b"", b"flipped"])
def test_a_damaged_record_elsewhere_is_refused_with_words(
    near: Store, remote: Remote, tmp_path: Path, name: str, content: bytes
) -> None:
    push(near, remote)
    damage(remote, f"store/{IDS[1]}/{name}", content)
    other = Store(tmp_path / "other" / "store")
    copies = pull_records(remote, other, IDS, lambda copy: None, False)
    assert [copy.verdict for copy in copies[:3]] == ["copied", "damaged", "copied"]
    assert f"{remote.url}/store/{IDS[1]}/{name}" in copies[1].reason
    assert other.state(IDS[1]) == "absent"
    assert push(near, remote, verify=True)["copied"] == 1
    assert pull(remote, other)["copied"] == 1
    assert other.load(IDS[1]) == near.load(IDS[1])


def test_a_damaged_record_here_is_not_sent_and_is_replaced_by_a_whole_one(
    near: Store, remote: Remote, tmp_path: Path
) -> None:
    other = Store(Path(shutil.copytree(near.root, tmp_path / "other" / "store")))
    (near.path(IDS[0]) / "ranks.parquet").write_bytes(b"flipped")
    assert push(near, remote) == {"copied": 2, "damaged": 1, "failed": 1, "absent": 2}
    push(other, remote)
    copies = pull_records(remote, near, IDS, lambda copy: None, False)
    assert [copy.verdict for copy in copies[:3]] == ["copied", "there", "there"]
    assert "in place of a damaged one" in copies[0].reason
    assert near.load(IDS[0]) == other.load(IDS[0])


def test_other_numbers_of_the_same_run_are_kept_on_both_sides(
    near: Store, remote: Remote, tmp_path: Path
) -> None:
    push(near, remote)
    other = Store(tmp_path / "other" / "store")
    committed(other, 0, metrics={"m": 0.26})
    committed(other, 1, timings={"train": 77.0})  # the same numbers, made in another time
    before = files(other)
    assert pull(remote, other) == {"differs": 1, "there": 1, "copied": 1, "absent": 3}
    assert {name: files(other)[name] for name in before} == before
    assert push(other, remote) == {"differs": 1, "there": 2, "absent": 3}


def test_a_run_that_failed_here_and_ended_well_elsewhere_is_brought(
    near: Store, remote: Remote, tmp_path: Path
) -> None:
    other = Store(tmp_path / "other" / "store")
    committed(other, 3)
    push(other, remote)
    assert pull(remote, near)["copied"] == 1
    assert near.state(IDS[3]) == "done"


@pytest.mark.parametrize("calls", [0, 1, 2])
def test_an_interrupted_copy_shows_nothing_and_goes_on(
    near: Store, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    to_folder = remote.folder is not None
    left = min(calls, 1) if to_folder else calls  # of a record's two files, or three

    def then_fails(real: Any) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal left
            if left == 0:
                raise OSError("connection reset")
            left -= 1
            return real(*arguments)

        return call

    kind, step = type(remote._fs), "get_file" if to_folder else "put_file"
    monkeypatch.setattr(kind, step, then_fails(getattr(kind, step)))
    one = IDS[:1]
    if to_folder:
        (copy,) = push_records(near, remote, one, lambda copy: None, False, False)
        assert "connection reset" in copy.reason
    else:
        with pytest.raises(ShareError, match=r"could not write .*connection reset"):
            push_records(near, remote, one, lambda copy: None, False, False)
    assert f"{one[0]}/{RECORD}" not in far(remote)
    other = Store(tmp_path / "other" / "store")
    assert pull(remote, other) == {"absent": 6}
    monkeypatch.undo()
    (copy,) = push_records(near, remote, one, lambda copy: None, False, False)
    assert copy.verdict == "copied"
    assert pull(remote, other)["copied"] == 1
    assert other.load(one[0]) == near.load(one[0])


def test_what_came_whole_is_not_brought_again(
    near: Store, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(near, remote)
    other = Store(tmp_path / "other" / "store")
    brought: list[str] = []
    real = type(remote._fs).get_file

    def get_file(self: Any, path: str, *rest: Any, **more: Any) -> None:
        brought.append(path.rpartition("/")[2])
        if len(brought) == 2:
            raise OSError("connection reset")
        real(self, path, *rest, **more)

    monkeypatch.setattr(type(remote._fs), "get_file", get_file)
    for verdict in ("damaged", "copied"):
        (copy,) = pull_records(remote, other, IDS[:1], lambda copy: None, False)
        assert copy.verdict == verdict, copy.reason
    assert Counter(brought) == {"ranks.parquet": 1, "users.parquet": 2}


def test_a_file_that_reads_back_otherwise_is_an_error(
    near: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MemoryFileSystem.store.clear()
    remote = Remote("memory://far")

    def lossy(self: Any, source: str, target: str) -> None:
        self.pipe_file(target, Path(source).read_bytes()[:-1])

    monkeypatch.setattr(MemoryFileSystem, "put_file", lossy)
    with pytest.raises(ShareError, match="reads back other than it was sent"):
        push(near, remote)


def test_a_name_that_leads_out_of_its_folder_is_refused(near: Store, tmp_path: Path) -> None:
    remote = Remote(str(tmp_path / "far"))
    record = dataclasses.replace(near.load(IDS[0]), files={"../../escaped": "0" * 64})
    folder = tmp_path / "far" / "store" / IDS[0]
    folder.mkdir(parents=True)
    (folder / RECORD).write_text(record.to_json())
    (tmp_path / "far" / "escaped").write_bytes(b"x")
    with pytest.raises(ShareError, match=r"names a file '../../escaped': refused"):
        remote.fetch(f"store/{IDS[0]}", record.files, tmp_path / "into")


def test_places_that_cannot_be_reached_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ShareError, match=r"nowhere://x: .*[Pp]rotocol not known"):
        Remote("nowhere://x")

    def missing(url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(remote_module.fsspec, "url_to_fs", missing)
    with pytest.raises(ShareError, match=r"Install s3fs .*behavior-scaling\[remote\]"):
        Remote("s3://bucket/x")
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    with pytest.raises(ShareError, match=r"could not write .*the credentials"):
        Remote(f"{tmp_path}/file").put(tmp_path / "file", "store/x")
