"""The DAG before training: data whose size nobody states, and worlds with their truth."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from ..checkout import copy_workflow

ROOT = Path(__file__).parents[2]
AXES = {
    "allocation": {"budgets": [1e8], "share": 0.2, "depth": 0, "parameters": [[250, 500, 1000]]}
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout of what the DAG reads."""
    copy_workflow(tmp_path)
    return tmp_path


def write_study(folder: Path, data: dict[str, Any]) -> None:
    study = {
        "name": "tiny", "title": "Tiny", "data": {"context": 16, "tokens": 4, **data},
        "objective": {"in_batch": 32}, "execution": {"batch": 4}, "axes": AXES,
    }  # fmt: skip
    (folder / "config" / "tiny.yaml").write_text(yaml.safe_dump(study))


def snakemake(folder: Path, *more: str) -> str:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BEHAVIOR_SCALING_CACHE": str(folder / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", "--config", "study=config/tiny.yaml",
         *more],
        cwd=folder, env=environment, text=True, capture_output=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_of_ones_own_tables_the_first_call_prepares_and_the_next_plans_runs(folder: Path) -> None:
    rng = np.random.default_rng(0)
    orders = pd.DataFrame(
        {
            "customer": rng.integers(40, size=2000),
            "sku": [f"s{k:03}" for k in rng.integers(30, size=2000)],
            "at": 1_600_000_000 + rng.integers(10**7, size=2000),
        }
    )
    orders.to_csv(folder / "orders.csv", index=False)
    described = {
        "events": {"files": ["orders.csv"], "user": "customer", "item": "sku",
                   "time": {"column": "at", "unit": "s"}}
    }  # fmt: skip
    (folder / "shop.yaml").write_text(yaml.safe_dump(described))
    write_study(folder, {"source": "shop.yaml", "least_targets": 50})

    first = snakemake(folder)
    assert "size is known once the data are prepared" in first
    made = [path.name.removeprefix("shop-")[8:] for path in (folder / "results/data").iterdir()]
    assert sorted(made) == ["", "-card", "-floors.json"]
    assert "2,000 lines checked" in first
    second = snakemake(folder, "--dry-run")
    assert "rule train:" in second
    assert "rule prepare:" not in second
    assert "size is known once" not in second


def test_a_world_has_its_truth_among_the_floors(folder: Path) -> None:
    write_study(folder, {"source": "world-low", "world": {"users": 2000}})
    said = snakemake(folder, "--dry-run", "data")

    assert "rule truth:" in said
    plain = folder / "config" / "tiny.yaml"
    study = yaml.safe_load(plain.read_text())
    study["data"] = {"source": "ml-100k", "context": 16, "tokens": 4}
    plain.write_text(yaml.safe_dump(study))
    assert "rule truth:" not in snakemake(folder, "--dry-run", "data")
