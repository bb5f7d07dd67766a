"""The pre-norm block that both transformers are made of, and its attention.

Choices: one matrix for queries, keys and values; torch's scaled_dot_product_attention with an
additive float mask that the caller builds once a batch (measured as fast as `is_causal`, and
faster than a boolean mask, which every layer would convert again); rotary positions as one
complex product over queries, keys and values together, with 1 for the values (three times
faster on a CPU than rotating halves, which takes seven small operations).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from behavior_scaling.model.fused import add_linear, norm_linear, product_type
from behavior_scaling.model.layers import Matrix, Mlp
from behavior_scaling.model.token_rows import TokenRows

ROTARY_BASE = 10_000.0


def rotation(context: int, heads: int, head_width: int) -> Tensor:
    """Rotary factors, complex64 [L, 3 d / 2]: of queries and keys head by head, 1 for values.

    Source: RoFormer, arXiv 2104.09864, with pairs of neighbouring dimensions.
    """
    pairs = torch.arange(0, head_width, 2, dtype=torch.float64) / head_width
    angles = torch.arange(context, dtype=torch.float64)[:, None] * ROTARY_BASE**-pairs
    turned = torch.polar(torch.ones_like(angles), angles)[:, None, :].expand(-1, 2 * heads, -1)
    values = torch.ones(context, heads, head_width // 2, dtype=turned.dtype)
    return torch.cat([turned, values], dim=1).flatten(1).to(torch.complex64)


class Attention(nn.Module):
    """x + attention of `heads` heads over the normed rows of x."""

    def __init__(self, width: int, heads: int, generator: torch.Generator, gain: float):
        super().__init__()
        self.heads = heads
        self.qkv = Matrix(width, 3 * width, generator)
        self.out = Matrix(width, width, generator, gain)

    def forward(
        self, x: Tensor, mask: Tensor, turn: Tensor | None, rows: TokenRows | None
    ) -> Tensor:
        """As of Block."""
        qkv = norm_linear(x, self.qkv.weight, turn)
        if rows is None:
            mixed = attend(qkv, mask, self.heads)
        else:
            mixed = rows.gather(attend(rows.spread(qkv), mask, self.heads))
        return add_linear(x, mixed, self.out.weight)


def attend(qkv: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Queries, keys and values [B, L, 3 d] -> mixed values [B, L, d]."""
    rows, length, width = qkv.shape
    parts = qkv.view(rows, length, 3, heads, -1).transpose(1, 3)  # [B, heads, 3, L, .]
    query, key, value = parts.unbind(2)
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return mixed.transpose(1, 2).reshape(rows, length, width // 3)


def as_products(mask: Tensor) -> Tensor:
    """The mask in the type of products: else every layer would keep a narrow copy of its own."""
    return mask.to(product_type(mask))


class Block(nn.Module):
    """x + attention(norm x), then x + MLP(norm x)."""

    def __init__(self, width: int, heads: int, generator: torch.Generator, gain: float):
        super().__init__()
        self.attention = Attention(width, heads, generator, gain)
        self.mlp = Mlp(width, generator, gain)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        turn: Tensor | None = None,
        rows: TokenRows | None = None,
    ) -> Tensor:
        """x to the same shape.

        Args:
            x: [B, L, d]; with `rows`, tokens [S, d].
            mask: float, broadcastable to [B, heads, L, L]: added to attention's scores.
            turn: complex64 [L, 3 d / 2] from `rotation`, or None.
            rows: where attention sees the tokens, or None.
        """
        out: Tensor = self.mlp(self.attention(x, mask, turn, rows))
        return out
