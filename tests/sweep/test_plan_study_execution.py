"""How runs are laid out over devices: at the edges of memory, of hours, and as the study states."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest

from behavior_scaling.config import Study, load_study, parse_study
from behavior_scaling.model.logit_tiles import TILE_BYTES as TILES
from behavior_scaling.sizes import gpus
from behavior_scaling.sizes.execution import SINGLE, Execution
from behavior_scaling.sizes.gpus import GPUS, Gpu
from behavior_scaling.sizes.memory import Memory
from behavior_scaling.sizes.memory_peak import Peak
from behavior_scaling.sizes.shapes import realise
from behavior_scaling.sweep import execution as module
from behavior_scaling.sweep.cells import Cell, CellMaker, unique
from behavior_scaling.sweep.execution import TILE_BYTES, USABLE, choose, execution_of, needs
from behavior_scaling.sweep.gpu_seconds import GpuSeconds
from behavior_scaling.sweep.plan import make_plan

ROOT = Path(__file__).parents[2]
V = 1682
GB = 10**9


def study_with(**execution: Any) -> Study:
    raw = json.loads(load_study(ROOT / "config" / "quick.yaml").model_dump_json())
    raw["execution"] |= {"gpu": "h100"} | execution
    return parse_study(raw, where="test")


@pytest.fixture(scope="module")
def cell() -> Cell:
    return make_plan(study_with(gpu=None), V).cells[0]  # B = 4


def sized(memory_bytes: int) -> dict[str, Gpu]:
    """GPUs with another memory of the h100."""
    return GPUS | {"h100": dataclasses.replace(GPUS["h100"], memory_bytes=memory_bytes)}


def needing(monkeypatch: pytest.MonkeyPatch, gigabytes: dict[str, float]) -> None:
    """Memory by a word for each layout; what is not named needs 1000 GB."""

    def fake(cell: Cell, study: Study, n_items: int, execution: Execution) -> Peak:
        spread = "+" if execution.shard_candidates else ""
        word = f"{execution.strategy}{spread} {execution.devices}/{execution.accumulate}"
        step = Memory(0, 0, round(gigabytes.get(word, 1000) * GB), 0)
        return Peak(step, 0, Memory(0, 0, 0, 0))

    monkeypatch.setattr(module, "needs", fake)


def taking(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    def fake(*arguments: Any) -> GpuSeconds:
        execution = arguments[3]
        return GpuSeconds(hours * 3600 / execution.devices, 0, 0, 0)

    monkeypatch.setattr(module, "gpu_seconds", fake)


def test_the_batch_is_cut_when_a_byte_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_study(ROOT / "config" / "paper.yaml")
    shape = realise(study.embedder, study.contextualizer, 9e6, 0.02)
    cell = CellMaker(study, 3_700_000).make(shape, 1e17, 0, axis="allocation", label="")
    whole = needs(cell, study, 3_700_000, SINGLE).total
    monkeypatch.setattr(gpus, "GPUS", sized(math.ceil(whole / USABLE)))
    fits = choose(cell, study, 3_700_000)
    assert (fits.execution, fits.reason, fits.memory.total) == (SINGLE, "fits", whole)
    monkeypatch.setattr(gpus, "GPUS", sized(math.ceil(whole / USABLE) - 2))
    cut = choose(cell, study, 3_700_000)
    assert cut.execution == Execution("single", 1, 2)
    assert cut.reason == "parts"
    assert cut.memory.total < whole == cut.alone.total


@pytest.mark.parametrize(
    ("gigabytes", "expected", "reason"),
    [
        ({"single 1/1": 72}, Execution(), "fits"),
        ({"single 1/1": 72.1, "single 1/2": 72}, Execution(accumulate=2), "parts"),
        ({"single 1/4": 72, "ddp 2/1": 10}, Execution(accumulate=4), "parts"),
        ({"ddp 2/2": 72, "ddp+ 2/1": 72}, Execution("ddp", 2, 2), "devices"),
        ({"ddp+ 2/1": 72, "fsdp+ 2/1": 9}, Execution("ddp", 2, 1, True), "candidates"),
        ({"fsdp+ 2/2": 72}, Execution("fsdp", 2, 2, True), "weights"),
        ({"fsdp+ 4/1": 72, "ddp+ 4/1": 73}, Execution("fsdp", 4, 1, True), "weights"),
        ({"ddp 8/1": 1}, None, "too large"),  # B = 4 does not divide among 8
    ],
)
def test_the_order_of_what_is_tried(
    cell: Cell,
    monkeypatch: pytest.MonkeyPatch,
    gigabytes: dict[str, float],
    expected: Execution | None,
    reason: str,
) -> None:
    needing(monkeypatch, gigabytes)
    choice = choose(cell, study_with(), V)
    assert choice.reason == reason
    if expected:
        assert choice.execution == expected


def test_what_does_not_fit_is_the_least_that_was_tried(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    needing(monkeypatch, {"ddp+ 4/1": 73})
    choice = choose(cell, study_with(), V)
    assert (choice.execution, choice.reason) == (Execution("ddp", 4, 1, True), "too large")
    assert choice.memory.total == 73 * GB


@pytest.mark.parametrize(
    ("hours", "most", "devices"),
    [(24, 8, 1), (24.1, 8, 2), (48.1, 8, 4), (1000, 8, 4), (1000, 2, 2), (1000, 1, 1)],
)
def test_more_devices_where_one_would_take_too_long(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, hours: float, most: int, devices: int
) -> None:
    """B = 4 goes to 4 devices at most."""
    needing(monkeypatch, {"single 1/1": 1, "ddp 2/1": 1, "ddp 4/1": 1})
    taking(monkeypatch, hours)
    choice = choose(cell, study_with(most_devices=most), V)
    assert choice.execution.devices == devices
    assert choice.execution.strategy == ("single" if devices == 1 else "ddp")
    assert choice.reason == ("fits" if devices == 1 else "hours")


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"devices": 2}, Execution("ddp", 2)),
        ({"strategy": "fsdp"}, Execution("fsdp", 2, 1, True)),
        ({"strategy": "deepspeed", "devices": 4}, Execution("deepspeed", 4, 1, True)),
        ({"accumulate": 4}, Execution("single", 1, 4)),
        ({"strategy": "single", "most_devices": 8}, Execution()),
        ({"compile": True}, Execution(compile=True)),
    ],
)
def test_a_study_says_what_it_wants(
    cell: Cell, stated: dict[str, Any], expected: Execution
) -> None:
    assert execution_of(cell, study_with(**stated), V) == expected


def test_deepspeed_takes_a_batch_whole(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    needing(monkeypatch, {"deepspeed+ 2/2": 1, "deepspeed+ 4/1": 1})
    choice = choose(cell, study_with(strategy="deepspeed"), V)
    assert choice.execution == Execution("deepspeed", 4, 1, True)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({}, SINGLE),
        ({"devices": 2}, Execution("ddp", 2)),
        ({"strategy": "fsdp", "devices": 2}, Execution("fsdp", 2)),
        ({"accumulate": 2}, Execution(accumulate=2)),
    ],
)
def test_without_a_gpu_nothing_is_chosen(
    cell: Cell, stated: dict[str, Any], expected: Execution
) -> None:
    assert execution_of(cell, study_with(gpu=None, **stated), V) == expected


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ({"strategy": "single", "devices": 2}, "single uses one device"),
        ({"strategy": "ddp", "devices": 1}, "ddp needs several devices"),
        ({"strategy": "ddp", "gpu": None}, "name execution.devices"),
        ({"strategy": "deepspeed", "devices": 2, "accumulate": 2}, "deepspeed takes no"),
        ({"gpu": "h1000"}, "no GPU is known as 'h1000'; there are a100-40, a100-80, h100"),
    ],
)
def test_impossible_executions_are_refused(cell: Cell, stated: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        execution_of(cell, study_with(**stated), V)


def test_jobs_hold_runs_of_one_number_of_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fourth run is given two devices: no job mixes, none is lost, and parents come first."""
    study = study_with(bundle_seconds=1e6)
    cells = list(unique(list(make_plan(study_with(gpu=None), V).cells)))
    several = {cell.key for cell in cells[::4]}

    def fake(cell: Cell, study: Study, n_items: int) -> Execution:
        return Execution("ddp", 2) if cell.key in several else SINGLE

    monkeypatch.setattr("behavior_scaling.sweep.plan.execution_of", fake)
    plan = make_plan(study, V)
    placed = [cell.key for bundle in plan.bundles for cell in bundle.cells]
    assert sorted(placed) == sorted(cell.key for cell in cells)
    assert {bundle.devices for bundle in plan.bundles} == {1, 2}
    for bundle in plan.bundles:
        assert {2 if cell.key in several else 1 for cell in bundle.cells} == {bundle.devices}
    done: set[str] = set()
    for bundle in plan.bundles:
        assert set(bundle.parents) <= done
        done.add(bundle.key)


def test_jobs_of_a_cpu_study_are_those_of_before_there_were_gpus() -> None:
    """The keys that finished results carry in their file names (config/quick.yaml, in order)."""
    keys = "\n".join(
        b.key for b in make_plan(load_study(ROOT / "config" / "quick.yaml"), V).bundles
    )
    assert hashlib.sha256(keys.encode()).hexdigest() == (
        "86ccd634d0d9399895f4deec3c6ceac255b0dcbdd61438bd872e950a4aca3868"
    )


def test_tiles_are_those_of_the_loss() -> None:
    assert TILES["cuda"] == TILE_BYTES
