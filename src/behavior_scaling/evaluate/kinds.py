"""Items that a model cannot tell apart, and the columns of scores that they share.

Choices: items of the same feature tokens are the same to a model that reads tokens alone, so one
column of scores stands for all of them and rounding cannot break their tie; a model whose
embedder says `distinguishes_items` (an id table, say) has a column for every item. Equal rows are
found by a hash that is then checked row by row, once a dataset and process.
"""

from __future__ import annotations

import weakref

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from behavior_scaling.data.store import Dataset
from behavior_scaling.model.two_part import TwoPart

HASHED = 1 << 16  # items hashed at once


class Groups:
    """Items by the column of scores that holds theirs; no array where each has its own.

    Args:
        of_item: column of every item, int64 [V], each of 0..n-1 in use; None: its own number.
        n_items: V.

    Attributes:
        count: n, the columns.
    """

    def __init__(self, of_item: Tensor | None, n_items: int):
        self.n_items = n_items
        self.count = n_items
        self._of_item = of_item
        if of_item is None:
            return
        sizes = torch.bincount(of_item)
        self.count = len(sizes)
        self._sizes = sizes
        self._order = torch.argsort(of_item, stable=True)  # items, column by column
        self._start = torch.cumsum(sizes, 0) - sizes
        # Counts are summed in this type: float32 holds every whole number up to 2^24.
        self._weights = sizes.to(torch.float32 if n_items < 1 << 24 else torch.float64)

    def to(self, device: torch.device) -> Groups:
        """The same groups with their arrays on a device."""
        of_item = self._of_item
        if of_item is None or of_item.device == device:
            return self
        return Groups(of_item.to(device), self.n_items)

    def columns(self, items: Tensor) -> Tensor:
        """Columns of some items."""
        return items if self._of_item is None else self._of_item[items]

    def sizes(self, columns: Tensor) -> Tensor:
        """How many items share each of some columns."""
        return torch.ones_like(columns) if self._of_item is None else self._sizes[columns]

    def first_items(self, begin: int, end: int, device: torch.device) -> Tensor:
        """The first item of each column of a span."""
        if self._of_item is None:
            return torch.arange(begin, end, device=device)
        return self._order[self._start[begin:end]]

    def members(self, columns: Tensor, count: int) -> Tensor:
        """The first `count` items of columns [...] -> [..., count]; V where there are fewer."""
        nth = torch.arange(count, device=columns.device).expand(*columns.shape, count)
        if self._of_item is None:
            return torch.where(nth == 0, columns[..., None], self.n_items)
        there = nth < self._sizes[columns][..., None]
        places = self._start[columns][..., None] + nth
        return torch.where(there, self._order[places.clamp(max=self.n_items - 1)], self.n_items)

    def leading(self, taken: Tensor) -> Tensor:
        """Which items are among the first `taken` [n] of their column: bool [V]."""
        if self._of_item is None:
            return taken > 0
        columns = self._of_item[self._order]
        nth = torch.arange(self.n_items, device=taken.device) - self._start[columns]
        found = torch.empty(self.n_items, dtype=torch.bool, device=taken.device)
        found[self._order] = nth < taken[columns]
        return found

    def total(self, values: Tensor, begin: int) -> Tensor:
        """Sum over items of what stands for them in columns `begin` on: [P, w] -> [P]."""
        if self._of_item is None:
            return values.sum(1)
        weights = self._weights[begin : begin + values.shape[1]]
        return values.to(weights.dtype).mv(weights)


class Kinds(Groups):
    """Items by what a model can tell apart.

    Args:
        dataset: its feature tokens.
        distinct: every item is a kind of its own, whatever its tokens.

    Attributes:
        first: an item of every kind, ascending; None where each item is a kind.
    """

    def __init__(self, dataset: Dataset, distinct: bool = False):
        self.first: Tensor | None = None
        kind = None
        if not distinct:
            first, kind = _equal_rows(dataset)
            if len(first) < dataset.n_items:
                self.first = torch.from_numpy(first)
        super().__init__(None if self.first is None else torch.from_numpy(kind), dataset.n_items)


_known: dict[tuple[int, bool], Kinds] = {}  # by the dataset's id, as long as it lives


def kinds_of(dataset: Dataset, model: TwoPart) -> Kinds:
    """The kinds of a dataset's items to a model, made once a dataset and process."""
    embedder = getattr(model, "embedder", None)
    key = (id(dataset), bool(getattr(embedder, "distinguishes_items", False)))
    if key not in _known:
        _known[key] = Kinds(dataset, key[1])
        weakref.finalize(dataset, _known.pop, key, None)
    return _known[key]


def _equal_rows(dataset: Dataset) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First item of each distinct row of tokens, ascending, and the number of each item's row."""
    codes, weights = dataset.codes, dataset.weights
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 1 << 64, codes.shape[1] * 2, dtype=np.uint64) | np.uint64(1)
    keys = np.empty(len(codes), dtype=np.uint64)
    spans = [slice(at, at + HASHED) for at in range(0, len(codes), HASHED)]
    for span in spans:
        keys[span] = (_tokens(codes[span], weights[span]).astype(np.uint64) * factors).sum(1)
    _, first, row = np.unique(keys, return_index=True, return_inverse=True)
    for span in spans:
        twin = first[row[span]]
        same = (codes[span] == codes[twin]) & (weights[span] == weights[twin])
        if not same.all():  # two rows of one hash: compare whole rows instead
            _, first, row = np.unique(
                _tokens(codes, weights), axis=0, return_index=True, return_inverse=True
            )
            break
    order = np.argsort(first)
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return first[order], number[row.reshape(-1)]


def _tokens(
    codes: npt.NDArray[np.int32], weights: npt.NDArray[np.float32]
) -> npt.NDArray[np.uint32]:
    """Codes and the bits of weights side by side [n, 2T]."""
    return np.concatenate([codes.view(np.uint32), weights.view(np.uint32)], axis=1)
