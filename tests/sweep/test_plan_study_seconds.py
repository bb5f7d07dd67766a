"""The time model of a GPU: its terms by hand, and what they hang on."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from behavior_scaling.config import Study, load_study, parse_study
from behavior_scaling.evaluate.sample import POSITIONS
from behavior_scaling.evaluate.scoring import BLOCK
from behavior_scaling.records.spec import (
    ContextualizerSpec,
    EmbedderSpec,
    ObjectiveSpec,
    OptimizerSpec,
)
from behavior_scaling.sizes.execution import SINGLE, Execution
from behavior_scaling.sizes.gpus import GPUS, gpu_named
from behavior_scaling.sweep.cells import Cell
from behavior_scaling.sweep.gpu_seconds import (
    EVALUATION_BLOCK,
    KERNEL_SECONDS,
    PROBED,
    RUN_SECONDS,
    gpu_seconds,
)
from behavior_scaling.sweep.seconds import estimated_seconds, run_seconds

ROOT = Path(__file__).parents[2]
RATE = 0.5 * 989.4e12  # of bf16 products, below
FP32 = 0.5 * 67e12
CELL = Cell(
    axis="negatives", arm="", label="", control=False, stage=2, budget=1e15,
    positions=10 * 16 * 256, batch=16, seed=0,
    embedder=EmbedderSpec("mlp", 8, 0), contextualizer=ContextualizerSpec("transformer", 64, 3, 1),
    objective=ObjectiveSpec("corrected", 24, 1000, "mask"),
    optimizer=OptimizerSpec(0.01, 0.05, 0.0, 0.0, 0.9, 0.99, 1.0),
)  # fmt: skip


def study_with(**execution: Any) -> Study:
    raw = json.loads(load_study(ROOT / "config" / "paper.yaml").model_dump_json())
    raw["execution"] |= {"utilisation": 0.5, "probes": 0} | execution
    return parse_study(raw, where="test")


def test_a_run_by_hand() -> None:
    """Ten steps of 4,096 positions against 1,024 candidates; 5,000 targets of 10^6 items."""
    found = gpu_seconds(CELL, study_with(), 1_000_000, SINGLE, 5000)
    scores = 4096 * 1024
    step = 1e14 / RATE + scores * 6 * 4 / 3350e9 + (240 + 90 * 3) * KERNEL_SECONDS
    assert found.train == pytest.approx(10 * step, rel=1e-12)
    assert found.probes == 0
    assert found.start == RUN_SECONDS
    catalogue = 1_000_000 * 2 * 8 * 64 / FP32  # one matrix, forward
    twice = 2 * 5000 * 1e6
    busy = 2 * 64 * twice / FP32 + twice * 16 / 3350e9
    assert busy > twice / 2**25 * 15 * KERNEL_SECONDS  # of dispatching
    assert found.evaluate == pytest.approx(catalogue + busy, rel=1e-12)
    assert found.total == found.train + found.evaluate + found.start


def test_wide_vectors_make_evaluation_wait_for_products() -> None:
    wide = dataclasses.replace(CELL, contextualizer=ContextualizerSpec("transformer", 8192, 1, 64))
    found = gpu_seconds(wide, study_with(), 1_000_000, SINGLE, 5000)
    twice = 2 * 5000 * 1e6
    products = 2 * twice * 8192 / FP32 + twice * 4 * 4 / 3350e9
    assert found.evaluate == pytest.approx(1e6 * 2 * 8 * 8192 / FP32 + products, rel=1e-12)


def test_a_probe_is_six_steps_a_catalogue_and_a_sample() -> None:
    none = gpu_seconds(CELL, study_with(), 1_000_000, SINGLE, PROBED)
    three = gpu_seconds(CELL, study_with(probes=3), 1_000_000, SINGLE, PROBED)
    assert three.probes == pytest.approx(3 * (6 * none.train / 10 + none.evaluate), rel=1e-12)
    many = gpu_seconds(CELL, study_with(probes=99), 1_000_000, SINGLE, PROBED)
    assert many.probes == pytest.approx(10 / 3 * three.probes, rel=1e-12)  # one a step at most


def test_devices_share_the_steps_and_parts_repeat_their_operations() -> None:
    study = study_with()
    one = gpu_seconds(CELL, study, 1_000_000, SINGLE)
    four = gpu_seconds(CELL, study, 1_000_000, Execution("ddp", 4))
    cut = gpu_seconds(CELL, study, 1_000_000, Execution(accumulate=2))
    dispatched = 10 * (240 + 90 * 3) * KERNEL_SECONDS
    assert four.train - dispatched == pytest.approx((one.train - dispatched) / (4 * 0.9), rel=1e-9)
    assert cut.train - one.train == pytest.approx(dispatched, rel=1e-9)
    assert four.evaluate == one.evaluate


def test_a_cpu_study_is_timed_as_before() -> None:
    study = study_with(gpu=None)
    assert run_seconds(CELL, study, 1_000_000, SINGLE) == estimated_seconds(CELL, 256, 0)
    assert run_seconds(CELL, study_with(), 1_000_000, SINGLE) != estimated_seconds(CELL, 256, 0)


def test_the_blocks_of_evaluation_are_those_of_its_code() -> None:
    assert (BLOCK["cuda"], POSITIONS) == (EVALUATION_BLOCK, PROBED)


def test_gpus_have_both_precisions_and_say_who_says_so() -> None:
    assert set(GPUS) == {"a100-40", "a100-80", "h100", "h200", "l40s", "rtx4090"}
    for name, gpu in GPUS.items():
        assert (gpu.name, set(gpu.flops)) == (name, {"fp32", "bf16-mixed"})
        assert gpu.flops["fp32"] < gpu.flops["bf16-mixed"]
        assert "NVIDIA" in gpu.source
    assert GPUS["h100"].flops["bf16-mixed"] == pytest.approx(1979e12 / 2, rel=1e-3)  # with sparsity
    assert GPUS["a100-80"].memory_bytes == 2 * GPUS["a100-40"].memory_bytes == 80e9
    with pytest.raises(ValueError, match="'v100'; there are a100-40, a100-80, h100, h200, l40s"):
        gpu_named("v100")
