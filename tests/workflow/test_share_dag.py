"""A study begun in one folder and continued in another, as on a laptop and a cluster.

Both folders hold nothing but the repository's files; records, and what Snakemake has left to do,
are compared with one undisturbed study.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from behavior_scaling.config import load_study
from behavior_scaling.layout import Layout
from behavior_scaling.sweep.plan import make_plan

from ..checkout import copy_workflow, start_snakemake

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STUDY: dict[str, Any] = {
    "name": "small",
    "title": "Eight short runs",
    "data": {"source": "ml-100k", "context": 32, "tokens": 8},
    "objective": {"in_batch": 64},
    "execution": {"batch": 4, "bundle_seconds": 10},
    "axes": {
        "allocation": {
            "budgets": [1e8, 2e8], "share": 0.17, "depth": 0,
            "parameters": [[500, 1000], [500, 1000]], "seeds": [0, 1],
        }
    },
}  # fmt: skip
RUNS = "results/small/runs.parquet"


def repository(folder: Path) -> Path:
    copy_workflow(folder)
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", ignore=skipped)
    (folder / "config" / "small.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


def snakemake(folder: Path, *targets: str, more: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return start_snakemake(folder, "small", targets or (RUNS,), *more, cores=1)


def run(folder: Path, *targets: str, more: tuple[str, ...] = ()) -> str:
    process = snakemake(folder, *targets, more=more)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    return output


def share(folder: Path, command: str, url: Path) -> str:
    way = "--to" if command == "push" else "--from"
    words = [command, "--config", "config/small.yaml", way, str(url)]
    done = subprocess.run(
        [sys.executable, "-m", "behavior_scaling", *words],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def numbers(folder: Path) -> dict[str, str]:
    paths = (folder / "results" / "store").glob("[0-9a-f]*/record.json")
    return {path.parent.name: json.loads(path.read_text())["numeric_hash"] for path in paths}


def bundles(folder: Path) -> list[str]:
    study = load_study(folder / "config" / "small.yaml")
    place = Layout(Path("results"), study)
    return [str(place.bundles / f"{one.key}.json") for one in make_plan(study, 1682).bundles]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = repository(tmp_path_factory.mktemp("share") / "undisturbed")
    run(folder)
    assert len(numbers(folder)) == 8
    return folder


def test_half_here_half_there_and_back_is_the_undisturbed_study(
    undisturbed: Path, tmp_path: Path
) -> None:
    laptop, cluster, far = repository(tmp_path / "laptop"), repository(tmp_path / "hpc"), (
        tmp_path / "far"
    )  # fmt: skip
    run(laptop, bundles(laptop)[0])
    begun = numbers(laptop)
    assert 0 < len(begun) < 8
    share(laptop, "push", far)
    assert f"records: {len(begun)} copied" in share(cluster, "pull", far)
    planned = run(cluster, more=("--dry-run",))
    for rule in ("fetch", "prepare", "floors"):
        assert f"rule {rule}:" not in planned
    assert planned.count("rule train:") == len(bundles(cluster)) - 1
    run(cluster)
    assert numbers(cluster) == numbers(undisturbed)
    share(cluster, "push", far)
    assert f"records: {8 - len(begun)} copied" in share(laptop, "pull", far)
    assert numbers(laptop) == numbers(undisturbed)
    output = run(laptop)
    assert "rule train:" not in output
    assert "rule collect:" in output
    assert "Nothing to be done" in run(laptop)


def test_a_killed_study_goes_on_in_a_copy_of_its_folder(undisturbed: Path, tmp_path: Path) -> None:
    laptop, cluster = repository(tmp_path / "laptop"), repository(tmp_path / "hpc")
    process = snakemake(laptop)
    deadline = time.monotonic() + 300
    while not numbers(laptop) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    begun = numbers(laptop)
    assert 0 < len(begun) < 8
    shutil.copytree(laptop / "results", cluster / "results")  # checkpoint and stale lease included
    before = {path: path.stat().st_mtime_ns for path in cluster.glob("results/store/*/record.json")}
    run(cluster)
    assert numbers(cluster) == numbers(undisturbed)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_two_folders_on_one_store_train_each_run_once(undisturbed: Path, tmp_path: Path) -> None:
    folders = [repository(tmp_path / name) for name in ("one", "two")]
    run(folders[0], "data")
    shared = folders[0] / "results" / "store"
    shared.mkdir()
    (folders[1] / "results").mkdir()
    shutil.copytree(folders[0] / "results" / "data", folders[1] / "results" / "data")
    (folders[1] / "results" / "store").symlink_to(shared)
    processes = [snakemake(folder) for folder in folders]
    for process in processes:
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output
    for folder in folders:
        assert numbers(folder) == numbers(undisturbed)
    logs = [path.read_text() for one in folders for path in one.glob("results/logs/train-*.log")]
    for run_id in numbers(undisturbed):
        assert sum(log.count(f"({run_id[:12]}): done after") for log in logs) == 1
