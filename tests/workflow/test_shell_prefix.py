"""What stands before every rule's command: strict bash, the checkout's package, a container."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..checkout import copy_workflow

ROOT = Path(__file__).parents[2]
APPTAINER = """#!/bin/bash
if [ "$1" = --version ]; then echo "apptainer version 1.3.0"; exit; fi
printf '%s\\n' "$@" > "$(dirname "$0")/call"
exec bash -c "${!#}"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in which the package only says where it is, and fails."""
    folder = tmp_path / "a clone"
    copy_workflow(folder)
    package = folder / "src" / "behavior_scaling"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("print(__file__)\nraise SystemExit(3)\n")
    return folder


def fetch(clone: Path, *more: str) -> str:
    """What Snakemake says of the rule `fetch`, whose command ends in `| tee`."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--until", "fetch", *more]
    path = f"{clone.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=clone, env=os.environ | {"PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    log = (clone / "results" / "logs" / "fetch.log").read_text()
    assert log.strip() == str(clone / "src" / "behavior_scaling" / "__main__.py")
    return done.stderr


def test_a_rule_imports_the_package_beside_the_snakefile_and_its_failure_is_seen(
    clone: Path,
) -> None:
    said = fetch(clone)
    assert "non-zero exit" in said
    assert "MissingOutputException" not in said  # what a pipe that hides a failure ends in


def test_a_rule_runs_in_the_container_that_is_named(clone: Path) -> None:
    """Apptainer is played by a script that notes its call and runs the command outside."""
    stub = clone.parent / "apptainer"
    stub.write_text(APPTAINER)
    stub.chmod(0o755)
    fetch(clone, "--sdm", "apptainer", "--config", "container=image.sif")
    call = (clone.parent / "call").read_text().splitlines()
    assert call[0] == "exec"
    assert call[call.index("image.sif") + 1 :][:2] == ["bash", "-c"]
