"""Embedders that read the weighted mean of an item's codes: mlp, fixed, and any depth 0.

Choices: the mean does not depend on a parameter, so it is computed once, and an item costs no
token work.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from behavior_scaling.model.embedder_base import (
    ItemEmbedder,
    Items,
    mean_codes,
    out_matrix,
    used_tokens,
)
from behavior_scaling.model.fused import rms_norm
from behavior_scaling.model.layers import Mlp
from behavior_scaling.records.spec import EmbedderSpec


class MeanEmbedder(ItemEmbedder):
    """Mean codes [V, e] at unit RMS, MLP blocks, one e x d matrix ('fixed': the means alone).

    Arguments as of make_embedder.
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
        self.features: Tensor  # [V, e]
        self.fixed("features", mean_codes(tokens))
        gain = 1 / math.sqrt(2 * max(1, spec.depth))
        self.blocks = nn.ModuleList(Mlp(spec.width, generator, gain) for _ in range(spec.depth))
        if spec.kind != "fixed":
            self.out = out_matrix(spec, width, generator)

    def forward(self, item_ids: Tensor) -> Tensor:
        """Item ids int [n] -> vectors [n, d]."""
        x = self.features.index_select(0, item_ids)
        if self.spec.kind == "fixed":
            return x
        for block in self.blocks:
            x = block(x)
        if self.blocks:
            x = rms_norm(x)
        out: Tensor = self.out(x)
        return out
