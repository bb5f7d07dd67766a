"""What a SLURM does to jobs: preemption, signals, limits, a killed slurmd. Nothing is lost."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from .cluster import Cluster, running
from .studies import LONG, LONGER, PROFILE, StudyFolder, end, finish, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("host")]
TRAIN = (*PROFILE, "--until", "train")
STOPPED = "stopped after step"
GOING_ON = "going on from"


def training(cluster: Cluster) -> list[str]:
    """Running jobs that train, by number."""
    lines = cluster.ask("squeue", "-h", "-t", "RUNNING", "-o", "%A %k").splitlines()
    return [line.split()[0] for line in lines if "rule_train" in line]


def urgent(cluster: Cluster) -> None:
    """A job of the urgent partition that takes every GPU for a second."""
    cluster.run("sbatch", "-p", "urgent", "--gpus=4", "--mem=100", "-o/dev/null", "--wrap=sleep 1")


def test_preempted_and_stopped_runs_go_on_from_their_checkpoints(
    long: StudyFolder, folder: Path
) -> None:
    study = StudyFolder(folder, LONG, long.folder)
    with running() as cluster:
        process = study.snakemake(*TRAIN, environment=cluster.env)
        study.wait_until_training(process, runs=2)
        stopped, preempted = training(cluster)
        cluster.run("scancel", "--signal=TERM", stopped)
        wait_until(lambda: training(cluster) == [preempted], 60, "a job ends", process)
        urgent(cluster)
        output = finish(process)
    assert study.hashes() == long.hashes()
    assert output.count("Trying to restart job") == 1  # the preempted one is SLURM's to restart
    for log in study.logs():
        assert log.count(STOPPED) == log.count(GOING_ON) == 1, log


def test_a_run_over_its_memory_and_then_its_time_gets_more(
    small: StudyFolder, folder: Path, tmp_path: Path
) -> None:
    here = StudyFolder(tmp_path / "here", LONGER, small.folder)
    undisturbed = here.snakemake("--cores", "1")  # beside the other
    study = StudyFolder(folder, LONGER, small.folder)
    limits = "train:mem_mb=min(150*16**(attempt-1),4800)"
    try:
        with running() as cluster:
            process = study.snakemake(*TRAIN, "--set-resources", limits, environment=cluster.env)
            study.wait_until_training(process, runs=1)
            (job,) = training(cluster)
            cluster.run("scontrol", "update", f"JobId={job}", "TimeLimit=1")
            output = finish(process)
        finish(undisturbed)
    finally:
        end(undisturbed)
    assert study.hashes() == here.hashes()
    asked = re.findall(r"^rule train:\n(?:    .*\n)*?    resources: (.*)", output, re.MULTILINE)
    assert [int(re.findall(r" mem_mb=(\d+)", job)[0]) for job in asked] == [150, 2400, 4800]
    first, second, third = (int(re.findall(r"runtime=(\d+)", job)[0]) for job in asked)
    assert (second, third) == (2 * first, 4 * first)
    (log,) = study.logs()
    assert log.count(STOPPED) == log.count(GOING_ON) == 1, log
    assert output.count("Trying to restart job") == 2


def test_a_killed_slurmd_costs_nothing(long: StudyFolder, folder: Path) -> None:
    study = StudyFolder(folder, LONG, long.folder)
    with running({"SlurmdTimeout": "10"}) as cluster:
        process = study.snakemake(*TRAIN, environment=cluster.env)
        study.wait_until_training(process, runs=2)
        pid = cluster.pid("slurmd")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: cluster.pid("slurmd") is None, 10, "slurmd is gone", process)
        time.sleep(2)
        cluster.start_slurmd()
        output = finish(process)
    assert study.hashes() == long.hashes()
    for log in study.logs():  # trained once, without a stop
        assert log.count("run 1 of 1") == 1, log
        assert STOPPED not in log
    assert "Trying to restart job" not in output
