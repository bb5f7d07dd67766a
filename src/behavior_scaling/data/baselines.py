"""Floors: what rules without training reach on the very positions that models are scored on.

Unigram (popularity), recency (the user's own last items), first-order Markov (markov.py) and
item-kNN (item_knn.py). All count train events only; recency, Markov and item-kNN read the history
before the target, whatever split it is of, as a model does. They are cut into the slices of models
and carry the same names of metrics, next-basket metrics of session starts included.

Choices: no item is left out of the ranking, not even those that the user has met; ties count as
expectations (rank_gains.py); the cross-entropy is None where a rule states no probabilities; a
split of more than MOST targets (item-kNN: MOST_BY_RULE) is scored at that many, evenly spread, so
that memory does not grow with the data: n_positions says how many, train_share what the rule
counted of train.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.baskets import basket_metrics, basket_rows
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.item_knn import item_knn_ranks, train_share
from behavior_scaling.data.markov import markov_ranks
from behavior_scaling.data.ragged import chunks, evenly, ragged
from behavior_scaling.data.rank_gains import Ranks, summary
from behavior_scaling.data.slices import Mask, event_flags, slice_masks
from behavior_scaling.data.store import Dataset, EvalSplit

MOST = 1_000_000  # targets of a split
MOST_BY_RULE = {"item_knn": 50_000}
SPLITS: tuple[EvalSplit, ...] = ("validation", "test")
_EVENTS = 4_000_000  # laid out at a time

Ints = NDArray[np.int64]
Floors = dict[str, dict[str, dict[str, dict[str, float | int | None]]]]


def floors(dataset: Dataset) -> Floors:
    """Every floor on the eligible targets of both splits.

    Returns:
        {split: {slice: {floor: {metric: value}}}}. Metrics as in rank_gains.summary
        (cross_entropy in nats; None where the slice is empty), n_positions, n_users, train_share
        (1 unless the rule left train events out); for session_start also basket_recall@10 and
        basket_ndcg@10.

    Raises:
        DataError: a split has no eligible target.
    """
    found: Floors = {split: {} for split in SPLITS}
    for name, rule in RULES.items():
        asked = [_Asked.of(dataset, split, MOST_BY_RULE.get(name, MOST)) for split in SPLITS]
        events = np.concatenate([part for one in asked for part in (one.targets, one.basket_event)])
        states = np.concatenate([part for one in asked for part in (one.targets, one.basket_state)])
        ranks = rule(dataset, events, states)
        share = train_share(dataset) if name == "item_knn" else 1.0
        for split, one in zip(SPLITS, asked, strict=True):
            n = len(one.targets) + len(one.basket_event)
            for part, values in one.metrics(ranks.take(slice(n))).items():
                found[split].setdefault(part, {})[name] = values | {"train_share": share}
            ranks = ranks.take(slice(n, None))
    return found


@dataclass(frozen=True)
class _Asked:
    """What a rule ranks of a split: P targets, then R items of the baskets that open at some."""

    targets: Ints  # [P]
    user: Ints  # [P]
    masks: dict[str, Mask]  # by slice [P]
    basket_event: Ints  # [R]
    basket_state: Ints  # [R] the event that opens the basket
    basket_user: Ints  # [R]

    @classmethod
    def of(cls, dataset: Dataset, split: EvalSplit, most: int) -> _Asked:
        """The targets of a split, or `most` of them evenly spread."""
        targets = evenly(dataset.eval_events(split), most)
        if not len(targets):
            raise DataError(
                f"{dataset.path}: no {split} event has a predecessor: no floors to measure"
            )
        flags = event_flags(dataset, targets)
        user = np.searchsorted(dataset.offsets, targets, side="right") - 1
        start = flags["session_start"]
        rows = basket_rows(dataset, targets[start])
        return cls(
            targets=targets,
            user=user,
            masks=slice_masks(flags),
            basket_event=rows.event,
            basket_state=targets[start][rows.opening],
            basket_user=user[start][rows.opening],
        )

    def metrics(self, ranks: Ranks) -> dict[str, dict[str, float | int | None]]:
        """By slice, from the ranks of the targets and of the baskets' items [P + R]."""
        n = len(self.targets)
        own, rest = ranks.take(slice(n)), ranks.take(slice(n, None))
        found: dict[str, dict[str, float | int | None]] = {}
        for name, mask in self.masks.items():
            found[name] = {
                **summary(own.take(mask)),
                "n_positions": int(mask.sum()),
                "n_users": len(np.unique(self.user[mask])),
            }
        found["session_start"] |= (
            basket_metrics(self.basket_state, self.basket_user, rest.higher, rest.equal)
            if len(rest.higher)
            else {"basket_recall@10": None, "basket_ndcg@10": None}
        )
        return found


