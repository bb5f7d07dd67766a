"""What every item embedder shares: its interface, and the fixed inputs it reads.

Choices: an embedder maps item ids to vectors and holds what it needs of the catalogue; what is
made from the data (codes, means, numbers) is neither trained nor saved; its `state_dict` holds
trained parameters only. A weight is a multiplicity: a token of weight 2 is the token twice and
weight 0 is padding. Columns of codes that no item uses are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from behavior_scaling.data.item_vectors import ItemVectors
from behavior_scaling.model.codebook import code_vectors, projected_vectors
from behavior_scaling.model.fused import rms_norm
from behavior_scaling.model.layers import Matrix
from behavior_scaling.records.spec import EmbedderSpec
from behavior_scaling.sizes.flops import flops_cache, item_flops

if TYPE_CHECKING:
    from behavior_scaling.data.item_columns import ItemColumns

ITEM_BLOCK = 8192  # items whose mean code is computed at once


@dataclass(frozen=True)
class Columns:
    """Where tokens come from, and the items' numbers (data/item_columns.py)."""

    column_of_token: Tensor  # int32 [V, T] code of its column; -1: padding, or a number's bin
    numbers: Tensor  # float32 [V, n] standardised; NaN where missing
    number_codes: Tensor  # int32 [n, 2] codes of a numeric column's value and of its absence

    @classmethod
    def of(cls, columns: ItemColumns) -> Columns:
        """Copies of what a data set holds."""
        return cls(
            **{field.name: torch.tensor(getattr(columns, field.name)) for field in fields(cls)}
        )


@dataclass(frozen=True)
class Items:
    """The catalogue's fixed inputs: V items of T weighted codes.

    Codes below the codebook's rows are hashed tokens; rows + k V + i is the vector of item i in
    the k-th column of vectors.
    """

    codes: Tensor  # int [V, T]; padding is any code of weight 0
    weights: Tensor  # float [V, T], multiplicities, at least one positive an item
    columns: Columns | None = None  # where the data were prepared with them and the kind asks
    vectors: tuple[ItemVectors, ...] = ()  # precomputed, of all V items


class ItemEmbedder(nn.Module):
    """Item ids int64 [n] -> vectors [n, d].

    Attributes:
        spec: kind, width e and depth.
        width: d, of the item vectors.
        tokens: T in executed FLOPs: token columns that the embedder runs on.
        distinguishes_items: False where items of equal features get equal vectors, which the
            evaluation relies on; True for a table, and for a user's class unless it says
            otherwise.
    """

    distinguishes_items = False

    def __init__(self, spec: EmbedderSpec, width: int, tokens: int):
        super().__init__()
        self.spec = spec
        self.width = width
        self.tokens = tokens

    def training_flops(self, item_ids: Tensor) -> float:
        """FLOPs, forward and backward, of embedding these items once: what runs."""
        return len(item_ids) * item_flops(self.spec, self.width, self.tokens)

    def forward_flops(self, item_ids: Tensor) -> float:
        """FLOPs of embedding these items once, without a gradient: what runs."""
        return flops_cache(self.spec, self.width, self.tokens, len(item_ids))

    def fixed(self, name: str, value: Tensor) -> None:
        """Hold a tensor that is made from the data: neither trained nor saved."""
        self.register_buffer(name, value, persistent=False)


@dataclass(frozen=True)
class UsedTokens:
    """Tokens without the columns that no item uses, their codes looked up once."""

    table: Tensor  # float [U, e], vectors of the codes in use
    index: Tensor  # int64 [V, T], rows of `table`
    share: Tensor  # float [V, T], weights over their sum
    columns: Columns | None = None  # of the same tokens


def used_tokens(items: Items, codebook_rows: int, width: int) -> UsedTokens:
    """Look up the codes of checked items at width e."""
    weights = items.weights.float()
    share = weights / weights.sum(1, keepdim=True)
    used = (share > 0).any(0)
    distinct, index = torch.unique(items.codes[:, used], return_inverse=True)
    table = token_vectors(distinct, items, codebook_rows, width)
    columns = items.columns
    if columns is not None:
        columns = replace(columns, column_of_token=columns.column_of_token[:, used])
    return UsedTokens(table, index, share[:, used].contiguous(), columns)


def token_vectors(codes: Tensor, items: Items, codebook_rows: int, width: int) -> Tensor:
    """Vectors of checked items' codes, int [n], at width e: float32 [n, e]."""
    hashed = codes < codebook_rows
    table = torch.empty(len(codes), width)
    table[hashed] = code_vectors(codes[hashed], codebook_rows, width)
    above = codes.long() - codebook_rows
    for number, vectors in enumerate(items.vectors):
        mine = ~hashed & (above // len(items.codes) == number)
        table[mine] = projected_vectors(vectors, above[mine] % len(items.codes), width)
    return table


def mean_codes(tokens: UsedTokens) -> Tensor:
    """Weighted mean of every item's codes at unit RMS, [V, e]."""
    blocks = [
        (tokens.table[index] * share[:, :, None]).sum(1)
        for index, share in zip(
            torch.split(tokens.index, ITEM_BLOCK),
            torch.split(tokens.share, ITEM_BLOCK),
            strict=True,
        )
    ]
    return rms_norm(torch.cat(blocks))


def out_matrix(spec: EmbedderSpec, width: int, generator: torch.Generator) -> Matrix:
    """The last matrix, e x d; keeps scores near N(0, 1) at the start where rank e < d."""
    return Matrix(spec.width, width, generator, min(1.0, (spec.width / width) ** 0.5))


def check_items(items: Items, codebook_rows: int) -> None:
    """Refuse feature tokens that cannot be embedded.

    Raises:
        ValueError: see TwoPart; the message names the first offending item.
    """
    codes, weights = items.codes, items.weights
    if codes.ndim != 2 or codes.shape != weights.shape or 0 in codes.shape:
        raise ValueError(
            f"codes {tuple(codes.shape)} and weights {tuple(weights.shape)} must both be [V, T]"
        )
    for vectors in items.vectors:
        if vectors.array.ndim != 2 or len(vectors.array) != len(codes):
            raise ValueError(
                f"vectors {vectors.name!r} {vectors.array.shape} must be [V, dim] of "
                f"{len(codes)} items"
            )
    limit = codebook_rows + len(items.vectors) * len(codes)
    bad = {
        f"a code outside 0..{limit - 1}": ((codes < 0) | (codes >= limit)).any(1),
        "a weight that is negative or not finite": (~(weights >= 0) | weights.isinf()).any(1),
        "no token of positive weight": ~(weights > 0).any(1),
    }
    for what, rows in bad.items():
        if rows.any():
            raise ValueError(f"item {int(rows.nonzero()[0])} has {what}")
