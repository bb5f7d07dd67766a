"""The archive grows, keeps what it holds, says what it lacks, and is the same for equal records."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from behavior_scaling.files import sha256_file, write_text
from behavior_scaling.records import archive as archive_module
from behavior_scaling.records.archive import (
    PREDICTION,
    WEIGHTS,
    Archive,
    Written,
    write_archive,
)
from behavior_scaling.records.manifest import MANIFEST, PARENT, read_manifest, write_manifest
from behavior_scaling.records.record import Record, RecordError
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import RECORD, USERS, Store

from .helpers import example_record, example_spec

FLOORS = {"validation": {"all": {"popularity": {"cross_entropy": 7.25}}}}
TRUTH = {"world": "toy", "items": {"fresh": {"entropy": {"mean": 5.5}}}}
MACHINE = {"processor": "x86_64", "device": "cpu", "peak_memory": "whatever"}


def spec(seed: int, **changes: Any) -> RunSpec:
    return dataclasses.replace(example_spec(), seed=seed, **changes)


class Bench:
    """A store and an archive of four runs: two done, one diverged, one failed."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "store")
        self.folder = folder / "archive"
        self.specs = [spec(seed) for seed in range(4)]
        self.ids = [one.id for one in self.specs]

    def commit(self, one: RunSpec, **changes: Any) -> Record:
        done = {
            "counts": {"n_items": 40, "flops_nominal": 1e10, "flops_executed": 4e9},
            "timings": {"seconds": 900.0},
            "versions": {"torch": "2"},
            "machine": MACHINE,
        }
        record = dataclasses.replace(example_record(), spec=one, **{**done, **changes})
        work = self.store.work_dir(record.id)
        (work / "ranks.parquet").write_bytes(b"ranks")
        (work / USERS).write_bytes(f"users of {one.seed}".encode())
        (work / WEIGHTS).write_bytes(f"weights of {one.seed}".encode())
        return self.store.commit(record, work)

    def four(self) -> None:
        self.commit(self.specs[0])
        self.commit(self.specs[1])
        self.commit(self.specs[2], outcome="diverged", error="loss is nan at step 3", metrics={})
        failed = Record(self.specs[3], "failed", "Traceback\nKeyError: 'x'")
        self.store.commit(failed, self.store.work_dir(failed.id))

    def write(self, ids: list[str] | None = None, **changes: Any) -> Written:
        data = example_spec().data
        return write_archive(self.folder, self.store, ids or self.ids, data, FLOORS, **changes)

    def content(self) -> dict[str, bytes]:
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_every_outcome_is_shipped_and_counted(bench: Bench) -> None:
    bench.four()
    axes = {i: ["allocation"] for i in bench.ids[1:]} | {bench.ids[1]: ["allocation", "share"]}
    done = bench.write(truth=TRUTH, axes=axes)
    assert (done.held, done.added, done.absent, done.strays) == (4, 4, [], [])
    archive = Archive(bench.folder)
    assert (archive.n_items, archive.floors, archive.truth) == (40, FLOORS, TRUTH)
    assert archive.load(bench.ids[3]).error == "Traceback\nKeyError: 'x'"
    assert archive.load(bench.ids[2]).outcome == "diverged"
    said = read_manifest(bench.folder / MANIFEST).summary
    assert said["runs"] == 4
    assert said["outcomes"] == {"done": 2, "diverged": 1, "failed": 1}
    assert said["axes"] == {
        PARENT: {"done": 1},
        "allocation": {"done": 1, "diverged": 1, "failed": 1},
        "share": {"done": 1},
    }
    assert said["hours"] == 0.75  # three runs of 900 s; the failed one has no time
    assert (said["flops_nominal"], said["flops_executed"]) == (3e10, 1.2e10)
    assert said["machines"] == [{"processor": "x86_64", "device": "cpu", "runs": 3}]
    assert said["versions"] == [{"torch": "2", "runs": 3}]
    content = bench.content()
    assert said["bytes"] == done.n_bytes == sum(map(len, content.values())) - len(content[MANIFEST])
    assert not any("ranks" in name for name in content)


