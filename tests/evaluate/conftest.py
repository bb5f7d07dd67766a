"""A small random world with sessions, cold items, unseen users and two items of one name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.prepare import prepare_tables
from behavior_scaling.data.store import Dataset
from behavior_scaling.data.tables import FeatureSchema, Tables

N_ITEMS = 30
SESSION_GAP = 1000


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """40 users; items 27 to 29 come late only; users 30 to 39 too; items 3 and 4 look alike."""
    rng = np.random.default_rng(5)
    rows = []
    for user in range(40):
        n = int(rng.integers(5, 30))
        late = user >= 30
        times = np.sort(rng.integers(80_000 if late else 0, 100_000, n))
        for time in times:
            item = int(rng.integers(N_ITEMS if time >= 80_000 else 27))
            rows.append((user, item, int(time) // 400 * 400))
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    names = [f"item {3 if i == 4 else i}" for i in range(N_ITEMS)]
    items = pd.DataFrame({"item_id": range(N_ITEMS), "name": names})
    config = DataConfig(
        source="world",
        least_targets=0,
        context=8,
        tokens=2,
        codebook=1 << 16,
        session_gap=SESSION_GAP,
        train_fraction=float((events.timestamp < 80_000).mean()),
    )
    tables = Tables(events, items, FeatureSchema((("name", "categorical"),)))
    return prepare_tables(tables, config, tmp_path_factory.mktemp("world") / "world")
