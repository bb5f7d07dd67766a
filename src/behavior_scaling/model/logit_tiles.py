"""Scores of positions against candidates, a tile at a time.

Choices: the whole [P, n] matrix of scores is never held; a tile is a block of positions by a
chunk of candidates, small enough to stay in cache. Where every candidate fits beside enough
positions there is one chunk and positions alone are cut. What a position may not score enters a
tile as minus infinity, written for the tile's own sequences only, so that no mask of sequences x
candidates is held either. Scores are in units of log 2, since torch's exp2 takes a third of the
time of exp on a CPU. Products are written with the narrow dimension first, which small widths
need to be fast; under autocast they run in its type, everything else in float32 (float64 stays).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

TILE_BYTES = {"cpu": 1 << 20, "cuda": 1 << 28}  # of one tile's float32 scores
FEWEST_ROWS = 128  # of a tile: with fewer, products wait for memory, so candidates are cut too
LOG2_E = 1 / math.log(2)


@dataclass(frozen=True)
class Exclusions:
    """Pairs of a sequence and a candidate that its positions may not score."""

    of_position: Tensor  # int64 [P], the sequence of every position, in 0..count-1
    sequence: Tensor  # int64 [S], in 0..count-1
    column: Tensor  # int64 [S], of the candidates; n stands for none of them
    count: int

    def within(self, n: int) -> Exclusions:
        """The pairs that name one of n candidates, by ascending sequence."""
        inside = self.column < n
        sequence, order = torch.sort(self.sequence[inside], stable=True)
        return Exclusions(self.of_position, sequence, self.column[inside][order], self.count)


@dataclass(frozen=True)
class Chunk:
    """Candidates start..stop-1, their vectors in the type of products."""

    start: int
    stop: int
    narrow: Tensor  # [d, stop - start]


class Tiles:
    """The scores of P positions against n candidates, by tile.

    Args:
        queries: [P, d], scaled so that a score is a plain dot product.
        candidates: [n, d], or a table [V, d] with `rows`.
        rows: int64 [n], the candidates' rows of the table, gathered chunk by chunk; or None.
        correction: float [n] added to a candidate's scores in nats, or None.
        exclusions: pairs left out, or None.
        kind: type that products run in.
    """

    def __init__(
        self,
        queries: Tensor,
        candidates: Tensor,
        rows: Tensor | None,
        correction: Tensor | None,
        exclusions: Exclusions | None,
        kind: torch.dtype,
    ):
        self.kind = kind
        self._scaled = (queries * LOG2_E).to(kind)
        self._candidates = candidates
        self._rows = rows
        self._correction = None if correction is None else correction.to(self._wide) * LOG2_E
        self._exclusions = exclusions
        self.n = (candidates if rows is None else rows).shape[0]
        positions = queries.shape[0]
        self.rows, self.columns = tile_shape(positions, self.n, queries.device.type)
        self._whole = positions <= self.rows and self.n <= self.columns
        self._pairs: list[tuple[int, int, int, int]] = []
        if exclusions is not None and not self._whole:
            self._exclusions = exclusions.within(self.n)
            self._pairs = self._pairs_of_blocks(self._exclusions)

    def chunks(self) -> Iterator[Chunk]:
        """The candidates, cut where a tile asks for it."""
        for start in range(0, self.n, self.columns):
            part = slice(start, min(start + self.columns, self.n))
            if self._rows is None:
                vectors = self._candidates[part]
            else:
                vectors = self._candidates.index_select(0, self._rows[part])
            yield Chunk(part.start, part.stop, vectors.to(self.kind).t())

    def blocks(self) -> Iterator[slice]:
        """The positions, cut."""
        for start in range(0, self._scaled.shape[0], self.rows):
            yield slice(start, start + self.rows)

    def scores(self, block: slice, chunk: Chunk) -> Tensor:
        """Scores of a tile in units of log 2, freshly made [rows, columns]."""
        query = self._scaled[block]
        start = self._start(block, chunk)
        if start is None:
            return (query @ chunk.narrow).to(self._wide)
        if self.kind == self._wide:
            return torch.addmm(start, query, chunk.narrow)
        return (query @ chunk.narrow).to(self._wide).add_(start)

    @property
    def _wide(self) -> torch.dtype:
        return torch.float64 if self.kind == torch.float64 else torch.float32

    def _start(self, block: slice, chunk: Chunk) -> Tensor | None:
        """What is added to a tile's products: [columns], [rows, columns] or None."""
        correction = self._correction
        if correction is not None:
            correction = correction[chunk.start : chunk.stop]
        if self._exclusions is None:
            return correction
        if self._whole:
            return self._whole_start(correction, self._exclusions)
        low, high, first, last = self._pairs[block.start // self.rows]
        if correction is None:
            correction = torch.zeros(1, dtype=self._wide, device=self._scaled.device)
        bias = correction.expand(high - low, chunk.stop - chunk.start).clone()
        sequence = self._exclusions.sequence[first:last] - low
        column = self._exclusions.column[first:last] - chunk.start
        if chunk.stop - chunk.start < self.n:
            inside = (column >= 0) & (column < chunk.stop - chunk.start)
            sequence, column = sequence[inside], column[inside]
        bias[sequence, column] = -math.inf
        return bias.index_select(0, self._exclusions.of_position[block] - low)

    def _whole_start(self, correction: Tensor | None, exclusions: Exclusions) -> Tensor:
        """What is added to the one tile that holds everything [P, n]."""
        shape = exclusions.count, self.n + 1
        bias = torch.zeros(shape, dtype=self._wide, device=self._scaled.device)
        if correction is not None:
            bias[:, : self.n] = correction
        # Column n takes the items that are no candidates, and is cut off.
        bias[exclusions.sequence, exclusions.column] = -math.inf
        return bias[:, : self.n].index_select(0, exclusions.of_position)

    def _pairs_of_blocks(self, exclusions: Exclusions) -> list[tuple[int, int, int, int]]:
        """Of each block: its sequences low..high-1, and their pairs first..last-1."""
        of_blocks = torch.split(exclusions.of_position, self.rows)
        ends = torch.stack([torch.stack(torch.aminmax(part)) for part in of_blocks])
        ends[:, 1] += 1
        pairs = torch.searchsorted(exclusions.sequence, ends)
        found = torch.cat([ends, pairs], dim=1).tolist()
        return [(low, high, first, last) for low, high, first, last in found]


def tile_shape(positions: int, n: int, device: str) -> tuple[int, int]:
    """Positions and candidates of a tile: all candidates where enough positions fit beside."""
    cells, n = TILE_BYTES.get(device, TILE_BYTES["cpu"]) // 4, max(1, n)
    fewest = min(positions, FEWEST_ROWS)
    if n * fewest <= cells:
        return max(1, min(positions, cells // n)), n
    rows = min(positions, 2 * FEWEST_ROWS)
    return rows, max(1, cells // rows)
