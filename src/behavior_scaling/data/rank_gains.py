"""From ranks to metrics, with ties as expectations over their orders.

Choices: a target is described by how many items score higher and how many score the same; with
ties broken at random its rank is uniform over higher + 1 .. higher + equal + 1, so the expected
gain is a difference of cumulated gains. With one relevant item the ideal DCG is 1, hence
NDCG@k = 1 / log2(1 + rank) within the first k (Järvelin and Kekäläinen, 2002).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CUTOFFS = (1, 5, 10, 20, 50)
KINDS = ("recall", "ndcg", "mrr")


@dataclass(frozen=True)
class Ranks:
    """Where P targets stand among the V items of the catalogue."""

    higher: NDArray[np.int64]  # [P] items that score above the target
    equal: NDArray[np.int64]  # [P] other items that score the same
    logp: NDArray[np.float64] | None  # [P] nats; None where the rule states no probabilities


def summary(ranks: Ranks) -> dict[str, float | None]:
    """Means over positions: cross_entropy (nats), accuracy, recall@k, ndcg@k, mrr@k."""
    values: dict[str, float | None] = {
        "cross_entropy": None if ranks.logp is None else float(-ranks.logp.mean()),
        "accuracy": float(_expected("recall", 1, ranks).mean()),
    }
    for kind in KINDS:
        for k in CUTOFFS:
            values[f"{kind}@{k}"] = float(_expected(kind, k, ranks).mean())
    return values


def _expected(kind: str, k: int, ranks: Ranks) -> NDArray[np.float64]:
    place = np.arange(1, k + 1)
    gain = {"recall": np.ones(k), "ndcg": 1 / np.log2(1 + place), "mrr": 1 / place}[kind]
    cumulated = np.concatenate(([0.0], np.cumsum(gain)))
    tied = ranks.equal + 1
    last = np.minimum(ranks.higher + tied, k)
    mean: NDArray[np.float64] = (cumulated[last] - cumulated[np.minimum(ranks.higher, k)]) / tied
    return mean
