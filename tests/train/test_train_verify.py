"""`verify` on a tiny study of one's own table: what passes, what differs, what cannot be told.

Four runs of stage 1 and two of stage 2 are trained once and archived; the sample is trained in this
process, and once, in the slow test, as it is for everyone: by processes of their own.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest
import yaml

from behavior_scaling.cli import main
from behavior_scaling.commands import verify as verify_module
from behavior_scaling.config import load_study
from behavior_scaling.data.store import Dataset
from behavior_scaling.files import sha256_file, write_text
from behavior_scaling.layout import Layout
from behavior_scaling.records.archive import WEIGHTS, Archive
from behavior_scaling.records.manifest import MANIFEST, read_manifest, write_manifest
from behavior_scaling.records.record import Record
from behavior_scaling.records.store import RECORD, Store
from behavior_scaling.sweep.cells import resolve, unique
from behavior_scaling.sweep.plan import make_plan
from behavior_scaling.train.bundle import train_bundle
from behavior_scaling.train.retrain import Task, scratch

from ..faults.conftest import STUDY, write_shop

LOSS = "validation/restored/all/cross_entropy"
CONFIG = Path("config/tiny.yaml")


def prepare(place: Layout) -> None:
    for step, *more in (
        ("fetch", "--config", str(CONFIG), "--out", str(place.raw)),
        (
            "prepare", "--config", str(CONFIG), "--raw", str(place.raw), "--out", str(place.data),
        ),
    ):  # fmt: skip
        assert main([step, *more]) == 0


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study, its data, its store and its archive."""
    folder = tmp_path_factory.mktemp("shipped")
    config = write_shop(folder)
    raw = yaml.safe_load(config.read_text())
    raw["data"]["source"] = "shop/shop.yaml"
    raw["base"] = [{"budget": 1e7, "parameters": 300, "share": 0.3, "depth": 0}]
    raw["axes"] = STUDY["axes"] | {
        "negatives": {"budgets": [1e7], "batch": 4, "in_batch": 8, "uniform": [0, 8]}
    }
    config.write_text(yaml.safe_dump(raw))
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("BEHAVIOR_SCALING_CACHE", str(folder / "cache"))
        study = load_study(CONFIG)
        place = Layout(Path("results"), study)
        prepare(place)
        dataset = Dataset.open(place.data)
        plan = make_plan(study, dataset.n_items)
        specs = [resolve(cell, study, dataset.data_spec()) for cell in unique(list(plan.cells))]
        outcomes = train_bundle(specs, dataset, Store(place.store), 1e9, lambda line: None)
        assert set(outcomes) == {"done"}
        write_text(place.floors, "{}\n")
        assert main(["archive", "--config", str(CONFIG)]) == 0
    return folder


