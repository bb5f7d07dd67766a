"""The item embedder: fixed, weighted codes of an item to its vector.

Choices: every trainable parameter is a matmul parameter (the codebook is fixed), so the
embedder's share of N is the share of what learns, at any size. What does not depend on a
parameter is computed once: for all kinds but the transformer that is the weighted mean of codes
(so an item of theirs costs no token work); columns of codes that no item uses are dropped.
A weight is a multiplicity: its logarithm is added to the token's attention key, and the final
mean is weighted, so a token of weight 2 is the token twice and weight 0 is padding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from behavior_scaling.model.attention import Block
from behavior_scaling.model.codebook import code_vectors
from behavior_scaling.model.layers import Matrix, Mlp, rms_norm
from behavior_scaling.records.spec import EmbedderSpec

HEAD_WIDTH = 16  # of the transformer embedder, where the width allows
ITEM_BLOCK = 8192  # items whose mean code is computed at once


class Embedder(nn.Module):
    """Item ids [n] -> vectors [n, d]. Arguments and errors as of TwoPart."""

    def __init__(
        self,
        spec: EmbedderSpec,
        width: int,
        codes: Tensor,
        weights: Tensor,
        codebook_rows: int,
        generator: torch.Generator,
    ):
        super().__init__()
        self.table: Tensor  # [U, e] vectors of the codes in use; these three if tokens are read
        self.index: Tensor  # int32 [V, T] rows of `table`
        self.share: Tensor  # [V, T] weights over their sum
        self.features: Tensor  # [V, e] mean codes at unit RMS, otherwise
        check_items(codes, weights, codebook_rows)
        self.spec = spec
        share = weights.float() / weights.float().sum(1, keepdim=True)
        used = (share > 0).any(0)
        codes, share = codes[:, used], share[:, used].contiguous()
        distinct, index = torch.unique(codes, return_inverse=True)
        table = code_vectors(distinct, codebook_rows, spec.width)
        self.reads_tokens = spec.kind == "transformer" and spec.depth > 0
        self.tokens = codes.shape[1]  # T in executed FLOPs: columns that some item uses
        if self.reads_tokens:
            self._fixed("table", table)
            self._fixed("index", index.to(torch.int32))
            self._fixed("share", share)
        else:
            self._fixed("features", mean_codes(table, index, share))
        gain = 1 / math.sqrt(2 * max(1, spec.depth))
        self.blocks = nn.ModuleList(self._block(spec, generator, gain) for _ in range(spec.depth))
        if spec.kind != "fixed":
            # Keeps scores near N(0, 1) at the start where the item vectors have rank e < d.
            self.out = Matrix(spec.width, width, generator, min(1.0, (spec.width / width) ** 0.5))

    def forward(self, item_ids: Tensor) -> Tensor:
        """Item ids int [n] -> vectors [n, d]."""
        if self.reads_tokens:
            x = self._read_tokens(item_ids)
        else:
            x = self.features.index_select(0, item_ids)
            if self.spec.kind == "fixed":
                return x
            for block in self.blocks:
                x = x + block(rms_norm(x))
        if self.blocks:
            x = rms_norm(x)
        out: Tensor = self.out(x)
        return out

    def _read_tokens(self, item_ids: Tensor) -> Tensor:
        """Item ids [n] -> pooled tokens [n, e]."""
        index = self.index.index_select(0, item_ids)  # [n, T]
        share = self.share.index_select(0, item_ids)  # [n, T]
        x = self.table.index_select(0, index.view(-1)).view(*index.shape, -1)  # [n, T, e]
        mask = share.log()[:, None, None, :]  # a row's common factor does not matter to softmax
        for block in self.blocks:
            x = block(x, mask)
        return (x * share[:, :, None]).sum(1)

    def _fixed(self, name: str, value: Tensor) -> None:
        """A tensor that is made from the data: neither trained nor saved."""
        self.register_buffer(name, value, persistent=False)

    @staticmethod
    def _block(spec: EmbedderSpec, generator: torch.Generator, gain: float) -> nn.Module:
        if spec.kind == "transformer":
            heads = math.gcd(spec.width, max(1, spec.width // HEAD_WIDTH))
            return Block(spec.width, heads, generator, gain)
        return Mlp(spec.width, generator, gain)


def mean_codes(table: Tensor, index: Tensor, share: Tensor) -> Tensor:
    """Weighted mean of codes at unit RMS: table [U, e], index and share [V, T] -> [V, e]."""
    blocks = [
        (table[i] * s[:, :, None]).sum(1)
        for i, s in zip(torch.split(index, ITEM_BLOCK), torch.split(share, ITEM_BLOCK), strict=True)
    ]
    return rms_norm(torch.cat(blocks))


def check_items(codes: Tensor, weights: Tensor, codebook_rows: int) -> None:
    """Refuse feature tokens that cannot be embedded.

    Raises:
        ValueError: see TwoPart; the message names the first offending item.
    """
    if codes.ndim != 2 or codes.shape != weights.shape or 0 in codes.shape:
        raise ValueError(
            f"codes {tuple(codes.shape)} and weights {tuple(weights.shape)} must both be [V, T]"
        )
    bad = {
        f"a code outside 0..{codebook_rows - 1}": ((codes < 0) | (codes >= codebook_rows)).any(1),
        "a weight that is negative or not finite": (~(weights >= 0) | weights.isinf()).any(1),
        "no token of positive weight": ~(weights > 0).any(1),
    }
    for what, rows in bad.items():
        if rows.any():
            raise ValueError(f"item {int(rows.nonzero()[0])} has {what}")
