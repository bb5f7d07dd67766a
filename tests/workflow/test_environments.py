"""The conda files, the lock and pyproject name the same versions; nothing names a host."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ENVS = sorted((ROOT / "envs").glob("*.yaml"))
CONDA_NAMES = {
    "pytorch": "torch",
    "matplotlib-base": "matplotlib",
    "python-duckdb": "duckdb",
    "seaborn-base": "seaborn",
}


def locked() -> dict[str, set[str]]:
    """Package to its pinned versions (one for each Python where they differ)."""
    pins: dict[str, set[str]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        found = re.match(r"(?:# )?([a-z0-9._-]+)==([^ ;]+)", line)
        if found:
            pins.setdefault(found[1], set()).add(found[2])
    return pins


@pytest.mark.parametrize("path", ENVS, ids=lambda path: path.stem)
def test_conda_pins_are_those_of_the_lock(path: Path) -> None:
    pins = locked()
    entries = yaml.safe_load(path.read_text())["dependencies"]
    plain = [entry for entry in entries if isinstance(entry, str)]
    pip = [line for entry in entries if isinstance(entry, dict) for line in entry["pip"]]
    checked = 0
    for entry in plain + pip:
        name, _, version = entry.replace("==", "=").partition("=")
        if name not in ("python", "pip"):
            assert version in pins[CONDA_NAMES.get(name, name)], entry
            checked += 1
    assert checked >= 8


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {
        re.split(r"[<>=]", line)[0].lower().replace("_", "-") for group in groups for line in group
    }
    assert names <= set(locked())


def test_the_lock_names_no_host_and_no_cuda_wheel() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert not re.search(r"^(nvidia|cuda|triton)", text, re.MULTILINE)
    assert text.startswith("# torch==")