def test_it_grows_and_is_the_same_whatever_the_order(bench: Bench, tmp_path: Path) -> None:
    bench.commit(bench.specs[2])
    first = bench.write()
    assert (first.held, first.absent) == (1, [bench.ids[i] for i in (0, 1, 3)])
    before = bench.content()
    shutil.rmtree(bench.store.root)  # another machine: the block is kept without its store
    for one in bench.specs[:2]:
        bench.commit(one)
    second = bench.write()
    assert (second.held, second.added, second.absent) == (3, 2, [bench.ids[3]])
    kept = {name: content for name, content in bench.content().items() if name in before}
    assert kept | {MANIFEST: before[MANIFEST]} == before
    bench.commit(bench.specs[2])
    other = Bench(tmp_path / "other")
    other.store = bench.store
    other.write(bench.ids[::-1])
    assert other.content() == bench.content()


def test_what_was_measured_on_the_data_may_come_later_and_then_stays(bench: Bench) -> None:
    bench.commit(bench.specs[0])
    data = example_spec().data
    write_archive(bench.folder, bench.store, bench.ids, data, None)
    assert (Archive(bench.folder).floors, Archive(bench.folder).truth) == ({}, None)
    bench.write(truth=TRUTH)
    write_archive(bench.folder, bench.store, bench.ids, data, None)
    assert (Archive(bench.folder).floors, Archive(bench.folder).truth) == (FLOORS, TRUTH)


def test_other_numbers_of_a_run_are_refused_and_nothing_is_written(bench: Bench) -> None:
    old = bench.commit(bench.specs[0])
    bench.write()
    before = bench.content()
    shutil.rmtree(bench.store.root)
    bench.commit(bench.specs[1])
    new = bench.commit(bench.specs[0], metrics={"m": 0.5})
    with pytest.raises(RecordError, match=f"{old.numeric_hash}.*{new.numeric_hash}"):
        bench.write()
    assert bench.content() == before
    shutil.rmtree(bench.folder / old.id)  # decided by hand
    assert bench.write().replaced == [old.id]
    assert Archive(bench.folder).load(old.id).metrics == {"m": 0.5}


def test_the_same_numbers_of_another_machine_leave_the_record_as_it_is(bench: Bench) -> None:
    bench.commit(bench.specs[0])
    bench.write()
    before = bench.content()
    shutil.rmtree(bench.store.root)
    bench.commit(bench.specs[0], timings={"seconds": 1.0}, machine={"device": "a GPU"})
    assert bench.write().added == 0
    assert bench.content() == before


def test_a_failure_gives_way_to_an_outcome_and_never_the_other_way(bench: Bench) -> None:
    failed = Record(bench.specs[0], "failed", "no room")
    bench.store.commit(failed, bench.store.work_dir(failed.id))
    bench.write()
    done = bench.commit(bench.specs[0])
    assert bench.write().replaced == [done.id]
    assert Archive(bench.folder).load(done.id) == done
    shutil.rmtree(bench.store.root)
    bench.store.commit(failed, bench.store.work_dir(failed.id))
    assert bench.write().replaced == []
    assert Archive(bench.folder).load(done.id) == done


def test_a_damaged_file_is_mended_from_an_equal_record_only(bench: Bench) -> None:
    record = bench.commit(bench.specs[0])
    bench.write()
    before = bench.content()
    for name in (RECORD, USERS):
        (bench.folder / record.id / name).write_bytes(b"damaged")
        bench.write()
        assert bench.content() == before
    (bench.folder / record.id / RECORD).unlink()
    shutil.rmtree(bench.store.root)
    with pytest.raises(RecordError, match=r"record\.json: missing or altered"):
        bench.write()
    shutil.rmtree(bench.folder / record.id)
    with pytest.raises(RecordError, match=r"record\.json: missing or altered"):
        bench.write()  # listed, and nobody has it


