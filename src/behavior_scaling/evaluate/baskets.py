"""Baskets: the distinct items of every session that opens with an evaluation target (numpy only).

A session is a stretch of one user's events with one running number, so it ends where the number
changes; each of its items counts once, at its first event. All lie in the target's own split,
because a user's events after t1 do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.data.ragged import ragged
from behavior_scaling.data.store import Dataset


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
    item = dataset.items[event].astype(np.int64)
    _, first = np.unique(owner * dataset.n_items + item, return_index=True)
    first.sort()
    return BasketRows(owner[first], event[first], item[first])
