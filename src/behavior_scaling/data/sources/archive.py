"""Unpacking a zip archive safely: named members only, each checked, all of them or none.

Choices: an archive that holds any name pointing outside the folder is refused as a whole, also
if that member is not wanted; sizes are bounded while a member is copied, in pieces; a member of
no known hash is bounded and checked by the archive's own CRC only.
"""

from __future__ import annotations

import hashlib
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from behavior_scaling.data.errors import DataError

LARGEST = 1 << 30  # bytes of an unpacked member
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)  # raised while a zip is read
_PIECE = 1 << 20


def unpack(
    archive: Path, members: Mapping[str, str | None], folder: Path, largest: int = LARGEST
) -> None:
    """Write some members of a zip archive into a folder, under their last names.

    Args:
        archive: the zip file.
        members: name within the archive to SHA-256; None where nobody has it.
        folder: made if absent; files of those names are replaced.
        largest: bytes that a member may have.

    Raises:
        DataError: no zip file; a name in it is absolute, climbs out or is a link; a member is
            missing, doubled, too large or altered; or the folder cannot be written.
    """
    with _opened(archive) as opened, _temporary(folder) as temporary:
        for name, sha256 in members.items():
            _copy(opened, name, sha256, temporary / PurePosixPath(name).name, largest)
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(temporary.iterdir()):
            file.replace(folder / file.name)


def only_member(archive: Path, suffix: str) -> str:
    """Name of the one member that ends with `suffix`.

    Raises:
        DataError: no safe zip file, or it holds none or several of them.
    """
    with _opened(archive) as opened:
        found = [name for name in opened.namelist() if name.endswith(suffix)]
    if len(found) != 1:
        raise DataError(f"{archive}: holds {len(found)} members that end with {suffix}, not one")
    return found[0]


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as opened:
            _refuse_unsafe(opened, archive)
            yield opened
    except DAMAGED as error:
        raise DataError(f"{archive}: not a readable zip archive: {error}; fetch it again") from None


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """A folder beside `folder`, so that a full disk leaves nothing in it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
            yield Path(name)
    except OSError as error:
        raise DataError(
            f"{folder}: could not be written: {error.strerror or error}; make room or choose "
            f"another folder"
        ) from error


def _refuse_unsafe(opened: zipfile.ZipFile, archive: Path) -> None:
    for info in opened.infolist():
        path = PurePosixPath(info.filename.replace("\\", "/"))
        outside = path.is_absolute() or ".." in path.parts or ":" in info.filename
        if outside or stat.S_ISLNK(info.external_attr >> 16):
            raise DataError(
                f"{archive}: unsafe member {info.filename!r} (points outside its folder, or is "
                f"a link); nothing was unpacked"
            )


def _copy(
    opened: zipfile.ZipFile, name: str, sha256: str | None, target: Path, largest: int
) -> None:
    archive = opened.filename
    found = [info for info in opened.infolist() if info.filename == name]
    if len(found) != 1:
        raise DataError(f"{archive}: holds {len(found)} members named {name!r}, not one")
    digest, size = hashlib.sha256(), 0
    with opened.open(found[0]) as member, target.open("wb") as file:
        while piece := member.read(_PIECE):
            size += len(piece)
            if size > largest:
                raise DataError(f"{archive}: member {name!r} unpacks to more than {largest} bytes")
            digest.update(piece)
            file.write(piece)
    if sha256 is not None and digest.hexdigest() != sha256:
        raise DataError(
            f"{archive}: member {name!r} has SHA-256 {digest.hexdigest()}, not {sha256}"
        )
