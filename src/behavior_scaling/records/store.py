"""The store of records: one folder a run id, written whole or not at all.

Choices: a run works in `.work/<id>` (its checkpoint lives there and survives a kill), and one
rename turns that folder into the record; a damaged record is as good as absent for training,
and is set aside, not deleted, when a new one takes its place; a failed or diverged outcome stays
until `retry` clears it, so that a study does not spend its time on the same failure twice. Of two
processes that bring the same record the first one's stays; none of this needs a lock.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import uuid
from pathlib import Path
from typing import Literal

from behavior_scaling.files import sha256_file, write_text
from behavior_scaling.records.lease import Holder, Lease, Leases
from behavior_scaling.records.record import Outcome, Record, RecordError

RECORD = "record.json"
CHECKPOINT = "checkpoint.ckpt"
LOG = "log.txt"  # lines of progress of all attempts, beside the record
USERS = "users.parquet"  # sums of metrics over groups of users, beside the record of a run

State = Outcome | Literal["absent", "damaged"]


class Store:
    """Records under one root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._leases = Leases(root)

    def path(self, run_id: str) -> Path:
        """Folder of a finished run."""
        return self.root / run_id

    def work_dir(self, run_id: str) -> Path:
        """Folder in which an unfinished run works; made if absent."""
        folder = self.root / ".work" / run_id
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def lease(self, run_id: str) -> Lease | None:
        """The lease of a run, to be left as a context is; None while another process holds it.

        Ask again with the same store: a holder that has fallen silent is known by waiting.
        """
        return self._leases.take(run_id)

    def holder(self, run_id: str) -> Holder | None:
        """Who holds the lease of a run, if anyone does."""
        return self._leases.holder(run_id)

    def load(self, run_id: str) -> Record:
        """Read a record and check it and the files beside it.

        Raises:
            RecordError: absent, truncated, altered, or not the record of that id.
        """
        return load_record(self.path(run_id), run_id)

    def file(self, run_id: str, name: str) -> Path:
        """A file beside a record; `load` has checked it.

        Raises:
            RecordError: it is missing.
        """
        path = self.path(run_id) / name
        if not path.is_file():
            raise RecordError(f"{path}: no such file beside the record")
        return path

    def state(self, run_id: str) -> State:
        """What stands in the store for a run id."""
        if not self.path(run_id).exists():
            return "absent"
        try:
            return self.load(run_id).outcome
        except RecordError:
            return "damaged"

    def commit(self, record: Record, work_dir: Path) -> Record:
        """Turn a work folder into the finished record.

        Args:
            record: the result, its `files` still empty.
            work_dir: folder that holds every file to keep (and perhaps a checkpoint to drop).

        Returns:
            The record as stored, with the files' hashes, read back and verified.
        """
        with contextlib.suppress(FileNotFoundError):  # another process commits this very folder
            stored = _seal(record, work_dir)
            if self.adopt(work_dir, stored.id, stored.outcome):  # killed before: it is still there
                (self.path(stored.id) / CHECKPOINT).unlink(missing_ok=True)
        return self.load(record.id)

    def adopt(self, folder: Path, run_id: str, outcome: Outcome) -> bool:
        """Put a whole record's folder, on the store's file system, in its place.

        A whole record that stands there stays, unless it says 'failed' and the new one does not.

        Returns:
            Whether the folder is the record now; it is gone in any case.
        """
        target = self.path(run_id)
        while True:
            try:
                folder.rename(target)
                return True
            except FileNotFoundError:  # another process has moved the very same folder
                return False
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            if not self._set_aside(target, outcome):
                shutil.rmtree(folder)
                return False

    def clear(self, run_id: str) -> None:
        """Remove an outcome so that the run is trained again."""
        shutil.rmtree(self.path(run_id))

    def _set_aside(self, target: Path, outcome: Outcome) -> bool:
        """Make room for a record of this outcome; False if what stands there is to stay."""
        if self._stays(target, target.name, outcome):
            return False
        aside = self.root / ".damaged" / target.name
        aside.parent.mkdir(parents=True, exist_ok=True)
        moved = aside.with_name(f"{target.name}.{uuid.uuid4().hex}")
        try:
            target.rename(moved)
        except FileNotFoundError:  # another process has made room
            return True
        if self._stays(moved, target.name, outcome):  # and has put a whole one there meanwhile
            with contextlib.suppress(OSError):
                moved.rename(target)
                return False
        shutil.rmtree(aside, ignore_errors=True)
        with contextlib.suppress(OSError):
            moved.rename(aside)
        return True

    @staticmethod
    def _stays(folder: Path, run_id: str, outcome: Outcome) -> bool:
        try:
            standing = load_record(folder, run_id).outcome
        except (RecordError, OSError):
            return False
        return standing != "failed" or outcome == "failed"


def load_record(folder: Path, run_id: str) -> Record:
    """Read the record in a folder and check it and the files beside it.

    Raises:
        RecordError: absent, truncated, altered, or not the record of that id.
    """
    path = folder / RECORD
    if not path.is_file():
        raise RecordError(f"{path}: no such record")
    record = Record.from_json(path.read_text(errors="replace"), where=str(path))
    if record.id != run_id:
        raise RecordError(f"{path}: holds run {record.id}")
    for name, expected in record.files.items():
        file = folder / name
        if not file.is_file():
            raise RecordError(f"{file}: missing beside its record")
        if sha256_file(file) != expected:
            raise RecordError(f"{file}: altered: its SHA-256 is not the one in the record")
    return record


def _seal(record: Record, folder: Path) -> Record:
    """Write the record, with the hashes of the files beside it, and read it back."""
    names = sorted(
        file.name
        for file in folder.iterdir()
        if file.is_file() and file.name not in (RECORD, CHECKPOINT) and file.name[0] != "."
    )  # files of hidden names were never finished
    hashes = {name: sha256_file(folder / name) for name in names}
    stored = Record(**(vars(record) | {"files": hashes}))
    write_text(folder / RECORD, stored.to_json())
    return Record.from_json((folder / RECORD).read_text(), where=str(folder / RECORD))
