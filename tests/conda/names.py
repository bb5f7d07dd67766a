"""What environment files and the lock pin, and packages that conda-forge names otherwise."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

PYPI_NAMES = {
    "matplotlib-base": "matplotlib",
    "python-duckdb": "duckdb",
    "pytorch": "torch",
    "seaborn-base": "seaborn",
}
CONDA_NAMES = {pypi: conda for conda, pypi in PYPI_NAMES.items()}


def pins_of(env_file: Path, pip_section: bool = True) -> dict[str, str]:
    """PyPI name of everything that a file names to its version ('' if none), also 'python'."""
    entries = yaml.safe_load(env_file.read_text())["dependencies"]
    plain = [entry for entry in entries if isinstance(entry, str)]
    pip = [line for entry in entries if isinstance(entry, dict) for line in entry["pip"]]
    pairs = (
        re.fullmatch(r"([\w-]+)(?:==?(\S+))?", entry)
        for entry in plain + (pip if pip_section else [])
    )
    return {PYPI_NAMES.get(found[1], found[1]): found[2] or "" for found in pairs if found}


def locked(lock: Path) -> dict[str, set[str]]:
    """Package to its pinned versions (one for each Python where they differ)."""
    pins: dict[str, set[str]] = {}
    for line in lock.read_text().splitlines():
        found = re.match(r"(?:# )?([a-z0-9._-]+)==([^ ;]+)", line)
        if found:
            pins.setdefault(found[1], set()).add(found[2])
    return pins
