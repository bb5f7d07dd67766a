"""Items' tokens packed into rows, so that attention among a few tokens runs at the speed of many.

Choices: items have 1 to T tokens, most of them fewer; the tokens are kept flat, without padding,
and only attention sees rows of R positions, a mask keeping the items of a row apart. A row takes
the items that begin in its stretch of R - T + 1 flat positions, so that the last of them still
fits: two divisions place every item, with no sorting and no loop. R is the multiple of 16 that
leaves such a stretch at least 16 long: on a CPU, rows of 32 take a quarter to an eighth of the
time of one padded row an item, as lengths that are no multiple of 16 fall to a slow path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from behavior_scaling.sizes.saved import token_row


@dataclass(frozen=True)
class TokenRows:
    """Where the S tokens of n items lie; items follow one another in the order given."""

    item: Tensor  # int64 [S], 0..n-1, ascending: the item of a token
    nth: Tensor  # int64 [S], 0.. within the item
    cell: Tensor  # int64 [S], place of a token in the rows, read one after the other
    rows: int
    length: int  # R

    def spread(self, x: Tensor) -> Tensor:
        """Tokens [S, m] -> rows [rows, R, m], zero where no token lies."""
        spread: Tensor = _Spread.apply(x, self.cell, self.rows * self.length)  # type: ignore[no-untyped-call]
        return spread.view(self.rows, self.length, -1)

    def gather(self, x: Tensor) -> Tensor:
        """Rows [rows, R, m] -> tokens [S, m]."""
        return x.reshape(self.rows * self.length, -1).index_select(0, self.cell)

    def weighted_sum(self, x: Tensor, weight: Tensor, items: int) -> Tensor:
        """Tokens [S, m], their weights [S] without gradient -> sums by item [n, m]."""
        summed: Tensor = _WeightedSum.apply(x, weight, self.item, items)  # type: ignore[no-untyped-call]
        return summed

    def mask(self, log_share: Tensor) -> Tensor:
        """Additive attention mask [rows, 1, R, R]: a token's own item only, plus log weights.

        Args:
            log_share: [S], added to the scores of a token as a key.
        """
        shape = self.rows, self.length
        owner = torch.full(shape, -1, device=self.cell.device)
        owner.view(-1).index_copy_(0, self.cell, self.item)
        key = log_share.new_zeros(shape)
        key.view(-1).index_copy_(0, self.cell, log_share)
        same = owner[:, :, None] == owner[:, None, :]
        return torch.where(same, key[:, None, :], -math.inf).unsqueeze(1)


class _Spread(torch.autograd.Function):
    """index_copy into zeros that keeps the places alone: autograd's own keeps the tokens too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cell: Tensor, cells: int) -> Tensor:
        ctx.save_for_backward(cell)
        return x.new_zeros(cells, x.shape[1]).index_copy_(0, cell, x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        (cell,) = ctx.saved_tensors
        return grad_outputs[0].index_select(0, cell), None, None


class _WeightedSum(torch.autograd.Function):
    """Sums by item of weighted tokens that keep the weights alone, not the weighted tokens."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, item: Tensor, items: int) -> Tensor:
        ctx.save_for_backward(weight, item)
        return x.new_zeros(items, x.shape[1]).index_add_(0, item, x * weight[:, None])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None]:
        weight, item = ctx.saved_tensors
        return grad_outputs[0].index_select(0, item) * weight[:, None], None, None, None


def pack_tokens(counts: Tensor) -> TokenRows:
    """Pack items of `counts` tokens each, int64 [n], all at least 1."""
    ends = counts.cumsum(0)
    starts = ends - counts
    total, (rows, length, stretch) = int(ends[-1]), layout(counts)
    item = torch.repeat_interleave(counts, output_size=total)
    flat = torch.arange(total, device=counts.device)
    skipped = (starts // stretch) * (length - stretch)
    return TokenRows(item, flat - starts[item], flat + skipped[item], rows, length)


def layout(counts: Tensor) -> tuple[int, int, int]:
    """Rows, their length R, and flat positions whose items a row takes."""
    longest, total = int(counts.max()), int(counts.sum())
    length, stretch = token_row(longest)
    return math.ceil(total / stretch), length, stretch
