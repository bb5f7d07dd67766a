"""Writing a prepared data set: a folder appears under its name whole or not at all.

Choices: files are made in a hidden folder beside the place they will have, hashed, read back and
checked, then renamed; what stood there is replaced only if it was prepared data. A preparation
that was killed leaves its hidden folder; the next one removes it, unless its owner lives (and
holds its lock).
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.store import DTYPES, FORMAT, META, Dataset, Meta
from behavior_scaling.files import sha256_file

_LOCK = "lock"


@contextmanager
def preparing(path: Path) -> Iterator[Path]:
    """A hidden folder beside `path` that is gone at the end, whatever happens.

    Raises:
        DataError: something could not be written (no space, no permission); `path` is untouched.
    """
    folder = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(path)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    except OSError as error:
        raise DataError(
            f"{path}: the prepared data could not be written: {error.strerror or error}; "
            f"nothing was changed there, make room or choose another folder"
        ) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _holds_prepared_data(path: Path, files: dict[str, str]) -> bool:
    """Whether prepared data stand there, or what is left of them.

    Snakemake removes meta.json, the declared output, before it makes it again.
    """
    if not path.is_dir():
        return False
    left = {file.name for file in path.iterdir()}
    return META in left or (bool(left) and left <= set(files))


def _clear_abandoned(path: Path) -> None:
    """Remove hidden folders that killed preparations of `path` have left."""
    for folder in path.parent.glob(f".{path.name}.*.part"):
        lock = folder / _LOCK
        if not lock.is_file():
            continue  # being made at this moment
        with lock.open("r+") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(folder, ignore_errors=True)


def save(folder: Path, **arrays: NDArray[np.generic]) -> None:
    """Write arrays as .npy files of their names, of the data set's types."""
    for name, array in arrays.items():
        with (folder / f"{name}.npy").open("wb") as handle:
            typed = np.ascontiguousarray(array, dtype=DTYPES.get(name, array.dtype))
            np.save(handle, typed, allow_pickle=False)
            handle.flush()
            os.fsync(handle.fileno())


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every array of a folder, by file name."""
    return {file.name: sha256_file(file) for file in sorted(folder.glob("*.npy"))}


def finish(folder: Path, path: Path, meta: Meta, files: dict[str, str]) -> Dataset:
    """Write meta.json, check the whole, and put the folder under its name.

    Args:
        folder: holds every array.
        path: the data set's name; earlier prepared data there are replaced.
        meta: facts.
        files: SHA-256 by file name.

    Raises:
        DataError: what was written does not read back as it was.
        OSError: the folder cannot be put in place.
    """
    facts = dataclasses.asdict(meta)
    text = json.dumps({"format": FORMAT, "facts": facts, "files": files}, indent=1, sort_keys=True)
    with (folder / META).open("w", encoding="utf-8") as handle:
        handle.write(text + "\n")
        handle.flush()
        os.fsync(handle.fileno())
    Dataset.open(folder, verify=True)
    folder.chmod(0o755)
    if _holds_prepared_data(path, files):
        aside = folder.with_suffix(".old")
        path.replace(aside)
        folder.replace(path)
        shutil.rmtree(aside)
    else:
        folder.replace(path)
    return Dataset.open(path)
