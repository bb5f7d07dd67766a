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

    of_position: Tensor  # int64 [P], the sequence of every position
    sequence: Tensor  # int64 [S], ascending
    column: Tensor  # int64 [S], of the candidates


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
        self._pairs = self._first_pairs(positions)

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
        low, high, first, last = self._pairs[block.start // self.rows]
        if correction is None:
            correction = torch.zeros(1, dtype=self._wide, device=self._scaled.device)
        bias = correction.expand(high - low, chunk.stop - chunk.start).clone()
        sequence = self._exclusions.sequence[first:last] - low
        column = self._exclusions.column[first:last] - chunk.start
        if chunk.stop - chunk.start < self.n:
            inside = (column >= 0) & (column < chunk.stop - chunk.start)
            sequence, column = sequence[inside], column[inside]
        bias.index_put_((sequence, column), bias.new_full((), -math.inf))
        return bias.index_select(0, self._exclusions.of_position[block] - low)

    def _first_pairs(self, positions: int) -> list[tuple[int, int, int, int]]:
        """Of each block: its sequences low..high-1, and their pairs first..last-1."""
        if self._exclusions is None:
            return []
        of_blocks = torch.split(self._exclusions.of_position, self.rows)
        ends = torch.stack([torch.stack(torch.aminmax(part)) for part in of_blocks])
        ends[:, 1] += 1
        pairs = torch.searchsorted(self._exclusions.sequence, ends)
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
