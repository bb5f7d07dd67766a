"""A results folder elsewhere, by its URL: whatever fsspec reaches (a path, file://, s3://, ...).

Choices: a file appears under its name whole or not at all: it is sent under a temporary name and
moved where moving is renaming, and sent at once to object stores, which show an object when all of
it is there; every file is read back after it was sent, and its SHA-256 compared; whatever a
library says when the far side refuses is passed on with the URL and with what was being done.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import fsspec
from fsspec.implementations.local import LocalFileSystem

from behavior_scaling.files import replacing, sha256_file

OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss"}
BLOCK = 2**24  # bytes read at once


class ShareError(ValueError):
    """What cannot be read from or written to a place elsewhere; names the URL and what to do."""


class Remote:
    """Files below a URL, by their names relative to it."""

    def __init__(self, url: str) -> None:
        """Find the file system of a URL; nothing is asked of it yet.

        Raises:
            ShareError: the URL is of no known kind, or the library for its kind is not installed.
        """
        self.url = url.rstrip("/")
        try:
            self._fs, self._root = fsspec.url_to_fs(url)
        except ImportError as error:
            raise ShareError(
                f"{url}: {error}; s3:// comes with `pip install 'behavior-scaling[remote]'`"
            ) from error
        except Exception as error:
            raise ShareError(f"{url}: no place to share at: {_words(error)}") from error
        protocol = self._fs.protocol
        protocols = {protocol} if isinstance(protocol, str) else set(protocol)
        self._renames = not protocols & OBJECT_STORES

    @property
    def folder(self) -> Path | None:
        """The folder, where the URL is one of this machine's."""
        return Path(self._root) if isinstance(self._fs, LocalFileSystem) else None

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every file below a folder, by name relative to it; empty if it is absent."""
        with self._telling("list", folder):
            self._fs.invalidate_cache()
            found = self._fs.find(self._path(folder), detail=True)
        start = len(self._path(folder)) + 1
        return {name[start:]: int(entry["size"]) for name, entry in found.items()}

    def read(self, name: str) -> bytes | None:
        """Content of a small file; None if it is absent."""
        with self._telling("read", name):
            try:
                return bytes(self._fs.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def sha256(self, name: str) -> str:
        """SHA-256 of a file, all of which is read."""
        with (
            self._telling("read", name),
            self._fs.open(self._path(name), "rb", block_size=BLOCK) as file,
        ):
            return hashlib.file_digest(file, "sha256").hexdigest()

    def put(self, source: Path, name: str) -> None:
        """Send a file, and read it back.

        Raises:
            ShareError: it could not be sent, or is not there as it was sent.
        """
        path = self._path(name)
        with self._telling("write", name):
            if self._renames:
                parent, _, last = path.rpartition("/")
                self._fs.makedirs(parent, exist_ok=True)
                temporary = f"{parent}/.{last}.{uuid.uuid4().hex}"
                self._fs.put_file(str(source), temporary)
                self._fs.mv(temporary, path)
            else:
                self._fs.put_file(str(source), path)
            self._fs.invalidate_cache()
        if self.sha256(name) != sha256_file(source):
            raise ShareError(f"{self.url}/{name}: reads back other than it was sent; send it again")

    def remove(self, name: str) -> None:
        """Remove a file that is there."""
        with self._telling("remove", name):
            self._fs.rm_file(self._path(name))

    def fetch(self, folder: str, files: Mapping[str, str], into: Path) -> None:
        """Bring files of a folder; those that lie in `into` already, whole, are not read again.

        Args:
            folder: relative to the URL.
            files: SHA-256 by name.
            into: folder to write to; each file stands there once its hash is right.

        Raises:
            ShareError: one is missing or altered; or a name leads out of the folder.
        """
        for name, digest in files.items():
            if PurePosixPath(name).name != name:
                raise ShareError(f"{self.url}/{folder}: names a file {name!r}: refused")
            target = into / name
            if target.is_file() and sha256_file(target) == digest:
                continue
            with replacing(target) as temporary:
                with self._telling("read", f"{folder}/{name}"):
                    self._fs.get_file(self._path(f"{folder}/{name}"), str(temporary))
                if sha256_file(temporary) != digest:
                    raise ShareError(
                        f"{self.url}/{folder}/{name}: altered: its SHA-256 is not the stated one"
                    )

    def send(self, folder: str, files: Mapping[str, str], source: Path, manifest: str) -> None:
        """Send files of a folder, and last the file that states their hashes.

        Args:
            folder: relative to the URL; until the manifest is there it counts as absent.
            files: SHA-256 by name; those that are there already, whole, are not sent again.
            source: folder of the files.
            manifest: name of the file that states the hashes.
        """
        there = self.sizes(folder)
        if manifest in there:
            self.remove(f"{folder}/{manifest}")
        for name, digest in files.items():
            file = source / name
            same_size = there.get(name) == file.stat().st_size
            if not same_size or self.sha256(f"{folder}/{name}") != digest:
                self.put(file, f"{folder}/{name}")
        self.put(source / manifest, f"{folder}/{manifest}")

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    @contextmanager
    def _telling(self, what: str, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # every library has errors of its own
            raise ShareError(
                f"could not {what} {self.url}/{name}: {_words(error)}; check the URL, the "
                "credentials and the network (docs/sharing.md)"
            ) from error


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
