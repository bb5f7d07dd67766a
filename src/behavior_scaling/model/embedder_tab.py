"""The tabtransformer embedder: contextual categoricals beside continuous numbers.

Source: Huang et al. 2020, arXiv 2012.06678, adapted: an item's categorical, multi-valued and text
tokens go through a transformer, each the mean of its value's code and its column's (fixed and
seeded, where the paper trains both); numeric columns enter as standardised values, not as bins,
and an indicator where missing; an MLP mixes both (here beside the pooled tokens, as a residual).

Choices: numbers are projected to e dimensions by fixed codes of their columns, as any feature is,
so that N_emb follows from the spec alone and not from the number of columns; more than e / 2
numeric columns share dimensions. They are concatenated without a norm, which would take the size
of a single number away.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from behavior_scaling.model.codebook import code_vectors
from behavior_scaling.model.embedder_base import (
    Columns,
    ItemEmbedder,
    Items,
    UsedTokens,
    mean_codes,
    out_matrix,
    token_vectors,
)
from behavior_scaling.model.embedder_transformer import TransformerEmbedder
from behavior_scaling.model.fused import rms_norm
from behavior_scaling.model.layers import Matrix
from behavior_scaling.model.seeding import seeded
from behavior_scaling.records.spec import EmbedderSpec
from behavior_scaling.sizes.flops import FORWARD, TRAINING, mixing_flops
from behavior_scaling.sizes.parameters import MLP_RATIO


class TabTransformerEmbedder(ItemEmbedder):
    """Blocks over categorical tokens, their mean mixed with the numbers, one e x d matrix.

    Arguments as of make_embedder; at depth 0 the tokens are averaged without a block.

    Raises:
        ValueError: items without columns, or an item all of whose tokens are numbers.
    """

    def __init__(
        self,
        spec: EmbedderSpec,
        width: int,
        items: Items,
        codebook_rows: int,
        generator: torch.Generator,
    ):
        if items.columns is None:
            raise ValueError("a tabtransformer needs the columns of the items' tokens: give them")
        tokens = _categorical_tokens(items, items.columns, codebook_rows, spec.width)
        super().__init__(spec, width, tokens.index.shape[1])
        self.distinguishes_items = _numbers_differ(items, items.columns)
        self.means: Tensor  # [V, e] mean tokens at unit RMS, at depth 0
        self.numbers: Tensor  # [V, e]
        if spec.depth:
            self.reader = _reader(replace(spec, kind="transformer"), width, tokens, generator)
        else:
            self.fixed("means", mean_codes(tokens))
        self.fixed("numbers", _projected(items.columns, codebook_rows, spec.width))
        hidden = MLP_RATIO * spec.width
        self.up = Matrix(2 * spec.width, hidden, generator)
        self.down = Matrix(hidden, spec.width, generator, 1 / math.sqrt(2))
        self.out = out_matrix(spec, width, generator)

    def forward(self, item_ids: Tensor) -> Tensor:
        """Item ids int [n] -> vectors [n, d]."""
        x = self.reader(item_ids) if self.spec.depth else self.means.index_select(0, item_ids)
        numbers = self.numbers.index_select(0, item_ids)
        hidden = functional.gelu(self.up(torch.cat([x, numbers], dim=1)))
        out: Tensor = self.out(rms_norm(x + self.down(hidden)))
        return out

    def training_flops(self, item_ids: Tensor) -> float:
        """FLOPs, forward and backward, of embedding these items once: what runs."""
        if self.spec.depth == 0:
            return super().training_flops(item_ids)
        mixing = len(item_ids) * mixing_flops(self.spec)
        return self.reader.training_flops(item_ids) + mixing

    def forward_flops(self, item_ids: Tensor) -> float:
        """FLOPs of embedding these items once, without a gradient: what runs."""
        if self.spec.depth == 0:
            return super().forward_flops(item_ids)
        mixing = len(item_ids) * mixing_flops(self.spec) * FORWARD / TRAINING
        return self.reader.forward_flops(item_ids) + mixing


def _reader(
    spec: EmbedderSpec, width: int, tokens: UsedTokens, generator: torch.Generator
) -> TransformerEmbedder:
    """A transformer embedder of the given tokens that ends with the normed mean, [n, e]."""
    rows = tokens.table.shape[0]
    reader = TransformerEmbedder(spec, width, Items(tokens.index, tokens.share), rows, generator)
    reader.table = tokens.table
    reader.register_module("out", nn.Identity())
    return reader


def _categorical_tokens(
    items: Items, columns: Columns, codebook_rows: int, width: int
) -> UsedTokens:
    """Tokens that are no number's bins, each the mean of its value's and its column's code."""
    own = columns.column_of_token >= 0
    weights = items.weights.float() * own
    if not bool((weights > 0).any(1).all()):
        item = int((~(weights > 0).any(1)).nonzero()[0])
        raise ValueError(
            f"item {item} has no token of a categorical, multi-valued or text column among its "
            f"{items.codes.shape[1]}: a tabtransformer needs one (name such a column first)"
        )
    share = weights / weights.sum(1, keepdim=True)
    used = (share > 0).any(0)
    places = torch.stack([items.codes.long(), columns.column_of_token.long().clamp(min=0)])
    pairs, index = torch.unique(places[:, :, used].flatten(1), dim=1, return_inverse=True)
    values = token_vectors(pairs[0], items, codebook_rows, width)
    of_columns = code_vectors(pairs[1], codebook_rows, width)
    table = (values + of_columns) / math.sqrt(2)
    share = share[:, used].contiguous()
    return UsedTokens(table, index.view_as(share), share)


def _projected(columns: Columns, codebook_rows: int, width: int) -> Tensor:
    """Numbers and absences [V, n] through fixed codes, with entries near N(0, 1): [V, e]."""
    vectors = code_vectors(columns.number_codes.flatten(), codebook_rows, width)
    value, absence = vectors.view(-1, 2, width).unbind(1)  # [n, e] each
    missing = columns.numbers.isnan()
    mixed = columns.numbers.nan_to_num(0.0) @ value + missing.float() @ absence
    return mixed / math.sqrt(max(1, columns.numbers.shape[1]))


def _numbers_differ(items: Items, columns: Columns) -> bool:
    """Whether items of equal tokens differ in a number (tokens were cut, or rounded)."""
    bits = [items.codes.int(), items.weights.float().view(torch.int32)]
    tokens = _row_hashes(torch.cat(bits, dim=1))
    numbers = columns.numbers.nan_to_num(torch.inf).view(torch.int32)
    both = tokens + _row_hashes(numbers)
    return bool(torch.unique(both).shape[0] > torch.unique(tokens).shape[0])


def _row_hashes(rows: Tensor) -> Tensor:
    """int32 [V, m] -> int64 [V]: sums of the entries times fixed odd numbers, modulo 2^64."""
    generator = seeded("row hashes", rows.shape[1])
    hashes = torch.zeros(rows.shape[0], dtype=torch.int64)
    for column in rows.unbind(1):
        factor = torch.randint(-(2**62), 2**62, (), generator=generator) * 2 + 1
        hashes += column.long() * factor
    return hashes
