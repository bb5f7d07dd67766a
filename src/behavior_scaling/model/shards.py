"""Candidates spread over processes: what travels between them.

Choices: every process scores all positions against its own candidates; only the maximum and the
sum of every position [P], and the gradient of the queries [P, d], are reduced, so that neither
candidates nor scores ever travel, and the memory of a device is its own share of the catalogue.
Where processes hold positions of their own (data parallel), positions are gathered first, and
the gradient of a process' own positions is cut out again: since the mean runs over all gathered
positions in every process, their gradients are complete, and are not to be summed once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Shards:
    """The processes of a group, each with a part of the candidates."""

    group: distributed.ProcessGroup | None = None  # None: all processes

    def merge(self, top: Tensor, total: Tensor) -> None:
        """Online sums of each process to those of all, in place.

        Args:
            top: greatest score of every position [P, 1], in units of log 2; may be -inf.
            total: sum over candidates of exp2(score - top) [P, 1].
        """
        local = top.clone()
        distributed.all_reduce(top, distributed.ReduceOp.MAX, self.group)
        base = top.clamp(min=torch.finfo(top.dtype).min)
        total *= local.sub_(base).exp2_()
        distributed.all_reduce(total, distributed.ReduceOp.SUM, self.group)

    def add(self, part: Tensor) -> None:
        """Sum over processes, in place."""
        distributed.all_reduce(part, distributed.ReduceOp.SUM, self.group)

    def anywhere(self, flags: Tensor) -> Tensor:
        """Whether a flag is set in some process: float [P], in place."""
        distributed.all_reduce(flags, distributed.ReduceOp.MAX, self.group)
        return flags

    def own(self, n: int) -> slice:
        """This process' part of n candidates: consecutive, as even as can be."""
        size, rank = distributed.get_world_size(self.group), distributed.get_rank(self.group)
        return slice(n * rank // size, n * (rank + 1) // size)

    def gather(self, x: Tensor) -> Tensor:
        """Rows of all processes, in the order of their ranks: [p, ...] -> [P, ...].

        Differentiable: a process' rows take their part of the gradient.
        """
        gathered: Tensor = _Gather.apply(x, self.group)  # type: ignore[no-untyped-call]
        return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: distributed.ProcessGroup | None) -> Tensor:
        size, rank = distributed.get_world_size(group), distributed.get_rank(group)
        sizes = [torch.zeros(1, dtype=torch.int64, device=x.device) for _ in range(size)]
        distributed.all_gather(sizes, torch.tensor([x.shape[0]], device=x.device), group)
        rows = [int(n) for n in sizes]
        ctx.start, ctx.rows = sum(rows[:rank]), x.shape[0]
        padded = x.new_zeros(max(rows), *x.shape[1:])  # a gather wants equal sizes
        padded[: x.shape[0]] = x
        parts = [torch.empty_like(padded) for _ in range(size)]
        distributed.all_gather(parts, padded, group)
        return torch.cat([part[:n] for part, n in zip(parts, rows, strict=True)])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        return grad_outputs[0][ctx.start : ctx.start + ctx.rows], None
