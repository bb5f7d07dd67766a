"""A world's truth stands beside the fits: shown, and nothing that a model must beat."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from behavior_scaling.data.worlds.truth import oracle
from behavior_scaling.report.inputs import load_results
from behavior_scaling.report.tables import make_tables

LOSS = "validation/restored/all/cross_entropy"


def slices(value: float) -> dict[str, dict[str, float | int]]:
    one = {"cross_entropy": value, "standard_error": 0.02, "recall@10": 0.9, "n_positions": 9000}
    return {"all": dict(one), "session_start": dict(one), "in_session": dict(one)}


def body(refused: bool = False) -> dict[str, object]:
    """What `truth` writes, cut short."""
    seen = {
        "fresh": {"entropy": {"mean": 3.9, "standard_error": 0.0019}},
        "validation": slices(3.8),
        "test": slices(3.85),
    }
    with_events = {**seen, "validation": slices(3.7)}
    return {"items": {"refused": "drift"} if refused else seen, "events": with_events}


def test_the_oracle_is_given_what_models_see() -> None:
    assert oracle(body())["validation"]["all"]["cross_entropy"] == 3.8
    assert oracle(body(refused=True))["validation"]["all"]["cross_entropy"] == 3.7
    assert oracle(body())["test"]["all"]["H"] == 3.9
    assert "H" not in oracle(body())["test"]["session_start"]


@pytest.fixture
def with_oracle(results_dir: Path) -> Path:
    """The study's floors with an oracle in every slice that has one."""
    file = results_dir / "floors.json"
    floors = json.loads(file.read_text())
    for split, parts in oracle(body()).items():
        for part in set(parts) & set(floors[split]):
            floors[split][part]["oracle"] = parts[part]
    file.write_text(json.dumps(floors))
    return file


def test_the_oracle_is_shown_and_is_no_floor_to_beat(results_dir: Path, with_oracle: Path) -> None:
    results = load_results(results_dir, with_oracle)
    named = results.floor_to_beat(LOSS)

    assert results.floor_values(LOSS)["oracle"] == 3.8  # the lowest of all
    assert named is not None
    assert named[0] != "oracle"
    assert named[1] > 3.8


def test_the_table_holds_the_fit_against_the_truth(results_dir: Path, with_oracle: Path) -> None:
    make_tables(results_dir, with_oracle)
    rows = pd.read_csv(results_dir / "tables" / "truth.csv").set_index("quantity")
    surface = load_results(results_dir, with_oracle).surface(LOSS)

    assert rows.loc["entropy H_L, fresh events", "value"] == 3.9
    assert rows.loc["oracle on the validation positions", "standard_error"] == 0.02
    assert surface is not None
    fitted = surface.parameters["E"]
    found = rows.loc["E of the joint surface"]
    assert found["status"] == fitted.status
    assert (found["value"] == fitted.value) or (fitted.value is None and pd.isna(found["value"]))
    assert "± 0.0019" in (results_dir / "tables" / "truth.md").read_text()


def test_data_without_a_truth_have_an_empty_table(results_dir: Path) -> None:
    make_tables(results_dir, results_dir / "floors.json")

    assert pd.read_csv(results_dir / "tables" / "truth.csv").empty
