"""The DAG on real events: what runs, what does not run again, and what an interruption costs.

One tiny study of twenty runs is trained once; every test then disturbs a copy of that folder and
asks Snakemake to mend it.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from behavior_scaling.config import load_study
from behavior_scaling.layout import Layout
from behavior_scaling.sweep.plan import make_plan

from ..checkout import copy_workflow, start_snakemake

ROOT = Path(__file__).parents[2]
STUDY: dict[str, Any] = {
    "name": "tiny",
    "title": "Twenty short runs",
    "data": {"source": "ml-100k", "context": 32, "tokens": 8},
    "objective": {"in_batch": 64},
    "execution": {"batch": 4, "bundle_seconds": 17},
    "axes": {
        "allocation": {
            "budgets": [1e8, 2e8],
            "share": 0.17,
            "depth": 0,
            "parameters": [[250, 500, 1000, 1700, 2500], [250, 500, 1000, 1700, 2500]],
            "seeds": [0, 1],
        }
    },
}


def write_study(folder: Path, study: dict[str, Any]) -> None:
    (folder / "config" / "tiny.yaml").write_text(yaml.safe_dump(study))


RUNS = "results/tiny/runs.parquet"


def snakemake(folder: Path, *more: str, target: str = RUNS) -> subprocess.Popen[str]:
    return start_snakemake(folder, "tiny", (target,), *more)


def run(folder: Path, *more: str, target: str = RUNS) -> str:
    process = snakemake(folder, *more, target=target)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def records(folder: Path) -> dict[str, int]:
    """Run ids and when their records were written."""
    paths = (folder / "results" / "store").glob("[0-9a-f]*/record.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in paths}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dag") / "study"
    copy_workflow(folder)
    write_study(folder, STUDY)
    run(folder)
    assert len(records(folder)) == 20
    return folder


@pytest.fixture
def study(trained: Path, tmp_path: Path) -> Path:
    """A copy in which nothing is newer than what was made from it (dates kept)."""
    return Path(shutil.copytree(trained, tmp_path / "study"))


def test_every_run_is_in_the_table_and_done(trained: Path) -> None:
    table = pd.read_parquet(trained / "results" / "tiny" / "runs.parquet")
    assert len(table) == 20
    assert set(table["outcome"]) == {"done"}
    assert set(table["id"]) == set(records(trained))
    loss = table["validation/restored/all/cross_entropy"]
    assert loss.between(5.0, 8.5).all()  # ln 1682 = 7.43


def test_user_sums_and_probes_of_every_run_stand_beside_the_table(trained: Path) -> None:
    folder = trained / "results" / "tiny"
    table = pd.read_parquet(folder / "runs.parquet").set_index("id")
    users = pd.read_parquet(folder / "users.parquet")
    assert len(users) == 20 * 8 * 64
    keys = ["id", "split", "score", "slice"]
    sums = users.drop(columns="group").groupby(keys).sum()
    for (run_id, *place), row in sums.iterrows():
        for metric in ("cross_entropy", "recall@10", "ndcg@10", "mrr@10"):
            stated = table.loc[run_id, "/".join([*place, metric])]
            assert row[metric] / row["n_positions"] == pytest.approx(stated, rel=1e-12)
    probes = pd.read_parquet(folder / "probes.parquet")
    assert set(probes["id"]) == set(table.index)
    last = probes.groupby("id").last()
    assert last["positions"].to_dict() == table["positions"].to_dict()
    assert (probes["gradient_noise"] > 0).mean() > 0.9
    assert (table["flops_probe"] > 0).all()


def test_a_second_call_does_nothing(study: Path) -> None:
    before = records(study)
    assert "Nothing to be done" in run(study)
    assert records(study) == before


def test_a_deleted_record_is_trained_again_and_no_other(study: Path) -> None:
    before = records(study)
    lost = sorted(before)[7]
    path = study / "results/store" / lost / "record.json"
    old = json.loads(path.read_text())["numeric_hash"]
    for _ in range(2):  # the second loss looks like the first one to Snakemake
        shutil.rmtree(path.parent)
        output = run(study)
        after = records(study)
        assert {name for name in before if after.get(name) != before[name]} == {lost}, output
        assert json.loads(path.read_text())["numeric_hash"] == old


def test_an_altered_record_is_set_aside_and_trained_again(study: Path) -> None:
    before = records(study)
    victim = sorted(before)[3]
    path = study / "results/store" / victim / "record.json"
    path.write_text(path.read_text().replace('"outcome": "done"', '"outcome": "failed"'))
    assert "altered" in run(study)
    assert json.loads(path.read_text())["outcome"] == "done"
    assert sum(records(study)[name] != before[name] for name in before) == 1


def test_a_new_budget_trains_its_runs_only(study: Path) -> None:
    before = records(study)
    more = json.loads(json.dumps(STUDY))
    more["axes"]["allocation"]["budgets"].append(3e8)
    more["axes"]["allocation"]["parameters"].append([500, 1000])
    write_study(study, more)
    run(study)
    after = records(study)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 4
    table = pd.read_parquet(study / "results" / "tiny" / "runs.parquet")
    assert sorted(set(table["budget"])) == [1e8, 2e8, 3e8]


def test_a_changed_setting_trains_parents_and_their_children_in_one_call(study: Path) -> None:
    more = json.loads(json.dumps(STUDY))
    more["base"] = [{"budget": 2e8, "parameters": 500, "share": 0.17, "depth": 0}]
    more["axes"]["negatives"] = {"budgets": [2e8], "uniform": [0, 32, 64]}
    write_study(study, more)
    run(study)
    table = pd.read_parquet(study / RUNS)
    assert set(table.loc[table["axis"] == "negatives", "stage"]) == {2}
    assert set(table["outcome"]) == {"done"}
    more["execution"]["probes"] = 3  # every run is another one now
    write_study(study, more)
    planned = re.search(r"^train +(\d+)$", run(study, "--dry-run"), re.MULTILINE)
    assert planned is not None
    plan = make_plan(load_study(study / "config" / "tiny.yaml"), 1682)
    assert {cell.stage for bundle in plan.bundles for cell in bundle.cells} == {1, 2}
    assert int(planned[1]) == len(plan.bundles)


def test_shuffled_dates_train_nothing(study: Path) -> None:
    before = {name: (study / "results/store" / name).stat().st_ino for name in records(study)}
    dates = random.Random(0)
    for path in sorted((study / "results").rglob("*")):
        when = 1.7e9 + dates.random() * 1e6
        os.utime(path, (when, when))
    run(study)
    assert {name: (study / "results/store" / name).stat().st_ino for name in before} == before
    assert len(records(study)) == 20


def test_a_kill_loses_no_finished_record(study: Path) -> None:
    shutil.rmtree(study / "results" / "store")
    process = snakemake(study)
    deadline = time.monotonic() + 120
    while not records(study) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    finished = records(study)
    assert 0 < len(finished) < 20
    run(study, "--unlock")
    run(study)
    after = records(study)
    assert len(after) == 20
    assert {name: after[name] for name in finished} == finished


def test_a_shipped_study_is_collected_from_its_archive_alone(study: Path) -> None:
    floors_file = Layout(Path("results"), load_study(study / "config/tiny.yaml")).floors
    run(study, target=str(floors_file))
    names = ("runs", "users", "probes")
    before = {name: pd.read_parquet(study / f"results/tiny/{name}.parquet") for name in names}
    done = step(study, "archive")
    assert done.returncode == 0, done.stderr
    assert "20 records, 0 not finished" in done.stdout
    for folder in ("store", "data", "raw", "tiny"):
        shutil.rmtree(study / "results" / folder)
    write_study(study, STUDY | {"runs": "archive"})
    output = run(study)
    assert "rule train" not in output
    for name in names:
        after = pd.read_parquet(study / f"results/tiny/{name}.parquet")
        pd.testing.assert_frame_equal(after, before[name])
    floors = json.loads((study / "results/tiny/floors.json").read_text())
    assert set(floors) == {"validation", "test"}
    assert re.search(r"^train +\d+$", run(study, "runs=train", "--dry-run"), re.MULTILINE)


def step(folder: Path, name: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "behavior_scaling", name, "--config", "config/tiny.yaml"]
    return subprocess.run(
        [*command, "--results", "results", *more], cwd=folder, capture_output=True, text=True
    )


def test_diverged_runs_are_outcomes_with_a_reason_and_retry_forgets_them(study: Path) -> None:
    before = records(study)
    wild = json.loads(json.dumps(STUDY))
    wild["optimizer"] = {"lr": {"base": 1e30}}
    wild["axes"]["allocation"] |= {"budgets": [1e8], "parameters": [[500, 1000]]}
    write_study(study, wild)
    run(study)
    table = pd.read_parquet(study / "results" / "tiny" / "runs.parquet")
    assert list(table["outcome"]) == ["diverged"] * 4
    assert table["error"].str.contains("step").all()
    assert step(study, "status").returncode == 1
    assert "4 diverged" in step(study, "status", "--line").stdout
    assert "4 runs will be trained again" in step(study, "retry").stdout
    assert records(study) == before
    assert "Nothing to be done" not in run(study, "--dry-run")
