"""The trained weights as the optimizer sees them: whole in every process, or spread over them.

Choices: where weights are whole (one device, DDP), all matrices are one tensor (flat_parameters.py)
and its gradient is summed over the processes at once, after the last part's backward. DDP's own
reducer is left out: it starts exchanges from within the backward pass, in an order that may differ
between processes once candidates are spread over them (model/shards.py) or a process has no loss,
and it would want to be told of all parts but the last; what it would save, the overlap with the
backward pass, is little next to a step over B L positions. Gradients are summed, not averaged: a
loss is the mean over the whole batch already, and each process brings its share of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, distributed, nn

from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.train.flat_parameters import FlatParameters
from behavior_scaling.train.peers import Peers


class Updates(Protocol):
    """What a step does with the weights beside the optimizer's own work."""

    factor: float  # that the loss is multiplied by, where gradients are averaged over processes

    def groups(self) -> list[dict[str, Any]]:
        """The optimizer's groups of parameters: weight decay is for matrices alone."""

    def zero_grad(self) -> None:
        """Before a step's first backward."""

    def add_up(self) -> None:
        """After its last one: sum over processes what is not summed yet."""

    def clip(self, longest: float) -> None:
        """Clip the norm over all parameters."""

    def gathered(self, model: TwoPart) -> AbstractContextManager[TwoPart | None]:
        """On rank 0 a model with the present weights whole, None elsewhere. All must enter."""


class WholeUpdates:
    """One device, and DDP.

    Args:
        model: its parameters become views of one tensor.
        peers: the processes that hold the same weights.
    """

    factor = 1.0

    def __init__(self, model: TwoPart, peers: Peers):
        trained = [p for p in model.parameters() if p.requires_grad]
        self._matrices = FlatParameters([p for p in trained if p.ndim > 1])
        self._others = [p for p in trained if p.ndim <= 1]
        self._peers = peers
        if peers.size > 1:  # a user's class may have drawn its weights from a generator of its own
            for start in (self._matrices.flat.detach(), *(p.detach() for p in self._others)):
                distributed.broadcast(start, 0)

    def groups(self) -> list[dict[str, Any]]:
        """As of Updates."""
        return [
            {"params": [self._matrices.flat]},
            {"params": self._others, "weight_decay": 0.0},
        ]

    def zero_grad(self) -> None:
        """The matrices' gradients in place, since they are views of one tensor."""
        self._matrices.zero_grad()
        for parameter in self._others:
            parameter.grad = None

    def add_up(self) -> None:
        """Two exchanges: the matrices, and the few numbers besides."""
        if self._peers.size > 1:
            distributed.all_reduce(self._matrices.flat.grad)
            add_up_small(self._others)

    def clip(self, longest: float) -> None:
        """As of Updates; Lightning's own way refuses fused optimizers."""
        nn.utils.clip_grad_norm_([self._matrices.flat, *self._others], longest)

    @contextmanager
    def gathered(self, model: TwoPart) -> Iterator[TwoPart | None]:
        """As of Updates."""
        yield model if self._peers.rank == 0 else None


def add_up_small(parameters: list[nn.Parameter]) -> None:
    """Sum over processes the gradients of parameters that are whole in each."""
    if not parameters:
        return
    grads = [_grad(p).reshape(-1) for p in parameters]
    together = torch.cat(grads)
    distributed.all_reduce(together)
    for parameter, part in zip(
        parameters, torch.split(together, [grad.numel() for grad in grads]), strict=True
    ):
        parameter.grad = part.view_as(parameter)


def _grad(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
