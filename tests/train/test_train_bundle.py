"""Bundles under fire: kill -9, signals, errors, damaged records and missing parents."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from behavior_scaling.model.step import step_loss
from behavior_scaling.records.spec import ObjectiveSpec
from behavior_scaling.records.store import CHECKPOINT, LOG, USERS
from behavior_scaling.train import module
from behavior_scaling.train.bundle import train_bundle
from behavior_scaling.train.interrupt import InterruptedRunError, stop_flag
from behavior_scaling.train.run import EMBEDDER, RANKS

KILLED = """
import json, os, signal, sys
from pathlib import Path
from behavior_scaling.data.store import Dataset
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import Store
from behavior_scaling.train.bundle import train_bundle
from behavior_scaling.train.callbacks import Keeper

specs = [RunSpec.from_dict(raw) for raw in json.loads(sys.argv[1])]
save = Keeper._save

def save_and_die(self, trainer):
    save(self, trainer)
    if self._path.parent.name == specs[1].id and trainer.global_step == 20:
        os.kill(os.getpid(), signal.SIGKILL)

Keeper._save = save_and_die
train_bundle(specs, Dataset.open(Path(sys.argv[2])), Store(Path(sys.argv[3])), 0.0, print)
"""


@pytest.fixture
def run_bundle(chain, store):
    """Train specs as one bundle; returns (outcomes, lines of the log)."""

    def run(specs, seconds=1e9):
        lines: list[str] = []
        return train_bundle(specs, chain, store, seconds, lines.append), lines

    return run


def test_kill_9_loses_no_finished_record_and_a_resumed_run_has_the_same_numbers(
    run_bundle, train, chain, spec, child, store
):
    other = replace(spec, seed=1, positions=3100)
    specs = [spec, other, child]
    arguments = [json.dumps([one.to_dict() for one in specs]), str(chain.path), str(store.root)]
    died = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    finished = store.load(spec.id)
    assert store.state(other.id) == "absent"
    checkpoint = store.work_dir(other.id) / CHECKPOINT
    assert torch.load(checkpoint, weights_only=True)["tally"]["steps"] == 20

    outcomes, lines = run_bundle(specs)
    assert outcomes == ["done"] * 3
    assert [line.split(": ", 1)[1] for line in lines[:2]] == [
        "done already",
        f"going on from {checkpoint}",
    ]
    # Another process, and a process that was killed, against this one undisturbed.
    assert finished.numeric_hash == train(spec, "one").numeric_hash
    assert store.load(other.id).numeric_hash == train(other, "other").numeric_hash
    assert sorted(file.name for file in store.path(other.id).iterdir()) == [
        "curve.csv",
        EMBEDDER,
        LOG,
        RANKS,
        "record.json",
        USERS,
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_with_a_checkpoint_and_the_rest_goes_on_later(
    run_bundle, train, spec, store, monkeypatch, number
):
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]

    def signalled(*args):
        if args[-1] == 30:
            os.kill(os.getpid(), number)
        return step_loss(*args)

    first = replace(spec, positions=500)
    monkeypatch.setattr(module, "step_loss", signalled)
    with pytest.raises(InterruptedRunError, match="after step 31"):
        run_bundle([first, spec])
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == before
    assert (store.state(first.id), store.state(spec.id)) == ("done", "absent")
    saved = torch.load(store.work_dir(spec.id) / CHECKPOINT, weights_only=True)
    assert saved["tally"]["steps"] == 31

    monkeypatch.undo()
    outcomes, _ = run_bundle([first, spec])
    assert outcomes == ["done", "done"]
    assert store.load(spec.id).numeric_hash == train(spec).numeric_hash


def test_sigterm_that_lightning_sees_first_leaves_a_checkpoint_too(train, spec, tmp_path):
    polls = 0

    def signal_after_the_poll() -> bool:  # asked for after step 30, Lightning checks next
        nonlocal polls
        polls += 1
        if polls == 30:
            os.kill(os.getpid(), signal.SIGTERM)
        return False

    with stop_flag(), pytest.raises(InterruptedRunError, match="SIGTERM"):
        train(spec, stopped=signal_after_the_poll)
    saved = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)
    assert saved["tally"]["steps"] == 30
    resumed = train(spec)
    assert resumed.numeric_hash == train(spec, "undisturbed").numeric_hash


def test_outside_the_main_thread_signals_are_left_alone():
    before = signal.getsignal(signal.SIGTERM)

    def inside() -> bool:
        with stop_flag() as stopped:
            return signal.getsignal(signal.SIGTERM) is before and not stopped()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result()


def test_a_second_signal_acts_as_it_would_have_without_us():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    try:
        with stop_flag() as stopped:
            assert not stopped()
            os.kill(os.getpid(), signal.SIGINT)
            assert stopped()
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("text", [b"", b"no checkpoint", None])
def test_a_spoilt_checkpoint_costs_time_but_no_numbers(train, spec, tmp_path, text):
    calls = 0

    def stop_at_30() -> bool:
        nonlocal calls
        calls += 1
        return calls == 30

    with pytest.raises(InterruptedRunError):
        train(spec, stopped=stop_at_30)
    checkpoint = tmp_path / "run" / CHECKPOINT
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000] if text is None else text)
    lines: list[str] = []
    record = train(spec, log=lines.append)
    assert "cannot be read, the run starts anew" in lines[0]
    assert record.numeric_hash == train(spec, "undisturbed").numeric_hash


def test_a_run_that_fails_is_an_outcome_and_the_rest_goes_on(run_bundle, spec, store):
    impossible = replace(spec, objective=ObjectiveSpec("corrected", 8, 41, "mask"))
    outcomes, lines = run_bundle([impossible, spec])
    assert outcomes == ["failed", "done"]
    record = store.load(impossible.id)
    assert record.error is not None
    assert record.error.startswith("Traceback (most recent call last)")
    assert "K = 41 exceeds the catalogue of 40 items" in record.error
    assert "K = 41 exceeds" in lines[0]
    assert run_bundle([impossible])[1][0].endswith("failed already")


def test_a_run_that_diverges_is_an_outcome_and_the_rest_goes_on(run_bundle, spec, child, store):
    wild = replace(spec, optimizer=replace(spec.optimizer, lr=1e9))
    orphan = replace(child, parent=wild.id)
    outcomes, _ = run_bundle([wild, orphan, spec])
    assert outcomes == ["diverged", "failed", "done"]
    assert re.fullmatch(r"the loss is (nan|inf) at step \d+", store.load(wild.id).error or "")
    assert "it is diverged" in (store.load(orphan.id).error or "")


def test_what_a_run_wrote_before_it_failed_is_not_kept(run_bundle, spec, store, monkeypatch):
    def disk_full(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr("behavior_scaling.train.weights.save_embedder", disk_full)
    assert run_bundle([spec])[0] == ["failed"]
    assert sorted(file.name for file in store.path(spec.id).iterdir()) == [LOG, "record.json"]
    assert "no space left" in (store.load(spec.id).error or "")


def test_a_child_takes_its_parents_embedder_from_the_store(run_bundle, spec, child, store):
    assert run_bundle([spec, child])[0] == ["done", "done"]
    files = [store.path(one.id) / EMBEDDER for one in (spec, child)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_child_without_a_parent_fails_and_says_so(run_bundle, child, store):
    assert run_bundle([child])[0] == ["failed"]
    assert f"parent {child.parent} is missing" in (store.load(child.id).error or "")


def test_a_child_of_a_parent_that_failed_says_that(run_bundle, spec, child, store):
    impossible = replace(spec, objective=ObjectiveSpec("corrected", 8, 41, "mask"))
    orphan = replace(child, parent=impossible.id)
    assert run_bundle([impossible, orphan])[0] == ["failed", "failed"]
    expected = f"parent {impossible.id} is missing its embedder: it is failed"
    assert expected in (store.load(orphan.id).error or "")


def test_a_damaged_record_is_trained_again_with_the_same_numbers(run_bundle, spec, store):
    run_bundle([spec])
    numbers = store.load(spec.id).numeric_hash
    ranks: Path = store.path(spec.id) / RANKS
    ranks.write_bytes(ranks.read_bytes()[:-1])
    assert store.state(spec.id) == "damaged"
    assert run_bundle([spec])[0] == ["done"]
    assert store.load(spec.id).numeric_hash == numbers


def test_a_finished_bundle_imports_no_torch(run_bundle, chain, spec, store):
    run_bundle([spec])
    script = KILLED.split("from behavior_scaling.train.callbacks")[0] + (
        "spec = RunSpec.from_dict(json.loads(sys.argv[1]))\n"
        "data, store = Dataset.open(Path(sys.argv[2])), Store(Path(sys.argv[3]))\n"
        "print(train_bundle([spec], data, store, 1e9, print), 'torch' in sys.modules)\n"
    )
    arguments = [json.dumps(spec.to_dict()), str(chain.path), str(store.root)]
    ran = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "['done'] False"


def test_progress_names_the_run(run_bundle, spec, store, chain):
    lines = []
    train_bundle([spec], chain, store, 1e9, lines.append)
    assert lines[-1].startswith(
        f"run 1 of 1, stage 1, C = 1e+07, d = 8, e = 8, B = 4, seed 0 ({spec.id[:12]}): done after"
    )
