"""The one evaluator: NDCG@10 over the full catalogue, for whatever gives scores.

Choices: ranks by counting, ties as expectations over their orders (the package's own
`data.rank_gains`, plain numpy); nothing is sampled, and items of the history stay candidates.
"""

from __future__ import annotations

import numpy as np
import torch
from contestant import Contestant, Data
from settings import CUTOFF

from behavior_scaling.data.rank_gains import expected

BLOCK = 512  # histories scored at once


@torch.no_grad()
def ndcg(contestant: Contestant, data: Data) -> float:
    """Mean NDCG@10 over the validation positions.

    Raises:
        ArithmeticError: a score is not finite, which no comparison would show.
    """
    values = []
    for start in range(0, len(data.targets), BLOCK):
        stop = start + BLOCK
        scores = contestant.scores(data.histories.part(start, stop))
        if not bool(scores.isfinite().all()):
            raise ArithmeticError("the model gives scores that are not finite")
        own = scores.gather(1, torch.from_numpy(data.targets[start:stop])[:, None])
        higher = (scores > own).sum(1).numpy()
        equal = (scores == own).sum(1).numpy() - 1
        values.append(expected("ndcg", CUTOFF, higher, equal))
    return float(np.concatenate(values).mean())
