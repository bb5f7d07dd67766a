"""The archive: a study's records as they ship with the repository.

Choices: a record is the store's file byte for byte, in a folder of its id, so that git and a
reviewer read it as it is; every outcome comes along, failed and diverged runs too; ranks stay in
the store (they are large), sums over groups of users and the weights of parents' embedders are
shipped. Writing is repeatable: what is new is added, what is there stays, and a record is never
silently replaced by one of other numbers; everything is checked before the first byte is written,
and the manifest is written last. What the study no longer asks for is kept until it is pruned.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from behavior_scaling.files import replacing, sha256_file
from behavior_scaling.records.manifest import (
    MANIFEST,
    Listed,
    Manifest,
    make_manifest,
    read_manifest,
    write_manifest,
)
from behavior_scaling.records.record import Record, RecordError
from behavior_scaling.records.spec import NUMERICS, DataSpec
from behavior_scaling.records.store import RECORD, USERS, Store

WEIGHTS = "embedder.safetensors"
PREDICTION = "prediction.json"  # written by `predict` before the runs it predicts


@dataclass(frozen=True)
class Written:
    """What a call of write_archive has done."""

    held: int  # records of the study in the archive now
    added: int  # of them by this call
    absent: list[str]  # ids that are neither finished nor archived
    replaced: list[str]  # ids whose archived failure gave way to another outcome
    strays: list[str]  # paths in the folder that the study does not ask for
    n_bytes: int  # of all files of the study


class Archive:
    """Records of a shipped study."""

    def __init__(self, folder: Path) -> None:
        """Read the manifest.

        Raises:
            RecordError: no manifest in `folder`, or a damaged one.
        """
        self.folder = folder
        manifest = read_manifest(folder / MANIFEST)
        self.data: DataSpec = manifest.data
        self.floors: dict[str, Any] = manifest.floors
        self.truth: dict[str, Any] | None = manifest.truth
        self.n_items: int | None = manifest.n_items
        self.numerics = manifest.numerics  # of the code that made the records
        self._records = manifest.records

    def __contains__(self, run_id: object) -> bool:
        """Whether the manifest lists a run."""
        return run_id in self._records

    def load(self, run_id: str) -> Record:
        """One record, checked against the manifest.

        Raises:
            RecordError: not in the manifest, or its file is missing or altered.
        """
        path = self.file(run_id, RECORD)
        record = Record.from_json(path.read_text(), where=str(path))
        if record.id != run_id:
            raise RecordError(f"{path}: holds run {record.id}")
        for name, digest in self._records[run_id].items():
            if name != RECORD and record.files.get(name) != digest:
                raise RecordError(f"{path}: its {name} is not the one that the manifest lists")
        return record

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


def write_archive(
    folder: Path,
    store: Store,
    run_ids: Sequence[str],
    data: DataSpec,
    floors: dict[str, Any] | None,
    *,
    truth: dict[str, Any] | None = None,
    axes: Mapping[str, Sequence[str]] | None = None,
    prune: bool = False,
) -> Written:
    """Add a study's finished records to its archive and write the manifest.

    Args:
        folder: the archive, made if absent.
        store: where finished records are.
        run_ids: every run of the study.
        data: the data of all of them.
        floors: what `floors` wrote; None: as the archive has them so far.
        truth: what `truth` wrote, of a world; None likewise.
        axes: run id -> the axes (and arms) that ask for it, for the manifest's counts.
        prune: remove what the study does not ask for.

    Raises:
        RecordError: the store and the archive hold other numbers of one run, the archive is of
            other data, a file of it is damaged and the store has no whole copy, or a stage-2 run's
            parent has left no embedder. Nothing is written then.
    """
    standing = _standing(folder, data, prune)
    before = standing.records if standing else {}
    if standing:
        floors, truth = floors or standing.floors, truth or standing.truth
    wanted = dict.fromkeys(run_ids)
    chosen: dict[str, _Held] = {}
    for run_id in wanted:
        held = _choose(folder, store, run_id, before.get(run_id))
        if held is not None:
            chosen[run_id] = held
    parents = {held.record.spec.parent for held in chosen.values()}
    names = {
        run_id: [USERS] * (USERS in held.record.files) + [WEIGHTS] * (run_id in parents)
        for run_id, held in chosen.items()
    }
    copies = [
        copy for run_id, held in chosen.items() for copy in _copies(folder, store, held, names)
    ]
    for copy in copies:
        with replacing(copy.target) as temporary:
            shutil.copyfile(copy.source, temporary)
    records = [held.record for held in chosen.values()]
    listed: Listed = {
        run_id: {name: sha256_file(folder / run_id / name) for name in (RECORD, *names[run_id])}
        for run_id in chosen
    }
    files = [folder / run_id / name for run_id, held in listed.items() for name in held]
    n_bytes = sum(path.stat().st_size for path in files)
    strays = sorted(_strays(folder, listed))
    others = {} if prune else {i: held for i, held in before.items() if i not in wanted}
    manifest = make_manifest(
        data, floors or {}, truth, records, axes or {}, listed | others, n_bytes
    )
    write_manifest(folder / MANIFEST, manifest)
    for path in strays if prune else ():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return Written(
        held=len(chosen),
        added=sum(held.new for held in chosen.values()),
        absent=[run_id for run_id in run_ids if run_id not in chosen],
        replaced=[run_id for run_id, held in chosen.items() if held.new and run_id in before],
        strays=[path.relative_to(folder).as_posix() for path in strays],
        n_bytes=n_bytes,
    )


@dataclass(frozen=True)
class _Held:
    """A record for the archive, and whether its file has yet to be copied from the store."""

    record: Record
    new: bool


@dataclass(frozen=True)
class _Copy:
    source: Path
    target: Path


def _standing(folder: Path, data: DataSpec, prune: bool) -> Manifest | None:
    """What the archive says so far."""
    if not (folder / MANIFEST).is_file():
        return None
    manifest = read_manifest(folder / MANIFEST)
    if manifest.numerics != NUMERICS:
        raise RecordError(
            f"{folder / MANIFEST}: made with NUMERICS {manifest.numerics}, this code computes with "
            f"{NUMERICS}: the two are not mixed; remove the archive to begin anew"
        )
    if manifest.data != data and not prune:
        raise RecordError(
            f"{folder / MANIFEST}: holds runs on data {manifest.data}, the study's are {data}; "
            "with --prune the archive is begun anew"
        )
    return manifest


def _choose(folder: Path, store: Store, run_id: str, files: dict[str, str] | None) -> _Held | None:
    """The archive's record where it stands, else the store's; None where there is neither."""
    stored = _stored(store, run_id)
    if files is None or (stored and not (folder / run_id).exists()):
        return None if stored is None else _Held(stored, new=True)
    try:
        archived = _archived(folder, run_id, files)
    except RecordError as error:
        if stored is None or sha256_file(store.path(run_id) / RECORD) != files[RECORD]:
            raise RecordError(f"{error}; restore it, or remove {folder / run_id}") from error
        return _Held(stored, new=True)
    if stored is None or stored.outcome == "failed" or stored.numeric_hash == archived.numeric_hash:
        return _Held(archived, new=False)
    if archived.outcome == "failed":
        return _Held(stored, new=True)
    raise RecordError(
        f"run {run_id}: {folder / run_id} holds numbers {archived.numeric_hash}, {store.root} "
        f"{stored.numeric_hash}: one run has one result; find out which of the two is wrong and "
        f"remove its folder"
    )


def _stored(store: Store, run_id: str) -> Record | None:
    try:
        return store.load(run_id)
    except RecordError:
        return None


def _archived(folder: Path, run_id: str, files: dict[str, str]) -> Record:
    """The record, if all that is listed of it is as listed."""
    for name, digest in files.items():
        path = folder / run_id / name
        if not path.is_file() or sha256_file(path) != digest:
            raise RecordError(f"{path}: missing or altered: not as the manifest lists it")
    path = folder / run_id / RECORD
    return Record.from_json(path.read_text(), where=str(path))


def _copies(
    folder: Path, store: Store, held: _Held, names: Mapping[str, Sequence[str]]
) -> Iterator[_Copy]:
    """Files of a record that the archive lacks, each seen to be the one that its record names."""
    run_id = held.record.id
    if held.new:
        yield _Copy(store.path(run_id) / RECORD, folder / run_id / RECORD)
    for name in names[run_id]:
        target, digest = folder / run_id / name, held.record.files.get(name)
        if target.is_file() and sha256_file(target) == digest:
            continue
        source = store.path(run_id) / name
        if not source.is_file() or sha256_file(source) != digest:
            raise RecordError(f"{source}: missing, or not the file that the record names")
        yield _Copy(source, target)


def _strays(folder: Path, listed: Listed) -> Iterator[Path]:
    """Files and folders of the archive that no record of the study accounts for."""
    for path in folder.iterdir():
        if path.name in listed and path.is_dir():
            yield from (file for file in path.iterdir() if file.name not in listed[path.name])
        elif path.name not in (MANIFEST, PREDICTION):
            yield path