def unigram_ranks(dataset: Dataset, events: Ints, states: Ints) -> Ranks:
    """Ranks of the items of `events` [P] by the number of their train events, at any state."""
    ordered = np.sort(dataset.train_counts)
    item = dataset.items[events]
    own = dataset.train_counts[item]
    above = len(ordered) - np.searchsorted(ordered, own, side="right")
    level = len(ordered) - np.searchsorted(ordered, own, side="left") - above
    return Ranks(above, level - 1, np.log(dataset.unigram[item]))


def recency_ranks(dataset: Dataset, events: Ints, states: Ints) -> Ranks:
    """Ranks of the items of `events` [P] by when the user had last met them before `states` [P].

    The user's last item stands first; items that the user never met are level at the end. No
    event between a state and its event may be of the event's item. Users are laid out in blocks.
    """
    owner = np.searchsorted(dataset.offsets, states, side="right") - 1
    users, of = np.unique(owner, return_inverse=True)
    order = np.argsort(of, kind="stable")
    first = np.searchsorted(of[order], np.arange(len(users) + 1))
    begin = dataset.offsets[users]
    higher = np.empty(len(events), dtype=np.int64)
    equal = np.empty(len(events), dtype=np.int64)
    for part in chunks(dataset.offsets[users + 1] - begin, _EVENTS):
        lengths = (dataset.offsets[users + 1] - begin)[part]
        user, event = ragged(begin[part], lengths)
        last = previous_occurrence(user, dataset.items[event])
        met = np.concatenate(([0], np.cumsum(last < 0)))  # distinct (user, item) pairs so far
        opening = np.cumsum(lengths) - lengths
        own = order[first[part.start] : first[part.stop]]
        head = opening[of[own] - part.start]
        shift = head - begin[of[own]]
        state, before = states[own] + shift, last[events[own] + shift]
        distinct = met[state] - met[head]
        known = before >= 0
        above = distinct.copy()
        above[known] = _distinct_between(last, before[known], state[known])
        higher[own] = above
        equal[own] = np.where(known, 0, dataset.n_items - distinct - 1)
    return Ranks(higher, equal, None)


def previous_occurrence(user: Ints, items: NDArray[np.int32]) -> Ints:
    """For each event the last earlier one of the same user and item, -1 if there is none [E]."""
    order = np.lexsort((items, user))  # stable: a pair's events stay in order
    same = (user[order][1:] == user[order][:-1]) & (items[order][1:] == items[order][:-1])
    last = np.full(len(items), -1, dtype=np.int64)
    last[order[1:][same]] = order[:-1][same]
    return last


def _distinct_between(last: Ints, start: Ints, stop: Ints) -> Ints:
    """Distinct items strictly between two events of a user: those first met after `start`."""
    counts = np.empty(len(start), dtype=np.int64)
    for part in chunks(stop - start - 1, _EVENTS):
        row, event = ragged(start[part] + 1, (stop - start - 1)[part])
        fresh = last[event] <= start[part][row]
        counts[part] = np.bincount(row[fresh], minlength=len(start[part]))
    return counts


Rule = Callable[[Dataset, Ints, Ints], Ranks]
RULES: dict[str, Rule] = {
    "unigram": unigram_ranks,
    "recency": recency_ranks,
    "markov": markov_ranks,
    "item_knn": item_knn_ranks,
}
