"""The lists of recommended items, and how much of the catalogue they cover.

Choices: the best k + 1 columns of every row are merged block by block; within a block they are
sought among the groups of columns that have the largest maxima. Ties go by catalogue order: where
the list's last score is shared by more than the list has room for, the second reading looks for
the first items that have it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from behavior_scaling.evaluate.kinds import Groups


class Coverage:
    """Items that are in the lists of rows seen so far.

    Args:
        groups: the columns of the scores.
        length: k, items of a list.
    """

    def __init__(self, groups: Groups, length: int, device: torch.device):
        self.groups = groups
        self.length = min(length, groups.n_items)
        self.taken = torch.zeros(groups.count, dtype=torch.int16, device=device)
        self.tied = torch.zeros(groups.n_items + 1, dtype=torch.bool, device=device)

    def add(self, columns: Tensor, count: Tensor) -> None:
        """Enter the first `count` items of some columns, both int64 [m, j]."""
        self.taken.scatter_reduce_(0, columns.flatten(), count.flatten().short(), "amax")

    def share(self) -> float:
        """Distinct items of the lists over V."""
        items = self.groups.leading(self.taken) | self.tied[:-1]
        return int(items.sum()) / self.groups.n_items


class Lists:
    """A reader that adds the lists of some rows to a coverage.

    Args:
        coverage: what is added to.
        rows: of the scores, int64 [m], at least one.
    """

    def __init__(self, coverage: Coverage, rows: Tensor):
        self._coverage = coverage
        self._rows = rows
        device = rows.device
        self._values = torch.empty(len(rows), 0, device=device)  # [m, <= k + 1], falling
        self._columns = torch.empty(len(rows), 0, dtype=torch.int64, device=device)
        # Rows [u] whose last score is shared too widely: the score, the room for those that
        # have it [u, 1], and the first items that do, ascending [u, k].
        self._open = self._room = self._found = torch.empty(0, dtype=torch.int64, device=device)
        self._bound = torch.empty(0, device=device)

    def first(self, scores: Tensor, begin: int) -> None:
        """Merge the best of this block."""
        listed = scores if len(self._rows) == len(scores) else scores.index_select(0, self._rows)
        best = self._coverage.length + 1
        if self._values.shape[1] < best:
            self._merge(slice(None), listed, begin)
        else:
            better = (listed.amax(1) > self._values[:, -1]).nonzero()[:, 0]
            if len(better):
                self._merge(better, listed[better], begin)
        if begin + scores.shape[1] == self._coverage.groups.count:
            self._settle()

    def second(self, scores: Tensor, begin: int) -> None:
        """Look for the first items among the tied, in rows that need it."""
        if len(self._open) == 0:
            return
        groups, k = self._coverage.groups, self._coverage.length
        end = begin + scores.shape[1]
        first = groups.first_items(begin, end, scores.device)
        tied = scores[self._rows[self._open]] == self._bound  # [u, w]
        keys = torch.where(tied, first, groups.n_items)
        items, place = keys.topk(min(k, end - begin), largest=False)
        # The first k items of the block's first k tied columns hold its first k tied items.
        members = groups.members(place + begin, k)
        members = torch.where(items[..., None] < groups.n_items, members, groups.n_items)
        merged = torch.cat([self._found, members.flatten(1)], 1)
        self._found = merged.topk(k, largest=False).values
        if end == groups.count:
            wanted = torch.arange(k, device=scores.device) < self._room
            self._coverage.tied[torch.where(wanted, self._found, groups.n_items)] = True

    def _merge(self, rows: slice | Tensor, scores: Tensor, begin: int) -> None:
        """Take the best of some lists' scores in this block."""
        best = self._coverage.length + 1
        values, columns = block_top(scores, best)
        columns += begin
        if begin:
            values = torch.cat([self._values[rows], values], 1)
            columns = torch.cat([self._columns[rows], columns], 1)
            values, place = values.topk(min(best, values.shape[1]), 1)
            columns = columns.gather(1, place)
        if isinstance(rows, slice):
            self._values, self._columns = values, columns
        else:
            self._values[rows], self._columns[rows] = values, columns

    def _settle(self) -> None:
        """Enter what is certain; keep the rows whose ties are open."""
        values, columns = self._values, self._columns
        groups, k = self._coverage.groups, self._coverage.length
        sizes = groups.sizes(columns)
        take = torch.minimum((k - (sizes.cumsum(1) - sizes)).clamp_(min=0), sizes)
        if bool((values[:, 1:] < values[:, :-1]).all()):
            self._coverage.add(columns, take)
            return
        last = (take > 0).sum(1, keepdim=True) - 1
        bound = values.gather(1, last)
        sharing = values == bound
        above = values > bound
        room = k - (sizes * above).sum(1, keepdim=True)
        # All that share the score fit, or one column has it and gives its first items.
        certain = ((sizes * sharing).sum(1, keepdim=True) <= room) | (
            sharing.sum(1, keepdim=True) == 1
        )
        sure = torch.where(certain | above, take, 0)
        self._coverage.add(columns, sure)
        self._open = (~certain[:, 0]).nonzero()[:, 0]
        self._bound, self._room = bound[self._open], room[self._open]
        self._found = torch.full(
            (len(self._open), k), groups.n_items, dtype=torch.int64, device=values.device
        )


def block_top(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest values of every row and their columns, as topk: [P, w] -> two [P, <= k]."""
    rows, width = scores.shape
    size = math.isqrt(width // k)  # columns of a group: then maxima and candidates balance
    count = width // max(size, 1)
    if size < 2 or count <= k:
        best = scores.topk(min(k, width), 1)
        return best.values, best.indices
    # Column j is in group j % count: maxima run over whole stretches of memory.
    grouped = scores[:, : size * count].view(rows, size, count)
    leaders = grouped.amax(1).topk(k, 1, sorted=False).indices  # [P, k]
    steps = torch.arange(size, device=scores.device) * count
    rest = torch.arange(size * count, width, device=scores.device).expand(rows, -1)
    columns = torch.cat([(leaders[:, None, :] + steps[:, None]).flatten(1), rest], 1)
    best = scores.gather(1, columns).topk(k, 1)
    return best.values, columns.gather(1, best.indices)
