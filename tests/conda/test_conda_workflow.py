"""A study from its source to its paper, every rule in a conda environment of its own.

Environments are made of envs/*.yaml out of a channel that holds this machine's own packages
(channel.py), by a stand-in for `conda` (frontend.py). `make test-conda` runs this; it takes
minutes and needs PyPI for the pip section of envs/paper.yaml and for the data.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from ..checkout import copy_workflow
from .names import CONDA_NAMES, pins_of

pytestmark = pytest.mark.conda

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVS = sorted((ROOT / "envs").glob("*.yaml"))
PAPER = "results/tiny/paper.pdf"
STUDY: dict[str, Any] = {
    "name": "tiny",
    "title": "Ten short runs",
    "data": {"source": "ml-100k", "context": 32, "tokens": 8},
    "objective": {"in_batch": 64},
    "execution": {"batch": 4, "bundle_seconds": 60},
    "axes": {
        "allocation": {
            "budgets": [1e8, 2e8],
            "share": 0.17,
            "depth": 0,
            "parameters": [[250, 500, 1000, 1700, 2500], [250, 500, 1000, 1700, 2500]],
        }
    },
}


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables under which `conda` is the stand-in and the host's Python cannot be reached."""
    folder = tmp_path_factory.mktemp("conda")
    channel = [sys.executable, str(HERE / "channel.py"), str(folder / "channel")]
    print("\n== a channel of this machine's packages", flush=True)
    subprocess.run([*channel, *map(str, ENVS)], check=True)
    script(folder / "bin" / "conda", f'exec {sys.executable} {HERE}/frontend.py "$@"')
    for name in ("python", "python3"):
        script(folder / "bin" / name, "echo a rule called the python of the host >&2; exit 97")
    kept = {"HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY"}
    return {
        **{key: value for key, value in os.environ.items() if key in kept or key[:4] == "PIP_"},
        "PATH": f"{folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "CONDA_FRONTEND_HOME": str(folder / "home"),
        "LOCAL_CONDA_CHANNELS": json.dumps({"conda-forge": f"file://{folder / 'channel'}"}),
        "BEHAVIOR_SCALING_CACHE": str(folder / "cache"),
    }


def snakemake(folder: Path, environ: dict[str, str], *more: str) -> tuple[int, str]:
    """Exit status and output, which is shown as it comes."""
    command = [
        sys.executable, "-m", "snakemake", "--cores", "2", "--sdm", "conda",
        "--config", "study=config/tiny.yaml", *more,
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=folder, env=environ, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    lines = []
    with process.stdout:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return process.wait(), "".join(lines)


@pytest.fixture(scope="module")
def study(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study in a folder of its own."""
    folder = tmp_path_factory.mktemp("study")
    copy_workflow(folder)
    (folder / "src").symlink_to(ROOT / "src")
    (folder / "config" / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
    print("== the study, from source to paper", flush=True)
    status, output = snakemake(folder, environ)
    assert status == 0, output[-3000:]
    return folder


def prefix_of(folder: Path, env_file: Path) -> Path:
    """Folder of the environment that Snakemake made from a file."""
    for copy in (folder / ".snakemake" / "conda").glob("*.yaml"):
        if copy.read_text() == env_file.read_text():
            return copy.with_suffix("")
    raise AssertionError(f"no environment was made from {env_file.name}")


def installed_by_pip(prefix: Path, name: str) -> str:
    question = f"from importlib.metadata import version; print(version({name!r}))"
    command = [str(prefix / "bin" / "python"), "-c", question]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_study_ends_in_its_paper(study: Path) -> None:
    runs = pd.read_parquet(study / "results" / "tiny" / "runs.parquet")
    assert list(runs["outcome"]) == ["done"] * 10
    assert (study / PAPER).read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("env_file", ENVS, ids=lambda path: path.stem)
def test_an_environment_holds_its_pins_and_nothing_of_the_host(study: Path, env_file: Path) -> None:
    prefix = prefix_of(study, env_file)
    records = [json.loads(path.read_text()) for path in (prefix / "conda-meta").glob("*.json")]
    versions = {record["name"]: record["version"] for record in records}
    for name, version in pins_of(env_file).items():
        held = versions.get(CONDA_NAMES.get(name, name)) or installed_by_pip(prefix, name)
        assert f"{held}.".startswith(f"{version}." if version else ""), name
    assert "snakemake" not in versions
    found = subprocess.run(
        [prefix / "bin" / "python", "-c", "import behavior_scaling"],
        cwd=prefix, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "No module named 'behavior_scaling'" in found.stderr


def test_a_package_that_an_environment_lacks_stops_its_rule(
    study: Path, environ: dict[str, str]
) -> None:
    """The control: what is missing from a file is not found somewhere else."""
    env_file = study / "envs" / "paper.yaml"
    whole = env_file.read_text()
    env_file.write_text(whole.replace("  - scipy=", "  # scipy="))
    assert env_file.read_text() != whole
    status, output = snakemake(study, environ, "--forcerun", "paper", "--", PAPER)
    env_file.write_text(whole)
    assert status == 1
    assert "No module named 'scipy'" in (study / "results/logs/paper.log").read_text(), output
