"""Sources that are several files in one folder: found where they were put, or downloaded there.

Choices: a folder is used only if it holds every file that is needed, so that a data set is never
put together from two places; a file may come plain or compressed, and whichever is there is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.sources.download import retrieve

Names = tuple[str, ...]  # of one file, in order of preference; a name may hold folders


def find_folder(
    source: str, files: Sequence[Names], cache: Path, mirror: Path | None
) -> Path | None:
    """The first folder that holds all files; None: none does.

    Looked at are the mirror, its folder of the source's name, and the cache's folder of it.

    Args:
        source: the source's name.
        files: the names that each file may have.
        cache: folder that keeps what was fetched.
        mirror: folder that is searched first; None for none.
    """
    mirrors = [] if mirror is None else [mirror, mirror / source]
    for folder in (*mirrors, cache / source):
        if all(any((folder / name).is_file() for name in names) for names in files):
            return folder
    return None


def find_placed(info: SourceInfo, files: Sequence[Names], cache: Path, mirror: Path | None) -> Path:
    """As find_folder, for a source that only a person can download.

    Raises:
        DataError: the files are nowhere; the message says which to put where.
    """
    folder = find_folder(info.name, files, cache, mirror)
    if folder is None:
        wanted = ", ".join(" or ".join(names) for names in files)
        raise DataError(
            f"{info.name}: cannot be downloaded without an account. {info.manual} Put {wanted} "
            f"into {cache / info.name}, or into a folder that BEHAVIOR_SCALING_MIRROR names"
        )
    return folder


def find_or_download(
    source: str, urls: Mapping[Names, str], cache: Path, mirror: Path | None
) -> Path:
    """As find_folder; where no folder holds all files, the cache's is completed by downloads.

    Args:
        source: the source's name.
        urls: names that a file may have, to the address of the first of them.
        cache: folder that keeps what was fetched.
        mirror: folder that is searched first; None for none.

    Raises:
        DataError: a file cannot be downloaded or kept.
    """
    folder = find_folder(source, tuple(urls), cache, mirror)
    if folder is not None:
        return folder
    for (first, *_), url in urls.items():
        kept = cache / source / first
        retrieve(source, url, None, kept.parent, kept.name)
    return cache / source


def one_of(folder: Path, names: Names) -> Path:
    """The first of the names that a file of the folder bears.

    Raises:
        DataError: none of them.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder / names[0]}: no such file; fetch the source again")
