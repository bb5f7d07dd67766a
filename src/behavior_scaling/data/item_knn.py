"""The floor 'item_knn': items that the same users met.

Similarity of two items is the number of users who met both in train over
sqrt(n_i * n_j) + SHRINK, the n being the users who met each (a shrunk cosine; Sarwar et al.,
2001, and Dacrema et al., 2019, for the shrinkage); an item keeps its NEIGHBOURS most similar
ones. An item's score is the sum of its similarities to the distinct items of the last HISTORY
events. It states no probabilities.

Choices: sparse throughout, so that large catalogues fit; among equally similar neighbours the
first of the catalogue are kept; scores are rounded to 12 decimals, so that sums that differ only
in their order count as ties.

Cost: a user of n train events costs n^2 products, and only items of a scored history get
neighbours. Where all users together would cost more than PRODUCTS, each user's last train events
are counted, as many as PRODUCTS allows (`counted_events`; `train_share` says what is left).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.ragged import chunks, placed, ragged
from behavior_scaling.data.rank_gains import Ranks
from behavior_scaling.data.store import Dataset

SHRINK = 10.0
NEIGHBOURS = 100
HISTORY = 50
PRODUCTS = 1_000_000_000
_BLOCK = 2_000_000  # entries that are held at a time

Ints = NDArray[np.int64]


def item_knn_ranks(dataset: Dataset, events: Ints, states: Ints) -> Ranks:
    """Ranks of the items of `events` [P] after the history before each of `states` [P]."""
    from scipy.sparse import csr_array

    state, of = np.unique(states, return_inverse=True)
    order = np.argsort(of, kind="stable")
    first = np.searchsorted(of[order], np.arange(len(state) + 1))
    owner = np.searchsorted(dataset.offsets, state, side="right") - 1
    start = np.maximum(state - HISTORY, dataset.offsets[owner])
    lengths = state - start
    wanted = _distinct_items(dataset, start, lengths)
    similar = similarities(dataset, wanted)
    higher = np.empty(len(events), dtype=np.int64)
    equal = np.empty(len(events), dtype=np.int64)
    for part in chunks(np.minimum(lengths * NEIGHBOURS, dataset.n_items), _BLOCK):
        row, event = ragged(start[part], lengths[part])
        met = np.searchsorted(wanted, dataset.items[event])
        history = csr_array(
            (np.ones(len(row)), (row, met)), shape=(part.stop - part.start, len(wanted))
        )
        history.sum_duplicates()
        history.data[:] = 1.0
        own = order[first[part.start] : first[part.stop]]
        higher[own], equal[own] = _ranks(
            history @ similar, of[own] - part.start, dataset.items[events[own]]
        )
    return Ranks(higher, equal, None)


def similarities(dataset: Dataset, items: Ints | None = None) -> Any:
    """The neighbours of items: a sparse array [n, V], a row for each of `items` (default: all)."""
    from scipy.sparse import csr_array, vstack

    items = np.arange(dataset.n_items) if items is None else items
    met = _met(dataset)
    by_item = met.T.tocsr()
    users = np.diff(by_item.indptr).astype(np.float64)
    by_item = by_item[items]
    products = by_item @ np.diff(met.indptr)
    rows = [
        _nearest(by_item[part] @ met, users, items[part])
        for part in chunks(np.minimum(products, dataset.n_items), _BLOCK)
    ]
    return vstack(rows, format="csr") if rows else csr_array((0, dataset.n_items))


def counted_events(dataset: Dataset) -> int:
    """How many of its last train events count for a user: all, or what PRODUCTS allows."""
    lengths = dataset.train_lengths.astype(np.float64)
    low, high = 1, int(lengths.max())
    while low < high:
        middle = (low + high + 1) // 2
        if (np.minimum(lengths, middle) ** 2).sum() <= PRODUCTS:
            low = middle
        else:
            high = middle - 1
    return low


def train_share(dataset: Dataset) -> float:
    """The share of the train events that the similarities count."""
    lengths = dataset.train_lengths
    return float(np.minimum(lengths, counted_events(dataset)).sum() / lengths.sum())


def _met(dataset: Dataset) -> Any:
    """Which items each user met in the train events that count: ones in a [users, V] array."""
    from scipy.sparse import csr_array

    trained = dataset.train_lengths
    lengths = np.minimum(trained, counted_events(dataset))
    start = dataset.offsets[:-1] + trained - lengths  # train events are a user's first
    pointer = np.concatenate(([0], np.cumsum(lengths)))
    item = np.empty(pointer[-1], dtype=np.int32)
    for part in chunks(lengths, _BLOCK):
        _, event = ragged(start[part], lengths[part])
        item[pointer[part.start] : pointer[part.stop]] = dataset.items[event]
    met = csr_array(
        (np.ones(len(item), dtype=np.int32), item, pointer),
        shape=(dataset.n_users, dataset.n_items),
    )
    met.sum_duplicates()
    met.data[:] = 1
    return met


def _distinct_items(dataset: Dataset, start: Ints, lengths: Ints) -> Ints:
    """The items of some stretches of events, ascending."""
    seen = np.zeros(dataset.n_items, dtype=bool)
    for part in chunks(lengths, _BLOCK):
        _, event = ragged(start[part], lengths[part])
        seen[dataset.items[event]] = True
    return np.flatnonzero(seen)


def _nearest(together: Any, users: NDArray[np.float64], items: Ints) -> Any:
    """Shrunk cosines of `items`, one a row, the greatest of each row kept."""
    from scipy.sparse import csr_array

    row = np.repeat(np.arange(together.shape[0]), np.diff(together.indptr))
    item = together.indices
    other = item != items[row]
    row, item, count = row[other], item[other], together.data[other]
    value = count / (np.sqrt(users[items[row]] * users[item]) + SHRINK)
    order = np.lexsort((item, -value, row))
    begin = np.searchsorted(row, np.arange(together.shape[0]))
    kept = order[np.arange(len(order)) - begin[row[order]] < NEIGHBOURS]
    return csr_array((value[kept], (row[kept], item[kept])), shape=together.shape)


def _ranks(scores: Any, asked: Ints, target: NDArray[np.int32]) -> tuple[Ints, Ints]:
    """Items above each target in its row `asked` of the scores, and other items level with it."""
    n_items = scores.shape[1]
    scores.sort_indices()
    lengths = np.diff(scores.indptr)
    row = np.repeat(np.arange(len(lengths)), lengths)
    value = scores.data.round(12)
    key = np.append(row * n_items + scores.indices, -1)
    wanted = asked * n_items + target
    place = np.searchsorted(key[:-1], wanted)
    own = np.where(key[place] == wanted, np.append(value, 0.0)[place], 0.0)
    higher, level = placed(row, value, asked, own)
    unscored = n_items - lengths[asked]  # most items score 0
    return higher, np.where(own > 0, level, level + unscored) - 1
