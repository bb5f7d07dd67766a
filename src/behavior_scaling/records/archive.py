"""The archive: finished records of one study as they ship with the repository.

A manifest lists every record with the SHA-256 of its file, the data they were measured on and
the floors beside them; ranks stay in the store (they are large), sums over groups of users and
the weights of parents' embedders come along. Writing is repeatable: finished records are added,
what is there is kept.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from behavior_scaling.files import replacing, sha256_file, write_text
from behavior_scaling.records.record import Record, RecordError
from behavior_scaling.records.spec import DataSpec
from behavior_scaling.records.store import RECORD, USERS, Store

MANIFEST = "manifest.json"
WEIGHTS = "embedder.safetensors"


def write_archive(
    folder: Path, store: Store, run_ids: list[str], data: DataSpec, floors: dict[str, Any]
) -> tuple[int, list[str]]:
    """Copy finished records into the archive and write its manifest.

    Returns:
        How many records the archive holds, and the ids that are not finished yet.
    """
    parents = set()
    held: dict[str, dict[str, str]] = {}
    absent: list[str] = []
    for run_id in run_ids:
        try:
            record = store.load(run_id)
        except RecordError:
            absent.append(run_id)
            continue
        names = [RECORD, *(name for name in record.files if name == USERS)]
        held[run_id] = _copy(store.path(run_id), folder / run_id, names)
        if record.spec.parent:
            parents.add(record.spec.parent)
    for run_id in sorted(parents & set(held)):
        held[run_id] |= _copy(store.path(run_id), folder / run_id, [WEIGHTS])
    manifest = {"data": dataclasses.asdict(data), "floors": floors, "records": held}
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return len(held), absent


class Archive:
    """Records of a shipped study."""

    def __init__(self, folder: Path) -> None:
        """Read the manifest.

        Raises:
            RecordError: no manifest in `folder`, or not one.
        """
        self.folder = folder
        path = folder / MANIFEST
        if not path.is_file():
            raise RecordError(f"{path}: no archive here; make one with `behavior-scaling archive`")
        try:
            manifest = json.loads(path.read_text(errors="replace"))
            self.data = DataSpec(**manifest["data"])
            self.floors: dict[str, Any] = manifest["floors"]
            self._records: dict[str, dict[str, str]] = manifest["records"]
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise RecordError(f"{path}: truncated or not a manifest: {error!r}") from error

    def load(self, run_id: str) -> Record:
        """One record, checked against the manifest.

        Raises:
            RecordError: not in the manifest, or its file is missing or altered.
        """
        path = self.file(run_id, RECORD)
        return Record.from_json(path.read_text(), where=str(path))

    def file(self, run_id: str, name: str) -> Path:
        """A record's file, or one beside it, checked against the manifest.

        Raises:
            RecordError: not in the manifest, missing or altered.
        """
        path = self.folder / run_id / name
        if run_id not in self._records:
            raise RecordError(f"{self.folder / MANIFEST}: lists no run {run_id}")
        if name not in self._records[run_id]:
            raise RecordError(f"{self.folder / MANIFEST}: lists no {name} of run {run_id}")
        if not path.is_file():
            raise RecordError(f"{path}: listed in the manifest, but missing")
        if sha256_file(path) != self._records[run_id][name]:
            raise RecordError(f"{path}: altered: its SHA-256 is not the one in the manifest")
        return path


def _copy(source: Path, target: Path, names: list[str]) -> dict[str, str]:
    for name in names:
        with replacing(target / name) as temporary:
            shutil.copyfile(source / name, temporary)
    return {name: sha256_file(target / name) for name in names}
