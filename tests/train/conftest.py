"""A tiny planted world (a first-order chain over 40 items) and runs on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.prepare import prepare_tables
from behavior_scaling.data.store import Dataset
from behavior_scaling.data.tables import FeatureSchema, Tables
from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import (
    ContextualizerSpec,
    EmbedderSpec,
    ObjectiveSpec,
    OptimizerSpec,
    RunSpec,
)
from behavior_scaling.records.store import Store
from behavior_scaling.train.run import train_run

N_ITEMS = 40


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """60 users of 20 to 50 events; item i is followed by i + 1 modulo 40, always."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(60):
        n = int(rng.integers(20, 51))
        first = int(rng.integers(N_ITEMS))
        times = np.sort(rng.integers(0, 400_000, n))
        rows += [(user, (first + i) % N_ITEMS, int(t)) for i, t in enumerate(times)]
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    ids = list(range(N_ITEMS))
    items = pd.DataFrame({"item_id": ids, "name": [f"item {i}" for i in ids]})
    config = DataConfig(least_targets=0, source="chain", context=16, tokens=2, session_gap=10_000)
    tables = Tables(events, items, FeatureSchema((("name", "categorical"),)))
    return prepare_tables(tables, config, tmp_path_factory.mktemp("world") / "chain")


@pytest.fixture
def spec(chain: Dataset) -> RunSpec:
    """A short stage-1 run of width 8, about 60 steps."""
    return RunSpec(
        stage=1,
        budget=1e7,
        positions=3000,
        batch=4,
        seed=0,
        data=chain.data_spec(),
        embedder=EmbedderSpec("mlp", 8, 1),
        contextualizer=ContextualizerSpec("transformer", 8, 1, 1),
        objective=ObjectiveSpec("corrected", 8, 2, "mask"),
        optimizer=OptimizerSpec(0.02, 0.1, 0.1, 0.0, 0.9, 0.99, 1.0),
        probes=3,
        precision="fp32",
        threads=1,
        parent=None,
    )


@pytest.fixture
def child(spec: RunSpec) -> RunSpec:
    """Stage 2 of `spec`: other candidates, frozen embedder."""
    objective = ObjectiveSpec("as_paper", 4, 4, "mask")
    return replace(spec, stage=2, parent=spec.id, objective=objective)


@pytest.fixture
def train(chain: Dataset, tmp_path: Path) -> Callable[..., Record]:
    """Train a spec in a folder of its own below the test's; keywords go to train_run."""

    def run(spec: RunSpec, folder: str = "run", **changes: Any) -> Record:
        work_dir = tmp_path / folder
        work_dir.mkdir(exist_ok=True)
        settings = {"parent_embedder": None, "checkpoint_seconds": 1e9, "log": print} | changes
        return train_run(spec, chain, work_dir, **settings)

    return run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")
