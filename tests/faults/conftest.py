"""The tiny chain and its run from the training room, and that run as nothing disturbed it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from behavior_scaling.cli import main
from behavior_scaling.data.store import Dataset
from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import Store
from behavior_scaling.train.bundle import train_bundle
from behavior_scaling.train.run import train_run

from ..report.conftest import shared_results as results
from ..train.conftest import chain, child, store
from ..train.conftest import spec as long_spec
from .faults_processes import BUNDLE, Child

__all__ = ["chain", "child", "long_spec", "results", "store"]


@pytest.fixture
def spec(long_spec: RunSpec) -> RunSpec:
    """A run of about fifteen steps, probed once."""
    return replace(long_spec, positions=800, probes=1)


@pytest.fixture(scope="session")
def undisturbed(chain: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Record]:
    """The record of a spec that was trained in peace, once."""
    known: dict[str, Record] = {}

    def record(spec: RunSpec) -> Record:
        if spec.id not in known:
            folder = tmp_path_factory.mktemp("undisturbed")
            known[spec.id] = train_run(spec, chain, folder, None, 1e9, lambda line: None)
        return known[spec.id]

    return record


@pytest.fixture
def bundle(chain: Dataset, store: Store) -> Callable[..., list[str]]:
    """Train specs in this process, as the next attempt does; gives the log."""

    def run(*specs: RunSpec) -> list[str]:
        lines: list[str] = []
        train_bundle(list(specs), chain, store, 1e9, lines.append)
        return lines

    return run


@pytest.fixture
def struck(chain: Dataset, store: Store, tmp_path: Path) -> Callable[..., Child]:
    """Train specs in a child that `strikes` has prepared, a checkpoint after every step."""

    def run(strikes: str, *specs: RunSpec, **names: Any) -> Child:
        names |= {"SPECS": [one.to_dict() for one in specs], "DATA": str(chain.path)}
        names |= {"STORE": str(store.root)}
        return Child(tmp_path / "log", strikes + BUNDLE, **names)

    return run


STUDY: dict[str, Any] = {
    "name": "tiny",
    "title": "Four short runs",
    "data": {"context": 16, "tokens": 4, "least_targets": 0},
    "objective": {"in_batch": 16},
    "execution": {"batch": 4, "bundle_seconds": 1, "probes": 0},
    "axes": {
        "allocation": {
            "budgets": [1e7],
            "share": 0.3,
            "depth": 0,
            "parameters": [[300, 600]],
            "seeds": [0, 1],
        }
    },
}


def write_shop(folder: Path) -> Path:
    """A study of one's own table, 60 users of 30 events; gives its file."""
    (folder / "shop").mkdir()
    (folder / "config").mkdir(exist_ok=True)
    rows = [
        (user, (user + 7 * event) % 23, 1_600_000_000 + 5_000 * event + user)
        for user in range(60)
        for event in range(30)
    ]
    events = pd.DataFrame(rows, columns=["customer", "sku", "ts"])
    events.to_csv(folder / "shop/events.csv", index=False)
    described = {"files": "events.csv", "user": "customer", "item": "sku", "time": "ts"}
    (folder / "shop/shop.yaml").write_text(yaml.safe_dump({"events": described}))
    path = folder / "config/tiny.yaml"
    data = STUDY["data"] | {"source": str(folder / "shop/shop.yaml")}
    path.write_text(yaml.safe_dump(STUDY | {"data": data}))
    return path


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study of one's own table, and the file that `fetch` wrote for it."""
    folder = tmp_path_factory.mktemp("shop")
    config, raw = write_shop(folder), folder / "raw.json"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BEHAVIOR_SCALING_CACHE", str(folder / "cache"))
        assert main(["fetch", "--config", str(config), "--out", str(raw)]) == 0
    return config, raw
