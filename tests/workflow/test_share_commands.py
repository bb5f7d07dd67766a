"""push and pull as commands: what a dry run says, what a second call leaves, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from behavior_scaling.cli import main
from behavior_scaling.config import Study, load_study
from behavior_scaling.data.prepare import prepare_tables
from behavior_scaling.data.store import Dataset
from behavior_scaling.data.tables import FeatureSchema, Tables
from behavior_scaling.layout import Layout
from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import Store
from behavior_scaling.sweep.bundles import bundle_path, renew_requests, request_path
from behavior_scaling.sweep.cells import resolve, unique
from behavior_scaling.sweep.plan import Plan, make_plan

STUDY: dict[str, Any] = {
    "name": "small",
    "title": "Four runs",
    "data": {"source": "ml-100k", "context": 16, "tokens": 2, "least_targets": 0},
    "objective": {"in_batch": 32},
    "execution": {"batch": 4, "bundle_seconds": 1},
    "axes": {
        "allocation": {
            "budgets": [1e8], "share": 0.17, "depth": 0, "parameters": [[500, 1000]],
            "seeds": [0, 1],
        }
    },
}  # fmt: skip


def tables(seed: int) -> Tables:
    rng = np.random.default_rng(seed)
    rows = [(user, int(rng.integers(40)), 1000 * i) for user in range(40) for i in range(20)]
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    items = pd.DataFrame({"item_id": range(40), "name": [f"item {i}" for i in range(40)]})
    return Tables(events, items, FeatureSchema((("name", "categorical"),)))


class Machine:
    """A repository's folder with a study; its results may be absent."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        self.config = root / "small.yaml"
        self.config.write_text(yaml.safe_dump(STUDY))
        self.study: Study = load_study(self.config)
        self.place = Layout(root / "results", self.study)
        self.store = Store(self.place.store)

    def prepare(self, seed: int = 0) -> Dataset:
        return prepare_tables(tables(seed), self.study.data, self.place.data)

    @property
    def plan(self) -> Plan:
        return make_plan(self.study, 40)

    def specs(self) -> list[RunSpec]:
        data = Dataset.open(self.place.data).data_spec()
        return [resolve(cell, self.study, data) for cell in unique(list(self.plan.cells))]

    def finish(self, spec: RunSpec) -> None:
        work = self.store.work_dir(spec.id)
        (work / "ranks.parquet").write_bytes(spec.id.encode())
        self.store.commit(Record(spec=spec, outcome="done", metrics={"m": 0.5}), work)

    def share(self, command: str, url: Path | str, *more: str) -> int:
        way = "--to" if command == "push" else "--from"
        results = str(self.place.results)
        return main(
            [command, "--config", str(self.config), "--results", results, way, str(url), *more]
        )

    def files(self) -> dict[str, bytes]:
        shown = [path for path in self.place.results.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.place.results)): path.read_bytes() for path in shown}


@pytest.fixture
def laptop(tmp_path: Path) -> Machine:
    """Prepared data, what is measured on them, and three of four runs."""
    machine = Machine(tmp_path / "laptop")
    machine.prepare()
    for spec in machine.specs()[:3]:
        machine.finish(spec)
    machine.place.floors.write_text('{"validation": {}}\n')
    machine.place.card.mkdir()
    for name in ("card.md", "card.png", "card.csv"):
        (machine.place.card / name).write_text(name)
    return machine


@pytest.fixture
def cluster(tmp_path: Path) -> Machine:
    """Nothing but the repository."""
    return Machine(tmp_path / "cluster")


