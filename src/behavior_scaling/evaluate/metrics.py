"""Metrics of positions and of baskets, as expectations over tie orders (numpy only).

A position is described by two counts over the catalogue: `higher`, the items that score above the
target, and `equal`, the other items that score the same. With ties broken at random the target's
rank is uniform on higher + 1 .. higher + equal + 1, so the expectation of any gain of the rank is
a difference of cumulated gains over `equal + 1`: no sorting, no sampling. With one relevant item
the ideal DCG is 1, hence nDCG@k = 1 / log2(1 + rank) up to k (Järvelin & Kekäläinen 2002). The
metrics of baskets are those of the data room, where the floors are measured too.
"""

from __future__ import annotations

from behavior_scaling.data.baskets import BASKET_CUTOFF, basket_metrics
from behavior_scaling.data.rank_gains import CUTOFFS, KINDS, Counts, Values, expected

__all__ = ["BASKET_CUTOFF", "basket_metrics", "rank_metrics"]


def rank_metrics(higher: Counts, equal: Counts) -> dict[str, Values]:
    """Every rank metric of every position, by name ('recall@10', ..., 'accuracy')."""
    values = {f"{kind}@{k}": expected(kind, k, higher, equal) for kind in KINDS for k in CUTOFFS}
    values["accuracy"] = expected("recall", 1, higher, equal)
    return values
