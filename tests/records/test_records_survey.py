"""Looks at many runs: what is told of each, and that nothing unchanged is read again."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from behavior_scaling.records import survey as survey_module
from behavior_scaling.records.archive import Archive, write_archive
from behavior_scaling.records.record import Record
from behavior_scaling.records.store import RECORD, Store
from behavior_scaling.records.survey import ABSENT, Entry, Survey

from .helpers import example_record

TIMINGS = {"seconds": 12.5, "evaluate_seconds": 2.5}


def planted(root: Path, seed: int = 0, **changes: object) -> tuple[Store, str]:
    store = Store(root)
    base = example_record()
    spec = dataclasses.replace(base.spec, seed=seed)
    record: Record = dataclasses.replace(
        base, spec=spec, timings=TIMINGS, machine={"device": "cpu"}, **changes
    )  # type: ignore[arg-type]
    work = store.work_dir(spec.id)
    (work / "ranks.parquet").write_bytes(b"ranks")
    store.commit(record, work)
    return store, spec.id


@pytest.mark.parametrize("verify", [False, True])
def test_an_entry_is_the_outcome_and_what_was_measured(tmp_path: Path, verify: bool) -> None:
    store, run_id = planted(tmp_path)
    failed = planted(tmp_path, 1, outcome="failed", error="Traceback\nOSError: disk\n")[1]
    found = Survey(store, verify).look([run_id, "0" * 64, failed])
    written = (store.path(run_id) / RECORD).stat().st_mtime
    assert found[run_id] == Entry("done", "", 12.5, 2.5, "cpu", written)
    assert found["0" * 64] == ABSENT
    assert (found[failed].state, found[failed].error) == ("failed", "OSError: disk")
    assert list(found) == [run_id, "0" * 64, failed]


@pytest.mark.parametrize(
    "text", ["", '{"trunc', "[]", '{"id": "x"}', '{"id": 1, "outcome": "done", "files": 5}']
)
@pytest.mark.parametrize("verify", [False, True])
def test_a_damaged_record_is_said_to_be(tmp_path: Path, text: str, verify: bool) -> None:
    store, run_id = planted(tmp_path)
    (store.path(run_id) / RECORD).write_text(text)
    entry = Survey(store, verify).look([run_id])[run_id]
    assert entry.state == "damaged"
    assert str(store.path(run_id)) in entry.error


def test_a_record_in_the_wrong_folder_of_an_unknown_outcome_or_without_a_file(
    tmp_path: Path,
) -> None:
    store, run_id = planted(tmp_path)
    path = store.path(run_id) / RECORD
    store.path(run_id).rename(store.path("f" * 64))
    moved = Survey(store, False).look(["f" * 64])["f" * 64]
    assert f"holds run {run_id}" in moved.error
    store.path("f" * 64).rename(store.path(run_id))
    body = json.loads(path.read_text())
    path.write_text(json.dumps(body | {"outcome": "running"}))
    assert Survey(store, False).look([run_id])[run_id].state == "damaged"
    path.write_text(json.dumps(body))
    (store.path(run_id) / "ranks.parquet").unlink()
    gone = Survey(store, False).look([run_id])[run_id]
    assert gone.error.endswith("ranks.parquet: missing beside its record")


def test_a_flipped_byte_is_found_by_the_look_that_verifies(tmp_path: Path) -> None:
    store, run_id = planted(tmp_path)
    (store.path(run_id) / "ranks.parquet").write_bytes(b"Ranks")
    assert Survey(store, verify=True).look([run_id])[run_id].state == "damaged"
    assert Survey(store, verify=False).look([run_id])[run_id].state == "done"


def test_only_what_has_changed_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, first = planted(tmp_path)
    second = planted(tmp_path, 1)[1]
    read: list[str] = []
    load = store.load
    monkeypatch.setattr(store, "load", lambda run_id: (read.append(run_id), load(run_id))[1])
    survey = Survey(store, verify=True)
    ids = [first, second]
    survey.look(ids)
    assert sorted(read) == sorted(ids)
    survey.look(ids)
    assert len(read) == 2
    ranks = store.path(second) / "ranks.parquet"
    stat = ranks.stat()
    ranks.write_bytes(b"Ranks")
    os.utime(ranks, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert survey.look(ids)[second].state == "damaged"
    assert read[2:] == [second]
    store.clear(second)
    assert survey.look(ids)[second] == ABSENT


def test_a_folder_that_goes_away_under_the_look_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run_id = planted(tmp_path)

    def gone(folder: Path) -> None:
        raise FileNotFoundError(folder)

    monkeypatch.setattr(survey_module, "_fingerprint", gone)
    assert Survey(store, False).look([run_id])[run_id] == ABSENT


@pytest.mark.parametrize("verify", [False, True])
def test_an_archive_keeps_fewer_files_than_its_records_name(tmp_path: Path, verify: bool) -> None:
    store, run_id = planted(tmp_path / "store")
    spec = example_record().spec
    write_archive(tmp_path / "archive", store, [run_id], spec.data, {})
    archive = Archive(tmp_path / "archive")
    assert Survey(archive, verify).look([run_id])[run_id].state == "done"
    path = tmp_path / "archive" / run_id / RECORD
    path.write_text(path.read_text().replace('"done"', '"failed"'))
    altered = Survey(archive, verify).look([run_id])[run_id]
    assert altered.state == ("damaged" if verify else "failed")
