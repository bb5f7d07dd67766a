"""Weights spread over processes (FSDP): each holds its part, and a whole block while it runs.

Choices: torch's fully_shard on every block, and on what is around the blocks of both parts; the
log temperature, one number, stays whole. Gradients come averaged over processes, so the loss is
multiplied by their number. What one process does alone (probes, evaluation, the embedder's file)
is done by rank 0 on a copy of the model that holds the whole weights for as long as it takes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from behavior_scaling.model.attention import Block
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.train.updates import add_up_small


class ShardedUpdates:
    """FSDP.

    Args:
        model: on its device; its weights are spread from now on.
        mesh: the processes, one dimension.
    """

    def __init__(self, model: TwoPart, mesh: DeviceMesh):
        self._spare = copy.deepcopy(model).cpu() if mesh.get_rank() == 0 else None
        self.factor = float(mesh.size())
        whole = {p for p in model.parameters() if p.ndim == 0}
        for part in (model.embedder, model.contextualizer):
            if not any(p.requires_grad for p in part.parameters()):
                continue
            for module in part.modules():
                if isinstance(module, Block):
                    fully_shard(module, mesh=mesh)
            fully_shard(part, mesh=mesh, ignored_params=whole)
        trained = [p for p in model.parameters() if p.requires_grad]
        self._matrices = [p for p in trained if p.ndim > 1]
        self._vectors = [p for p in trained if p.ndim == 1]
        self._whole = [p for p in trained if p.ndim == 0]

    def groups(self) -> list[dict[str, Any]]:
        """As of Updates."""
        others = [*self._vectors, *self._whole]
        return [{"params": self._matrices}, {"params": others, "weight_decay": 0.0}]

    def zero_grad(self) -> None:
        """As of Updates."""
        for parameter in (*self._matrices, *self._vectors, *self._whole):
            parameter.grad = None

    def add_up(self) -> None:
        """Sum the log temperature's gradient; the others' are summed in the backward pass."""
        add_up_small(self._whole)
        for parameter in self._whole:
            if parameter.grad is not None:
                parameter.grad /= self.factor

    def clip(self, longest: float) -> None:
        """As of Updates: one norm over what is spread and what is whole."""
        spread, whole = (
            [p for p in some if p.grad is not None]
            for some in ((*self._matrices, *self._vectors), self._whole)
        )
        norms = [_norm(some) for some in (spread, whole) if some]
        norm = torch.linalg.vector_norm(torch.stack(norms))
        for some in (spread, whole):
            nn.utils.clip_grads_with_norm_(some, longest, norm)

    @contextmanager
    def gathered(self, model: TwoPart) -> Iterator[TwoPart | None]:
        """As of Updates: rank 0's copy, brought to the device for as long."""
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        state = get_model_state_dict(model, options=options)
        if self._spare is None:
            yield None
            return
        self._spare.load_state_dict(state)
        device = model.contextualizer.log_temperature.device
        try:
            yield self._spare.to(device)
        finally:
            self._spare.cpu()


def _norm(parameters: list[nn.Parameter]) -> Tensor:
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
