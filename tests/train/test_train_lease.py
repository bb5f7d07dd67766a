"""Two bundles on one store: each run is trained once, and who lost a lease writes nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from behavior_scaling.model.step import step_loss
from behavior_scaling.records.lease import FOLDER, Leases, holders
from behavior_scaling.records.store import Store
from behavior_scaling.sizes.execution import Execution
from behavior_scaling.train import bundle as bundle_module
from behavior_scaling.train import module
from behavior_scaling.train.bundle import train_bundle
from behavior_scaling.train.interrupt import InterruptedRunError

BUNDLE = """
import json, sys, time
from pathlib import Path
from behavior_scaling.data.store import Dataset
from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import Store
from behavior_scaling.train import bundle

def train_run(spec, dataset, work_dir, *rest):
    time.sleep(0.03)
    (work_dir / bundle.EMBEDDER).write_bytes(b"")
    return Record(spec=spec, outcome="done")

bundle.train_run = train_run
bundle.LOOK_SECONDS = 0.01
specs = [RunSpec.from_dict(raw) for raw in json.loads(sys.argv[1])]
data, store = Dataset.open(Path(sys.argv[2])), Store(Path(sys.argv[3]))
print("ready", flush=True)
sys.stdin.readline()
print(bundle.train_bundle(specs, data, store, 1e9, print))
"""  # what is trained is of no matter here; test_share_dag.py does it with real runs


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(bundle_module, "LOOK_SECONDS", 0.0)


def test_processes_on_one_bundle_train_each_run_once(chain, spec, child, store):
    specs = [spec, *(replace(spec, seed=seed) for seed in range(1, 20)), child]
    arguments = [json.dumps([one.to_dict() for one in specs]), str(chain.path), str(store.root)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BUNDLE, *arguments], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    logs = []
    for process in processes:
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        logs += out.splitlines()
    assert logs.count(str(["done"] * len(specs))) == 3
    for one in specs:
        trained = [line for line in logs if one.id[:12] in line and ": done after " in line]
        assert len(trained) == 1, "\n".join(logs)
    assert holders(store.root) == []
    assert list((store.root / ".work").iterdir()) == []


def test_a_run_that_another_trains_comes_last_and_its_record_is_used(
    chain, spec, child, store, train
):
    own = replace(spec, seed=5)
    lease = Leases(store.root).take(spec.id)
    record = train(spec)  # its record will come from elsewhere
    lines: list[str] = []
    told: list[tuple[str, str]] = []

    def log(line: str) -> None:
        lines.append(line)
        if line.startswith("waiting for"):
            work_dir = store.root.parent / "run"
            Store(store.root).commit(record, work_dir)
            lease.__exit__(None, None, None)

    outcomes = train_bundle(
        [spec, child, own], chain, store, 1e9, log, done=lambda *run: told.append(run)
    )
    assert outcomes == ["done"] * 3
    assert store.load(spec.id).timings == record.timings
    assert told == [(own.id, "done"), (spec.id, "done"), (child.id, "done")]
    short = [line.partition(")")[2] for line in lines if line.startswith("run")]
    assert f"process {os.getpid()} on " in short[0]
    assert short[1] == ": its parent is not there yet; it comes last"
    assert lines[-2].endswith(f"({spec.id[:12]}): done by another process")
    assert lines[-1].startswith("run 2 of 3")


def test_a_run_whose_trainer_died_is_taken_up_by_who_waits(chain, spec, store):
    path = store.root / FOLDER / f"{spec.id}.json"
    lease = Leases(store.root).take(spec.id)
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        if line.startswith("waiting for"):  # as if its process had another start
            body = json.loads(path.read_text()) | {"started": "1", "beat": 9}
            lease.__exit__(None, None, None)
            path.write_text(json.dumps(body))

    assert train_bundle([spec], chain, store, 1e9, log) == ["done"]
    assert "done after" in lines[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_waiting(chain, spec, store, number):
    def log(line: str) -> None:
        if line.startswith("waiting for"):
            os.kill(os.getpid(), number)

    with Leases(store.root).take(spec.id), pytest.raises(InterruptedRunError, match="before run 1"):
        train_bundle([spec], chain, store, 1e9, log)
    assert store.state(spec.id) == "absent"


def taken_over(store, spec) -> Path:
    """Another process takes the lease, as from one that has been silent for too long."""
    path = store.root / FOLDER / f"{spec.id}.json"
    path.unlink()
    path.write_text("another's")
    return path


@pytest.mark.parametrize("finished", [False, True])
def test_who_lost_the_lease_stops_and_leaves_the_run_to_the_other(
    chain, spec, store, train, monkeypatch, finished
):
    store._leases = Leases(store.root, beat_seconds=0.01)
    theirs = train(spec)
    steps = []

    def lose_it(*args):
        steps.append(args[-1])
        if args[-1] == 20:
            taken_over(store, spec)
            if finished:
                store.commit(theirs, store.root.parent / "run")
        return step_loss(*args)

    longer = replace(spec, positions=3000)
    monkeypatch.setattr(module, "step_loss", lose_it)
    with pytest.raises(InterruptedRunError, match="lease was taken over"):
        train_bundle([longer], chain, store, 1e9, print)
    assert max(steps) >= 20
    assert (store.root / FOLDER / f"{spec.id}.json").read_text() == "another's"
    if finished:
        assert store.load(spec.id).timings == theirs.timings
        assert not (store.root / ".work" / spec.id).exists()
    else:
        assert store.state(spec.id) == "absent"


def test_a_lease_lost_after_the_last_beat_is_noticed_before_the_commit(
    chain, spec, store, monkeypatch
):
    real = bundle_module.train_run

    def lose_it_at_the_end(*args):
        record = real(*args)
        taken_over(store, spec)
        return record

    monkeypatch.setattr(bundle_module, "train_run", lose_it_at_the_end)
    with pytest.raises(InterruptedRunError, match="left to the other one"):
        train_bundle([spec], chain, store, 1e9, print)
    assert store.state(spec.id) == "absent"


def test_an_error_that_the_other_one_caused_is_no_failed_run(chain, spec, store, monkeypatch):
    def moved_away(spec, dataset, work_dir, *rest):
        taken_over(store, spec)
        shutil.rmtree(work_dir)
        raise FileNotFoundError(work_dir)

    monkeypatch.setattr(bundle_module, "train_run", moved_away)
    with pytest.raises(InterruptedRunError, match="lease was taken over"):
        train_bundle([spec], chain, store, 1e9, print)
    assert store.state(spec.id) == "absent"


def test_execution_and_progress_reach_the_run_and_its_lease(chain, spec, store, monkeypatch):
    seen = []

    def watch(*args):
        execution, told = args[-2:]
        told({"steps": 3.0})
        seen.append((execution, Leases(store.root).take(spec.id), holders(store.root)))
        raise RuntimeError("enough")

    monkeypatch.setattr(bundle_module, "train_run", watch)
    layout = Execution(compile=True)
    assert train_bundle([spec], chain, store, 1e9, print, executions=[layout]) == ["failed"]
    ((execution, again, held),) = seen
    assert execution == layout
    assert again is None
    assert [one.run_id for one in held] == [spec.id]
