"""Metrics of positions and of baskets, as expectations over tie orders (numpy only).

A position is described by two counts over the catalogue: `higher`, the items that score above the
target, and `equal`, the other items that score the same. With ties broken at random the target's
rank is uniform on higher + 1 .. higher + equal + 1, so the expectation of any gain of the rank is
a difference of cumulated gains over `equal + 1`: no sorting, no sampling. With one relevant item
the ideal DCG is 1, hence nDCG@k = 1 / log2(1 + rank) up to k (Järvelin & Kekäläinen 2002).
"""

from __future__ import annotations

import numpy as np

from behavior_scaling.data.rank_gains import CUTOFFS, KINDS, Counts, Values, expected, gains

BASKET_CUTOFF = 10


def rank_metrics(higher: Counts, equal: Counts) -> dict[str, Values]:
    """Every rank metric of every position, by name ('recall@10', ..., 'accuracy')."""
    values = {f"{kind}@{k}": expected(kind, k, higher, equal) for kind in KINDS for k in CUTOFFS}
    values["accuracy"] = expected("recall", 1, higher, equal)
    return values


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
