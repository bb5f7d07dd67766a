"""The environment files, the container recipes, the lock and pyproject name the same versions."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from .names import locked, pins_of

ROOT = Path(__file__).parents[2]
ENVS = sorted((ROOT / "envs").glob("*.yaml"))
LOCK = ROOT / "requirements.lock"
RECIPES = [ROOT / "containers" / "Dockerfile", ROOT / "containers" / "apptainer.def"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("path", ENVS, ids=lambda path: path.stem)
def test_every_package_is_pinned_as_in_the_lock(path: Path) -> None:
    lock, pins = locked(LOCK), pins_of(path)
    packages = set(pins) - {"python", "pip"}  # pip only installs: it is nobody's dependency
    assert len(packages) >= 8
    for name in packages:
        assert pins[name] in lock[name], f"{name} {pins[name]}"


def test_one_python_everywhere() -> None:
    """The oldest that the project supports, for which the lock is resolved."""
    wanted = {pins_of(path)["python"] for path in ENVS}
    assert wanted == {PROJECT["requires-python"].removeprefix(">=")} == {"3.11"}
    assert "--python-version 3.11" in (ROOT / "workflow" / "lock.sh").read_text()
    for recipe in RECIPES:
        base = re.findall(r"^from:? (\S+)", recipe.read_text(), re.MULTILINE | re.IGNORECASE)
        assert base == ["python:3.11-slim-bookworm"], recipe.name


def test_the_files_agree_on_a_package_that_several_name() -> None:
    named = [pins_of(path) for path in ENVS]
    for name in set().union(*named):
        assert len({pins[name] for pins in named if name in pins}) == 1, name


def test_every_dependency_is_locked() -> None:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    names = {
        re.split(r"[][<>=]", line)[0].lower().replace("_", "-")
        for group in groups
        for line in group
    }
    assert names <= set(locked(LOCK))


def test_the_lock_names_no_host_and_no_cuda_wheel() -> None:
    text = LOCK.read_text()
    assert "://" not in text
    assert not re.search(r"^(nvidia|cuda|triton)", text, re.MULTILINE)
    assert text.startswith("# torch==")


def test_the_recipes_pin_nothing_by_themselves() -> None:
    """They install what the lock names: a version written there would be a second one."""
    step = (ROOT / "containers" / "install.sh").read_text()
    assert "--constraint requirements.lock" in step
    for text in (step, *(recipe.read_text() for recipe in RECIPES)):
        assert not re.search(r"==\d", text)
        assert not re.search(r"\bapt(-get)?\b", text)


def test_the_recipes_state_the_version_of_the_project() -> None:
    for recipe in RECIPES:
        found = re.findall(r"image\.version[ =]\"?([\d.]+)", recipe.read_text())
        assert found == [PROJECT["version"]], recipe.name
