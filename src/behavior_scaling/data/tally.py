"""How whole numbers from 0 up are distributed, counted in one pass and in little memory.

Choices: values below 512 have a bucket each, and every power of two above is cut into 256 equal
buckets, as in an HDR histogram: any number of values fits into 15,000 counts, and a quantile
above 512 is its bucket's lower end, too low by less than 0.4%. Quantiles are values that occur
(the inverse of the empirical distribution), so that small data can be counted by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_PARTS = 256  # buckets of a power of two
EXACT = 2 * _PARTS  # values below have a bucket each
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True)
class Spread:
    """A distribution, as far as a card shows it; without a value everything is None or empty."""

    n: int
    mean: float | None
    quantiles: dict[str, int]  # '0.5': the median
    greatest: int | None
    bins: list[tuple[int, int, int]]  # from, to (exclusive), count; 0, 1, 2-3, 4-7, 8-15, ...


class Tally:
    """Counts of the values added so far."""

    def __init__(self) -> None:
        self._counts = np.zeros(0, dtype=np.int64)
        self._sum = 0
        self._greatest = 0

    def add(self, values: NDArray[np.int64]) -> None:
        """Count values, each at least 0."""
        if not len(values):
            return
        # Above 2**53 frexp may round up to the next power: the same bucket then has both names.
        power = np.maximum(np.frexp(values.astype(np.float64))[1].astype(np.int64) - 9, 0)
        counts = np.bincount(power * _PARTS + (values >> power))
        counts[: len(self._counts)] += self._counts[: len(counts)]
        self._counts = np.concatenate([counts, self._counts[len(counts) :]])
        self._sum += int(values.sum())
        self._greatest = max(self._greatest, int(values.max()))

    def within(self, value: int) -> int:
        """How many values are at most `value`, which must be below EXACT."""
        if value >= EXACT:
            raise ValueError(f"{value}: only values below {EXACT} are counted one by one")
        return int(self._counts[: value + 1].sum())

    def spread(self) -> Spread:
        """The distribution."""
        n = int(self._counts.sum())
        if not n:
            return Spread(0, None, {}, None, [])
        ends = np.cumsum(self._counts)
        places = np.searchsorted(ends, [np.ceil(share * n) for share in QUANTILES])
        return Spread(
            n=n,
            mean=self._sum / n,
            quantiles={
                str(share): _lower_end(int(place))
                for share, place in zip(QUANTILES, places, strict=True)
            },
            greatest=self._greatest,
            bins=self._bins(),
        )

    def _bins(self) -> list[tuple[int, int, int]]:
        """Counts by powers of two, from the first that is not empty to the last."""
        powers = range(self._greatest.bit_length())
        edges = [0, *(2**power for power in powers), 2 ** self._greatest.bit_length()]
        ends = np.concatenate([[0], np.cumsum(self._counts)])
        below = [int(ends[min(_bucket(edge), len(self._counts))]) for edge in edges]
        rows = [
            (low, high, above - under)
            for low, high, under, above in zip(edges, edges[1:], below, below[1:], strict=False)
        ]
        first = next(place for place, row in enumerate(rows) if row[2])
        return rows[first:]


def _bucket(value: int) -> int:
    power = max(value.bit_length() - 9, 0)
    return power * _PARTS + (value >> power)


def _lower_end(bucket: int) -> int:
    power = max(bucket // _PARTS - 1, 0)
    return (bucket - power * _PARTS) << power
