"""The store of records: one folder a run id, written whole or not at all.

Choices: a run works in `.work/<id>` (its checkpoint lives there and survives a kill), and one
rename turns that folder into the record; a damaged record is as good as absent for training,
and is set aside, not deleted, when a new one takes its place; a failed or diverged outcome stays
until `retry` clears it, so that a study does not spend its time on the same failure twice.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from behavior_scaling.files import sha256_file, write_text
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

    def path(self, run_id: str) -> Path:
        """Folder of a finished run."""
        return self.root / run_id

    def work_dir(self, run_id: str) -> Path:
        """Folder in which an unfinished run works; made if absent."""
        folder = self.root / ".work" / run_id
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def load(self, run_id: str) -> Record:
        """Read a record and check it and the files beside it.

        Raises:
            RecordError: absent, truncated, altered, or not the record of that id.
        """
        path = self.path(run_id) / RECORD
        if not path.is_file():
            raise RecordError(f"{path}: no such record")
        record = Record.from_json(path.read_text(), where=str(path))
        if record.id != run_id:
            raise RecordError(f"{path}: holds run {record.id}")
        for name, expected in record.files.items():
            file = path.parent / name
            if not file.is_file():
                raise RecordError(f"{file}: missing beside its record")
            if sha256_file(file) != expected:
                raise RecordError(f"{file}: altered: its SHA-256 is not the one in the record")
        return record

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
        (work_dir / CHECKPOINT).unlink(missing_ok=True)
        names = sorted(p.name for p in work_dir.iterdir() if p.is_file() and p.name != RECORD)
        stored = Record(
            **(vars(record) | {"files": {name: sha256_file(work_dir / name) for name in names}})
        )
        write_text(work_dir / RECORD, stored.to_json())
        Record.from_json((work_dir / RECORD).read_text(), where=str(work_dir / RECORD))
        target = self.path(record.id)
        if target.exists():
            self._set_aside(target)
        work_dir.rename(target)
        return self.load(record.id)

    def clear(self, run_id: str) -> None:
        """Remove an outcome so that the run is trained again."""
        shutil.rmtree(self.path(run_id))

    def _set_aside(self, target: Path) -> None:
        aside = self.root / ".damaged" / target.name
        if aside.exists():
            shutil.rmtree(aside)
        aside.parent.mkdir(parents=True, exist_ok=True)
        target.rename(aside)
