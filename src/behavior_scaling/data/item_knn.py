"""The floor 'item_knn': items that the same users met.

Similarity of two items is the number of users who met both in train over
sqrt(n_i * n_j) + SHRINK, the n being the users who met each (a shrunk cosine; Sarwar et al.,
2001, and Dacrema et al., 2019, for the shrinkage); an item keeps its NEIGHBOURS most similar
ones. An item's score is the sum of its similarities to the distinct items of the last HISTORY
events. It states no probabilities.

Choices: sparse throughout, so that large catalogues fit; among equally similar neighbours the
first of the catalogue are kept; scores are rounded to 12 decimals, so that sums that differ only
in their order count as ties.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.ragged import chunks, ragged
from behavior_scaling.data.rank_gains import Ranks
from behavior_scaling.data.store import TRAIN, Dataset

SHRINK = 10.0
NEIGHBOURS = 100
HISTORY = 50
_BLOCK = 2_000_000  # entries of the scores that are held at a time

Ints = NDArray[np.int64]


def item_knn_ranks(dataset: Dataset, targets: Ints) -> Ranks:
    """Ranks of the events `targets` [P] (each with a predecessor) by item-kNN."""
    from scipy.sparse import csr_array

    similar = similarities(dataset)
    owner = np.searchsorted(dataset.offsets, targets, side="right") - 1
    start = np.maximum(targets - HISTORY, dataset.offsets[owner])
    higher = np.empty(len(targets), dtype=np.int64)
    equal = np.empty(len(targets), dtype=np.int64)
    lengths = targets - start
    reach = np.minimum(lengths * NEIGHBOURS, dataset.n_items)
    for part in chunks(reach, _BLOCK):
        row, event = ragged(start[part], lengths[part])
        shape = (len(lengths[part]), dataset.n_items)
        history = csr_array((np.ones(len(row)), (row, dataset.items[event])), shape=shape)
        history.sum_duplicates()
        history.data[:] = 1.0
        higher[part], equal[part] = _ranks(history @ similar, dataset.items[targets[part]])
    return Ranks(higher, equal, None)


def similarities(dataset: Dataset) -> Any:
    """The neighbours of every item: a sparse array [V, V], row x the items most similar to x."""
    from scipy.sparse import csr_array, vstack

    user = np.repeat(np.arange(dataset.n_users), np.diff(dataset.offsets))
    trained = dataset.split == TRAIN
    met = csr_array(
        (np.ones(int(trained.sum())), (user[trained], dataset.items[trained])),
        shape=(dataset.n_users, dataset.n_items),
    )
    met.sum_duplicates()
    met.data[:] = 1.0
    by_item = met.T.tocsr()
    users = np.diff(by_item.indptr).astype(np.float64)
    block = max(1, _BLOCK // dataset.n_items)
    rows = [
        _nearest(by_item[first : first + block] @ met, users, first)
        for first in range(0, dataset.n_items, block)
    ]
    return vstack(rows, format="csr")


def _nearest(together: Any, users: NDArray[np.float64], first: int) -> Any:
    """Shrunk cosines of the items first, first + 1, ..., the greatest of each row kept."""
    from scipy.sparse import csr_array

    row = np.repeat(np.arange(together.shape[0]), np.diff(together.indptr))
    item = together.indices
    other = item != row + first
    row, item, count = row[other], item[other], together.data[other]
    value = count / (np.sqrt(users[row + first] * users[item]) + SHRINK)
    order = np.lexsort((item, -value, row))
    begin = np.searchsorted(row, np.arange(together.shape[0]))
    kept = order[np.arange(len(order)) - begin[row[order]] < NEIGHBOURS]
    return csr_array((value[kept], (row[kept], item[kept])), shape=together.shape)


def _ranks(scores: Any, target: NDArray[np.int32]) -> tuple[Ints, Ints]:
    """Items above each target, and other items level with it; most items score 0."""
    n, n_items = scores.shape
    row = np.repeat(np.arange(n), np.diff(scores.indptr))
    value = scores.data.round(12)
    own = np.zeros(n)
    hit = scores.indices == target[row]
    own[row[hit]] = value[hit]
    higher = np.bincount(row[value > own[row]], minlength=n)
    level = np.bincount(row[value == own[row]], minlength=n)
    unscored = n_items - np.diff(scores.indptr)
    return higher, np.where(own > 0, level, level + unscored) - 1
