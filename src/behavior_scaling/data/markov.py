"""The floor 'markov': first-order transitions interpolated with the unigram.

p(y | x) = lambda * c(x, y) / c(x) + (1 - lambda) * unigram(y), and the unigram alone after an
item that no training transition leaves. Counts are of consecutive train events of one user.

Choices: lambda is fitted by maximum likelihood on the last tenth of train by time, with counts
of the nine tenths before it; then counts are taken from all of train. Ranks are exact without a
V x V table: all items stand in one sorted array of their unigram part, and only the items of a
transition row are corrected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.ragged import chunks, ragged
from behavior_scaling.data.rank_gains import Ranks
from behavior_scaling.data.split import cut_time
from behavior_scaling.data.store import TRAIN, Dataset, smoothed_unigram

HOLDOUT = 0.1  # share of the train events, the last by time, that lambda is fitted on
LARGEST = 0.999  # bound of lambda, so that a transition never seen keeps a probability
_ROW_ENTRIES = 4_000_000  # laid out at a time

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Transitions:
    """Counts c(x, y) as sorted rows."""

    pointer: Ints  # [V + 1] row x is following[pointer[x]:pointer[x + 1]]
    following: Ints  # [nonzeros] y, ascending within a row
    counts: Ints  # [nonzeros]
    totals: Ints  # [V] c(x)

    @classmethod
    def count(cls, before: Ints, after: Ints, n_items: int) -> Transitions:
        """Count transitions from one item to the next."""
        keys, counts = np.unique(before * n_items + after, return_counts=True)
        pointer = np.searchsorted(keys, np.arange(n_items + 1) * n_items)
        totals = np.bincount(before, minlength=n_items)
        return cls(pointer, keys % n_items, counts, totals)

    def shares(self, before: Ints, after: Ints) -> NDArray[np.float64]:
        """c(x, y) / c(x) for pairs, 0 where x was never left [P]."""
        n_items = len(self.totals)
        rows = np.repeat(np.arange(n_items), np.diff(self.pointer))
        keys = np.append(rows * n_items + self.following, -1)
        wanted = before * n_items + after
        place = np.searchsorted(keys[:-1], wanted)
        found = np.where(keys[place] == wanted, np.append(self.counts, 0)[place], 0)
        return np.asarray(found / np.maximum(self.totals[before], 1))


def markov_ranks(dataset: Dataset, targets: Ints) -> Ranks:
    """Ranks of the events `targets` [P] (each with a predecessor) under the fitted model."""
    items = dataset.items.astype(np.int64)
    events = train_transitions(dataset)
    model = Transitions.count(items[events - 1], items[events], dataset.n_items)
    weight = fit_lambda(dataset)
    before, after = items[targets - 1], items[targets]
    share = np.where(model.totals > 0, weight, 0.0)[before]
    logp = np.log(
        share * model.shares(before, after) + (1 - share) * dataset.unigram[after],
    )
    higher = np.empty(len(targets), dtype=np.int64)
    equal = np.empty(len(targets), dtype=np.int64)
    lengths = np.diff(model.pointer)[before]
    for part in chunks(lengths, _ROW_ENTRIES):
        higher[part], equal[part] = _ranks(
            model, weight, dataset.unigram, before[part], after[part]
        )
    return Ranks(higher, equal, logp)


def train_transitions(dataset: Dataset) -> Ints:
    """Train events that a train event of the same user precedes, ascending."""
    chosen = dataset.split == TRAIN
    chosen[dataset.offsets[:-1]] = False
    return np.flatnonzero(chosen)


def fit_lambda(dataset: Dataset) -> float:
    """The lambda of greatest likelihood on the last tenth of train; 0 where it has no transition.

    The log-likelihood is concave in lambda, so its derivative is bisected.
    """
    items = dataset.items.astype(np.int64)
    trained = dataset.split == TRAIN
    cut = cut_time(dataset.times[trained], 1 - HOLDOUT)
    events = train_transitions(dataset)
    early = events[dataset.times[events] < cut]
    late = events[dataset.times[events] >= cut]
    model = Transitions.count(items[early - 1], items[early], dataset.n_items)
    late = late[model.totals[items[late - 1]] > 0]
    counts = np.bincount(items[trained & (dataset.times < cut)], minlength=dataset.n_items)
    base = smoothed_unigram(counts)[items[late]]
    gain = model.shares(items[late - 1], items[late]) - base
    low, high = 0.0, LARGEST
    for _ in range(50):
        middle = (low + high) / 2
        if (gain / (base + middle * gain)).sum() > 0:
            low = middle
        else:
            high = middle
    return low


def _ranks(
    model: Transitions, weight: float, unigram: NDArray[np.float64], before: Ints, after: Ints
) -> tuple[Ints, Ints]:
    """Items above each target, and other items level with it."""
    base = (1 - weight) * unigram
    ordered = np.sort(base)
    row, entry = ragged(model.pointer[before], np.diff(model.pointer)[before])
    other = model.following[entry]
    score = weight * (model.counts[entry] / model.totals[before[row]]) + base[other]
    own = base[after]
    own[row[other == after[row]]] = score[other == after[row]]
    n = len(before)
    mended_higher = np.bincount(row[score > own[row]], minlength=n) - np.bincount(
        row[base[other] > own[row]], minlength=n
    )
    mended_equal = np.bincount(row[score == own[row]], minlength=n) - np.bincount(
        row[base[other] == own[row]], minlength=n
    )
    above = len(ordered) - np.searchsorted(ordered, own, side="right")
    level = len(ordered) - np.searchsorted(ordered, own, side="left") - above
    return above + mended_higher, level + mended_equal - 1
