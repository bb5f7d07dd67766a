"""The recipes for containers, read as text: hadolint (`make lint`) reads the Dockerfile's style.

No container engine runs here; docs/environments.md says what was built and what was not.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "containers" / "Dockerfile").read_text()
DEFINITION = (ROOT / "containers" / "apptainer.def").read_text()
# https://apptainer.org/docs/user/main/definition_files.html
SECTIONS = {
    "arguments", "environment", "files", "help", "labels", "post", "pre", "runscript", "setup",
    "startscript", "test",
}  # fmt: skip
SCRIPTS = ("post", "environment", "runscript", "test")
HOME = "/opt/behavior-scaling"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return [(name, " ".join(value.split())) for name, value in pairs]


def header_and_sections() -> tuple[dict[str, str], dict[str, str]]:
    head, *parts = re.split(r"^%", DEFINITION, flags=re.MULTILINE)
    header = dict(line.split(": ", 1) for line in head.splitlines() if line[:1] not in ("", "#"))
    named = (part.split("\n", 1) for part in parts)
    return header, {name.strip(): text for name, text in named}


def test_the_definition_has_a_base_and_known_sections_once() -> None:
    header, sections = header_and_sections()
    assert header["Bootstrap"] == "docker"
    assert header["From"] == dict(instructions())["FROM"]
    assert set(sections) <= SECTIONS
    assert len(sections) == len(re.findall(r"^%", DEFINITION, re.MULTILINE))
    assert {"files", "post", "runscript", "test", "labels", "help"} <= set(sections)


@pytest.mark.parametrize("section", SCRIPTS)
def test_a_section_is_a_script_that_sh_reads(section: str) -> None:
    script = header_and_sections()[1][section]
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def test_what_is_copied_exists_and_holds_what_is_installed() -> None:
    copies = [line.split() for line in header_and_sections()[1]["files"].splitlines() if line]
    for source, target in copies:
        assert (ROOT / source).exists(), source
        assert target == f"{HOME}/{source}"
    needed = {"pyproject.toml", "requirements.lock", "README.md", "LICENSE", "src"}
    assert needed <= {source for source, _ in copies}
    kept = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert all((ROOT / name).exists() for name in kept)
    assert needed | {"Snakefile", "workflow", "profiles", "config", "envs", "paper"} <= set(kept)


def test_both_run_the_same_step_and_let_the_builder_choose_torch() -> None:
    docker = dict(instructions())
    post = header_and_sections()[1]["post"]
    assert docker["WORKDIR"] == HOME
    assert docker["RUN"].startswith('containers/install.sh "$TORCH_INDEX"')
    assert post.strip() == f'{HOME}/containers/install.sh "{{{{ TORCH_INDEX }}}}"'
    default = docker["ARG"]
    assert header_and_sections()[1]["arguments"].strip() == default
    assert default.startswith("TORCH_INDEX=https://")


def test_the_image_runs_the_study_and_not_as_root() -> None:
    names = [name for name, _ in instructions()]
    docker = dict(instructions())
    assert names[-2:] == ["USER", "CMD"]
    assert int(docker["USER"]) > 0
    assert docker["CMD"] == '["snakemake", "--cores", "all"]'
    assert "ENTRYPOINT" not in names  # so that any command can take the place of CMD


def test_the_labels_are_the_same() -> None:
    docker = dict(re.findall(r'(org\.opencontainers\S+)="([^"]+)"', DOCKERFILE))
    lines = header_and_sections()[1]["labels"].strip().splitlines()
    assert docker == dict(line.strip().split(maxsplit=1) for line in lines)
    assert len(docker) == 4


def test_the_build_step_is_a_script_that_stops_at_an_error() -> None:
    step = ROOT / "containers" / "install.sh"
    subprocess.run(["sh", "-n", str(step)], check=True)
    assert step.stat().st_mode & 0o111
    assert "\nset -eu\n" in step.read_text()
