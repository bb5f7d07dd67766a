"""From ranks to metrics, with ties as expectations over their orders.

Choices: a target is described by how many items score higher and how many score the same; with
ties broken at random its rank is uniform over higher + 1 .. higher + equal + 1, so the expected
gain is a difference of cumulated gains. With one relevant item the ideal DCG is 1, hence
NDCG@k = 1 / log2(1 + rank) within the first k (Järvelin and Kekäläinen, 2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["recall", "ndcg", "mrr"]
Counts = NDArray[np.integer]
Values = NDArray[np.float64]

KINDS: tuple[Kind, ...] = ("recall", "ndcg", "mrr")
CUTOFFS = (1, 5, 10, 20, 50)


@dataclass(frozen=True)
class Ranks:
    """Where P targets stand among the V items of the catalogue."""

    higher: NDArray[np.int64]  # [P] items that score above the target
    equal: NDArray[np.int64]  # [P] other items that score the same
    logp: NDArray[np.float64] | None  # [P] nats; None where the rule states no probabilities

    def take(self, chosen: NDArray[np.bool_] | slice) -> Ranks:
        """Some of the targets, in order."""
        logp = None if self.logp is None else self.logp[chosen]
        return Ranks(self.higher[chosen], self.equal[chosen], logp)


def summary(ranks: Ranks) -> dict[str, float | None]:
    """Means over positions: cross_entropy (nats), accuracy, recall@k, ndcg@k, mrr@k.

    All are None where there is no position.
    """
    values: dict[str, Values | None] = {
        "cross_entropy": None if ranks.logp is None else -ranks.logp,
        "accuracy": expected("recall", 1, ranks.higher, ranks.equal),
    }
    for kind in KINDS:
        for k in CUTOFFS:
            values[f"{kind}@{k}"] = expected(kind, k, ranks.higher, ranks.equal)
    return {
        name: None if each is None or not len(each) else float(each.mean())
        for name, each in values.items()
    }


def expected(kind: Kind, k: int, higher: Counts, equal: Counts) -> Values:
    """Expectation over tie orders of recall@k, nDCG@k or reciprocal rank@k.

    Args:
        kind: which gain a rank r <= k earns: 1, 1 / log2(1 + r), or 1 / r; 0 beyond k.
        k: the cut-off, at least 1.
        higher: items that score above the target [P].
        equal: items that score the same, the target excluded [P].

    Returns:
        One value a position [P], in [0, 1].
    """
    cumulated = np.concatenate([[0.0], np.cumsum(gains(kind, k))])  # [k + 1]
    ties = equal.astype(np.int64) + 1
    first = np.minimum(higher, k)
    last = np.minimum(higher + ties, k)
    return np.asarray((cumulated[last] - cumulated[first]) / ties, dtype=np.float64)


def gains(kind: Kind, k: int) -> Values:
    """What ranks 1..k earn [k]."""
    ranks = np.arange(1, k + 1, dtype=np.float64)
    if kind == "recall":
        return np.ones(k)
    return 1.0 / (np.log2(1.0 + ranks) if kind == "ndcg" else ranks)