@pytest.fixture
def place(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A copy of that folder, without its store, to work in."""
    folder = tmp_path / "copy"
    shutil.copytree(shipped, folder, ignore=shutil.ignore_patterns("store"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BEHAVIOR_SCALING_CACHE", str(folder / "cache"))
    return Layout(Path("results"), load_study(CONFIG))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Train the sample in this process; gives the ids that were trained."""
    trained: list[str] = []

    def retrain(tasks: Sequence[Task], folder: Path, processes: int) -> Iterator[Record]:
        for task in tasks:
            store = scratch(folder, task.spec.stage)
            assert store.state(task.spec.id) == "absent"
            train_bundle([task.spec], Dataset.open(task.data), store, 1e9, lambda line: None)
            trained.append(task.spec.id)
            yield store.load(task.spec.id)

    monkeypatch.setattr(verify_module, "retrain", retrain)
    monkeypatch.setattr(verify_module, "matmul_gflops", lambda task: None)
    return trained


def verify(*more: str) -> int:
    return main(["verify", "--config", str(CONFIG), *more])


def alter(place: Layout, run_id: str, off: float) -> None:
    """Another loss in the archive, with every hash made anew."""
    record = Archive(place.archive).load(run_id)
    loss = record.metrics[LOSS]
    assert loss is not None
    other = dataclasses.replace(record, metrics=record.metrics | {LOSS: loss + off})
    reseal(place, run_id, RECORD, other.to_json().encode())


def reseal(place: Layout, run_id: str, name: str, content: bytes) -> None:
    """Other bytes of a file, and a manifest that lists them."""
    path = place.archive / run_id / name
    path.write_bytes(content)
    manifest = read_manifest(place.archive / MANIFEST)
    manifest.records[run_id][name] = sha256_file(path)
    write_manifest(place.archive / MANIFEST, manifest)


def test_a_true_archive_passes_exactly_without_the_store(
    place: Layout, here: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in place.archive.rglob("*") if path.is_file()}
    assert verify() == 0
    said = capsys.readouterr()
    assert len(here) == len(read_manifest(place.archive / MANIFEST).records)
    lines = said.out.splitlines()
    assert lines[0].split() == ["archive", "retrained", "difference", "tolerance", "verdict"]
    assert sum(LOSS in line and line.endswith("equal") for line in lines) == len(here)
    assert "tiny negatives/uniform, stage 2" in said.out
    assert "tiny allocation, stage 1" in said.out
    every = len(here)
    assert lines[-1].startswith(f"verify: {every} of {every} runs pass ({every} exact); seed 0")
    assert f"{every} of {every}: " in said.err  # progress
    assert not place.store.exists()
    assert {p: p.read_bytes() for p in place.archive.rglob("*") if p.is_file()} == before


def test_a_sample_that_fits_is_drawn_by_its_seed(
    place: Layout, here: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for run_id in read_manifest(place.archive / MANIFEST).records:
        record = Archive(place.archive).load(run_id)
        slow = dataclasses.replace(record, timings={"seconds": 100.0, "rate_seconds": 20.0})
        reseal(place, run_id, RECORD, slow.to_json().encode())
    assert verify("--minutes", "2", "--jobs", "2", "--seed", "3") == 0
    assert len(here) == 2  # of 120 s each, two at a time
    assert "about 120 s" in capsys.readouterr().err
    assert verify("--minutes", "2", "--jobs", "2", "--seed", "3") == 0
    assert here[:2] == here[2:]
    assert verify("--minutes", "1") == 2
    assert "no run fits 1 minutes; the shortest takes about 120 s" in capsys.readouterr().err


def test_an_altered_number_with_fresh_hashes_fails(
    place: Layout, here: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a parent, which is trained again although its children get its archived embedder."""
    victim = next(place.archive.glob(f"*/{WEIGHTS}")).parent.name
    alter(place, victim, 1e-3)
    assert verify() == 1
    out = capsys.readouterr().out
    assert f"{len(here) - 1} of {len(here)} runs pass (1 differs, {len(here) - 1} exact)" in out
    start = out.index(f"{victim[:12]} tiny")
    assert "-0.001" in out[start : start + 600]


def test_an_altered_file_is_refused_before_anything_is_trained(
    place: Layout, here: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(place.archive.glob(f"*/{RECORD}"))
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1', 1) + " ")
    assert verify() == 2
    assert f"{path}: altered" in capsys.readouterr().err
    assert here == []


def test_a_parent_of_other_weights_is_refused(
    place: Layout, here: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(place.archive.glob(f"*/{WEIGHTS}"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert verify() == 2
    assert "embedder.safetensors: altered" in capsys.readouterr().err
    reseal(place, path.parent.name, WEIGHTS, path.read_bytes())
    assert verify() == 2
    assert "its embedder.safetensors is not the one" in capsys.readouterr().err
    assert here == []


def test_other_data_are_no_failed_replication(
    place: Layout, here: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    events = Path("shop/events.csv")
    table = pd.read_csv(events)
    table.loc[0, "sku"] = table.loc[1, "sku"]
    table.to_csv(events, index=False)
    shutil.rmtree(place.data)
    place.raw.unlink()
    prepare(place)
    assert verify() == 3
    out = capsys.readouterr().out
    assert out.startswith("other data: ")
    assert "no failed replication" in out
    assert here == []


def test_data_that_are_not_prepared_are_asked_for(
    place: Layout, here: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(place.data)
    assert verify() == 2
    assert f"run `make data STUDY={CONFIG}` first" in capsys.readouterr().err
    assert here == []


def test_a_study_whose_runs_are_others_is_told(
    place: Layout, here: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    raw = yaml.safe_load(CONFIG.read_text())
    raw["execution"]["probes"] = 3
    CONFIG.write_text(yaml.safe_dump(raw))
    assert verify() == 2
    assert f"holds no run that {CONFIG} asks for" in capsys.readouterr().err


COLLECT = """
import socket, sys
def refuse(*_): raise OSError("no network here")
socket.socket.connect = refuse
from behavior_scaling.cli import main
code = main(sys.argv[1:])
found = {name.split(".")[0] for name in sys.modules} & {"torch", "lightning", "safetensors"}
raise SystemExit(code or (f"imported {found}" if found else 0))
"""


def test_a_table_is_collected_from_the_archive_alone(place: Layout, shipped: Path) -> None:
    """No data, no store, no raw file, no network, no torch; nobody else knows how large V is."""
    outs = [f"--{name}={Path('results/tiny') / name}" for name in ("out", "users", "probes")]
    where = ["collect", "--config", str(CONFIG)]
    data = ["--data", str(place.data), "--store", str(shipped / "results/store")]
    assert main([*where, *data, *outs]) == 0
    expected = pd.read_parquet("results/tiny/out")
    for gone in (place.data, place.raw.parent, place.raw.parent.parent / "tiny", Path("cache")):
        shutil.rmtree(gone)
    Path("shop/events.csv").unlink()
    floors = ["--floors", "results/tiny/floors.json"]
    command = [sys.executable, "-c", COLLECT, *where, "--archive", str(place.archive), *floors]
    done = subprocess.run([*command, *outs], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(pd.read_parquet("results/tiny/out"), expected)
    assert Path("results/tiny/floors.json").read_text() == "{}\n"


@pytest.mark.slow
def test_processes_of_their_own_give_the_same(
    place: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify("--jobs", "2") == 0
    assert "exact); seed 0" in capsys.readouterr().out
