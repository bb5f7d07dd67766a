"""User sums and probes of all runs: each run once, from the store as from the archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.config import Study, load_study
from behavior_scaling.records.archive import Archive, write_archive
from behavior_scaling.records.columns import PROBE_COLUMNS, TIMINGS, USER_COLUMNS
from behavior_scaling.records.record import Record, RecordError
from behavior_scaling.records.spec import DataSpec
from behavior_scaling.records.store import USERS, Store
from behavior_scaling.sweep.cells import resolve
from behavior_scaling.sweep.collect import collect_runs, write_table
from behavior_scaling.sweep.collect_beside import collect_probes, collect_users, collected_ids
from behavior_scaling.sweep.plan import Plan, make_plan

ROOT = Path(__file__).parents[2]
DATA = DataSpec("ml-100k", "abc", 64, 12, 65536, 16, 4, "time", 0.8, 10, 1.0, 3600)


def probe(step: int, loss: float | None) -> dict[str, Any]:
    return dict(zip(PROBE_COLUMNS, (step, 10 * step, loss, 2.0, -0.5), strict=True))


def sums(run: int) -> pd.DataFrame:
    row = ("test", "all", "raw", run, 3, 1.5, 1.0, 0.5, 0.25)
    return pd.DataFrame([row], columns=list(USER_COLUMNS))


def commit(store: Store, record: Record, users: pd.DataFrame | None) -> Record:
    work = store.work_dir(record.id)
    if users is not None:
        write_table(users, work / USERS)
    return store.commit(record, work)


@pytest.fixture
def study() -> Study:
    return load_study(ROOT / "config" / "quick.yaml")


@pytest.fixture
def plan(study: Study) -> Plan:
    return make_plan(study, 1682)


@pytest.fixture
def store(study: Study, plan: Plan, tmp_path: Path) -> Store:
    """The first cell done; the second without probes; the third diverged; the fourth damaged."""
    store = Store(tmp_path / "store")
    specs = [resolve(cell, study, DATA) for cell in plan.cells[:4]]
    commit(store, Record(specs[0], "done", probes=[probe(1, None), probe(4, 5.5)]), sums(0))
    commit(store, Record(specs[1], "done", counts={"flops_probe": 7.0}), sums(1))
    commit(store, Record(specs[2], "diverged", "nan", probes=[probe(2, 6.5)]), None)
    spoilt = commit(store, Record(specs[3], "done", probes=[probe(2, 6.5)]), sums(3))
    (store.path(spoilt.id) / USERS).write_bytes(b"other")
    return store


def test_runs_with_a_record_are_gathered_once(study: Study, plan: Plan, store: Store) -> None:
    runs = collect_runs(study, plan, DATA, store.load)
    twice = pd.concat([runs, runs])  # as if every run stood on two axes
    assert runs["flops_probe"].iloc[1] == 7.0
    ids = collected_ids(twice)
    assert ids == [resolve(cell, study, DATA).id for cell in plan.cells[:3]]
    users, probes = collect_users(ids, store), collect_probes(ids, store)
    assert list(users.columns) == ["id", *USER_COLUMNS]
    assert users["id"].tolist() == ids[:2]
    assert users["group"].tolist() == [0, 1]
    assert list(probes.columns) == ["id", *PROBE_COLUMNS]
    assert probes["id"].tolist() == [ids[0], ids[0], ids[2]]
    assert probes["step"].tolist() == [1, 4, 2]
    assert np.isnan(probes["validation_cross_entropy"][0])
    assert probes["validation_cross_entropy"].tolist()[1:] == [5.5, 6.5]


def test_timings_of_old_records_are_null_where_they_lack_them(
    study: Study, plan: Plan, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    old, new, _ = specs = [resolve(cell, study, DATA) for cell in plan.cells[:3]]
    rates = {"seconds": 5.0, "events_per_second": 70.0, "peak_memory_bytes": 9}
    whole = dict.fromkeys(TIMINGS, 1.5) | {"unheard_of": 3.0}
    commit(store, Record(old, "done", timings=rates), None)
    commit(store, Record(new, "done", timings=whole), None)
    runs = collect_runs(study, plan, DATA, store.load)
    assert runs["outcome"].tolist()[:3] == ["done", "done", "missing"]
    for name in TIMINGS:
        first, second, missing = runs[name][:3]
        assert (first == rates[name]) if name in rates else np.isnan(first)
        assert second == 1.5
        assert np.isnan(missing)
    assert "unheard_of" not in runs
    assert runs["id"].tolist()[:3] == [spec.id for spec in specs]


def test_records_of_other_numerics_are_found_by_them(
    study: Study, plan: Plan, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    older = resolve(plan.cells[0], study, DATA, numerics=2)
    commit(store, Record(older, "done", counts={"flops_probe": 7.0}), None)
    assert "done" not in set(collect_runs(study, plan, DATA, store.load)["outcome"])
    runs = collect_runs(study, plan, DATA, store.load, numerics=2)
    assert (runs["id"].iloc[0], runs["flops_probe"].iloc[0]) == (older.id, 7.0)


def test_an_archive_gives_the_same_tables(
    study: Study, plan: Plan, store: Store, tmp_path: Path
) -> None:
    ids = [resolve(cell, study, DATA).id for cell in plan.cells]
    done = write_archive(tmp_path / "archive", store, ids, DATA, {})
    assert (done.held, len(done.absent)) == (3, len(ids) - 3)
    archive = Archive(tmp_path / "archive")
    ids = collected_ids(collect_runs(study, plan, archive.data, archive.load))
    pd.testing.assert_frame_equal(collect_users(ids, archive), collect_users(ids, store))
    pd.testing.assert_frame_equal(collect_probes(ids, archive), collect_probes(ids, store))
    (archive.folder / ids[1] / USERS).write_bytes(b"other")
    with pytest.raises(RecordError, match=r"users\.parquet: altered"):
        collect_users(ids, archive)


def test_tables_without_a_row_have_their_columns(store: Store, tmp_path: Path) -> None:
    for table, columns in (
        (collect_users([], store), USER_COLUMNS),
        (collect_probes([], store), PROBE_COLUMNS),
    ):
        write_table(table, tmp_path / "empty.parquet")
        found = pd.read_parquet(tmp_path / "empty.parquet")
        assert list(found.columns) == ["id", *columns]
        assert found.empty
