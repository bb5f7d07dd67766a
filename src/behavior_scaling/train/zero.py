"""DeepSpeed (ZeRO), an extra: its configuration, made from a run. Not run here: it needs CUDA.

Choices: stage 1 spreads the optimizer's state over devices, stage 2 gradients too; weights stay
whole, so that rank 0 evaluates alone. The batch is cut by the sampler, so DeepSpeed is told the
size of a device's share for its own log only. It averages gradients over devices, so the loss is
multiplied by their number. Its checkpoints are folders of many files that nothing replaces whole:
a run keeps none, and one that is stopped starts anew. Precision bf16-mixed keeps weights in
bfloat16 and a float32 copy in the optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from lightning.pytorch.strategies import DeepSpeedStrategy

from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.train.peers import Peers

ZERO_STAGE = 2


class MissingPackageError(ImportError):
    """DeepSpeed is asked for and not installed."""


def check_installed() -> None:
    """Refuse a run that asks for DeepSpeed where it is not installed.

    Raises:
        MissingPackageError: says what to do.
    """
    if find_spec("deepspeed") is None:
        raise MissingPackageError(
            "execution.strategy: deepspeed needs the package deepspeed, which is not installed: "
            "pip install 'behavior-scaling[deepspeed]', or choose ddp or fsdp"
        )


def deepspeed_config(spec: RunSpec, devices: int, stage: int = ZERO_STAGE) -> dict[str, Any]:
    """A run's settings by DeepSpeed's names.

    Args:
        spec: gives the batch, the precision and the longest gradient.
        devices: that share the batch.
        stage: of ZeRO, 1 or 2.

    Raises:
        ValueError: another stage.
    """
    if stage not in (1, 2):
        raise ValueError(f"ZeRO stage {stage}: there are 1 and 2 here; fsdp spreads weights, too")
    return {
        "train_micro_batch_size_per_gpu": math.ceil(spec.batch / devices),
        "gradient_accumulation_steps": 1,
        "gradient_clipping": spec.optimizer.clip,
        "bf16": {"enabled": spec.precision == "bf16-mixed"},
        "zero_optimization": {
            "stage": stage,
            "overlap_comm": True,
            "contiguous_gradients": True,
        },
        "zero_allow_untested_optimizer": True,  # torch's fused AdamW, as in the other strategies
    }


def deepspeed_strategy(spec: RunSpec, devices: int) -> DeepSpeedStrategy:
    """Lightning's strategy with the run's configuration.

    Raises:
        MissingPackageError: the package is not installed.
    """
    check_installed()
    return DeepSpeedStrategy(config=deepspeed_config(spec, devices))


class EngineUpdates:
    """DeepSpeed's engine does the work of Updates.

    Args:
        model: whole in every process.
        peers: the processes.
    """

    def __init__(self, model: TwoPart, peers: Peers):
        self.factor = float(peers.size)
        self._rank = peers.rank
        self._trained = [p for p in model.parameters() if p.requires_grad]

    def groups(self) -> list[dict[str, Any]]:
        """As of Updates."""
        return [
            {"params": [p for p in self._trained if p.ndim > 1]},
            {"params": [p for p in self._trained if p.ndim <= 1], "weight_decay": 0.0},
        ]

    def zero_grad(self) -> None:
        """The engine does, after its step."""

    def add_up(self) -> None:
        """The engine does, in the backward pass."""

    def clip(self, longest: float) -> None:
        """The engine does, by `gradient_clipping`."""

    @contextmanager
    def gathered(self, model: TwoPart) -> Iterator[TwoPart | None]:
        """As of Updates."""
        yield model if self._rank == 0 else None
