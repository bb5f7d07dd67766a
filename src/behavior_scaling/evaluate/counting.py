"""Readers that count: who scores higher or the same, and the log-probability of a target.

Choices: counting, never sorting; comparisons are written as 0 and 1 in float32, whose sums are
exact and, on a CPU, cheaper than those of booleans; the partition is summed as powers of two,
relative to the row's largest score, in float64 over blocks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from behavior_scaling.evaluate.kinds import Groups
from behavior_scaling.evaluate.scoring import Scratch, pieces

LOG2_E = float(torch.tensor(math.log2(math.e), dtype=torch.float32))


class Partition:
    """Log sum exp over the catalogue of `count` = P rows of scores."""

    def __init__(self, count: int, groups: Groups, scratch: Scratch, device: torch.device):
        self._groups = groups
        self._scratch = scratch
        self._largest = torch.full((count,), -torch.inf, device=device)
        self._sum = torch.zeros(count, dtype=torch.float64, device=device)

    def first(self, scores: Tensor, begin: int) -> None:
        """The largest score of each row."""
        self._largest = torch.maximum(self._largest, scores.amax(1))

    def second(self, scores: Tensor, begin: int) -> None:
        """2^(score - largest), scores in units of log 2."""
        shift = self._shift()[:, None]
        for part, at in pieces(scores):
            powers = self._scratch("found", *part.shape)
            torch.add(shift, part, alpha=LOG2_E, out=powers).exp2_()
            self._sum += self._groups.total(powers, begin + at)

    def value(self) -> Tensor:
        """Float64 [P], nats; not finite where a score is NaN or infinite upward."""
        return self._sum.log() - self._shift().double() / LOG2_E

    def _shift(self) -> Tensor:
        return self._largest * -LOG2_E  # rounded, and taken back as it was rounded


class Own:
    """The scores of n (row, item) pairs.

    Args:
        groups: the columns of the scores.
        rows: of the scores, int64 [n].
        items: int64 [n].
    """

    def __init__(self, groups: Groups, rows: Tensor, items: Tensor):
        self.rows = rows
        self.value = torch.full(rows.shape, torch.nan, device=rows.device)  # [n]
        self._columns = groups.columns(items)
        self._count = groups.count

    def first(self, scores: Tensor, begin: int) -> None:
        """Take the scores of the pairs whose column is here."""
        width = scores.shape[1]
        if width == self._count:
            self.value = scores[self.rows, self._columns]
            return
        column = self._columns - begin
        inside = ((column >= 0) & (column < width)).nonzero()[:, 0]
        self.value[inside] = scores[self.rows[inside], column[inside]]

    def second(self, scores: Tensor, begin: int) -> None:
        """Nothing: they are known."""


class Counts:
    """How many items score above each pair's own, and how many others the same.

    Args:
        own: the pairs; the first P of them are one for each row of scores, in order.
        groups: the columns of the scores.
        scratch: for comparisons.
    """

    def __init__(self, own: Own, groups: Groups, scratch: Scratch):
        self._own = own
        self._groups = groups
        self._scratch = scratch
        count = own.rows.shape
        self._above = torch.zeros(count, dtype=torch.int64, device=own.rows.device)
        self._from = torch.zeros_like(self._above)  # at or above

    def first(self, scores: Tensor, begin: int) -> None:
        """Nothing: the own scores are not known yet."""

    def second(self, scores: Tensor, begin: int) -> None:
        """Compare this block."""
        size = len(scores)
        self._compare(scores, slice(0, size), begin)
        for at in range(size, len(self._own.rows), size):
            pairs = slice(at, at + size)
            rows = self._own.rows[pairs]
            some = self._scratch("pairs", len(rows), scores.shape[1])
            torch.index_select(scores, 0, rows, out=some)
            self._compare(some, pairs, begin)

    def _compare(self, scores: Tensor, pairs: slice, begin: int) -> None:
        own = self._own.value[pairs, None]
        for part, at in pieces(scores):
            found = self._scratch("found", *part.shape)
            above = self._groups.total(torch.gt(part, own, out=found), begin + at)
            self._above[pairs] += above.long()
            self._from[pairs] += self._groups.total(
                torch.ge(part, own, out=found), begin + at
            ).long()

    def higher(self) -> Tensor:
        """Int32 [n]."""
        return self._above.int()

    def equal(self) -> Tensor:
        """Int32 [n], the pair's own item left out.

        Raises:
            ArithmeticError: an own score was not found again when the scores were compared.
        """
        equal = self._from - self._above - 1
        if bool((equal < 0).any()):
            raise ArithmeticError(
                "a target's score was not the same when its block was computed again: "
                "this device's matrix product does not repeat itself"
            )
        return equal.int()
