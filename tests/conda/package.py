"""Writing one conda package: the .conda format, a zip of two tar.zst."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zstandard

SUBDIR = "linux-64"
PREFIX = "/placeholder/of/the/prefix"  # an installer writes the environment's own path over it


def write_package(
    channel: Path,
    index: dict[str, Any],
    files: dict[str, Path],
    links: dict[str, str],
    own_prefix: str,
) -> None:
    """Write a package into a channel's folder.

    Args:
        channel: folder of the channel.
        index: name, version, build and depends.
        files: path in an environment to the file that goes there.
        links: path in an environment to what a symbolic link there says.
        own_prefix: where the files stand now; scripts that name it name the environment instead.
    """
    stem = f"{index['name']}-{index['version']}-{index['build']}"
    index = index | {
        "build_number": 0, "subdir": SUBDIR, "arch": "x86_64", "platform": "linux", "timestamp": 0,
    }  # fmt: skip
    (channel / SUBDIR).mkdir(parents=True, exist_ok=True)
    paths: list[dict[str, Any]] = []
    with zipfile.ZipFile(channel / SUBDIR / f"{stem}.conda", "w") as outer:
        outer.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        with _tar(outer, f"pkg-{stem}.tar.zst") as tar:
            for place, source in sorted(files.items()):
                paths.append(_add_file(tar, place, source, own_prefix))
            for place, target in sorted(links.items()):
                paths.append(_add_link(tar, place, target))
        with _tar(outer, f"info-{stem}.tar.zst") as tar:
            listed = {"paths": paths, "paths_version": 1}
            for name, content in (("index", index), ("paths", listed)):
                _add(tar, tarfile.TarInfo(f"info/{name}.json"), json.dumps(content).encode())


@contextmanager
def _tar(outer: zipfile.ZipFile, member: str) -> Iterator[tarfile.TarFile]:
    """A tar file that is compressed into a member of a zip as it is written."""
    compressor = zstandard.ZstdCompressor(level=1, threads=2)
    with (
        outer.open(member, "w", force_zip64=True) as raw,
        compressor.stream_writer(raw, closefd=False) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        yield tar


def _add(tar: tarfile.TarFile, about: tarfile.TarInfo, data: bytes) -> None:
    about.size = len(data)
    tar.addfile(about, io.BytesIO(data))


def _add_file(tar: tarfile.TarFile, place: str, source: Path, own_prefix: str) -> dict[str, Any]:
    data = source.read_bytes()
    about = tarfile.TarInfo(place)
    about.mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
    names_prefix = data.startswith(b"#!") and own_prefix.encode() in data
    if names_prefix:
        data = data.replace(own_prefix.encode(), PREFIX.encode())
    _add(tar, about, data)
    entry = {
        "_path": place,
        "path_type": "hardlink",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_in_bytes": len(data),
    }
    return entry | ({"file_mode": "text", "prefix_placeholder": PREFIX} if names_prefix else {})


def _add_link(tar: tarfile.TarFile, place: str, target: str) -> dict[str, Any]:
    about = tarfile.TarInfo(place)
    about.type, about.linkname = tarfile.SYMTYPE, target
    tar.addfile(about)
    return {"_path": place, "path_type": "softlink", "size_in_bytes": 0}
