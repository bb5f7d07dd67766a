"""Scores of states against the catalogue, a block at a time.

Choices: a catalogue of up to WIDEST columns is scored whole, a block of states at a time, and each
block is read twice; a larger one is scored in blocks of columns too, and every block is computed
twice, of the same shape from the same memory: first for what must be known before counting (the
targets' own scores, the largest score, the best k), then for the counts. So no matrix of scores is
held, and a target is compared with the very number that it has in its block: equal means equal.
A matrix product may round the same sum differently at its ragged ends and where it has a row or
two; so columns come in multiples of COLUMNS, the last block overlaps the one before, and short
blocks of states are padded: then equal vectors have equal scores wherever they stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from behavior_scaling.data.windows import EvalBatch
from behavior_scaling.evaluate.kinds import Groups, Kinds
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.two_part import TwoPart

BLOCK = {"cpu": 1 << 19, "cuda": 1 << 25}  # scores held at once: in a cache, or a fill of kernels
FEWEST_ROWS = 64  # but not fewer rows than this, or reading the catalogue would dominate
WIDEST = 1 << 16  # columns up to which scores are computed once
WIDTH = 1 << 11  # columns of a block of a larger catalogue
COLUMNS = 16  # columns of a product are a multiple of this
ROWS = 8  # and its rows are not fewer than this


class Reader(Protocol):
    """What reads the scores of some states, one block [P, w] of columns after the other, twice."""

    def first(self, scores: Tensor, begin: int) -> None:
        """Read the columns from `begin` on, for what the second reading needs."""

    def second(self, scores: Tensor, begin: int) -> None:
        """Read the same columns again; all of them have been read once."""


class Scratch:
    """Float32 buffers by name, made once and used for every block."""

    def __init__(self, device: torch.device):
        self._device = device
        self._buffers: dict[str, Tensor] = {}

    def __call__(self, name: str, rows: int, columns: int) -> Tensor:
        """An uninitialised [rows, columns]; what it held under this name is gone."""
        held = self._buffers.get(name)
        if held is None or len(held) < rows * columns:
            held = torch.empty(rows * columns, device=self._device)
            self._buffers[name] = held
        return held[: rows * columns].view(rows, columns)


def _block(device: torch.device) -> int:
    return BLOCK.get(device.type, BLOCK["cpu"])


def pieces(scores: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Columns of a wide block a few at a time, and their first: what is read again is in cache."""
    width = max(COLUMNS, _block(scores.device) // max(1, len(scores)))
    for at in range(0, scores.shape[1], width):
        yield scores[:, at : at + width], at


class Catalogue:
    """Item vectors, one column of scores for each kind.

    Args:
        kinds: of the items.
        vectors: of all items, float32 [V, d]; they are not copied where V exceeds WIDEST.
    """

    def __init__(self, kinds: Kinds, vectors: Tensor):
        device = vectors.device
        self.vectors = vectors
        self.scratch = Scratch(device)
        self.kinds: Groups = kinds.to(device)
        self._first = None if kinds.first is None else kinds.first.to(device)
        self._whole: Tensor | None = None  # [d, n], n rounded up to COLUMNS
        self._width = min(WIDTH, kinds.count)
        if kinds.count <= WIDEST:
            self._width = kinds.count
            columns = self._columns(0, kinds.count)
            self._whole = functional.pad(columns, (0, -kinds.count % COLUMNS)).contiguous()

    @property
    def products(self) -> int:
        """Dot products that a state costs, with columns of padding and those read twice."""
        if self._whole is not None:
            return self._whole.shape[1]
        return 2 * self._width * -(-self.kinds.count // self._width)

    def rows(self) -> int:
        """States of a block."""
        return max(FEWEST_ROWS, _block(self.vectors.device) // self._width)

    def read(self, states: Sequence[Tensor], readers: Sequence[Sequence[Reader]]) -> None:
        """Show the scores of blocks of scaled states, each [P, d], to each block's readers."""
        if self._whole is not None:
            for some, theirs in zip(states, readers, strict=True):
                scores = self._scores(some, self._whole)[:, : self._width]
                for reader in theirs:
                    reader.first(scores, 0)
                for reader in theirs:
                    reader.second(scores, 0)
            return
        count, width = self.kinds.count, self._width
        for again in (False, True):
            for begin in range(0, count, width):
                start = min(begin, count - width)
                columns = self._columns(start, start + width)
                for some, theirs in zip(states, readers, strict=True):
                    scores = self._scores(some, columns)[:, begin - start :]
                    for reader in theirs:
                        (reader.second if again else reader.first)(scores, begin)

    def _scores(self, states: Tensor, columns: Tensor) -> Tensor:
        count = len(states)
        if count < ROWS:
            states = functional.pad(states, (0, 0, 0, ROWS - count))
        out = self.scratch("scores", len(states), columns.shape[1])
        return torch.mm(states, columns, out=out)[:count]

    def _columns(self, begin: int, end: int) -> Tensor:
        """Vectors of some columns [d, end - begin]."""
        if self._first is None:
            return self.vectors[begin:end].T
        return self.vectors[self._first[begin:end]].T


class Restored:
    """Shows restored scores to a reader: raw ones plus a term of the item.

    Items of one kind may differ in that term, so the columns are finer than the catalogue's.

    Args:
        catalogue: gives the raw scores.
        bias: what is added to every item's score, float32 [V].
    """

    def __init__(self, catalogue: Catalogue, bias: Tensor):
        kinds = catalogue.kinds
        self._scratch = catalogue.scratch
        self.groups = kinds
        self._bias = bias
        self._kind: Tensor | None = None  # [n] of every column, ascending
        if kinds.count == kinds.n_items:
            return
        values, value = torch.unique(bias, return_inverse=True)
        of_item = kinds.columns(torch.arange(kinds.n_items, device=bias.device))
        pairs, column = torch.unique(of_item * len(values) + value, return_inverse=True)
        self.groups = Groups(column, kinds.n_items)
        self._kind = pairs // len(values)
        self._bias = values[pairs % len(values)]

    def parts(self, raw: Tensor, begin: int) -> Iterator[tuple[Tensor, int]]:
        """Raw scores [P, w] of kinds from `begin` on -> restored ones and their first column."""
        rows, width = raw.shape
        if self._kind is None:
            out = self._scratch("restored", rows, width)
            yield torch.add(raw, self._bias[begin : begin + width], out=out), begin
            return
        kinds = torch.tensor([begin, begin + width], device=raw.device)
        start, stop = torch.searchsorted(self._kind, kinds).tolist()
        for at in range(start, stop, max(width, WIDTH)):
            span = slice(at, min(at + max(width, WIDTH), stop))
            out = self._scratch("restored", rows, span.stop - at)
            torch.index_select(raw, 1, self._kind[span] - begin, out=out)
            yield out.add_(self._bias[span]), at


def restored_of(objective: Objective, catalogue: Catalogue) -> Restored | None:
    """How an objective's restored scores come from raw ones; None where they are the same."""
    nothing = torch.zeros(objective.n_items, device=catalogue.vectors.device)
    bias = objective.restored(nothing)
    return None if bias is nothing else Restored(catalogue, bias)


class Restoring:
    """A reader of raw scores that hands restored ones to other readers."""

    def __init__(self, restored: Restored, readers: Sequence[Reader]):
        self._restored = restored
        self._readers = readers

    def first(self, scores: Tensor, begin: int) -> None:
        """See Reader."""
        for part, at in self._restored.parts(scores, begin):
            for reader in self._readers:
                reader.first(part, at)

    def second(self, scores: Tensor, begin: int) -> None:
        """See Reader."""
        for part, at in self._restored.parts(scores, begin):
            for reader in self._readers:
                reader.second(part, at)


def scored_states(model: TwoPart, catalogue: Catalogue, batch: EvalBatch) -> Tensor:
    """States of a batch's P scored positions, scaled so that a dot product is a score [P, d]."""
    device = catalogue.vectors.device
    inputs = torch.from_numpy(batch.inputs).to(device)
    document = torch.from_numpy(batch.document).to(device)
    valid = torch.from_numpy(batch.valid).to(device)
    events = None if batch.events is None else torch.from_numpy(batch.events).to(device)
    states = model.states(catalogue.vectors[inputs], document, events)[valid]
    return states * model.scale()
