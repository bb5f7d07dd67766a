"""Reading a git clone: who touched which file when, and how large the files were.

Choices: `git log --raw` and `git cat-file` are streamed, fields and paths end with NUL, so that no
name of a file or person can be mistaken for another line; nothing is fetched, and no setting of
the clone changes what is printed or starts a program; links to other repositories (submodules) are
no files. A commit's time is its author's: when the change was made, not when a maintainer or a
rebase passed it on, which gives a whole series of commits one second.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from behavior_scaling.data.errors import DataError

_PIECE = 1 << 20
_SETTINGS = ("log.showRoot=true", "log.showSignature=false", "core.fsmonitor=false",
             "core.quotePath=false")  # fmt: skip
_FIELDS = ("%H", "%at", "%aE", "%aN")  # NUL between them: commit, time, e-mail, name (mailmapped)
_LINK = b"160000"  # mode of a submodule
_ADDRESS = re.compile(r"(?:[a-z+]+://[^/]+/|[^/:@]+@[^/:]+:)(.+?)(?:\.git)?/?")


@dataclass(frozen=True)
class Clone:
    """A clone as it stands.

    Attributes:
        path: its folder.
        name: owner/repository where it has an origin with an address, else the folder's name.
        head: the commit that HEAD names, in hexadecimal.
        shallow: whether its history was cut.
    """

    path: Path
    name: str
    head: str
    shallow: bool


@dataclass(frozen=True)
class Change:
    """A file that a commit touched; the contents before and after by their object ids."""

    path: bytes
    action: str  # A added, M modified, D deleted, T changed in type
    old: str | None
    new: str | None


@dataclass(frozen=True)
class Commit:
    """One commit that is no merge, with its changes in order of path (bytes)."""

    time: int | None  # unix seconds; None: git could not read it
    email: str
    name: str
    changes: tuple[Change, ...]


def open_clone(path: Path) -> Clone:
    """Look at a clone.

    Raises:
        DataError: the folder is not the top of a clone, has no commit, lacks objects (a partial
            clone), or git is missing.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no such folder; name a git clone")
    top = _ask(path, "rev-parse", "--absolute-git-dir").strip()
    if (
        Path(top).resolve() not in (path.resolve(), path.resolve() / ".git")
        and not (path / ".git").is_file()
    ):
        raise DataError(f"{path}: lies inside the clone of {top}; name the clone's own folder")
    head = _ask(path, "rev-parse", "--verify", "--quiet", "HEAD^{commit}", fails="has no commit")
    if _ask(path, "config", "--get-regexp", r"^(extensions|remote\..*)\.p(artialclone|romisor)$",
            fails=None):  # fmt: skip
        raise DataError(
            f"{path}: is a partial clone, which lacks file contents; clone it without --filter"
        )
    address = _ADDRESS.fullmatch(_ask(path, "config", "remote.origin.url", fails=None).strip())
    name = "/".join(address[1].split("/")[-2:]) if address else path.resolve().name
    shallow = _ask(path, "rev-parse", "--is-shallow-repository").strip() == "true"
    return Clone(path, name.removesuffix(".git"), head.strip(), shallow)


def commits(clone: Clone, most: int) -> Iterator[Commit]:
    """Commits reachable from the clone's head that touched a file, older ones before newer ones.

    Args:
        clone: what open_clone gave.
        most: changes of a commit that are read; one more is read of a larger commit, the rest not.

    Raises:
        DataError: git could not read the history.
    """
    asked = ["log", "-z", "--reverse", "--no-merges", "--raw", "--no-renames", "--no-abbrev"]
    asked += ["--no-color", "--no-relative", "--no-ext-diff", "--encoding=UTF-8"]
    with _streamed(clone.path, [*asked, f"--format={'%x00'.join(_FIELDS)}", clone.head]) as out:
        tokens = _until_nul(out)
        fields: list[bytes] = []
        changes: list[Change] = []
        for token in tokens:
            if token.startswith((b":", b"\n:")):  # a line ends after the fields
                change = _change(token.lstrip(b"\n"), next(tokens, b""))
                if change is not None and len(changes) <= most:
                    changes.append(change)
                continue
            if changes:
                yield _commit(fields, changes)
            fields, changes = [token, *(next(tokens, b"") for _ in _FIELDS[1:])], []
        if changes:
            yield _commit(fields, changes)


