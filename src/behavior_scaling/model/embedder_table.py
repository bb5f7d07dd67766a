"""A trained vector for every item id: the option whose parameters are counted apart.

Choices: entries start as N(0, 1), so that scores start near N(0, 1) as with the other embedders;
no feature is read; the gradient is dense, [V, d], as Adam's moments are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from behavior_scaling.model.embedder_base import ItemEmbedder
from behavior_scaling.records.spec import EmbedderSpec


class TableEmbedder(ItemEmbedder):
    """Rows of a trained table [V, d]; equal features mean nothing to it."""

    distinguishes_items = True

    def __init__(self, spec: EmbedderSpec, width: int, n_items: int, generator: torch.Generator):
        super().__init__(spec, width, tokens=0)
        self.weight = nn.Parameter(torch.randn(n_items, width, generator=generator))

    def forward(self, item_ids: Tensor) -> Tensor:
        """Item ids int [n] -> vectors [n, d]."""
        return self.weight.index_select(0, item_ids)
