"""DeepSpeed's configuration: built from a run, and read by its own class where it is installed."""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from behavior_scaling.sizes.execution import Execution
from behavior_scaling.train import zero
from behavior_scaling.train.zero import MissingPackageError, deepspeed_config


@pytest.mark.parametrize("precision", ["fp32", "bf16-mixed"])
@pytest.mark.parametrize("stage", [1, 2])
def test_the_configuration_says_what_the_run_says(spec, precision, stage):
    spec = replace(spec, batch=5, precision=precision, optimizer=replace(spec.optimizer, clip=0.3))
    config = deepspeed_config(spec, 2, stage)
    assert config["train_micro_batch_size_per_gpu"] == 3
    assert config["gradient_clipping"] == 0.3
    assert config["bf16"] == {"enabled": precision == "bf16-mixed"}
    assert config["zero_optimization"]["stage"] == stage


def test_stages_that_spread_weights_are_refused(spec):
    with pytest.raises(ValueError, match="ZeRO stage 3"):
        deepspeed_config(spec, 2, 3)


def test_a_run_that_asks_for_it_without_the_package_is_told_so(train, spec, monkeypatch):
    monkeypatch.setattr(zero, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"behavior-scaling\[deepspeed\]"):
        train(spec, execution=Execution("deepspeed", 2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # DeepSpeed's own imports give several
@pytest.mark.parametrize("stage", [1, 2])
def test_deepspeed_reads_it_as_it_is_meant(spec, stage, monkeypatch):
    """Its class refuses a name that it doesn't know in the ZeRO block: none of ours is one."""
    monkeypatch.setitem(os.environ, "DS_ACCELERATOR", "cpu")
    module = pytest.importorskip("deepspeed.runtime.config", reason="deepspeed is not installed")
    monkeypatch.setattr(module.dist, "get_rank", lambda: 0)
    spec = replace(spec, batch=6, precision="bf16-mixed")
    devices = SimpleNamespace(get_data_parallel_world_size=lambda: 2)
    read = module.DeepSpeedConfig(deepspeed_config(spec, 2, stage), mpu=devices)
    assert read.train_batch_size == 6
    assert read.gradient_accumulation_steps == 1
    assert read.gradient_clipping == spec.optimizer.clip
    assert read.bfloat16_config.enabled
    assert read.zero_optimization_stage == stage
    assert read.zero_config.overlap_comm
    assert read.zero_allow_untested_optimizer
    wrong = deepspeed_config(spec, 2, stage)
    wrong["zero_optimization"]["overlap_com"] = True
    with pytest.raises(ValueError, match="overlap_com"):
        module.DeepSpeedConfig(wrong, mpu=devices)
