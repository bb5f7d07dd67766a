"""The transformer embedder: attention over an item's tokens, then their weighted mean.

Choices: a token's weight enters as a multiplicity: its logarithm is added to the token's
attention key, and the final mean is weighted. Tokens are kept flat [S, e], so that an item costs
what its own tokens cost, not T of them; attention alone sees them in rows (token_rows.py).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from behavior_scaling.model.attention import Block, as_products
from behavior_scaling.model.embedder_base import ItemEmbedder, Items, out_matrix, used_tokens
from behavior_scaling.model.fused import rms_norm
from behavior_scaling.model.token_rows import layout, pack_tokens
from behavior_scaling.records.spec import EmbedderSpec
from behavior_scaling.sizes.flops import (
    FORWARD,
    NO_INPUT_GRADIENT,
    TRAINING,
    packed_items_flops,
)

HEAD_WIDTH = 16  # where the width allows


class TransformerEmbedder(ItemEmbedder):
    """Blocks over tokens, weighted mean, one e x d matrix.

    Arguments as of make_embedder; depth at least 1.
    """

    def __init__(
        self,
        spec: EmbedderSpec,
        width: int,
        items: Items,
        codebook_rows: int,
        generator: torch.Generator,
    ):
        tokens = used_tokens(items, codebook_rows, spec.width)
        super().__init__(spec, width, tokens.index.shape[1])
        self.table: Tensor  # [U, e] vectors of the codes in use
        self.index: Tensor  # int32 [V, T] rows of `table`, an item's own tokens first
        self.share: Tensor  # [V, T] weights over their sum
        self.count: Tensor  # int64 [V] tokens of each item
        absent = tokens.share == 0
        own_first = torch.argsort(absent.to(torch.uint8), dim=1, stable=True)
        self.fixed("table", tokens.table)
        self.fixed("index", tokens.index.gather(1, own_first).to(torch.int32))
        self.fixed("share", tokens.share.gather(1, own_first))
        self.fixed("count", (~absent).sum(1))
        gain = 1 / math.sqrt(2 * spec.depth)
        heads = math.gcd(spec.width, max(1, spec.width // HEAD_WIDTH))
        self.blocks = nn.ModuleList(
            Block(spec.width, heads, generator, gain) for _ in range(spec.depth)
        )
        self.out = out_matrix(spec, width, generator)

    def forward(self, item_ids: Tensor) -> Tensor:
        """Item ids int [n] -> vectors [n, d]."""
        rows = pack_tokens(self.count.index_select(0, item_ids))
        cells = item_ids.index_select(0, rows.item) * self.tokens + rows.nth  # [S]
        share = self.share.view(-1).index_select(0, cells)  # [S]
        x = self.table.index_select(0, self.index.view(-1).index_select(0, cells))  # [S, e]
        # A common factor of an item does not matter to softmax.
        mask = as_products(rows.mask(share.log()))
        for block in self.blocks:
            x = block(x, mask, rows=rows)
        mean = rows.weighted_sum(x, share, item_ids.shape[0])
        out: Tensor = self.out(rms_norm(mean))
        return out

    def training_flops(self, item_ids: Tensor) -> float:
        """FLOPs, forward and backward, of embedding these items once: what runs."""
        counts = self.count.index_select(0, item_ids)
        rows, length, _ = layout(counts)
        items, tokens = len(item_ids), int(counts.sum())
        return packed_items_flops(self.spec, self.width, items, tokens, rows * length**2)

    def forward_flops(self, item_ids: Tensor) -> float:
        """FLOPs of embedding these items once, without a gradient: what runs."""
        tokens = int(self.count.index_select(0, item_ids).sum())
        saved = (TRAINING - NO_INPUT_GRADIENT) * 3 * tokens * self.spec.width**2  # the first QKV
        return (self.training_flops(item_ids) + saved) * FORWARD / TRAINING
