"""Leases: who trains which run, so that two processes on one store never train the same one.

A lease is the file `.leases/<run id>.json` of the store, created exclusively and written again by
its holder every few seconds. It is stale, and may be taken over, at once where its process has
ended on this machine, and everywhere when its content has not changed for STALE_SECONDS.

Choices: change is timed on the observer's monotonic clock and no stated time is ever compared, so
clocks that jump or disagree do no harm; the limit exceeds the minute for which NFS may serve old
attributes. The holder writes through the descriptor it created the file with: after a take-over
that is a file nobody reads, so one who wakes from a long sleep cannot write over the new holder's.
Nothing is locked in the system's sense (locks are what shared file systems do least alike).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from behavior_scaling.records.process import Process, this_process

FOLDER = ".leases"
BEAT_SECONDS = 5.0
STALE_SECONDS = 180.0
SIZE = 1024  # bytes of a file: every beat rewrites the same block, also on a full disk


@dataclass(frozen=True)
class Holder:
    """A lease as it stands in the store."""

    run_id: str
    host: str
    pid: int
    since: str  # UTC, ISO 8601, the holder's clock
    beat: int
    age_seconds: float  # since the last beat, by the file's date: to be shown, not to judge by
    progress: dict[str, float]


class Leases:
    """The leases of one store, as one process sees them.

    Args:
        root: the store's folder.
        clock: seconds that never jump.
        beat_seconds: between two beats of a lease that is held here.
        stale_seconds: of an unchanged file, after which its holder counts as lost.
    """

    def __init__(
        self,
        root: Path,
        clock: Callable[[], float] = time.monotonic,
        beat_seconds: float = BEAT_SECONDS,
        stale_seconds: float = STALE_SECONDS,
    ):
        self._folder = root / FOLDER
        self._clock = clock
        self._beat_seconds = beat_seconds
        self._stale_seconds = stale_seconds
        self._seen: dict[str, tuple[bytes, float]] = {}  # content, and when it was new

    def take(self, run_id: str) -> Lease | None:
        """The lease of a run, its beats begun; None while another holds it.

        Raises:
            OSError: the lease cannot be written.
        """
        path = self._folder / f"{run_id}.json"
        self._folder.mkdir(parents=True, exist_ok=True)
        content = _read(path)
        if content is not None:
            if not self._stale(run_id, content):
                return None
            if not _remove(path, content):
                return None
        self._seen.pop(run_id, None)
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
        except FileExistsError:
            return None
        return Lease(path, handle, self._beat_seconds)

    def holder(self, run_id: str) -> Holder | None:
        """Who holds a run's lease, if anyone does."""
        return _holder(self._folder / f"{run_id}.json")

    def _stale(self, run_id: str, content: bytes) -> bool:
        owner = _owner(content)
        if owner is not None and owner.gone():
            return True
        now = self._clock()
        known, since = self._seen.get(run_id, (None, now))
        if known != content:
            self._seen[run_id] = (content, now)
            return False
        return now - since >= self._stale_seconds


class Lease:
    """A run's lease while it is held; leaving the context gives it back."""

    def __init__(self, path: Path, handle: int, beat_seconds: float):
        self._path = path
        self._handle = handle
        self._owner = dataclasses.asdict(this_process())
        self._token = uuid.uuid4().hex
        self._since = datetime.now(UTC).isoformat(timespec="seconds")
        self._beat = 0
        self._progress: dict[str, float] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._lost = False
        try:
            self._write()
        except OSError:
            self._give_back()
            raise
        self._thread = threading.Thread(target=self._keep, args=(beat_seconds,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._give_back()

    def say(self, progress: Mapping[str, float]) -> None:
        """Numbers for those who watch; they go with the next beat."""
        with self._lock:
            self._progress = dict(progress)

    @property
    def lost(self) -> bool:
        """Whether another was seen to have taken over (at the last beat; costs nothing)."""
        return self._lost

    def held(self) -> bool:
        """Whether the lease is still this one's: reads the file."""
        with self._lock:
            content = _read(self._path)
        self._lost = self._lost or content is None or _parsed(content).get("token") != self._token
        return not self._lost

    def _keep(self, beat_seconds: float) -> None:
        while not self._ended.wait(beat_seconds):
            with contextlib.suppress(OSError):  # the file system may come back before it is stale
                if not self.held():
                    return
                self._write()

    def _write(self) -> None:
        with self._lock:
            body = self._owner | {
                "token": self._token,
                "since": self._since,
                "beat": self._beat,
                "progress": self._progress,
            }
            text = json.dumps(body).encode().ljust(SIZE)
            os.pwrite(self._handle, text, 0)
            os.ftruncate(self._handle, len(text))
            os.fsync(self._handle)
            self._beat += 1

    def _give_back(self) -> None:
        with contextlib.suppress(OSError):
            if self._beat == 0 or self.held():
                self._path.unlink()
        os.close(self._handle)


def holders(root: Path) -> list[Holder]:
    """Who holds the leases of a store; those whose process is known to have ended are left out.

    Args:
        root: the store's folder.
    """
    found = (_holder(path) for path in sorted((root / FOLDER).glob("[0-9a-f]*.json")))
    return [holder for holder in found if holder is not None]


def _holder(path: Path) -> Holder | None:
    content = _read(path)
    body = _parsed(content or b"")
    owner = _owner(content or b"")
    if owner is None or owner.gone():
        return None
    try:
        age = max(0.0, time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return None
    return Holder(
        path.stem, owner.host, owner.pid, body["since"], body["beat"], age, body["progress"]
    )


def _remove(path: Path, content: bytes) -> bool:
    """Take a stale lease away; False where it turned out to be another one's by now."""
    aside = path.with_name(f".{path.stem}.{uuid.uuid4().hex}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return True
    if _read(aside) == content:
        aside.unlink()
        return True
    if not path.exists():
        aside.rename(path)
    return False


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _parsed(content: bytes) -> dict[str, Any]:
    """The content; nothing if it is being written at this moment, or was never finished."""
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _owner(content: bytes) -> Process | None:
    body = _parsed(content)
    try:
        return Process(**{field.name: body[field.name] for field in dataclasses.fields(Process)})
    except KeyError:
        return None