def sizes(clone: Clone, objects: Path) -> Iterator[tuple[str, int]]:
    """Object id and size in bytes of the contents that a file names, one id a line.

    Raises:
        DataError: one of them is missing.
    """
    with objects.open("rb") as wanted, _streamed(
        clone.path, ["cat-file", "--batch-check=%(objectname) %(objectsize)", "--buffer"], wanted
    ) as out:  # fmt: skip
        for line in out:
            name, size = line.decode().split()
            if not size.isdigit():
                raise DataError(f"{clone.path}: object {name} is {size}; see git fsck")
            yield name, int(size)


def _commit(fields: Sequence[bytes], changes: Sequence[Change]) -> Commit:
    _, time, email, name = (field.decode("utf-8", "replace") for field in fields)
    return Commit(
        int(time) if re.fullmatch(r"-?\d{1,15}", time) else None,
        email,
        name,
        tuple(sorted(changes, key=lambda change: change.path)),
    )


def _change(header: bytes, path: bytes) -> Change | None:
    """':old mode, new mode, old id, new id, action' and a path; None for a submodule."""
    old_mode, new_mode, old, new, action = header[1:].split()
    if _LINK in (old_mode, new_mode):
        return None
    before, after = (None if not side.strip(b"0") else side.decode() for side in (old, new))
    return Change(path, action.decode(), before, after)


def _until_nul(out: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while piece := out.read(_PIECE):
        *whole, rest = (rest + piece).split(b"\0")
        yield from whole
    if rest:
        raise DataError("git log ended within a name; run git fsck")


def _command(path: Path, arguments: Sequence[str]) -> list[str]:
    settings = [part for setting in _SETTINGS for part in ("-c", setting)]
    return ["git", "--no-pager", *settings, "-C", str(path), *arguments]


def _environment() -> dict[str, str]:
    """This process's, without what would point git at another repository, or let it fetch."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
    }
    return kept | {"LC_ALL": "C", "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0",
                   "GIT_TERMINAL_PROMPT": "0"}  # fmt: skip


def _ask(path: Path, *arguments: str, fails: str | None = "is not a git clone") -> str:
    """What git prints; '' where it fails and `fails` is None, else a DataError that says so."""
    try:
        done = subprocess.run(  # noqa: S603 (git, found by name)
            _command(path, arguments), env=_environment(), capture_output=True, check=False
        )
    except FileNotFoundError:
        raise DataError("git was not found; install it, or use the prepared tables") from None
    if done.returncode and fails is not None:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise DataError(f"{path}: {fails}{said and f' ({said})'}")
    return "" if done.returncode else done.stdout.decode("utf-8", "replace")


@contextmanager
def _streamed(
    path: Path, arguments: Sequence[str], stdin: IO[bytes] | None = None
) -> Iterator[IO[bytes]]:
    """What git prints, while it runs; its failure is an error once all was read."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 (git, found by name)
            _command(path, arguments), env=_environment(), stdout=subprocess.PIPE, stderr=said,
            stdin=stdin or subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout is not None  # noqa: S101 (it is a pipe)
        try:
            yield process.stdout
        except BaseException:
            process.kill()
            raise
        finally:
            process.stdout.close()
            code = process.wait()
        if code:
            said.seek(0)
            reason = " ".join(said.read(2000).decode("utf-8", "replace").split())
            raise DataError(f"{path}: git {arguments[0]} failed (exit {code}): {reason}")
