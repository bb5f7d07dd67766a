"""Lightning's strategy of a run: single device, DDP, FSDP, DeepSpeed.

Choices: processes are made by launch.py, not by Lightning, which would start the whole script again
for every run of a bundle; DDP without DDP's reducer, for the reasons in updates.py; FSDP is torch's
fully_shard by Lightning's ModelParallelStrategy (its FSDPStrategy is for CUDA alone), with
checkpoints gathered into one file.
"""

from __future__ import annotations

from lightning.pytorch.strategies import (
    DDPStrategy,
    ModelParallelStrategy,
    SingleDeviceStrategy,
    Strategy,
)

from behavior_scaling.train.machine import device
from behavior_scaling.train.module import RunModule
from behavior_scaling.train.peers import PATIENCE


class PlainDDPStrategy(DDPStrategy):
    """DDP that leaves gradients to the module."""

    def configure_ddp(self) -> None:
        """Nothing is wrapped: all processes start from the same seed, and sum by themselves."""


def strategy_of(module: RunModule) -> Strategy:
    """The strategy of a run; of several processes, each has joined its group already."""
    if module.strategy == "ddp":
        return PlainDDPStrategy(timeout=PATIENCE)
    if module.strategy == "fsdp":
        return ModelParallelStrategy(
            data_parallel_size=module.share.size,
            tensor_parallel_size=1,
            save_distributed_checkpoint=False,
            timeout=PATIENCE,
        )
    if module.strategy == "deepspeed":
        from behavior_scaling.train.zero import deepspeed_strategy

        return deepspeed_strategy(module.spec, module.share.size)
    return SingleDeviceStrategy(device())
