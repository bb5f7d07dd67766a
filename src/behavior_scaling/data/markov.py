"""The floor 'markov': first-order transitions interpolated with the unigram.

p(y | x) = lambda * c(x, y) / c(x) + (1 - lambda) * unigram(y), and the unigram alone after an
item that no training transition leaves. Counts are of consecutive train events of one user.

Choices: lambda is fitted by maximum likelihood on the last tenth of train by time, with counts
of the nine tenths before it (of more than FITTED of its transitions, FITTED evenly spread); then
counts are taken from all of train. Ranks are exact without a V x V table: all items stand in one
sorted array of their unigram part, and only the items of a transition row are corrected.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.ragged import chunks, evenly, placed, ragged
from behavior_scaling.data.rank_gains import Ranks
from behavior_scaling.data.store import TRAIN, Dataset, smoothed_unigram
from behavior_scaling.data.transitions import Transitions, event_blocks, train_pairs

HOLDOUT = 0.1  # share of the train events, the last by time, that lambda is fitted on
FITTED = 1_000_000  # transitions that tell lambda to three decimals
LARGEST = 0.999  # bound of lambda, so that a transition never seen keeps a probability
_ROW_ENTRIES = 4_000_000  # laid out at a time

Ints = NDArray[np.int64]


def markov_ranks(dataset: Dataset, events: Ints, states: Ints) -> Ranks:
    """Ranks of the items of `events` [P] after the event before each of `states` [P]."""
    model = Transitions.count(lambda: train_pairs(dataset), dataset.n_items)
    weight = fit_lambda(dataset)
    before, after = dataset.items[states - 1].astype(np.int64), dataset.items[events]
    order = np.argsort(before, kind="stable")
    rows, first, asked = np.unique(before[order], return_index=True, return_counts=True)
    first = np.append(first, len(order))
    higher = np.empty(len(events), dtype=np.int64)
    equal = np.empty(len(events), dtype=np.int64)
    logp = np.empty(len(events))
    base = (1 - weight) * dataset.unigram
    ordered = np.sort(base)
    for part in chunks(model.lengths(rows) + asked, _ROW_ENTRIES):
        own = order[first[part.start] : first[part.stop]]
        row = np.repeat(np.arange(part.stop - part.start), asked[part])
        share, score, mended = _corrections(model, weight, base, rows[part], row, after[own])
        above = len(ordered) - np.searchsorted(ordered, score, side="right")
        level = len(ordered) - np.searchsorted(ordered, score, side="left") - above
        higher[own], equal[own] = above + mended[0], level + mended[1] - 1
        left = np.where(model.totals[before[own]] > 0, weight, 0.0)
        logp[own] = np.log(left * share + (1 - left) * dataset.unigram[after[own]])
    return Ranks(higher, equal, logp)


def _corrections(
    model: Transitions,
    weight: float,
    base: NDArray[np.float64],
    rows: Ints,
    row: Ints,
    after: NDArray[np.int32],
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[Ints, Ints]]:
    """c(x, y) / c(x) and the score of each pair, and how rows x change who is above and level.

    Args:
        model: the transitions.
        weight: lambda.
        base: the items' scores without their transition [V].
        rows: items x, each once [n].
        row: which of them a pair is in, ascending [Q].
        after: the pair's item y [Q].
    """
    own, entry = ragged(model.pointer[rows], model.lengths(rows))
    other = model.following[entry]
    plain = base[other]
    score = weight * (model.counts[entry] / model.totals[rows[own]]) + plain
    share = model.shares(rows[row], after)
    asked = base[after] + np.where(share > 0, weight * share, 0.0)
    higher, level = placed(own, score, row, asked)
    was_higher, was_level = placed(own, plain, row, asked)
    return share, asked, (higher - was_higher, level - was_level)


def fit_lambda(dataset: Dataset) -> float:
    """The lambda of greatest likelihood on the last tenth of train; 0 where it has no transition.

    The log-likelihood is concave in lambda, so its derivative is bisected.

    Raises:
        DataError: every train event has the same time.
    """
    cut = holdout_start(dataset)
    model = Transitions.count(lambda: train_pairs(dataset, until=cut), dataset.n_items)
    counts = np.zeros(dataset.n_items, dtype=np.int64)
    for block in event_blocks(dataset):
        early = (dataset.split[block] == TRAIN) & (dataset.times[block] < cut)
        counts += np.bincount(dataset.items[block][early], minlength=dataset.n_items)
    before, after = (
        np.concatenate(parts) for parts in zip(*train_pairs(dataset, since=cut), strict=True)
    )
    known = evenly(np.flatnonzero(model.totals[before] > 0), FITTED)
    before, after = before[known], after[known]
    base = smoothed_unigram(counts)[after]
    gain = model.shares(before, after) - base
    low, high = 0.0, LARGEST
    for _ in range(50):
        middle = (low + high) / 2
        if (gain / (base + middle * gain)).sum() > 0:
            low = middle
        else:
            high = middle
    return low


def holdout_start(dataset: Dataset) -> int:
    """The time that 1 - HOLDOUT of the train events precede, by halving, in bounded memory.

    Raises:
        DataError: no train event is before it.
    """
    blocks = list(event_blocks(dataset))
    trained = sum(int((dataset.split[block] == TRAIN).sum()) for block in blocks)
    kept = int((1 - HOLDOUT) * trained)

    def until(time: int) -> int:
        return sum(
            int(((dataset.split[block] == TRAIN) & (dataset.times[block] <= time)).sum())
            for block in blocks
        )

    low, high = int(dataset.times.min()), int(dataset.times.max())
    while low < high:
        middle = (low + high) // 2
        if until(middle) > kept:
            high = middle
        else:
            low = middle + 1
    if not until(low - 1):
        raise DataError(
            f"{dataset.path}: no train event is earlier than {low}, so no last tenth can be held "
            f"out for the Markov floor; check the timestamps"
        )
    return low
