"""What the contextualizer sees of an event besides its item: time gap, calendar, quantity, ...

Choices: every level of every feature is a fixed vector, the weighted sum of its codes in the
codebook that items use too; the vectors of an event's levels are added up and go through one
trained matrix, so features cost their width, however many there are and however many levels they
have. This is input only: a candidate has no time gap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from behavior_scaling.data.event_columns import EventColumns
from behavior_scaling.model.codebook import code_vectors
from behavior_scaling.model.layers import Matrix
from behavior_scaling.records.spec import ContextualizerSpec


@dataclass(frozen=True)
class EventTables:
    """Codes of S levels, the features' tables one below the other."""

    codes: Tensor  # int [S, 2]
    weights: Tensor  # float [S, 2], padding 0

    @classmethod
    def of(cls, columns: EventColumns) -> EventTables:
        """Tensors of what a data set holds."""
        return cls(torch.tensor(columns.codes), torch.tensor(columns.weights))


class EventInput(nn.Module):
    """Rows of the tables [B, L, F'] -> what they add to the items' vectors [B, L, d].

    The sum of an event's levels has unit RMS on average, and the matrix begins as the one that
    gives item vectors does.

    Raises:
        ValueError: no tables, no width, codes outside the codebook, or a level without a code.
    """

    def __init__(
        self,
        spec: ContextualizerSpec,
        tables: EventTables | None,
        codebook_rows: int,
        generator: torch.Generator,
    ):
        super().__init__()
        if tables is None:
            raise ValueError(
                f"contextualizer: it sees {', '.join(spec.event_features)}, but was given no "
                f"levels of event features"
            )
        if spec.event_width < 1:
            raise ValueError("contextualizer: event features need an event_width of 1 at least")
        self.features = len(spec.event_features)
        self.table: Tensor  # [S, event_width]
        table = level_vectors(tables, codebook_rows, spec.event_width) / math.sqrt(self.features)
        self.register_buffer("table", table, persistent=False)
        gain = min(1.0, math.sqrt(spec.event_width / spec.width))
        self.matrix = Matrix(spec.event_width, spec.width, generator, gain)

    def forward(self, rows: Tensor) -> Tensor:
        """Int64 [B, L, F'] -> [B, L, d]."""
        summed = functional.embedding_bag(rows.reshape(-1, self.features), self.table, mode="sum")
        added: Tensor = self.matrix(summed)
        return added.view(*rows.shape[:2], -1)


def level_vectors(tables: EventTables, codebook_rows: int, width: int) -> Tensor:
    """Weighted sums of the levels' codes, entries N(0, 1) over codebooks: float32 [S, width].

    Raises:
        ValueError: codes outside the codebook, or a level without a code.
    """
    codes, weights = tables.codes, tables.weights.float()
    size = weights.square().sum(1, keepdim=True).sqrt()
    if ((codes < 0) | (codes >= codebook_rows)).any() or not (size > 0).all():
        raise ValueError(
            f"event levels: a level has no code, or one outside 0..{codebook_rows - 1}"
        )
    distinct, index = torch.unique(codes, return_inverse=True)
    vectors = code_vectors(distinct, codebook_rows, width)[index]  # [S, 2, width]
    summed: Tensor = (vectors * weights[:, :, None]).sum(1) / size
    return summed
