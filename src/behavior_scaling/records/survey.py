"""What a store or an archive holds of many runs, asked again and again.

Choices: an entry keeps the few fields that a study's progress needs, never the record; a folder
whose names, sizes and times are those of the last look is not read again, so that a look at
hundreds of runs costs their `stat`; without `verify` a record is parsed and its files are seen to
be there, but nothing is hashed: that is for displays, and a damaged byte is found by a look with
`verify`, and by whoever reads the record.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from behavior_scaling.records.archive import Archive
from behavior_scaling.records.record import Outcome, RecordError
from behavior_scaling.records.store import RECORD, State, Store

Fingerprint = tuple[tuple[str, int, int], ...]  # (name, bytes, mtime in ns) of a folder's files


@dataclass(frozen=True)
class Entry:
    """A run as it stands: its outcome, and what was measured if it ended well."""

    state: State
    error: str = ""  # last line, of what failed, diverged or is damaged
    seconds: float = 0.0  # of the whole run, evaluation included
    evaluate_seconds: float = 0.0
    device: str = ""  # 'cpu', or the accelerator's name
    ended: float = 0.0  # unix seconds, when its record was written


ABSENT = Entry("absent")


class Survey:
    """Entries of runs.

    Args:
        source: the store or the archive.
        verify: check every hash of a run that is new or has changed since the last look.
    """

    def __init__(self, source: Store | Archive, verify: bool) -> None:
        self._source = source
        self._root = source.root if isinstance(source, Store) else source.folder
        self._verify = verify
        self._known: dict[str, tuple[Fingerprint, Entry]] = {}

    def look(self, run_ids: Iterable[str]) -> dict[str, Entry]:
        """An entry for every run id; hashing runs on all cores, for it waits for no other."""
        ids = list(run_ids)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return dict(zip(ids, pool.map(self._look, ids), strict=True))

    def _look(self, run_id: str) -> Entry:
        folder = self._root / run_id
        try:
            found = _fingerprint(folder)
        except FileNotFoundError:
            return ABSENT
        known = self._known.get(run_id)
        if known is None or known[0] != found:
            known = found, self._read(run_id, {name for name, _, _ in found})
            self._known[run_id] = known
        return known[1]

    def _read(self, run_id: str, names: set[str]) -> Entry:
        path = self._root / run_id / RECORD
        try:
            if self._verify:
                self._source.load(run_id)
            return _entry(path, names if isinstance(self._source, Store) else None)
        except RecordError as error:
            return Entry("damaged", str(error))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return Entry("damaged", f"{path}: not readable as a record ({error!r})")


def _fingerprint(folder: Path) -> Fingerprint:
    with os.scandir(folder) as files:
        stats = [(file.name, file.stat()) for file in files]
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats))


def _entry(path: Path, names: set[str] | None) -> Entry:
    """The entry of a record's file; `names` stand beside it (None: not all of them have to).

    Raises:
        RecordError: it is of another run, of no known outcome, or a file beside it is missing.
    """
    body: dict[str, Any] = json.loads(path.read_text())
    if body["id"] != path.parent.name or body["outcome"] not in get_args(Outcome):
        raise RecordError(f"{path}: holds run {body['id']}, {body['outcome']}")
    missing = sorted(set(body["files"]) - names) if names is not None else []
    if missing:
        raise RecordError(f"{path.with_name(missing[0])}: missing beside its record")
    said = (body["error"] or "").rstrip().splitlines()
    timings = body["timings"]
    return Entry(
        state=body["outcome"],
        error=said[-1] if said else "",
        seconds=timings.get("seconds", 0.0),
        evaluate_seconds=timings.get("evaluate_seconds", 0.0),
        device=body["machine"].get("device", ""),
        ended=path.stat().st_mtime,
    )
