"""Counts on a block of scores: who scores higher or the same, and the target's log-probability.

Choices: counting, never sorting; a target's score is taken from the very block that it is
compared with, so that equal means equal; items of the same feature tokens are the same to a
model, so their scores are computed once and copied, and rounding cannot break their tie; the
list of recommended items breaks ties by catalogue order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from behavior_scaling.data.store import Dataset
from behavior_scaling.data.windows import EvalBatch
from behavior_scaling.model.two_part import TwoPart

BLOCK = 1 << 20  # scores held at once, to stay in cache
FEWEST_ROWS = 64  # but not fewer rows than this, or reading the catalogue would dominate


@dataclass(frozen=True)
class Counted:
    """What is kept of n scored targets."""

    higher: Tensor  # int32 [n] items that score above the target
    equal: Tensor  # int32 [n] other items that score the same
    logp: Tensor  # float32 [n] log-probability of the target over the catalogue, nats


def block_rows(n_items: int) -> int:
    """Rows of a block of scores over a catalogue of V = `n_items`."""
    return max(FEWEST_ROWS, BLOCK // n_items)


class Kinds:
    """Items by what a model can tell apart: those of the same feature tokens are of one kind."""

    def __init__(self, dataset: Dataset):
        tokens = np.concatenate([dataset.codes, dataset.weights.view(np.int32)], axis=1)
        _, first, kind = np.unique(tokens, axis=0, return_index=True, return_inverse=True)
        self.first = torch.from_numpy(first)  # an item of every kind
        self.of_item = torch.from_numpy(kind.reshape(-1))  # [V]
        self.count = len(first)


class Catalogue:
    """Item vectors, and scores against them, one for each kind.

    Args:
        kinds: of the items.
        vectors: of all items [V, d].
    """

    def __init__(self, kinds: Kinds, vectors: Tensor):
        device = vectors.device
        self.vectors = vectors
        self._kind: Tensor | None = None  # [V] column of each item; None: its own number
        if kinds.count < len(vectors):
            vectors = vectors[kinds.first.to(device)]
            self._kind = kinds.of_item.to(device)
        self._columns = vectors.T.contiguous()  # [d, kinds]

    def scores(self, states: Tensor) -> Tensor:
        """Scaled states [P, d] -> scores [P, V]."""
        scores = states @ self._columns
        return scores if self._kind is None else scores.index_select(1, self._kind)


def scored_states(model: TwoPart, catalogue: Catalogue, batch: EvalBatch) -> Tensor:
    """States of a batch's P scored positions, scaled so that a dot product is a score [P, d]."""
    device = catalogue.vectors.device
    inputs = torch.from_numpy(batch.inputs).to(device)
    document = torch.from_numpy(batch.document).to(device)
    valid = torch.from_numpy(batch.valid).to(device)
    states = model.states(catalogue.vectors[inputs], document)[valid]
    return states * model.scale()


def log_partition(scores: Tensor) -> Tensor:
    """Log sum exp over the catalogue: [P, V] -> [P]."""
    return torch.logsumexp(scores, dim=1)


def count(scores: Tensor, partition: Tensor, targets: Tensor) -> Counted:
    """Count for one target a row.

    Args:
        scores: [P, V].
        partition: log partition of every row [P].
        targets: the row's item, int64 [P].
    """
    own = scores.gather(1, targets[:, None])  # [P, 1]
    return Counted(
        (scores > own).sum(1, dtype=torch.int32),
        (scores == own).sum(1, dtype=torch.int32) - 1,
        own[:, 0] - partition,
    )


def count_pairs(scores: Tensor, partition: Tensor, rows: Tensor, targets: Tensor) -> Counted:
    """Count for n (row, target) pairs; a row may come several times or never.

    Args:
        scores: [P, V].
        partition: log partition of every row [P].
        rows: the pair's row of `scores`, int64 [n].
        targets: the pair's item, int64 [n].
    """
    size = block_rows(scores.shape[1])
    parts = [
        count(scores[some], partition[some], items)
        for some, items in zip(torch.split(rows, size), torch.split(targets, size), strict=True)
    ]
    return Counted(
        torch.cat([part.higher for part in parts]),
        torch.cat([part.equal for part in parts]),
        torch.cat([part.logp for part in parts]),
    )


def recommended(scores: Tensor, k: int) -> Tensor:
    """Which items are in some row's list of k best: scores [P, V] -> bool [V]."""
    k = min(k, scores.shape[1])
    bound = scores.topk(k, dim=1).values[:, -1:]  # [P, 1]
    above, tied = scores > bound, scores == bound
    room = k - above.sum(1, keepdim=True)
    return (above | (tied & (tied.cumsum(1) <= room))).any(0)
