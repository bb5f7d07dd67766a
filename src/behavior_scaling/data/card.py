"""What a prepared data set is like, in numbers: the facts behind its data card.

Choices: users are read in chunks through the memory maps, so that memory is bounded by the
chunk, the numbers of users and of items, never by the number of events (one user's events
excepted); popularity and entropy are of train events, as models know them; lengths, sessions,
repeats and gaps are of all events, since history before a target is always visible. A
*transition* is an event that an event of the same user precedes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.event_levels import CALENDAR, GAP, MISSING
from behavior_scaling.data.ragged import chunks
from behavior_scaling.data.sequence_counts import SequenceCounts, Slice
from behavior_scaling.data.store import CONTEXT, SPLIT_CODES, Dataset
from behavior_scaling.data.tally import Spread, Tally
from behavior_scaling.data.timeline import Timeline, timeline

LAGS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500)  # events back, of the repeats
CURVE = 60  # points of the rank-frequency curve
SPLITS = SPLIT_CODES | {"context": CONTEXT}
TOP = 0.01  # share of the items with train events that the top are
_EVENTS = 2_000_000  # read at a time
_CELLS = 8_000_000  # of a table of features, read at a time

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Counts:
    """How many there are."""

    events: int
    dropped: int  # lines that repeated an earlier one, beside the events
    users: int
    items: int  # V, the catalogue
    by_split: dict[str, int]  # events
    users_in_train: int
    items_in_train: int  # with train events; the others are cold
    unique_positions: int  # U


@dataclass(frozen=True)
class Popularity:
    """Train events by item; an item's rank is 1 for the most frequent."""

    ranks: list[int]  # at about equal steps of the logarithm
    events: list[int]  # of the items at these ranks
    top_items: int  # TOP of the items with train events, rounded up
    top_share: float  # of the train events
    gini: float  # over items with train events; 0: all equally frequent


@dataclass(frozen=True)
class Repeats:
    """Transitions to an item that the user had before, as shares of all transitions."""

    ever: float
    within: dict[str, float]  # k: the item is among the user's last k events


@dataclass(frozen=True)
class Features:
    """What is known of items and events."""

    tokens: Spread  # feature tokens of an item, cut at T
    cut_items: int  # items that had more than T
    vectors: list[str]  # item columns of precomputed vectors
    missing: dict[str, float]  # item column: share of the catalogue without a value
    event_missing: dict[str, float]  # the source's event column: share of the events without


@dataclass(frozen=True)
class CardFacts:
    """Facts about a prepared data set; `dataclasses.asdict` gives what JSON can hold."""

    settings: dict[str, Any]  # the DataSpec: source, identity, split and the rest
    counts: Counts
    first: int  # unix seconds
    last: int
    t1: int | None  # None: the split is not by time
    timeline: Timeline
    targets: dict[str, dict[str, Slice]]  # by split and slice; 'all' is every target
    lengths: Spread  # events of a user
    popularity: Popularity
    unigram_entropy: float  # nats, of train
    sessions: Spread  # events of a session
    inside: float | None  # share of the transitions inside a session; None: no transition
    repeats: Repeats | None  # None: no transition
    gaps: Spread  # seconds of a transition
    zero_gaps: float | None  # share of the transitions; None: no transition
    features: Features


def card_facts(dataset: Dataset) -> CardFacts:
    """Read a data set once and count."""
    meta, trained = dataset.meta, dataset.train_counts[dataset.train_counts > 0]
    lengths = Tally()
    lengths.add(np.diff(dataset.offsets))
    found = SequenceCounts(dataset)
    for users in chunks(np.diff(dataset.offsets), _EVENTS):
        found.add(users)
    spans = list(_spans(dataset.n_events, _EVENTS))
    first = min(int(dataset.times[span].min()) for span in spans)
    last = max(int(dataset.times[span].max()) for span in spans)
    time = timeline(
        ((dataset.times[span], dataset.split[span]) for span in spans), first, last, SPLITS
    )
    return CardFacts(
        settings=dataclasses.asdict(meta.spec),
        counts=Counts(
            events=dataset.n_events,
            dropped=meta.dropped,
            users=dataset.n_users,
            items=dataset.n_items,
            by_split={name: sum(events) for name, events in time.events.items()},
            users_in_train=int(dataset.user_in_train.sum()),
            items_in_train=len(trained),
            unique_positions=meta.unique_positions,
        ),
        first=first,
        last=last,
        t1=meta.t1,
        timeline=time,
        targets=found.targets,
        lengths=lengths.spread(),
        popularity=_popularity(trained),
        unigram_entropy=meta.unigram_entropy,
        sessions=found.sessions.spread(),
        inside=found.inside / found.transitions if found.transitions else None,
        repeats=_repeats(found),
        gaps=found.gaps.spread(),
        zero_gaps=found.gaps.within(0) / found.transitions if found.transitions else None,
        features=_features(dataset),
    )


def _popularity(counts: Ints) -> Popularity:
    """Of the train events of the items that have some."""
    ordered = np.sort(counts)[::-1]
    n, total = len(ordered), int(ordered.sum())
    ranks = np.unique(np.geomspace(1, n, CURVE).round().astype(np.int64))
    top = math.ceil(TOP * n)
    # Gini = sum_r (n + 1 - 2 r) x_r / (n sum x), ranks r descending.
    weights = n + 1 - 2 * np.arange(1, n + 1, dtype=np.float64)
    return Popularity(
        ranks=ranks.tolist(),
        events=ordered[ranks - 1].tolist(),
        top_items=top,
        top_share=int(ordered[:top].sum()) / total,
        gini=float(weights @ ordered) / (n * total),
    )


def _repeats(found: SequenceCounts) -> Repeats | None:
    if not found.transitions:
        return None
    return Repeats(
        ever=found.lags.spread().n / found.transitions,
        within={str(lag): found.lags.within(lag) / found.transitions for lag in LAGS},
    )


def _features(dataset: Dataset) -> Features:
    meta, tokens = dataset.meta, Tally()
    for span in _spans(dataset.n_items, _CELLS // dataset.weights.shape[1]):
        tokens.add((dataset.weights[span] > 0).sum(axis=1))
    names = [name for name in meta.event_features if name not in (GAP, CALENDAR)]
    absent = np.zeros(len(meta.event_features), dtype=np.int64)
    if names:
        levels = dataset.event_columns().levels
        for span in _spans(dataset.n_events, _EVENTS):
            absent += (levels[span] == MISSING).sum(axis=0)
    shares = dict(zip(meta.event_features, (absent / dataset.n_events).tolist(), strict=True))
    return Features(
        tokens=tokens.spread(),
        cut_items=int(meta.vocabulary["cut_items"]),
        vectors=list(meta.vectors),
        missing=dict(meta.missing),
        event_missing={name: shares[name] for name in names},
    )


def _spans(total: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size`."""
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
