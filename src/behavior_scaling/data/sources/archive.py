"""Unpacking a zip archive safely: named members only, each checked, all of them or none.

Choices: an archive that holds any name pointing outside the folder is refused as a whole, also
if that member is not wanted; sizes are bounded before and while a member is read.
"""

from __future__ import annotations

import hashlib
import stat
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from behavior_scaling.data.errors import DataError

LARGEST = 1 << 30  # bytes of an unpacked member


def unpack(archive: Path, members: Mapping[str, str], folder: Path) -> None:
    """Write some members of a zip archive into a folder, under their last names.

    Args:
        archive: the zip file.
        members: name within the archive to SHA-256.
        folder: made if absent; files of those names are replaced.

    Raises:
        DataError: no zip file; a name in it is absolute, climbs out or is a link; a member is
            missing, doubled, too large or altered; or the folder cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            _refuse_unsafe(opened, archive)
            contents = {
                PurePosixPath(name).name: _read(opened, name, sha256, archive)
                for name, sha256 in members.items()
            }
    except zipfile.BadZipFile as error:
        raise DataError(f"{archive}: not a readable zip archive: {error}; fetch it again") from None
    _write(contents, folder)


def _refuse_unsafe(opened: zipfile.ZipFile, archive: Path) -> None:
    for info in opened.infolist():
        path = PurePosixPath(info.filename.replace("\\", "/"))
        outside = path.is_absolute() or ".." in path.parts or ":" in info.filename
        if outside or stat.S_ISLNK(info.external_attr >> 16):
            raise DataError(
                f"{archive}: unsafe member {info.filename!r} (points outside its folder, or is "
                f"a link); nothing was unpacked"
            )


def _read(opened: zipfile.ZipFile, name: str, sha256: str, archive: Path) -> bytes:
    found = [info for info in opened.infolist() if info.filename == name]
    if len(found) != 1:
        raise DataError(f"{archive}: holds {len(found)} members named {name!r}, not one")
    with opened.open(found[0]) as member:
        content = member.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise DataError(f"{archive}: member {name!r} unpacks to more than {LARGEST} bytes")
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise DataError(f"{archive}: member {name!r} has SHA-256 {actual}, not {sha256}")
    return content


def _write(contents: Mapping[str, bytes], folder: Path) -> None:
    """Write files under temporary names first, so that a full disk leaves none of them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unpack.") as temporary:
            for name, content in contents.items():
                (Path(temporary) / name).write_bytes(content)
            for name in contents:
                (Path(temporary) / name).replace(folder / name)
    except OSError as error:
        raise DataError(
            f"{folder}: could not be written: {error.strerror or error}; make room or choose "
            f"another folder"
        ) from error
