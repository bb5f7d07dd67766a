"""Slices of the evaluation positions, each a condition on the flags that a position carries.

Bands of popularity: items by falling number of training events (ties by catalogue order); the
head is the smallest set of them that holds at least half of the training events, the tail is
every other item with a training event; an item without one is cold and in neither band.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from behavior_scaling.data.store import Dataset

Mask = npt.NDArray[np.bool_]

FLAGS = ("session_start", "seen_user", "cold", "head")
HEAD_SHARE = 0.5


def popularity_head(train_counts: npt.NDArray[np.int64]) -> Mask:
    """Which items are in the head [V]; none where there is no training event."""
    order = np.argsort(-train_counts, kind="stable")
    before = np.cumsum(train_counts[order]) - train_counts[order]
    head = np.zeros(len(train_counts), dtype=bool)
    head[order] = (before < HEAD_SHARE * train_counts.sum()) & (train_counts[order] > 0)
    return head


def event_flags(dataset: Dataset, targets: npt.NDArray[np.int64]) -> dict[str, Mask]:
    """Each of FLAGS for the events `targets` [P], every one with a predecessor of its user."""
    item = dataset.items[targets]
    owner = np.searchsorted(dataset.offsets, targets, side="right") - 1
    return {
        "session_start": dataset.sessions[targets] != dataset.sessions[targets - 1],
        "seen_user": dataset.user_in_train[owner],
        "cold": dataset.train_counts[item] == 0,
        "head": popularity_head(dataset.train_counts)[item],
    }


def slice_masks(flags: Mapping[str, Mask]) -> dict[str, Mask]:
    """The slices by name, from the flags of every position.

    Args:
        flags: for each of FLAGS a mask [P]: the target opens a session; its user has training
            events; its item has none; its item is in the head.
    """
    start, seen, cold, head = (flags[name] for name in FLAGS)
    return {
        "all": np.ones_like(start),
        "session_start": start,
        "in_session": ~start,
        "seen_user": seen,
        "unseen_user": ~seen,
        "cold_item": cold,
        "popular_head": head,
        "popular_tail": ~head & ~cold,
    }
