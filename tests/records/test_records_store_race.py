"""Several processes commit the same run: one whole record stays, whatever lies in its place."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from behavior_scaling.records.record import Record, RecordError
from behavior_scaling.records.store import CHECKPOINT, RECORD, Store, load_record

from .helpers import example_record

ROUNDS = 25
COMMIT = """
import dataclasses, sys, time
from pathlib import Path
from behavior_scaling.records.record import Record
from behavior_scaling.records.store import Store

root, template, name, shared = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
store = Store(root)
example = Record.from_json(template.read_text(), "template")
print("ready", flush=True)
sys.stdin.readline()
for seed in range(int(sys.argv[5])):
    spec = dataclasses.replace(example.spec, seed=seed)
    record = dataclasses.replace(example, spec=spec, timings={"by": float(name)})
    work = store.work_dir(spec.id if shared == "shared" else f"{spec.id}-{name}")
    for part in range(3):
        temporary = work.parent / f"{name}-{part}"
        temporary.write_bytes(b"%d" % part * 100_000)
        try:
            temporary.rename(work / f"part{part}")
        except FileNotFoundError:
            pass  # the other one has moved the folder into its place
    store.commit(record, work)
    print(seed, flush=True)
"""


@pytest.mark.parametrize("shared", ["shared", "apart"])
def test_processes_that_commit_the_same_runs_leave_whole_records(
    tmp_path: Path, shared: str
) -> None:
    store = Store(tmp_path / "store")
    template = tmp_path / "template.json"
    template.write_text(example_record().to_json())
    ids = [dataclasses.replace(example_record().spec, seed=seed).id for seed in range(ROUNDS)]
    for run_id in ids[::3]:  # every third one stands there already, damaged
        store.path(run_id).mkdir(parents=True)
        (store.path(run_id) / RECORD).write_text("{")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", COMMIT, str(store.root), str(template), name, shared,
             str(ROUNDS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in "12"
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    for run_id in ids:
        record = store.load(run_id)
        assert set(record.files) == {"part0", "part1", "part2"}
        assert record.timings["by"] in (1.0, 2.0)


def committed(store: Store, record: Record, work: str) -> Record:
    folder = store.work_dir(work)
    (folder / "ranks.parquet").write_bytes(work.encode())
    return store.commit(record, folder)


def test_the_first_whole_record_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first = committed(store, example_record(), "first")
    second = committed(store, example_record(), "second")
    assert second == first
    assert (store.path(first.id) / "ranks.parquet").read_bytes() == b"first"
    assert not (store.root / ".work" / "second").exists()
    assert not (store.root / ".damaged").exists()


@pytest.mark.parametrize(
    ("standing", "new", "stays"),
    [("failed", "done", "done"), ("failed", "failed", "failed"), ("diverged", "done", "diverged"),
     ("failed", "diverged", "diverged"), ("done", "failed", "done")],
)  # fmt: skip
def test_a_failure_gives_way_to_anything_else(
    tmp_path: Path, standing: str, new: str, stays: str
) -> None:
    store = Store(tmp_path / "store")
    for outcome in (standing, new):
        committed(store, dataclasses.replace(example_record(), outcome=outcome), outcome)  # type: ignore[arg-type]
    assert store.state(example_record().id) == stays


def test_a_whole_record_that_came_while_a_damaged_one_was_judged_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    record = committed(store, example_record(), "whole")
    judged = []

    def damaged_at_first(folder: Path, run_id: str) -> Record:
        judged.append(folder)
        if len(judged) == 1:
            raise RecordError("as it was a moment ago")
        return load_record(folder, run_id)

    monkeypatch.setattr("behavior_scaling.records.store.load_record", damaged_at_first)
    assert not store._set_aside(store.path(record.id), "done")
    monkeypatch.undo()
    assert store.load(record.id) == record
    assert list((store.root / ".damaged").iterdir()) == []


def test_a_kill_while_committing_leaves_the_checkpoint_or_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    work = store.work_dir(example_record().id)
    (work / CHECKPOINT).write_bytes(b"hours of work")

    def killed(path: Path, text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("behavior_scaling.records.store.write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        store.commit(example_record(), work)
    assert (work / CHECKPOINT).read_bytes() == b"hours of work"
