"""A study of seven runs, its store, and who works in it, for the tests of `status`."""

from __future__ import annotations

import dataclasses
import io
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rich.console import Console

from behavior_scaling.commands import status as status_module
from behavior_scaling.commands.status import Look
from behavior_scaling.commands.status_view import page
from behavior_scaling.commands.status_words import (
    Places,
)
from behavior_scaling.config import Study, load_study
from behavior_scaling.data.store import META
from behavior_scaling.layout import Layout
from behavior_scaling.records.lease import Holder
from behavior_scaling.records.record import Outcome, Record
from behavior_scaling.records.spec import DataSpec, RunSpec
from behavior_scaling.records.store import RECORD, Store
from behavior_scaling.sweep import progress as progress_module
from behavior_scaling.sweep.cells import resolve
from behavior_scaling.sweep.plan import Plan, make_plan

ROOT = Path(__file__).parents[2]
V = 1682
DATA = DataSpec("ml-100k", "abc", 64, 12, 65536, 16, 4, "time", 0.8, 10, 1.0, 3600)
NOON = datetime(2026, 1, 1, 12, 0, 0)


@dataclasses.dataclass
class Planted:
    """A study of seven runs, estimated at ten seconds each, its store, and who works in it."""

    config: Path
    study: Study
    plan: Plan
    specs: list[RunSpec]
    store: Store
    held: list[Holder] = dataclasses.field(default_factory=list)
    now: float = 0.0

    def record(
        self, number: int, seconds: float = 10, outcome: Outcome = "done", error: str | None = None
    ) -> None:
        timings = {"seconds": seconds, "evaluate_seconds": seconds / 4}
        record = Record(
            self.specs[number], outcome, error, timings=timings, machine={"device": "cpu"}
        )
        self.store.commit(record, self.store.work_dir(record.id))

    def hold(self, number: int, host: str, age: float, **said: float) -> None:
        since = "1970-01-01T00:00:00+00:00"
        self.held.append(Holder(self.specs[number].id, host, 7, since, 1, age, said))

    def look(self) -> Look:
        return Look(self.study, self.plan, V, self.store, lambda: DATA, clock=lambda: self.now)

    def page(self, width: int = 80, **kind: Any) -> str:
        """What a look shows."""
        file = io.StringIO()
        console = Console(file=file, width=width, highlight=False, markup=False, **kind)
        places = Places(Path("config/tiny.yaml"), Path("results"), Path("results/store"))
        console.print(page(self.look()(), places, NOON))
        return file.getvalue()


def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    raw = yaml.safe_load((ROOT / "config/quick.yaml").read_text())
    raw["name"], raw["title"] = "tiny", "A study of seven runs"
    allocation = {"budgets": [3e10, 1e11], "share": 0.35, "depth": 1}
    raw["axes"] = {
        "allocation": allocation | {"parameters": [[2600, 5000, 11200], [2600, 5000]]},
        "batch": {"budgets": [1e11], "batches": [4, 8, 16]},  # B = 4 is a run of allocation's
    }
    raw["base"] = [{"budget": 1e11, "parameters": 5000, "share": 0.35, "depth": 1}]
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(raw))
    study = load_study(config)
    plan = make_plan(study, V)
    specs = [resolve(cell, study, DATA) for bundle in plan.bundles for cell in bundle.cells]
    monkeypatch.chdir(tmp_path)
    place = Layout(Path("results"), study)
    made = Planted(config, study, plan, specs, Store(place.store))
    monkeypatch.setattr(progress_module, "run_seconds", lambda *_: 10.0)
    monkeypatch.setattr(status_module, "holders", lambda root: list(made.held))
    prepared = SimpleNamespace(data_spec=lambda: DATA)
    monkeypatch.setattr("behavior_scaling.data.store.Dataset.open", lambda path: prepared)
    place.data.mkdir(parents=True)
    (place.data / META).write_text("{}")
    return made


def halfway(planted: Planted) -> None:
    """Two done, one failed, one diverged, one damaged, one at work, one left by its holder."""
    planted.record(0, 20)
    planted.record(1, 40)
    error = f"Traceback\na.b.ParentError: {'ab' * 32}: \x1b[31m[red]gone"
    planted.record(2, 10, "failed", error)
    planted.record(3, 10, "diverged", "loss is nan at step 117")
    planted.record(4)
    (planted.store.path(planted.specs[4].id) / "log.txt").unlink(missing_ok=True)
    record = planted.store.path(planted.specs[4].id) / RECORD
    record.write_text(record.read_text().replace('"outcome": "done"', '"outcome": "?"'))
    planted.hold(5, "node17", 0, positions=1000, consumed=400, events_per_second=10)
    planted.hold(6, "node03", 700)
