"""The log of each run: there for every outcome, whole over attempts, no part of the numbers."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import replace

import pytest

from behavior_scaling.model.step import step_loss
from behavior_scaling.records.record import RecordError
from behavior_scaling.records.spec import ObjectiveSpec
from behavior_scaling.records.store import LOG
from behavior_scaling.train import callbacks, module
from behavior_scaling.train.bundle import TRACEBACK_LINES, train_bundle
from behavior_scaling.train.interrupt import InterruptedRunError

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 "


@pytest.fixture
def run_bundle(chain, store):
    """Train specs as one bundle; returns the lines of the job's log."""

    def run(specs):
        lines: list[str] = []
        train_bundle(specs, chain, store, 1e9, lines.append)
        return lines

    return run


def log_of(store, spec) -> str:
    return (store.path(spec.id) / LOG).read_text()


def test_every_run_of_a_bundle_has_its_own_log_whatever_its_outcome(run_bundle, spec, store):
    short = replace(spec, positions=500)
    impossible = replace(spec, objective=ObjectiveSpec("corrected", 8, 41, "mask"))
    wild = replace(spec, optimizer=replace(spec.optimizer, lr=1e9))
    specs = [short, impossible, wild, replace(short, seed=1)]
    lines = run_bundle(specs)
    outcomes = ["done", "failed", "diverged", "done"]
    assert [store.load(one.id).outcome for one in specs] == outcomes
    for number, (one, outcome) in enumerate(zip(specs, outcomes, strict=True), start=1):
        log = log_of(store, one)
        first, *_, last = log.splitlines()
        assert re.match(rf"{TIME}run {number} of 4, stage 1, .*\({one.id[:12]}\)$", first)
        assert re.match(rf"{TIME}{outcome} after \d+\.\d s", last)
        assert lines[number - 1].endswith(last.split(" ", 1)[1])
        assert sum(other.id[:12] in log for other in specs) == 1
    failed = log_of(store, impossible)
    assert "Traceback (most recent call last):" in failed
    assert "K = 41 exceeds the catalogue" in failed
    assert re.search(r"the loss is (nan|inf) at step \d+$", log_of(store, wild).rstrip())


def test_the_log_has_the_whole_traceback_where_the_record_has_its_end(
    run_bundle, spec, store, monkeypatch
):
    def struck(*args):
        if args[-1] == 5 and args[-2] == spec.seed:
            raise RuntimeError("a cosmic ray")
        return step_loss(*args)

    monkeypatch.setattr(module, "step_loss", struck)
    other = replace(spec, seed=1, positions=300)
    run_bundle([spec, other])
    assert store.load(other.id).outcome == "done"
    error = store.load(spec.id).error or ""
    log = log_of(store, spec)
    assert len(error.splitlines()) == TRACEBACK_LINES
    assert error in log
    assert log.count('  File "') > TRACEBACK_LINES / 2 > error.count('  File "') > 1


def test_a_run_that_was_stopped_goes_on_in_the_same_log(
    run_bundle, train, spec, store, monkeypatch
):
    def signalled(*args):
        if args[-1] == 30:
            os.kill(os.getpid(), signal.SIGTERM)
        return step_loss(*args)

    monkeypatch.setattr(module, "step_loss", signalled)
    with pytest.raises(InterruptedRunError):
        run_bundle([spec])
    begun = (store.work_dir(spec.id) / LOG).read_text()
    assert re.search(rf"^{TIME}stopped after step 31$", begun, re.MULTILINE)
    monkeypatch.undo()
    run_bundle([spec])
    whole = log_of(store, spec)
    assert whole.startswith(begun)
    assert "going on from" in whole[len(begun) :]
    assert store.load(spec.id).numeric_hash == train(spec).numeric_hash


def test_progress_goes_to_both_logs(run_bundle, spec, store, monkeypatch):
    monkeypatch.setattr(callbacks, "PROGRESS_SECONDS", 0.0)
    lines = run_bundle([replace(spec, positions=500)])
    progress = [line for line in lines if " of D, loss " in line]
    log = log_of(store, replace(spec, positions=500))
    assert len(progress) > 3
    assert all(line.partition(": ")[2] in log for line in progress)


def test_the_log_is_covered_by_the_records_hashes(run_bundle, spec, store):
    short = replace(spec, positions=300)
    run_bundle([short])
    assert LOG in store.load(short.id).files
    with (store.path(short.id) / LOG).open("a") as file:
        file.write("a line that nobody wrote\n")
    with pytest.raises(RecordError, match=r"log\.txt: altered"):
        store.load(short.id)
