"""A shipped study made of parts, from planted archives to parts.json, laws and a figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from behavior_scaling.config import load_study
from behavior_scaling.data import sources
from behavior_scaling.layout import Layout
from behavior_scaling.records.archive import write_archive
from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import RunSpec, data_spec
from behavior_scaling.records.store import Store
from behavior_scaling.report.figures import make_figure
from behavior_scaling.report.inputs import load_results
from behavior_scaling.sizes.counts import sizes_of
from behavior_scaling.sweep.cells import resolve, unique
from behavior_scaling.sweep.plan import make_plan

from ..checkout import copy_workflow, start_snakemake

DATA = {"context": 16, "tokens": 4}
ALLOCATION = {"budgets": [1e9], "share": 0.2, "depth": 0, "parameters": [[1000, 2000, 4000]]}
MAIN: dict[str, Any] = {
    "name": "tiny", "title": "Tiny", "runs": "archive", "parts": ["low.yaml"],
    "data": {"source": "ml-100k", **DATA}, "objective": {"in_batch": 32},
    "execution": {"batch": 4, "probes": 0}, "axes": {"allocation": ALLOCATION},
}  # fmt: skip
PART: dict[str, Any] = {
    "extends": "tiny.yaml", "name": "tiny-low", "data": {"source": "world-low", **DATA},
    "axes": {"allocation": ALLOCATION,
             "share": {"budgets": [1e9], "ratio": 15, "shares": [0.05, 0.2, 0.4]}},
}  # fmt: skip
ORACLE = {"cross_entropy": 2.6, "standard_error": 0.01, "H": 2.5, "H_se": 0.002}
MARKOV = {"cross_entropy": 6.0, "recall@10": 0.1}


def planted(spec: RunSpec) -> Record:
    """A record that says what a run of a known law would have."""
    sizes = sizes_of(spec, spec.positions)
    loss = 3 + 5 * sizes["n_ctx"] ** -0.3 + 2 * max(sizes["n_emb"], 9) ** -0.3
    loss += 9 * spec.positions**-0.3
    place = "validation/restored/all"
    metrics = {f"{place}/cross_entropy": loss, f"{place}/recall@10": 1 / (1 + loss)}
    metrics |= {f"{place}/n_positions": 9000, f"{place}/n_users": 900, "train_loss": loss - 0.4}
    steps = max(spec.positions // (spec.batch * spec.data.context), 2)
    counts = {
        "n_items": 500, "n_cand_distinct": 30.0, "unique_positions": 10**6, "steps": steps,
        "steps_after_warmup": steps, "flops_nominal": spec.budget, "flops_executed": spec.budget,
        "flops_probe": 0.0, "flops_cache": 0.0,
    }  # fmt: skip
    return Record(spec, "done", None, counts, metrics, timings={"seconds": 1.0})


def plant(file: Path, results: Path, floors: dict[str, Any]) -> None:
    """The whole archive of a study that nobody trained."""
    study = load_study(file)
    n_items = sources.get(study.data).info.n_items or 0
    data = data_spec(study.data, identity="0" * 64)
    specs = [resolve(cell, study, data) for cell in unique(list(make_plan(study, n_items).cells))]
    store = Store(results / "store")
    for spec in specs:
        store.commit(planted(spec), store.work_dir(spec.id))
    ids = [spec.id for spec in specs]
    write_archive(Layout(results, study).archive, store, ids, data, floors)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy_workflow(tmp_path)
    for name, study, rules in (
        ("tiny", MAIN, {"markov": MARKOV}),
        ("low", PART, {"markov": MARKOV, "oracle": ORACLE}),
    ):
        file = tmp_path / "config" / f"{name}.yaml"
        file.write_text(yaml.safe_dump(study))
        plant(file, tmp_path / "results", {"validation": {"all": rules}})
    return tmp_path


def snakemake(folder: Path, *targets: str, more: tuple[str, ...] = ()) -> str:
    process = start_snakemake(folder, "tiny", targets, *more)
    output, _ = process.communicate(timeout=550)
    assert process.returncode == 0, output
    return output


def test_a_shipped_part_is_fitted_and_shows_the_axis_that_the_study_did_not_run(
    folder: Path,
) -> None:
    laws = ("results/tiny/laws/worlds.json", "results/tiny/laws/allocation.json")
    output = snakemake(folder, *laws)
    place = folder / "results" / "tiny"

    assert output.count("rule part:") == 1
    assert "rule train" not in output
    assert json.loads((place / "parts.json").read_text()) == [
        {
            "study": "tiny-low",
            "folder": "tiny-low",
            "floors": "tiny-low/floors.json",
            "world_seed": 0,
        }
    ]
    worlds = json.loads((place / "laws" / "worlds.json").read_text())["worlds"]
    assert [(world["study"], world["oracle"]["H"]) for world in worlds] == [("tiny-low", 2.5)]
    assert {path.stem for path in (folder / "results/tiny-low/laws").iterdir()} >= {
        "allocation", "share", "surface",
    }  # fmt: skip
    results = load_results(place, place / "floors.json")
    assert results.other_source("share") == "world-low"
    assert results.for_axis("allocation") is results
    make_figure("share", place, place / "floors.json", folder)
    drawn = pd.read_csv(folder / "share.csv")
    assert (drawn["kind"] == "cell").sum() > 0
    again = snakemake(folder, "results/tiny/figures/share.svg", more=("--dry-run",))
    assert "rule draw:" in again
    assert "rule part:" not in again


def test_parts_of_a_study_to_be_trained_have_to_be_there(folder: Path) -> None:
    process = start_snakemake(
        folder, "tiny", ("results/tiny/parts.json",), "runs=train", "--dry-run"
    )
    output, _ = process.communicate(timeout=300)

    assert process.returncode != 0
    assert "parts of tiny that have no results yet: tiny-low; `make reproduce" in output
