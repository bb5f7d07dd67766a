"""Floors: what rules without training reach on the very positions that models are scored on.

Unigram (popularity), recency (the user's own last items), first-order Markov (markov.py) and
item-kNN (item_knn.py). All count train events only; recency and item-kNN read the history
before the target, as a model does.

Choices: no item is left out of the ranking, not even those that the user has met; ties count as
expectations (rank_gains.py); the cross-entropy is None where a rule states no probabilities.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.item_knn import item_knn_ranks
from behavior_scaling.data.markov import markov_ranks
from behavior_scaling.data.ragged import chunks, ragged
from behavior_scaling.data.rank_gains import Ranks, summary
from behavior_scaling.data.store import Dataset, EvalSplit

_EVENTS = 4_000_000  # laid out at a time

Ints = NDArray[np.int64]


def floors(dataset: Dataset, split: EvalSplit) -> dict[str, dict[str, float | None]]:
    """Every floor on the eligible targets of a split.

    Returns:
        {floor: {metric: value}}; metrics as in rank_gains.summary, cross_entropy in nats.

    Raises:
        DataError: the split has no eligible target.
    """
    targets = dataset.eval_events(split)
    if not len(targets):
        raise DataError(f"{dataset.path}: no {split} event has a predecessor: no floors to measure")
    rules = {
        "unigram": unigram_ranks,
        "recency": recency_ranks,
        "markov": markov_ranks,
        "item_knn": item_knn_ranks,
    }
    return {name: summary(ranks(dataset, targets)) for name, ranks in rules.items()}


def unigram_ranks(dataset: Dataset, targets: Ints) -> Ranks:
    """Ranks of the events `targets` [P] by the number of train events of their items."""
    ordered = np.sort(dataset.train_counts)
    item = dataset.items[targets]
    own = dataset.train_counts[item]
    above = len(ordered) - np.searchsorted(ordered, own, side="right")
    level = len(ordered) - np.searchsorted(ordered, own, side="left") - above
    return Ranks(above, level - 1, np.log(dataset.unigram[item]))


def recency_ranks(dataset: Dataset, targets: Ints) -> Ranks:
    """Ranks of the events `targets` [P] by when the user last met their items.

    The user's last item stands first; items that the user never met are level at the end.
    """
    user = np.repeat(np.arange(dataset.n_users), np.diff(dataset.offsets))
    last = previous_occurrence(user, dataset.items)
    met = np.concatenate(([0], np.cumsum(last < 0)))  # distinct (user, item) pairs so far
    owner = user[targets]
    distinct = met[targets] - met[dataset.offsets[owner]]
    known = last[targets] >= 0
    higher = distinct.copy()
    higher[known] = _distinct_between(last, last[targets[known]], targets[known])
    equal = np.where(known, 0, dataset.n_items - distinct - 1)
    return Ranks(higher, equal, None)


def previous_occurrence(user: Ints, items: NDArray[np.int32]) -> Ints:
    """For each event the last earlier one of the same user and item, -1 if there is none [E]."""
    order = np.lexsort((items, user))  # stable: a pair's events stay in order
    same = (user[order][1:] == user[order][:-1]) & (items[order][1:] == items[order][:-1])
    last = np.full(len(items), -1, dtype=np.int64)
    last[order[1:][same]] = order[:-1][same]
    return last


def _distinct_between(last: Ints, start: Ints, stop: Ints) -> Ints:
    """Distinct items strictly between two events of a user: those first met after `start`."""
    counts = np.empty(len(start), dtype=np.int64)
    for part in chunks(stop - start - 1, _EVENTS):
        row, event = ragged(start[part] + 1, (stop - start - 1)[part])
        fresh = last[event] <= start[part][row]
        counts[part] = np.bincount(row[fresh], minlength=len(start[part]))
    return counts
