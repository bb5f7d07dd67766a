"""Tiny data sets, made from a few lines, shared by the tests of the data room."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.prepare import prepare_tables
from behavior_scaling.data.store import Dataset
from behavior_scaling.data.tables import FeatureSchema, Tables

Line = tuple[int, int, int]  # user, item, time; times below 100 are train
Prepare = Callable[..., Dataset]


def half(user: object) -> str:
    """The half of a user, from hashlib alone."""
    odd = hashlib.blake2b(str(user).encode(), digest_size=1).digest()[0] % 2
    return "test" if odd else "validation"


@pytest.fixture
def halves() -> dict[str, list[int]]:
    """User ids 0..39 by half."""
    return {name: [u for u in range(40) if half(u) == name] for name in ("validation", "test")}


@pytest.fixture
def tables() -> Callable[[Sequence[Line], int], Tables]:
    """Make tables of events and `n_items` items whose only feature is a category of their own."""

    def make(lines: Sequence[Line], n_items: int) -> Tables:
        events = pd.DataFrame(list(lines), columns=["user_id", "item_id", "timestamp"])
        ids = list(range(n_items))
        items = pd.DataFrame({"item_id": ids, "name": [f"item {i}" for i in ids]})
        return Tables(events, items, FeatureSchema((("name", "categorical"),)))

    return make


@pytest.fixture
def prepared(tmp_path: Path, tables: Callable[..., Tables]) -> Prepare:
    """Prepare lines; events with a time below 100 become the training part."""

    def make(lines: Sequence[Line], n_items: int, **settings: Any) -> Dataset:
        early = sum(time < 100 for _, _, time in lines)
        fraction = min((early + 0.5) / len(lines), 0.99)
        given = {"train_fraction": fraction, "tokens": 2, "least_targets": 0} | settings
        config = DataConfig(source="tiny", **given)
        return prepare_tables(tables(lines, n_items), config, tmp_path / "tiny")

    return make


@pytest.fixture
def random_lines() -> Callable[..., list[Line]]:
    """Events of users 0..n-1 at random times below 150, so that a third falls after t1."""

    def make(
        n_users: int = 40, n_items: int = 12, most: int = 30, seed: int = 0
    ) -> list[tuple[int, int, int]]:
        rng = np.random.default_rng(seed)
        return [
            (user, int(rng.integers(n_items)), int(rng.integers(150)))
            for user in range(n_users)
            for _ in range(int(rng.integers(1, most)))
        ]

    return make