def test_what_the_study_no_longer_asks_for_is_said_and_goes_when_pruned(bench: Bench) -> None:
    bench.four()
    bench.write()
    write_text(bench.folder / PREDICTION, "{}")
    write_text(bench.folder / "note.txt", "mine")
    write_text(bench.folder / bench.ids[0] / "ranks.parquet", "large")
    strays = sorted([bench.ids[1], f"{bench.ids[0]}/ranks.parquet", "note.txt"])
    kept = [bench.ids[i] for i in (0, 2, 3)]
    assert bench.write(kept).strays == strays
    assert Archive(bench.folder).load(bench.ids[1]).outcome == "done"  # still protected
    assert read_manifest(bench.folder / MANIFEST).summary["runs"] == 3
    assert bench.write(kept, prune=True).strays == strays
    assert bench.ids[1] not in Archive(bench.folder)
    assert {path.name for path in bench.folder.iterdir()} == {*kept, MANIFEST, PREDICTION}
    assert {path.name for path in (bench.folder / bench.ids[0]).iterdir()} == {RECORD, USERS}
    assert bench.write(kept).strays == []


def test_a_parent_ships_its_embedder_once_a_child_is_there(bench: Bench) -> None:
    parent = bench.commit(bench.specs[0])
    bench.write()
    assert not (bench.folder / parent.id / WEIGHTS).exists()
    child = spec(9, stage=2, parent=parent.id)
    bench.commit(child)
    assert bench.write([*bench.ids, child.id]).added == 1
    assert Archive(bench.folder).file(parent.id, WEIGHTS).read_bytes() == b"weights of 0"
    assert not (bench.folder / child.id / WEIGHTS).exists()
    (bench.folder / parent.id / WEIGHTS).write_bytes(b"other")
    shutil.rmtree(bench.store.root)
    with pytest.raises(RecordError, match=r"embedder\.safetensors: missing or altered"):
        bench.write([*bench.ids, child.id])


def test_an_embedder_of_other_bytes_than_the_record_names_is_refused(bench: Bench) -> None:
    """Also where the manifest was made to list it."""
    parent, child = bench.commit(bench.specs[0]), spec(9, stage=2, parent=bench.ids[0])
    bench.commit(child)
    bench.write([*bench.ids, child.id])
    (bench.folder / parent.id / WEIGHTS).write_bytes(b"other")
    path = bench.folder / MANIFEST
    manifest = read_manifest(path)
    digest = sha256_file(bench.folder / parent.id / WEIGHTS)
    manifest.records[parent.id][WEIGHTS] = digest
    write_manifest(path, manifest)
    with pytest.raises(RecordError, match=r"its embedder\.safetensors is not the one"):
        Archive(bench.folder).load(parent.id)


def test_a_manifest_that_was_edited_is_refused(bench: Bench) -> None:
    bench.four()
    bench.write()
    path = bench.folder / MANIFEST
    text = path.read_text()
    path.write_text(text.replace("7.25", "7.75"))
    assert path.read_text() != text
    with pytest.raises(RecordError, match="manifest_hash does not fit"):
        Archive(bench.folder)
    body = json.loads(text)
    del body["manifest_hash"]
    path.write_text(json.dumps(body))
    with pytest.raises(RecordError, match="truncated or not a manifest"):
        Archive(bench.folder)


def test_an_archive_of_other_numerics_or_data_is_not_mixed_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.four()
    bench.write()
    data = dataclasses.replace(example_spec().data, identity="other")
    with pytest.raises(RecordError, match=r"identity='abc'.*identity='other'"):
        write_archive(bench.folder, bench.store, bench.ids, data, FLOORS)
    monkeypatch.setattr(archive_module, "NUMERICS", 99)
    with pytest.raises(RecordError, match=r"made with NUMERICS \d+, this code computes with 99"):
        bench.write()
    assert Archive(bench.folder).numerics != 99  # reading goes on


def test_records_of_two_catalogues_are_no_archive(bench: Bench) -> None:
    bench.commit(bench.specs[0])
    bench.commit(bench.specs[1], counts={"n_items": 41})
    with pytest.raises(RecordError, match=r"number of items: \[40, 41\]"):
        bench.write()
