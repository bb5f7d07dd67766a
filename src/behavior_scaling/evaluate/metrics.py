"""Metrics of positions, as expectations over tie orders (numpy only).

A position is described by two counts over the catalogue: `higher`, the items that score above the
target, and `equal`, the other items that score the same. With ties broken at random the target's
rank is uniform on higher + 1 .. higher + equal + 1, so the expectation of any gain of the rank is
a difference of cumulated gains over `equal + 1`: no sorting, no sampling. With one relevant item
the ideal DCG is 1, hence nDCG@k = 1 / log2(1 + rank) up to k (Järvelin & Kekäläinen 2002). Metrics
of whole baskets: data/baskets.py, as floors have them too.
"""

from __future__ import annotations

from behavior_scaling.data.rank_gains import CUTOFFS, KINDS, Counts, Values, expected


def rank_metrics(higher: Counts, equal: Counts) -> dict[str, Values]:
    """Every rank metric of every position, by name ('recall@10', ..., 'accuracy')."""
    values = {f"{kind}@{k}": expected(kind, k, higher, equal) for kind in KINDS for k in CUTOFFS}
    values["accuracy"] = expected("recall", 1, higher, equal)
    return values
