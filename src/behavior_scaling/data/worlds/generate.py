"""Fresh events without end: users in blocks, each block from (world, seed, number) alone.

Choices: user k is row k mod BLOCK of block k // BLOCK, which is always drawn whole, so that the
first n users are the same whatever n; a block goes forward one event of all its users at a time;
items are drawn by inverse distribution functions laid end to end, one search for all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.worlds.parameters import Floats, Ints, World
from behavior_scaling.data.worlds.seasons import DAY, season

BLOCK = 16_384
BEGIN = 1_641_168_000  # Monday, 3 January 2022, 00:00 UTC
VERSION = 1  # of the events that a (world, seed, number) gives; raised when they change

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Marks:
    """What a payment carries besides its item [n, T]."""

    amounts: Floats
    kinds: Ints  # index into Payments.types
    fraud: Bools  # the label, which no filter sees


@dataclass(frozen=True)
class Histories:
    """Whole histories of n users, padded to T events; what is beyond a length means nothing."""

    lengths: Ints  # [n]
    items: Ints  # [n, T]
    times: Ints  # [n, T] unix seconds, strictly rising
    starts: Bools  # [n, T] opens a session; the first event does
    marks: Marks | None  # None without payments

    def users(self, chosen: slice | Ints) -> Histories:
        """Some of the users."""
        marks = self.marks
        if marks is not None:
            marks = Marks(marks.amounts[chosen], marks.kinds[chosen], marks.fraud[chosen])
        return Histories(
            self.lengths[chosen], self.items[chosen], self.times[chosen], self.starts[chosen], marks
        )

    @property
    def present(self) -> Bools:
        """Which entries are events [n, T]."""
        return np.arange(self.items.shape[1]) < self.lengths[:, None]


class Draws:
    """Draws from the rows of a table of distributions [R, N]."""

    def __init__(self, table: Floats) -> None:
        rows, self._n = table.shape
        ends = np.cumsum(table, axis=1)
        ends /= ends[:, -1:]
        self._ends = (ends + np.arange(rows)[:, None]).ravel()

    def __call__(self, rng: np.random.Generator, rows: Ints) -> Ints:
        """One draw from each of these rows, of their shape [n]."""
        found = np.searchsorted(self._ends, rows + rng.random(len(rows)), side="right")
        # A uniform close to 1 rounds up to the next row once its number is added.
        return np.asarray(np.minimum(found - rows * self._n, self._n - 1))


def longest(context: int) -> int:
    """Events of the longest history that every evaluation window of L events sees whole."""
    return context // 2 + 1


def draw(world: World, seed: int, context: int, users: int) -> Iterator[Histories]:
    """The histories of the first users of the endless order, BLOCK at a time."""
    for first in range(0, users, BLOCK):
        yield block(world, seed, context, first // BLOCK).users(slice(0, users - first))


def block(world: World, seed: int, context: int, number: int) -> Histories:
    """The histories of users number * BLOCK .. (number + 1) * BLOCK - 1.

    A length is uniform on the upper half of 2 .. longest(context).
    """
    spec, draws = world.spec, _draws(world)
    rng = np.random.default_rng([spec.seed, seed, number])
    most = longest(context)
    size = (BLOCK, most)
    lengths = rng.integers(max(2, most // 2), most + 1, BLOCK)
    starts = rng.random(size) < spec.leave
    starts[:, 0] = True
    times = _times(world, rng, starts)
    kind_of_user = Draws(world.pi[None])(rng, np.zeros(BLOCK, dtype=np.int64))
    fraud = _fraud(world, rng, size)
    repeats = rng.random(size) < spec.repeat
    repeats[:, 0] = False
    if fraud is not None:
        repeats &= ~fraud
    back = rng.random(size)
    changes = rng.random(size) >= np.where(starts, spec.stay_start, spec.stay)
    changes[:, 0] = True

    items = np.empty(size, dtype=np.int64)
    interest = np.empty(BLOCK, dtype=np.int64)
    for t in range(most):
        moved = np.flatnonzero(changes[:, t])
        now = season(spec, times[moved, t])
        interest[moved] = draws.theta(rng, now * spec.types + kind_of_user[moved])
        new = np.flatnonzero(~repeats[:, t])
        row = interest[new]
        if fraud is not None:
            row = np.where(fraud[new, t], spec.interests, row)
        items[new, t] = draws.emission(rng, row)
        again = np.flatnonzero(repeats[:, t])
        ago = 1 + (back[again, t] * min(spec.memory, t)).astype(np.int64)
        items[again, t] = items[again, t - ago]
    marks = None if fraud is None else _marks(world, rng, items, fraud)
    return Histories(lengths, items, times, starts, marks)


@dataclass(frozen=True)
class _WorldDraws:
    theta: Draws  # row season * U + type
    emission: Draws  # row interest


@cache
def _draws(world: World) -> _WorldDraws:
    flat = world.theta.reshape(-1, world.spec.interests)
    return _WorldDraws(Draws(flat), Draws(world.emission))


def _times(world: World, rng: np.random.Generator, starts: Bools) -> Ints:
    """Times of events that open a session or not [n, T]."""
    spec = world.spec
    gaps = rng.integers(1, spec.within + 1, starts.shape)
    between = rng.standard_exponential(int(starts.sum())) * spec.between
    gaps[starts] = spec.silence + np.maximum(np.ceil(between), 1).astype(np.int64)
    gaps[:, 0] = BEGIN + rng.integers(0, spec.days * DAY, len(starts))
    return np.asarray(np.cumsum(gaps, axis=1))


def _fraud(world: World, rng: np.random.Generator, size: tuple[int, int]) -> Bools | None:
    """The fraud state [n, T]; None in a world without payments."""
    payments = world.spec.payments
    if payments is None:
        return None
    uniform = rng.random(size)
    state = np.empty(size, dtype=bool)
    state[:, 0] = uniform[:, 0] < payments.rate
    for t in range(1, size[1]):
        state[:, t] = uniform[:, t] < np.where(state[:, t - 1], 1 - payments.ends, payments.begins)
    return state


def _marks(world: World, rng: np.random.Generator, items: Ints, fraud: Bools) -> Marks:
    """Amounts and types of payment from the item's category and the fraud state."""
    state, category = fraud.astype(np.int64), world.category[items]
    mean, sd = world.amount_mean[state, category], world.amount_sd[state, category]
    amounts = np.exp(mean + sd * rng.standard_normal(items.shape))
    ends = np.cumsum(world.kind, axis=2)[..., :-1]  # the last type takes the rest
    kinds = (rng.random(items.shape)[..., None] >= ends[state, category]).sum(axis=2)
    return Marks(amounts, kinds, fraud)
