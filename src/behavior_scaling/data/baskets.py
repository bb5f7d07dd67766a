"""Baskets: the distinct items of every session that opens with an evaluation target, and metrics.

A session is a stretch of one user's events with one running number, so it ends where the number
changes; each of its items counts once, at its first event. Events of another split are no part of
the basket: by the time split there are none, but a test event may continue a session whose
opening is for validation where the last events of a user are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.data.ragged import ragged
from behavior_scaling.data.rank_gains import Counts, Values, expected, gains
from behavior_scaling.data.store import Dataset

BASKET_CUTOFF = 10


@dataclass(frozen=True)
class BasketRows:
    """The distinct items of some sessions, session by session [R]."""

    opening: npt.NDArray[np.int64]  # which of the given openings the item's session is
    event: npt.NDArray[np.int64]  # the item's first event in the session
    item: npt.NDArray[np.int64]


def basket_rows(dataset: Dataset, openings: npt.NDArray[np.int64]) -> BasketRows:
    """The distinct items of the sessions that open with the events `openings` [S]."""
    ends = np.searchsorted(dataset.sessions, dataset.sessions[openings], side="right")
    owner, event = ragged(openings, ends - openings)
    own = dataset.split[event] == dataset.split[openings][owner]
    owner, event = owner[own], event[own]
    item = dataset.items[event].astype(np.int64)
    _, first = np.unique(owner * dataset.n_items + item, return_index=True)
    first.sort()
    return BasketRows(owner[first], event[first], item[first])


def basket_metrics(
    basket: Counts, user: Counts, higher: Counts, equal: Counts, k: int = BASKET_CUTOFF
) -> dict[str, float]:
    """Recall@k and NDCG@k of whole baskets, averaged over a user's baskets, then over users.

    Recall is found items over the basket's distinct items; the ideal DCG has min(k, items) hits.
    Both are sums over items, so their tie expectations are sums of the items' own expectations.

    Args:
        basket: which basket a row's item belongs to [R]; rows are distinct items of it.
        user: the basket's user [R].
        higher: items that score above the row's item in the state before the basket [R].
        equal: items that score the same there, the row's item excluded [R].
        k: length of the recommended list.
    """
    _, first, inverse, sizes = np.unique(
        basket, return_index=True, return_inverse=True, return_counts=True
    )
    ideal = np.cumsum(gains("ndcg", k))[np.minimum(sizes, k) - 1]
    recall = np.bincount(inverse, expected("recall", k, higher, equal)) / sizes
    ndcg = np.bincount(inverse, expected("ndcg", k, higher, equal)) / ideal
    return {
        f"basket_recall@{k}": _mean_over_users(recall, user[first]),
        f"basket_ndcg@{k}": _mean_over_users(ndcg, user[first]),
    }


def _mean_over_users(values: Values, user: Counts) -> float:
    _, inverse, counts = np.unique(user, return_inverse=True, return_counts=True)
    return float(np.mean(np.bincount(inverse, values) / counts))
