"""A stand-in for the command `conda`: the calls that Snakemake makes, answered by rattler.

Choices: it solves, installs and activates with py-rattler, the library beneath pixi, so an
environment file is read, solved and linked for real; a channel's name is looked up in
LOCAL_CONDA_CHANNELS (JSON: name to file:// address), never on a network; a `pip:` section is left
to the environment's own pip, as conda does. CONDA_FRONTEND_HOME holds its package cache.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import rattler
import yaml
from rattler.shell import ActivationVariables, Shell, activate

HOME = Path(os.environ["CONDA_FRONTEND_HOME"])
VERSION = "24.7.1"  # the oldest that Snakemake accepts


def answer(call: list[str]) -> None:
    """Carry out one call.

    Raises:
        SystemExit: it is none of those.
    """
    match call:
        case ["--version"]:
            print(f"conda {VERSION}")
        case ["info", "--json"]:
            write_activation()
            print(json.dumps({"conda_prefix": str(HOME), "platform": "linux-64"}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", *options]:
            create(options)
        case ["clean", *_]:
            pass  # rattler keeps no archives beside what it unpacks
        case ["activate", prefix]:
            found = activate(Path(prefix), ActivationVariables(None, path_now()), Shell.bash)
            print(found.script)
        case _:
            raise SystemExit(f"{Path(__file__).name} does not answer `conda {shlex.join(call)}`")


def path_now() -> list[str]:
    """The folders of PATH."""
    return os.environ["PATH"].split(os.pathsep)


def write_activation() -> None:
    """The file that Snakemake sources with an environment's folder before a rule's command."""
    script = HOME / "bin" / "activate"
    script.parent.mkdir(parents=True, exist_ok=True)
    command = shlex.join([sys.executable, str(Path(__file__).resolve()), "activate"])
    home = shlex.quote(str(HOME))
    script.write_text(
        f'activation="$(CONDA_FRONTEND_HOME={home} {command} "$1")" || exit 1\neval "$activation"\n'
    )


def create(options: list[str]) -> None:
    """Make an environment out of its file, then run the pip section if it has one."""
    parser = argparse.ArgumentParser(prog="conda env create")
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--prefix", type=Path, required=True)
    for ignored in ("--quiet", "--no-default-packages"):
        parser.add_argument(ignored, action="store_true")
    asked = parser.parse_args(options)
    content = yaml.safe_load(asked.file.read_text())
    specs = [entry for entry in content["dependencies"] if isinstance(entry, str)]
    asyncio.run(solve_and_install(channels(content), specs, asked.prefix))
    for section in content["dependencies"]:
        if isinstance(section, dict):
            pip = [str(asked.prefix / "bin" / "python"), "-m", "pip", "install", "--no-input"]
            subprocess.run([*pip, *section["pip"]], check=True)


def channels(content: dict[str, Any]) -> list[str]:
    """Addresses of a file's channels.

    Raises:
        SystemExit: one of them has no local folder.
    """
    local = json.loads(os.environ["LOCAL_CONDA_CHANNELS"])
    names = [name for name in content["channels"] if name != "nodefaults"]
    for name in names:
        if name not in local:
            raise SystemExit(f"channel {name!r} is not in LOCAL_CONDA_CHANNELS")
    return [local[name] for name in names]


async def solve_and_install(addresses: list[str], specs: list[str], prefix: Path) -> None:
    """Choose packages for some specs and link them into a folder."""
    records = await rattler.solve(
        addresses,
        specs,
        platforms=["linux-64", "noarch"],
        virtual_packages=rattler.VirtualPackage.detect(),
    )
    await rattler.install(records, prefix, cache_dir=HOME / "pkgs", show_progress=False)


if __name__ == "__main__":
    answer(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # py-rattler's threads may abort an interpreter that ends by itself
