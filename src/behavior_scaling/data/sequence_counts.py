"""What a data card counts user by user: sessions, gaps, repeats, evaluation targets by slice.

Choices: whole users at a time, so that nothing has to be carried over between chunks; the lag of
a repeat is how many events back the user had the item last; slices are those of slices.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.baselines import previous_occurrence
from behavior_scaling.data.slices import popularity_head, slice_masks
from behavior_scaling.data.store import SPLIT_CODES, Dataset
from behavior_scaling.data.tally import Tally

HALVES = ("validation", "test")


@dataclass(frozen=True)
class Slice:
    """Evaluation targets of a slice, and users with at least one of them."""

    positions: int
    users: int


class SequenceCounts:
    """Counts over the users added so far.

    Attributes:
        transitions: events that an event of the same user precedes.
        inside: transitions within a session.
        gaps: seconds of the transitions.
        sessions: events of the sessions.
        lags: events back to the last one of the same item, of the transitions that repeat one.
        targets: evaluation targets by half and slice.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.transitions = self.inside = 0
        self.gaps, self.sessions, self.lags = Tally(), Tally(), Tally()
        self.targets: dict[str, dict[str, Slice]] = {half: {} for half in HALVES}
        self._dataset = dataset
        self._head = popularity_head(dataset.train_counts)

    def add(self, users: slice) -> None:
        """Count the events of a stretch of users."""
        dataset = self._dataset
        offsets = dataset.offsets[users.start : users.stop + 1]
        span = slice(int(offsets[0]), int(offsets[-1]))
        items, sessions = dataset.items[span], dataset.sessions[span]
        user = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        follows = np.zeros(len(items), dtype=bool)
        follows[1:] = user[1:] == user[:-1]
        same = follows.copy()
        same[1:] &= sessions[1:] == sessions[:-1]
        self.transitions += int(follows.sum())
        self.inside += int(same.sum())
        self.gaps.add(np.diff(dataset.times[span], prepend=0)[follows])
        self.sessions.add(np.diff(np.append(np.flatnonzero(~same), len(items))))
        last = previous_occurrence(user, items)
        again = np.flatnonzero(last >= 0)
        self.lags.add(again - last[again])
        for half in HALVES:
            target = np.flatnonzero(follows & (dataset.split[span] == SPLIT_CODES[half]))
            self._add_targets(half, user[target], ~same[target], items[target], users)

    def _add_targets(
        self,
        half: str,
        user: NDArray[np.int64],
        start: NDArray[np.bool_],
        items: NDArray[np.int32],
        users: slice,
    ) -> None:
        masks = slice_masks(
            {
                "session_start": start,
                "seen_user": self._dataset.user_in_train[users][user],
                "cold": self._dataset.train_counts[items] == 0,
                "head": self._head[items],
            }
        )
        found = self.targets[half]
        for name, mask in masks.items():
            chosen = user[mask]  # ascending
            held = int((np.diff(chosen, prepend=-1) > 0).sum())
            before = found.get(name, Slice(0, 0))
            found[name] = Slice(before.positions + len(chosen), before.users + held)
