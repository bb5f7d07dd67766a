"""Multi-head attention and the pre-norm block that both transformers are made of.

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

from behavior_scaling.model.layers import Matrix, Mlp, rms_norm

ROTARY_BASE = 10_000.0


def rotation(context: int, heads: int, head_width: int) -> Tensor:
    """Rotary factors, complex64 [L, 3 heads, head_width / 2]: queries, keys, and 1 for values.

    Source: RoFormer, arXiv 2104.09864, with pairs of neighbouring dimensions.
    """
    pairs = torch.arange(0, head_width, 2, dtype=torch.float64) / head_width
    angles = torch.arange(context, dtype=torch.float64)[:, None] * ROTARY_BASE**-pairs
    turned = torch.polar(torch.ones_like(angles), angles)[:, None, :].expand(-1, 2 * heads, -1)
    values = torch.ones(context, heads, head_width // 2, dtype=turned.dtype)
    return torch.cat([turned, values], dim=1).to(torch.complex64)


class Attention(nn.Module):
    """Attention of `heads` heads over rows of positions."""

    def __init__(self, width: int, heads: int, generator: torch.Generator, gain: float):
        super().__init__()
        self.heads = heads
        self.qkv = Matrix(width, 3 * width, generator)
        self.out = Matrix(width, width, generator, gain)

    def forward(self, x: Tensor, mask: Tensor, turn: Tensor | None) -> Tensor:
        """x [B, L, d], mask float broadcastable to [B, heads, L, L], turn [L, 3 heads, .]."""
        rows, length, width = x.shape
        qkv: Tensor = self.qkv(x)
        if turn is not None:
            pairs = torch.view_as_complex(qkv.float().view(rows, length, 3 * self.heads, -1, 2))
            qkv = torch.view_as_real(pairs * turn)
        heads = qkv.reshape(rows, length, 3, self.heads, -1).transpose(1, 3)  # [B, h, 3, L, .]
        query, key, value = heads.unbind(2)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(rows, length, width))
        return out


class Block(nn.Module):
    """x + attention(norm x), then x + MLP(norm x)."""

    def __init__(self, width: int, heads: int, generator: torch.Generator, gain: float):
        super().__init__()
        self.attention = Attention(width, heads, generator, gain)
        self.mlp = Mlp(width, generator, gain)

    def forward(self, x: Tensor, mask: Tensor, turn: Tensor | None = None) -> Tensor:
        """[B, L, d] -> [B, L, d]."""
        x = x + self.attention(rms_norm(x), mask, turn)
        out: Tensor = x + self.mlp(rms_norm(x))
        return out
