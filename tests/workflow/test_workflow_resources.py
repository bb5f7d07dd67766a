"""What a job asks for, by hand; and how a rule's shell takes a scheduler's signals."""

from __future__ import annotations

import ast
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from behavior_scaling.config import Study, load_study
from behavior_scaling.sweep.plan import Bundle
from behavior_scaling.sweep.resources import Resources, doubled, resources

ROOT = Path(__file__).parents[2]
WAITS = """
import sys, time
from behavior_scaling.train.interrupt import stop_flag
with stop_flag() as stopped:
    print("begun", flush=True)
    while not stopped():
        time.sleep(0.01)
    time.sleep(0.5)
    print("checkpoint", flush=True)
sys.exit(130)
"""


def study(gpu: str | None, threads: int = 1, tokens: int = 24) -> Study:
    quick = load_study(ROOT / "config" / "quick.yaml")
    execution = quick.execution.model_copy(update={"gpu": gpu, "threads": threads})
    data = quick.data.model_copy(update={"tokens": tokens})
    return quick.model_copy(update={"execution": execution, "data": data})


def bundle(seconds: float, devices: int = 1) -> Bundle:
    return Bundle("0" * 16, (), (), seconds, devices)


def test_a_short_job_on_a_cpu_asks_for_the_least() -> None:
    # 10 minutes and 3 x 20 s = 1 minute; 4000 MB and 2 x 8 x 1682 x 24 bytes, under a MB
    asked = resources(study(None), bundle(20), 1682, attempt=1)
    assert asked == Resources(gpu=0, cpus=1, mem_mb=4001, minutes=11)


def test_devices_multiply_gpus_cores_and_memory_but_not_minutes() -> None:
    # 10^7 items x 24 tokens x 8 bytes, twice: 3840 MB a process; 3 x 2 h = 360 minutes
    one = resources(study("h100", threads=4), bundle(7200), 10**7, attempt=1)
    assert one == Resources(gpu=1, cpus=4, mem_mb=7840, minutes=370)
    eight = resources(study("h100", threads=4), bundle(7200, devices=8), 10**7, attempt=1)
    assert eight == Resources(gpu=8, cpus=32, mem_mb=62720, minutes=370)


@pytest.mark.parametrize(("attempt", "factor"), [(1, 1), (2, 2), (3, 4), (4, 8)])
def test_every_retry_doubles_memory_and_minutes_and_nothing_else(attempt: int, factor: int) -> None:
    first = resources(study("h100"), bundle(600, 2), 10**6, attempt=1)
    then = resources(study("h100"), bundle(600, 2), 10**6, attempt)
    assert doubled(attempt) == factor
    assert then == dataclasses.replace(
        first, mem_mb=first.mem_mb * factor, minutes=first.minutes * factor
    )


def test_terms_twice_at_once_leave_training_time_for_its_checkpoint(tmp_path: Path) -> None:
    """As preemption sends them: to the shell, to training and to tee."""
    rule = (ROOT / "workflow" / "rules" / "train.smk").read_text().split("    shell:\n")[1]
    text = ast.literal_eval(f"({rule.partition('rule collect:')[0]})")
    log = tmp_path / "train.log"
    command = "set -euo pipefail; " + text.replace("{log}", str(log))
    (tmp_path / "waits.py").write_text(WAITS)
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path}/waits.py"\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    process = subprocess.Popen(
        ["bash", "-c", command], env=os.environ | {"PATH": path}, stdout=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (log.is_file() and "begun" in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    for _ in range(2):
        os.killpg(process.pid, signal.SIGTERM)
        time.sleep(0.03)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed.split() == log.read_text().split() == ["begun", "checkpoint"]
