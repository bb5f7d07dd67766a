"""kill -9 of a run: while its checkpoint is written, and at every step of becoming a record."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from behavior_scaling.records.record import Record
from behavior_scaling.records.store import CHECKPOINT, RECORD, USERS, Store

from ..records.helpers import example_record
from .faults_processes import KILLED, Child

COMMIT = """
from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import Store

left, changes = LAST, {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"}

def count(event, arguments):
    global left
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & 3
    if (writes or event in changes) and str(arguments[0]).startswith(STORE):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

store = Store(Path(STORE))
record = Record(spec=RunSpec.from_dict(SPEC), outcome="done", metrics={"m": 0.25})
work = store.work_dir(record.id)
sys.addaudithook(count)
store.commit(record, work)
"""


def test_killed_while_the_checkpoint_is_written(struck, bundle, spec, store, undisturbed) -> None:
    died = struck(f"at('{CHECKPOINT}', 5, kill_half_way)", spec)
    assert died.end() == KILLED, died.text
    work = store.work_dir(spec.id)
    halves = [file for file in work.iterdir() if file.name.startswith(f".{CHECKPOINT}.")]
    whole = (work / CHECKPOINT).stat().st_size
    assert [0 < file.stat().st_size < 0.6 * whole for file in halves] == [True]

    lines = bundle(spec)
    assert "going on from" in lines[0]
    assert store.load(spec.id).numeric_hash == undisturbed(spec).numeric_hash
    assert not [file for file in store.path(spec.id).iterdir() if file.name.startswith(".")]


@pytest.mark.parametrize("strike", ["kill_half_way", "kill"])
def test_killed_while_the_record_is_written(
    struck, bundle, spec, store, undisturbed, strike: str
) -> None:
    died = struck(f"at('{RECORD}', 1, {strike})", spec)
    assert died.end() == KILLED, died.text
    assert store.state(spec.id) == "absent"
    assert "going on from" in bundle(spec)[0]
    assert store.load(spec.id).numeric_hash == undisturbed(spec).numeric_hash


@pytest.mark.parametrize("before", ["absent", "damaged"])
def test_killed_at_any_change_that_a_commit_makes(tmp_path: Path, before: str) -> None:
    """At whatever call the kill comes: a whole record, or none and the checkpoint as it was."""
    record = dataclasses.replace(example_record(), counts={}, curve=[], metrics={"m": 0.25})
    stages = []
    for last in range(100):
        store = Store(tmp_path / f"{last}" / "store")
        if before == "damaged":
            worked(store, record)
            store.commit(record, store.work_dir(record.id))
            (store.path(record.id) / USERS).write_bytes(b"spoilt")
        worked(store, record)
        names = {"LAST": last, "STORE": str(store.root), "SPEC": record.spec.to_dict()}
        ended = Child(tmp_path / f"{last}" / "log", COMMIT, **names)
        survived = ended.end() == 0
        assert survived or ended.end() == KILLED, ended.text
        stages.append(store.state(record.id))
        if stages[-1] != "done":
            checkpoint = store.work_dir(record.id) / CHECKPOINT
            assert checkpoint.read_bytes() == b"checkpoint", stages
            worked(store, record)
            store.commit(record, store.work_dir(record.id))
        assert store.load(record.id).metrics == {"m": 0.25}
        assert store.file(record.id, USERS).read_bytes() == b"users"
        if survived:
            break
    assert stages[0] == before
    assert stages[-1] == "done"
    assert len(stages) > 4


def worked(store: Store, record: Record) -> None:
    """What a run leaves in its work folder, after the checks that begin an attempt."""
    work = store.work_dir(record.id)
    (work / USERS).write_bytes(b"users")
    (work / CHECKPOINT).write_bytes(b"checkpoint")
