"""kill -9 of Snakemake while it trains: `make reproduce` clears its lock and finishes the study."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import write_shop

ROOT = Path(__file__).parents[2]
FOLDERS = ("workflow", "profiles", "config", "envs", "paper")
FILES = ("Snakefile", "Makefile", "requirements.lock", "pyproject.toml")
TABLE = "results/tiny/runs.parquet"


@pytest.mark.slow
def test_make_goes_on_after_kill_9_of_snakemake(tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    for name in FOLDERS:
        shutil.copytree(ROOT / name, study / name)
    for name in FILES:
        shutil.copy(ROOT / name, study)
    write_shop(study)
    assert make(study, "data").wait() == 0, (study / "log").read_text()

    struck = make(study, "reproduce")
    deadline = time.monotonic() + 120
    while not records(study) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(struck.pid, signal.SIGKILL)
    struck.wait()
    kept = records(study)
    assert 0 < len(kept) < 4, (study / "log").read_text()
    assert list((study / ".snakemake/locks").iterdir())
    assert not (study / TABLE).exists()
    # The job at work outlives Snakemake, and with it make's own lock, to the end of its bundle.
    subprocess.run(["flock", study / ".snakemake/reproduce.flock", "true"], check=True, timeout=120)

    assert make(study, "reproduce").wait() == 0, (study / "log").read_text()
    assert "clearing a stale Snakemake lock" in (study / "log").read_text()
    assert (study / TABLE).is_file()
    after = records(study)
    assert len(after) == 4
    assert {name: after[name] for name in kept} == kept


def make(folder: Path, target: str) -> subprocess.Popen[bytes]:
    """`make` with the environment that runs this test for its own (-o: it is there already).

    It goes up to the table of runs: what follows has no part in this.
    """
    until = "CORES=1" if target == "data" else "CORES=1 --until collect"
    variables = [f"VENV={sys.prefix}", "STUDY=config/tiny.yaml", until]
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BEHAVIOR_SCALING_CACHE": str(folder / "cache"),
    }
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            ["make", "-o", "install", *variables, target],
            cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def records(folder: Path) -> dict[str, tuple[int, bytes]]:
    paths = (folder / "results/store").glob("[0-9a-f]*/record.json")
    return {path.parent.name: (path.stat().st_ino, path.read_bytes()) for path in paths}
