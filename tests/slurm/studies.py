"""Small studies, run here or through SLURM, and what they leave behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ..checkout import copy_workflow

ROOT = Path(__file__).parents[2]
RUNS = "results/tiny/runs.parquet"
DATA = {"source": "ml-100k", "context": 32, "tokens": 8}
SMALL: dict[str, Any] = {  # eight runs of a second, of both stages, in three jobs
    "name": "tiny",
    "title": "Eight short runs",
    "data": DATA,
    "objective": {"in_batch": 64},
    "execution": {"batch": 4, "bundle_seconds": 1e6, "probes": 2, "gpu": "h100"},
    "base": [{"budget": 2e8, "parameters": 500, "share": 0.17, "depth": 0}],
    "axes": {
        "allocation": {
            "budgets": [1e8, 2e8],
            "share": 0.17,
            "depth": 0,
            "parameters": [[250, 500, 1000], [250, 500, 1000]],
        },
        "negatives": {"budgets": [2e8], "uniform": [0, 32]},
    },
}
LONG: dict[str, Any] = {  # two runs of half a minute, a job each; checkpoints only when asked
    "name": "tiny",
    "title": "Two runs of half a minute",
    "data": DATA,
    "objective": {"in_batch": 64},
    "execution": {
        "batch": 4, "bundle_seconds": 1e-3, "probes": 2, "gpu": "h100", "checkpoint_seconds": 600,
    },
    "axes": {
        "allocation": {
            "budgets": [4e9], "share": 0.17, "depth": 0, "parameters": [[250]], "seeds": [0, 1],
        }
    },
}  # fmt: skip
LONGER = LONG | {  # one run of a minute
    "axes": {"allocation": LONG["axes"]["allocation"] | {"budgets": [7e9], "seeds": [0]}}
}
PROFILE = (
    "--workflow-profile", "workflow/profiles/slurm",
    "--slurm-init-seconds-before-status-checks", "10", "--latency-wait", "10",
)  # fmt: skip


class StudyFolder:
    """A copy of the workflow with one study; jobs run the package that the tests do."""

    def __init__(self, folder: Path, study: dict[str, Any], data: Path | None = None) -> None:
        self.folder = folder
        copy_workflow(folder)
        (folder / "config" / "tiny.yaml").write_text(yaml.safe_dump(study))
        if data is not None:
            for name in ("raw", "data"):
                shutil.copytree(data / "results" / name, folder / "results" / name)

    def snakemake(
        self, *more: str, target: str = RUNS, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """A call of snakemake on the study, in a process group of its own."""
        command = [
            sys.executable, "-m", "snakemake", "--config", "study=config/tiny.yaml", *more,
            "--", target,
        ]  # fmt: skip
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.Popen(
            command, cwd=self.folder, env=(environment or os.environ) | {"PATH": path}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def local(self, *more: str, target: str = RUNS) -> str:
        """Run the study on this machine to its end."""
        return finish(self.snakemake("--cores", "2", *more, target=target))

    def hashes(self) -> dict[str, str]:
        """Run ids and the numeric hashes of their records."""
        return {
            path.parent.name: json.loads(path.read_text())["numeric_hash"]
            for path in sorted((self.folder / "results/store").glob("[0-9a-f]*/record.json"))
        }

    def logs(self) -> list[str]:
        """The runs' own logs, over all attempts."""
        return [p.read_text() for p in sorted(self.folder.glob("results/store/[0-9a-f]*/log.txt"))]

    def wait_until_training(self, process: subprocess.Popen[str], runs: int) -> None:
        """Wait until so many runs have said how far they are."""

        def training() -> bool:
            logs = (self.folder / "results" / "logs").glob("train-*.log")
            return sum("% of D" in log.read_text() for log in logs) >= runs

        wait_until(training, 300, f"{runs} runs train", process)


def finish(process: subprocess.Popen[str], seconds: float = 900) -> str:
    """What a call of snakemake printed; it must end well."""
    try:
        output, _ = process.communicate(timeout=seconds)
    finally:
        end(process)
    assert process.returncode == 0, output
    return output


def end(process: subprocess.Popen[str]) -> None:
    """Leave no process of a call behind."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_until(
    true: Callable[[], bool], seconds: float, what: str, process: subprocess.Popen[str]
) -> None:
    """Wait until a condition holds while a process runs."""
    deadline = time.monotonic() + seconds
    while not true():
        late = time.monotonic() > deadline
        if late or process.poll() is not None:
            end(process)
            output = process.stdout.read() if process.stdout and not late else ""
            raise AssertionError(f"not within {seconds} s: {what}\n{output}")
        time.sleep(0.2)
