"""Every kind of embedder from data to record: trained, evaluated, handed to a child."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling import user_class
from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.prepare import prepare_tables
from behavior_scaling.data.store import Dataset
from behavior_scaling.data.tables import FeatureSchema, Tables
from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import EmbedderSpec, RunSpec
from behavior_scaling.train.run import train_run

N_ITEMS = 40
LOSS = "validation/restored/all/cross_entropy"
SOURCE = Path(__file__).parents[2] / "docs" / "guide_embedder.md"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The chain of conftest with a brand, a price that is at times missing, and tags.

    Item 39 is bought after t1 alone: cold, of a brand and a price that no other item has.
    """
    rng = np.random.default_rng(0)
    rows = []
    for user in range(60):
        first = int(rng.integers(N_ITEMS - 1))
        times = np.sort(rng.integers(0, 400_000, int(rng.integers(20, 51))))
        for i, t in enumerate(times.tolist()):
            item = (first + i) % (N_ITEMS - 1)
            rows.append((user, N_ITEMS - 1 if t > 380_000 and i % 3 == 0 else item, t))
    ids = range(N_ITEMS)
    items = pd.DataFrame(
        {
            "item_id": list(ids),
            "brand": [f"brand {i % 8}" for i in ids[:-1]] + ["unheard of"],
            "price": [np.nan if i % 7 == 3 else float(i) for i in ids[:-1]] + [1e6],
            "tags": [[f"tag {i // 8}", f"tag {i % 3}"] for i in ids],
        }
    )
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    schema = FeatureSchema((("brand", "categorical"), ("price", "numeric"), ("tags", "multi")))
    config = DataConfig(least_targets=0, source="shop", context=16, tokens=6, session_gap=10_000)
    folder = tmp_path_factory.mktemp("world") / "shop"
    return prepare_tables(Tables(events, items, schema), config, folder)


@pytest.fixture
def run(shop: Dataset, spec: RunSpec, tmp_path: Path) -> Callable[..., Record]:
    """Train an embedder for 1,500 positions; keywords replace fields of the spec."""

    def trained(embedder: EmbedderSpec, folder: str, weights: Path | None = None, **changes: Any):
        (tmp_path / folder).mkdir()
        asked = {"positions": 1500, "probes": 1, "data": shop.data_spec(), **changes}
        made = replace(spec, embedder=embedder, **asked)
        return train_run(made, shop, tmp_path / folder, weights, 1e9, print)

    return trained


def _user_kind(folder: Path) -> str:
    example = SOURCE.read_text().split("```python\n")[1].split("```")[0]
    (folder / "my_embedders.py").write_text(example)
    return user_class.resolve("my_embedders:GatedMean", folder)


@pytest.mark.parametrize("kind", ["tabtransformer0", "tabtransformer1", "table", "user"])
def test_a_run_and_its_child(kind: str, run, shop, spec, child, tmp_path) -> None:
    """Losses are finite and better than at random; the child loads what the parent has left."""
    embedder = {
        "tabtransformer0": EmbedderSpec("tabtransformer", 6, 0),
        "tabtransformer1": EmbedderSpec("tabtransformer", 6, 1),
        "table": EmbedderSpec("table", 8, 0),
        "user": EmbedderSpec(_user_kind(tmp_path) if kind == "user" else "", 6, 1),
    }[kind]
    parent = run(embedder, "parent")
    assert (parent.outcome, parent.error) == ("done", None)
    assert parent.metrics[LOSS] < np.log(N_ITEMS)
    counts = parent.counts
    assert counts.get("n_table", 0) == (N_ITEMS * 8 if kind == "table" else 0)
    assert (counts["n_emb"] == 0) == (kind == "table")
    assert counts["flops_executed"] > 0
    weights = tmp_path / "parent" / "embedder.safetensors"
    second = run(embedder, "child", weights, stage=2, parent=parent.id, objective=child.objective)
    assert (second.outcome, second.error) == ("done", None)
    assert second.metrics[LOSS] < np.log(N_ITEMS)
    again = run(embedder, "again")
    assert again.numeric_hash == parent.numeric_hash


def test_old_data_are_refused_by_name(run, spec, chain, tmp_path) -> None:
    """Only by the kinds that read columns."""
    old = chain.path.parent / "old"
    old.mkdir()
    for file in chain.path.iterdir():
        if file.stem not in ("column_of_token", "numbers", "number_codes"):
            (old / file.name).write_bytes(file.read_bytes())
    opened = Dataset.open(old)
    (tmp_path / "run").mkdir()
    made = replace(spec, embedder=EmbedderSpec("tabtransformer", 6, 1))
    with pytest.raises(ValueError, match=r"old.*missing from the prepared data; prepare it again"):
        train_run(made, opened, tmp_path / "run", None, 1e9, print)
    record = train_run(replace(spec, positions=200), opened, tmp_path / "run", None, 1e9, print)
    assert record.outcome == "done"


@pytest.mark.parametrize("kind", ["tabtransformer", "table", "user"])
def test_bf16_comes_close_to_fp32(kind: str, run, tmp_path) -> None:
    """Products run in bfloat16 whatever the embedder."""
    name = _user_kind(tmp_path) if kind == "user" else kind
    embedder = EmbedderSpec(name, 8, 0) if kind == "table" else EmbedderSpec(name, 6, 1)
    full = run(embedder, "full", positions=600)
    half = run(embedder, "half", positions=600, precision="bf16-mixed")
    assert half.metrics["train_loss"] == pytest.approx(full.metrics["train_loss"], rel=0.02)
    assert half.metrics["train_loss"] != full.metrics["train_loss"]
