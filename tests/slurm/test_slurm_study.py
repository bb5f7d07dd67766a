"""A study through a real SLURM to its figures, with limits, and with accounting."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .accounting import ACCOUNT, SETTINGS, install_accounting, start_accounting
from .cluster import FOLDER, ClusterError, running
from .studies import PROFILE, SMALL, StudyFolder, finish

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("host")]


def test_a_study_reaches_its_figures_without_accounting_and_without_arrays(
    small: StudyFolder, folder: Path
) -> None:
    study = StudyFolder(folder, SMALL)
    # Ended jobs count among the four that the controller keeps, and are forgotten after half a
    # minute: sbatch has to wait for its turn.
    limits = {"MaxArraySize": "1", "MaxJobCount": "4", "MinJobAge": "30"}
    with running(limits) as cluster:
        more = ("--jobs", "2")
        process = study.snakemake(*PROFILE, *more, target="figures", environment=cluster.env)
        output = finish(process)
        jobs = (FOLDER / "log" / "jobs.txt").read_text().splitlines()
    assert study.hashes() == small.hashes()
    assert len(study.hashes()) == 8
    assert len(list((folder / "results/tiny/figures").glob("*.svg"))) >= 11
    assert len(re.findall("has been submitted with SLURM jobid", output)) == 7
    assert len(jobs) == 7
    assert all("JobState=COMPLETED" in job for job in jobs)


def test_with_accounting_sacct_says_how_jobs_ended(small: StudyFolder, folder: Path) -> None:
    try:
        install_accounting()
    except ClusterError as error:
        pytest.skip(f"slurmdbd and MariaDB cannot be installed here: {error}")
    study = StudyFolder(folder, SMALL, small.folder)
    with running(SETTINGS, start_accounting) as cluster:
        more = ("--slurm-status-command", "sacct", "--jobs", "2")
        yours = ("--default-resources", f"slurm_account={ACCOUNT}", "slurm_partition=gpu")
        finish(study.snakemake(*PROFILE, *more, *yours, environment=cluster.env))
        ended = cluster.ask("sacct", "-nXP", "-o", "Account,State,AllocTRES").splitlines()
    assert study.hashes() == small.hashes()
    assert len(ended) == 4
    assert all(job.startswith(f"{ACCOUNT}|COMPLETED|") for job in ended)
    assert sum("gres/gpu=1" in job for job in ended) == 3  # those that train
