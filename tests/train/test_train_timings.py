"""What a record says of its cost: parts that add up, start-up by job, peak of the run itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from behavior_scaling.records.columns import TIMINGS
from behavior_scaling.records.record import Record
from behavior_scaling.train import job_clock, machine
from behavior_scaling.train.bundle import train_bundle
from behavior_scaling.train.job_clock import process_began
from behavior_scaling.train.machine import PeakMemory
from behavior_scaling.train.matmul_rate import MatmulRate
from behavior_scaling.train.tally import Tally
from behavior_scaling.train.timings import Spent, timings

SPENT = Spent(4.0, 0.5, 0.25, 0.125, 1000)


def test_rates_and_sums_by_hand():
    tally = Tally(1000, consumed=500, flops=6e9, seconds=2.0, probe_seconds=1.0)
    found = timings(tally, SPENT, MatmulRate(flops=10**9, seconds=0.1))
    assert found == {
        "import_seconds": 4.0,
        "start_seconds": 0.5,
        "train_seconds": 2.0,
        "probe_seconds": 1.0,
        "evaluate_seconds": 0.25,
        "rate_seconds": 0.125,
        "seconds": 3.75,
        "events_per_second": 250.0,
        "executed_gflops": 3.0,
        "matmul_gflops": pytest.approx(10.0),
        "matmul_share": pytest.approx(0.3),
        "peak_memory_bytes": 1000,
    }
    assert set(found) == set(TIMINGS)  # all of them reach the table of runs


def test_a_run_without_a_step_has_no_rates():
    found = timings(Tally(1000), SPENT, None)
    assert found["events_per_second"] == 0
    assert {"executed_gflops", "matmul_gflops", "matmul_share"}.isdisjoint(found)


def test_every_record_has_them_all_and_they_are_no_part_of_its_numbers(train, spec):
    for changes in ({}, {"optimizer": replace(spec.optimizer, lr=1e9)}):
        record = train(replace(spec, positions=500, **changes), f"run {len(changes)}")
        assert set(record.timings) == set(TIMINGS)
        assert all(value >= 0 for value in record.timings.values())
        assert record.timings["matmul_share"] == pytest.approx(
            record.timings["executed_gflops"] / record.timings["matmul_gflops"]
        )
        assert replace(record, timings={}, machine={}).numeric_hash == record.numeric_hash
        assert Record.from_json(record.to_json(), "test") == record


def test_only_the_first_run_of_a_job_has_the_jobs_start(chain, spec, store):
    specs = [replace(spec, positions=300, seed=seed) for seed in range(3)]
    train_bundle(specs[:1], chain, store, 1e9, print)  # done already, in the job below
    train_bundle(specs, chain, store, 1e9, print, job_began=time.monotonic() - 1000)
    imports = [store.load(one.id).timings["import_seconds"] for one in specs]
    assert imports[0] < 100
    assert 1000 < imports[1] < 1100
    assert imports[2] < 100


def test_the_process_began_before_it_could_say_so():
    code = (
        "from behavior_scaling.train.job_clock import *; print(time.monotonic(), process_began())"
    )
    before = time.monotonic()
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    now, began = map(float, ran.stdout.split())
    assert before - 0.05 <= began < now <= time.monotonic()  # a clock tick is 10 ms


def test_without_a_system_that_says_so_the_age_is_what_was_computed(monkeypatch, tmp_path):
    monkeypatch.setattr(job_clock, "STAT", tmp_path / "none")
    assert 0 < time.monotonic() - process_began() <= time.process_time() + 1


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no Linux")
def test_the_peak_is_that_of_the_run_not_of_the_process():
    size = 100 << 20
    held = bytearray(size)
    before = PeakMemory()
    del held
    after = PeakMemory()
    assert "VmHWM" in after.source
    assert before.source == after.source
    low = after.bytes()
    held = bytearray(size)
    assert after.bytes() - low > 0.9 * size
    del held
    assert after.bytes() - low > 0.9 * size  # a peak, not what is held now


def test_where_a_peak_cannot_be_forgotten_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "RESET", tmp_path / "none" / "clear_refs")
    peak = PeakMemory()
    assert "earlier runs included" in peak.source
    assert peak.bytes() > 50e6


def test_a_record_says_what_its_peak_is_of(train, spec):
    record = train(replace(spec, positions=300))
    assert record.machine["peak_memory"] == PeakMemory().source


def python(code: str) -> list[object]:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: list[object] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_a_job_imports_neither_pandas_nor_scipys_signal_which_stays_whole():
    found = python(
        "import json, sys\n"
        "from behavior_scaling.train.lightning_import import import_lightning\n"
        "import_lightning()\n"
        "import torchmetrics\n"
        "import behavior_scaling.commands.runs, behavior_scaling.train.fit\n"
        "import behavior_scaling.train.bundle, behavior_scaling.sweep.plan\n"
        "absent = {'scipy.signal', 'pandas'}.isdisjoint(sys.modules)\n"
        "import scipy.signal\n"
        "from scipy.signal import convolve\n"
        "whole = len(dir(scipy.signal)) > 100\n"
        "print(json.dumps([absent, whole, convolve([1, 2], [1, 1]).tolist()]))\n"
    )
    assert found == [True, True, [1, 3, 2]]


@pytest.mark.slow
def test_a_process_that_has_scipys_signal_keeps_it():
    found = python(
        "import json, sys, scipy.signal\n"
        "mine = sys.modules['scipy.signal']\n"
        "from behavior_scaling.train.lightning_import import import_lightning\n"
        "import_lightning()\n"
        "print(json.dumps([sys.modules['scipy.signal'] is mine]))\n"
    )
    assert found == [True]
