"""A conda channel in a folder, made of what this machine has: its CPython and its packages.

Choices: every package is repacked from an installed distribution of the virtual environment, so
its version is the lock's and nothing is downloaded; its name is conda-forge's where that differs,
its dependencies are those that its metadata state. It stands in for conda-forge in a test of
envs/*.yaml: what it holds says nothing about what conda-forge holds, and its python links the
system's libraries, where conda-forge's brings its own.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import rattler
from names import CONDA_NAMES, pins_of
from package import write_package
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE = f"lib/python{PYTHON}/site-packages"
NOT_NEEDED = {
    "__pycache__", "ensurepip", "idlelib", "site-packages", "test", "tests", "turtledemo",
}  # fmt: skip


def required(name: str, extras: Iterable[str] = ()) -> Iterator[Requirement]:
    """What an installed distribution requires here, its extras' own requirements among them."""
    for line in distribution(name).requires or []:
        one = Requirement(line)
        wanted = [{"extra": extra} for extra in ("", *extras)]
        if one.marker is None or any(one.marker.evaluate(extra) for extra in wanted):
            yield one
            if one.extras:
                yield from required(one.name, one.extras)


def needed(names: Iterable[str]) -> list[str]:
    """Those distributions and all that they require, sorted.

    Raises:
        LookupError: one of them is not installed here.
    """
    found: set[str] = set()
    left = [canonicalize_name(name) for name in names]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            try:
                left += [canonicalize_name(one.name) for one in required(name)]
            except PackageNotFoundError as error:
                raise LookupError(f"{name} is not installed: run `make install` first") from error
    return sorted(found)


def conda_spec(requirement: Requirement) -> str:
    """A requirement as conda writes it: 'pytorch >=2.1,<4'."""
    name = canonicalize_name(requirement.name)
    bounds = ",".join(sorted(str(bound) for bound in requirement.specifier))
    return f"{CONDA_NAMES.get(name, name)} {bounds}".strip()


def write_python(channel: Path) -> None:
    """This CPython, without its tests and tools.

    Raises:
        LookupError: a Linux distribution's Python, which looks for packages elsewhere.
    """
    base = Path(sys.base_prefix)
    if not (base / SITE).is_dir():
        raise LookupError(
            f"the Python in {base} keeps its packages outside {SITE} and cannot be repacked: make "
            "the virtual environment with a CPython from python.org, pyenv or uv"
        )
    library = base / "lib"
    files = {f"bin/python{PYTHON}": Path(os.path.realpath(sys.executable))}
    for path in [*(library / f"python{PYTHON}").rglob("*"), *library.glob("libpython*.so.*")]:
        inner = path.relative_to(base)
        if path.is_file() and path.suffix != ".a" and not NOT_NEEDED & set(inner.parts):
            files[str(inner)] = path
    links = dict.fromkeys(("bin/python", "bin/python3"), f"python{PYTHON}")
    version = ".".join(map(str, sys.version_info[:3]))
    index = {"name": "python", "version": version, "build": "local_0", "depends": []}
    write_package(channel, index, files, links, sys.base_prefix)


def write_distribution(channel: Path, name: str) -> None:
    """An installed distribution, without compiled Python."""
    found = distribution(name)
    version, _, build = found.version.partition("+")  # torch 2.13.0+cpu: a build of 2.13.0
    index = {
        "name": CONDA_NAMES.get(name, name),
        "version": version,
        "build": f"{build or 'py'}_0",
        "depends": [f"python {PYTHON}.*", *sorted({conda_spec(one) for one in required(name)})],
    }
    site = Path(str(found.locate_file("")))
    listed = {os.path.normpath(f"{SITE}/{file}"): site / str(file) for file in found.files or []}
    files = {
        place: path for place, path in listed.items() if path.suffix != ".pyc" and path.is_file()
    }
    write_package(channel, index, files, {}, own_prefix=str(site.parents[2]))


def main(channel: Path, env_files: list[Path]) -> None:
    """Write the channel that these environment files can be made from."""
    asked = {name for file in env_files for name in pins_of(file, pip_section=False)} - {"python"}
    names = needed(asked)
    write_python(channel)
    for name in names:
        write_distribution(channel, name)
    (channel / "noarch").mkdir()
    asyncio.run(rattler.index.index_fs(channel))
    print(f"a channel of python and {len(names)} packages: {channel}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
    os._exit(0)  # py-rattler's threads may abort an interpreter that ends by itself
