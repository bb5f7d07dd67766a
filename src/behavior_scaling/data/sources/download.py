"""Getting a source's file: out of a mirror, or by a download that resumes, verified by SHA-256.

Choices: pooch checks the hash of a temporary file and renames it, so that nothing unfinished bears
the file's name; what of a broken download arrived is kept beside it ('.NAME.part', with the
server's validator), and the next attempt asks for the rest only if the server says that it is
still the same file. Where nobody has a checksum yet, the one found is noted in NAME.sha256.json,
so that a later change is noticed, and stderr says that the file is unverified.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pooch
import requests

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources.resume import Resuming
from behavior_scaling.files import replacing, sha256_file, write_text


def find_in_mirror(mirror: Path | None, names: Sequence[str]) -> Path | None:
    """The first of the named files that a mirror holds; None: it has none of them, or is None.

    Args:
        mirror: folder of mirrors.
        names: names below it, in order of preference; a name may hold folders.
    """
    if mirror is None:
        return None
    return next((mirror / name for name in names if (mirror / name).is_file()), None)


def expect(file: Path, sha256: str) -> None:
    """Check a file's SHA-256.

    Raises:
        DataError: it is another one, or the file cannot be read.
    """
    try:
        actual = sha256_file(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error
    if actual != sha256:
        raise DataError(
            f"{file}: has SHA-256 {actual}, not {sha256}: corrupt or another version; "
            f"delete it and fetch it again"
        )


def gather(files: Mapping[Path, str], folder: Path) -> Path:
    """Copy checked files, to SHA-256, into a folder of nothing else; what is there is kept.

    Raises:
        DataError: a file has another SHA-256, or the folder cannot be written.
    """
    for file, sha256 in files.items():
        expect(file, sha256)
        target = folder / file.name
        if target.is_file() and sha256_file(target) == sha256:
            continue
        try:
            with replacing(target) as temporary:
                shutil.copyfile(file, temporary)
        except OSError as error:
            raise DataError(f"{target}: could not be written: {error.strerror or error}") from error
    return folder


def retrieve(source: str, url: str, sha256: str | None, folder: Path, file_name: str) -> Path:
    """The file of a URL, from the folder that keeps it or downloaded into it.

    Args:
        source: the source's name, for messages.
        url: http or https.
        sha256: the known checksum; None: nobody has one, see the module.
        folder: made if absent.
        file_name: name of the file in it.

    Raises:
        DataError: it cannot be downloaded, its SHA-256 is not the known or the noted one, or the
            folder cannot be written; the message says which file to put where.
    """
    pooch.get_logger().setLevel(logging.WARNING)  # what it says is said here, or by the bar
    downloader = Resuming(folder / f".{file_name}.part", label=file_name)
    try:
        file = Path(pooch.retrieve(url, sha256, file_name, folder, downloader=downloader))
    except requests.RequestException as error:
        raise _failed(source, url, file_name, f"could not be downloaded: {error}") from error
    except ValueError as error:  # pooch's word for another hash
        raise _failed(source, url, file_name, str(error).replace("\n", " ")) from error
    except OSError as error:
        raise DataError(
            f"{folder / file_name}: could not be written: {error.strerror or error}; make room or "
            f"name another folder in BEHAVIOR_SCALING_CACHE"
        ) from error
    if sha256 is None:
        _note(source, url, file)
    return file


def _failed(source: str, url: str, file_name: str, why: str) -> DataError:
    return DataError(
        f"{source}: {url}: {why}\nTry again (what has arrived is kept), or put {file_name} into a "
        f"folder and name that folder in BEHAVIOR_SCALING_MIRROR"
    )


def _note(source: str, url: str, file: Path) -> None:
    """Compare a file of no known checksum with the one noted for it; note it if there is none."""
    path = file.with_name(f"{file.name}.sha256.json")
    if path.is_file():
        try:
            noted = json.loads(path.read_text())["sha256"]
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{path}: is not this package's note; delete it") from None
        expect(file, noted)
        return
    sha256 = sha256_file(file)
    print(
        f"{source}: {file.name} is unverified: nobody has noted its checksum yet; it has "
        f"{file.stat().st_size} bytes and SHA-256 {sha256}",
        file=sys.stderr,
    )
    note = {"url": url, "bytes": file.stat().st_size, "sha256": sha256, "verified": False}
    write_text(path, json.dumps(note, indent=1) + "\n")
