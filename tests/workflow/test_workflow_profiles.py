"""The profiles: what Snakemake knows of them, what they must never say, and their dry runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..checkout import copy_workflow

ROOT = Path(__file__).parents[2]
PROFILES = ROOT / "workflow" / "profiles"
STUDY = {
    "name": "tiny",
    "title": "Three runs, none of them run",
    "data": {"source": "ml-100k", "context": 32, "tokens": 8},
    "objective": {"in_batch": 64},
    "execution": {"batch": 4, "gpu": "h100"},
    "axes": {
        "allocation": {
            "budgets": [1e8], "share": 0.17, "depth": 0, "parameters": [[250, 500, 1000]],
        }
    },
}  # fmt: skip


def profile(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((PROFILES / name / "config.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("profiles") / "study"
    copy_workflow(place)
    (place / "config" / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
    return place


def dry_run(folder: Path, name: str) -> str:
    command = [
        sys.executable, "-m", "snakemake", "--dry-run", "--workflow-profile",
        f"workflow/profiles/{name}", "--config", "study=config/tiny.yaml", "--",
        "results/tiny/runs.parquet",
    ]  # fmt: skip
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_slurm_profile_s_dry_run_asks_for_a_gpu_and_a_signal(folder: Path) -> None:
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="the extra hpc is not installed")
    planned = dry_run(folder, "slurm")
    jobs = re.findall(r"rule train:\n(?:    .*\n)+", planned)
    assert jobs
    for train in jobs:
        assert "gpu=1" in train
        assert "nodes=1" in train
        assert "slurm_extra=--signal=TERM@120" in train  # without B:, which is the batch shell


def test_the_cuda_profile_s_dry_run_plans_the_same_jobs(folder: Path) -> None:
    planned = dry_run(folder, "cuda")
    assert re.search(r"^train +[1-9]", planned, re.MULTILINE)


def test_the_default_profile_is_the_one_that_snakemake_loads() -> None:
    """It looks for profiles/default beside the Snakefile."""
    assert (ROOT / "profiles").resolve() == PROFILES
    assert profile("default")["rerun-incomplete"]


@pytest.mark.parametrize("name", ["slurm", "cuda"])
def test_a_profile_says_again_what_it_takes_the_place_of(name: str) -> None:
    common = profile("default")
    del common["cores"]
    assert {key: profile(name).get(key) for key in common} == common


def test_retries_stand_in_the_profile_and_in_no_rule() -> None:
    assert profile("slurm")["retries"] >= 2
    rules = [*(ROOT / "workflow" / "rules").glob("*.smk"), ROOT / "Snakefile"]
    assert not [path.name for path in rules if re.search(r"^\s*retries:", path.read_text(), re.M)]


def test_job_arrays_are_off_and_squeue_gives_the_status() -> None:
    slurm = profile("slurm")
    assert slurm["executor"] == "slurm"
    assert not [key for key in slurm if "array" in key]
    assert slurm["slurm-status-command"] == "squeue"
    assert 3 * slurm["slurm-init-seconds-before-status-checks"] <= 300  # SLURM's own MinJobAge
    assert slurm["slurm-requeue"] is True