def test_all_of_a_study_goes_there_and_back(
    laptop: Machine, cluster: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    far = tmp_path / "far"
    before = laptop.files()
    assert laptop.share("push", far) == 0
    said = capsys.readouterr().out
    assert "records: 3 copied" in said
    assert "records: 1 not finished" in said
    assert laptop.files() == before
    assert cluster.share("pull", far) == 0
    assert cluster.files() == before
    cluster.finish(cluster.specs()[3])
    assert cluster.share("push", f"file://{far}") == 0
    assert "records: 1 copied" in capsys.readouterr().out
    assert laptop.share("pull", far) == 0
    assert laptop.files() == cluster.files()
    for command in ("push", "pull"):
        capsys.readouterr()
        assert laptop.share(command, far) == 0
        data = laptop.place.data.name
        assert capsys.readouterr().out == f"data/{data}: there already\nrecords: 4 there already\n"


def test_a_dry_run_writes_nothing_and_names_every_record(
    laptop: Machine, cluster: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    far = tmp_path / "far"
    assert laptop.share("push", far, "--dry-run") == 0
    assert not far.exists()
    said = capsys.readouterr().out
    for spec in laptop.specs()[:3]:
        assert f"store/{spec.id}: would be copied" in said
    laptop.share("push", far)
    capsys.readouterr()
    assert cluster.share("pull", far, "--dry-run") == 0
    assert not cluster.place.results.exists()
    assert "records: 3 would be copied" in capsys.readouterr().out


def test_pulled_runs_need_no_job(laptop: Machine, cluster: Machine, tmp_path: Path) -> None:
    laptop.finish(laptop.specs()[3])
    laptop.share("push", tmp_path / "far")
    cluster.share("pull", tmp_path / "far")
    data = Dataset.open(cluster.place.data).data_spec()
    folder = cluster.place.bundles
    assert renew_requests(cluster.plan, cluster.study, data, folder, cluster.store) == []
    for bundle in cluster.plan.bundles:
        stated = json.loads(bundle_path(folder, bundle.key).read_text())
        assert {row["outcome"] for row in stated["runs"]} == {"done"}
        request = request_path(folder, bundle.key).stat().st_mtime_ns
        assert request <= bundle_path(folder, bundle.key).stat().st_mtime_ns
    cluster.store.clear(cluster.specs()[0].id)
    (message,) = renew_requests(cluster.plan, cluster.study, data, folder, cluster.store)
    assert "no such record" in message


def test_a_bundle_that_lacks_a_run_gets_no_file(laptop: Machine) -> None:
    data = Dataset.open(laptop.place.data).data_spec()
    renew_requests(laptop.plan, laptop.study, data, laptop.place.bundles, laptop.store)
    whole = [
        all(laptop.store.state(resolve(cell, laptop.study, data).id) == "done"
            for cell in bundle.cells)
        for bundle in laptop.plan.bundles
    ]  # fmt: skip
    assert True in whole
    assert False in whole
    there = [bundle_path(laptop.place.bundles, one.key).exists() for one in laptop.plan.bundles]
    assert there == whole


def test_data_of_another_identity_are_refused_both_ways(
    laptop: Machine, cluster: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    laptop.share("push", tmp_path / "far")
    cluster.prepare(seed=1)
    before = cluster.files()
    for command in ("push", "pull"):
        assert cluster.share(command, tmp_path / "far") == 2
        assert "hold different data" in capsys.readouterr().err
    assert cluster.files() == before


def test_damaged_data_are_refused_from_there_and_replaced_here(
    laptop: Machine, cluster: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    far = tmp_path / "far"
    laptop.share("push", far)
    items = far / "data" / laptop.place.data.name / "items.npy"
    whole = items.read_bytes()
    items.write_bytes(whole[:-1] + b"\xff")
    assert cluster.share("pull", far) == 2
    assert "items.npy: altered" in capsys.readouterr().err
    assert not cluster.place.data.exists()
    assert laptop.share("push", far) == 0  # a folder's content is always verified
    assert items.read_bytes() == whole
    assert cluster.share("pull", far) == 0  # goes on with the files that came whole
    (cluster.place.data / "times.npy").write_bytes(b"")
    assert cluster.share("push", far) == 2
    assert "times.npy" in capsys.readouterr().err
    assert cluster.share("pull", far) == 0
    Dataset.open(cluster.place.data, verify=True)
    assert {path.name for path in cluster.place.data.parent.glob(".*")} == set()


def test_unreadable_floors_are_replaced_and_readable_ones_kept(
    laptop: Machine, cluster: Machine, tmp_path: Path
) -> None:
    laptop.share("push", tmp_path / "far")
    cluster.share("pull", tmp_path / "far")
    cluster.place.floors.write_text('{"own": 1}')
    cluster.share("pull", tmp_path / "far")
    assert cluster.place.floors.read_text() == '{"own": 1}'
    cluster.place.floors.write_text('{"validation"')
    cluster.share("pull", tmp_path / "far")
    assert cluster.place.floors.read_bytes() == laptop.place.floors.read_bytes()


def test_nothing_pushed_yet_is_said(
    cluster: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cluster.share("pull", tmp_path / "far") == 2
    assert "no prepared data of this study there" in capsys.readouterr().err
    assert cluster.share("pull", "nowhere://x") == 2
    assert "nowhere://x: no place to share at" in capsys.readouterr().err


def test_a_damaged_record_there_ends_with_status_one(
    laptop: Machine, cluster: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    laptop.share("push", tmp_path / "far")
    victim = laptop.specs()[0].id
    (tmp_path / "far" / "store" / victim / "ranks.parquet").write_bytes(b"x")
    assert cluster.share("pull", tmp_path / "far") == 1
    said = capsys.readouterr().out
    assert f"run {victim[:12]}: damaged: not copied: " in said
    assert "ranks.parquet: altered" in said
    assert cluster.store.state(victim) == "absent"


def test_copying_the_folder_by_any_other_means_is_the_same(
    laptop: Machine, cluster: Machine, tmp_path: Path
) -> None:
    shutil.copytree(laptop.place.results, tmp_path / "far")
    assert cluster.share("pull", tmp_path / "far") == 0
    assert cluster.files() == laptop.files()
