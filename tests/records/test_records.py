"""Identity of a run, and what protects a record: atomic writing, hashes, outcomes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from behavior_scaling.files import replacing, write_text
from behavior_scaling.records import spec as spec_module
from behavior_scaling.records.archive import MANIFEST, Archive, write_archive
from behavior_scaling.records.record import Record, RecordError
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import RECORD, USERS, Store

from .helpers import example_record, example_spec


def test_the_id_is_a_hash_of_the_spec_and_survives_a_round_trip() -> None:
    spec = example_spec()
    assert len(spec.id) == 64
    assert RunSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert RunSpec.from_dict(spec.to_dict()).id == spec.id


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"threads": 2},
        {"probes": 12},
        {"precision": "bf16-mixed"},
        {"parent": "a" * 64},
        {"positions": 1001},
        {"numerics": spec_module.NUMERICS + 1},
        {"data": dataclasses.replace(example_spec().data, identity="other")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_everything_that_changes_numbers_changes_the_id(change: dict[str, object]) -> None:
    assert dataclasses.replace(example_spec(), **change).id != example_spec().id  # type: ignore[arg-type]


def test_keys_that_came_later_are_no_part_of_an_id_at_their_default() -> None:
    """The ids of records that were written before these keys existed stay what they were."""
    spec = example_spec()
    assert "temperature" not in spec.to_dict()["contextualizer"]
    assert "eval_share" not in spec.to_dict()["data"]
    context = dataclasses.replace(spec.contextualizer, temperature=1.0)
    data = dataclasses.replace(spec.data, eval_share=1.0)
    stated = dataclasses.replace(spec, contextualizer=context, data=data)
    assert stated.id == spec.id
    # written out by hand, as such a record has it
    old = json.loads(json.dumps(dataclasses.asdict(spec)))
    del old["contextualizer"]["temperature"], old["data"]["eval_share"]
    text = json.dumps(old, sort_keys=True, separators=(",", ":"))
    assert spec.id == hashlib.sha256(text.encode()).hexdigest()
    assert RunSpec.from_dict(old) == spec


@pytest.mark.parametrize(
    ("part", "change"), [("contextualizer", {"temperature": 5.0}), ("data", {"eval_share": 0.5})]
)
def test_a_later_key_with_another_value_makes_another_run(
    part: str, change: dict[str, float]
) -> None:
    spec = example_spec()
    other = dataclasses.replace(spec, **{part: dataclasses.replace(getattr(spec, part), **change)})
    assert other.id != spec.id
    assert other.to_dict()[part].items() >= change.items()
    assert RunSpec.from_dict(json.loads(json.dumps(other.to_dict()))) == other


def test_a_spec_with_an_unknown_key_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        RunSpec.from_dict(example_spec().to_dict() | {"colour": "red"})


def test_numeric_hash_ignores_time_and_machine_only() -> None:
    record = example_record()
    same = dataclasses.replace(record, timings={"train": 9.0}, machine={"cpu": "other"})
    assert same.numeric_hash == record.numeric_hash
    for change in (
        {"metrics": record.metrics | {"m": 0.5}},
        {"counts": record.counts | {"steps": 11}},
        {"curve": [{"positions": 1.0, "loss": 2.0}]},
        {"probes": [{"step": 5, "gradient_noise": None}]},
        {"outcome": "diverged"},
    ):
        assert dataclasses.replace(record, **change).numeric_hash != record.numeric_hash  # type: ignore[arg-type]


def committed(tmp_path: Path) -> tuple[Store, Record]:
    store = Store(tmp_path / "store")
    record = example_record()
    work = store.work_dir(record.id)
    (work / "ranks.parquet").write_bytes(b"ranks")
    (work / USERS).write_bytes(b"users")
    (work / "checkpoint.ckpt").write_bytes(b"gone after commit")
    return store, store.commit(record, work)


def test_commit_hashes_the_files_drops_the_checkpoint_and_reads_back(tmp_path: Path) -> None:
    store, record = committed(tmp_path)
    assert set(record.files) == {"ranks.parquet", USERS}
    assert store.load(record.id) == record
    assert store.state(record.id) == "done"
    assert not (store.path(record.id) / "checkpoint.ckpt").exists()


@pytest.mark.parametrize("fault", ["truncate", "alter", "swap", "ranks", "users", "missing"])
def test_damage_is_found_and_named(tmp_path: Path, fault: str) -> None:
    store, record = committed(tmp_path)
    path = store.path(record.id) / RECORD
    text = path.read_text()
    if fault == "truncate":
        path.write_text(text[: len(text) // 2])
    elif fault == "alter":
        path.write_text(text.replace('"steps": 10', '"steps": 12'))
        assert path.read_text() != text
    elif fault == "swap":
        other = dataclasses.replace(record, spec=dataclasses.replace(record.spec, seed=7))
        path.write_text(other.to_json())
    elif fault in ("ranks", "users"):
        (path.parent / f"{fault}.parquet").write_bytes(b"other")
    else:
        (path.parent / "ranks.parquet").unlink()
    with pytest.raises(RecordError, match=record.id[:12]):
        store.load(record.id)
    assert store.state(record.id) == "damaged"


def test_a_damaged_record_is_set_aside_by_the_next_commit(tmp_path: Path) -> None:
    store, record = committed(tmp_path)
    (store.path(record.id) / RECORD).write_text("{")
    again = store.commit(example_record(), store.work_dir(record.id))
    assert store.load(record.id) == again
    assert (store.root / ".damaged" / record.id / RECORD).read_text() == "{"


def test_a_file_beside_a_record_is_given_or_named(tmp_path: Path) -> None:
    store, record = committed(tmp_path)
    assert store.file(record.id, USERS).read_bytes() == b"users"
    with pytest.raises(RecordError, match=r"other\.parquet: no such file beside the record"):
        store.file(record.id, "other.parquet")


def test_absent_and_cleared(tmp_path: Path) -> None:
    store, record = committed(tmp_path)
    assert store.state("0" * 64) == "absent"
    with pytest.raises(RecordError, match="no such record"):
        store.load("0" * 64)
    store.clear(record.id)
    assert store.state(record.id) == "absent"


def test_nan_is_refused_in_a_record() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dataclasses.replace(example_record(), metrics={"m": float("nan")}).to_json()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    write_text(path, "old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"could not write .*runs\.json: No space left"):
        write_half()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["runs.json"]


def test_archive_holds_records_and_notices_an_altered_one(tmp_path: Path) -> None:
    store, record = committed(tmp_path)
    folder = tmp_path / "archive"
    ids = [record.id, "f" * 64]
    done = write_archive(folder, store, ids, record.spec.data, {"validation": {}})
    assert (done.held, done.absent) == (1, ["f" * 64])
    archive = Archive(folder)
    assert archive.load(record.id) == record
    assert archive.data == record.spec.data
    with pytest.raises(RecordError, match="lists no run"):
        archive.load("f" * 64)
    assert archive.file(record.id, USERS).read_bytes() == b"users"
    with pytest.raises(RecordError, match=r"lists no ranks\.parquet of run"):
        archive.file(record.id, "ranks.parquet")  # too large to ship
    (folder / record.id / USERS).write_bytes(b"other")
    with pytest.raises(RecordError, match=r"users\.parquet: altered"):
        archive.file(record.id, USERS)
    path = folder / record.id / RECORD
    path.write_text(path.read_text().replace('"steps": 10', '"steps": 12'))
    with pytest.raises(RecordError, match="altered"):
        archive.load(record.id)
    path.unlink()
    with pytest.raises(RecordError, match="listed in the manifest, but missing"):
        archive.load(record.id)
    (folder / MANIFEST).unlink()
    with pytest.raises(RecordError, match="no archive here"):
        Archive(folder)
