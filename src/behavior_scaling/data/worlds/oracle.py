"""What the best possible reader of a world reaches: entropy, ranks, and the detection of fraud.

Choices: positions of one user are not independent, so standard errors come from users (a ratio
estimate); fresh users are later ones of the endless order that a data set takes the first of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from behavior_scaling.data.rank_gains import Ranks
from behavior_scaling.data.worlds.filter import Filtered, Information, forward
from behavior_scaling.data.worlds.generate import BLOCK, Bools, Histories, block
from behavior_scaling.data.worlds.parameters import Floats, Ints, World

POSITIONS = 1_000_000
PRECISION = 0.002  # nats, the standard error that is gone on for

_ROWS = 128  # positions whose catalogue is scored at a time


@dataclass(frozen=True)
class Estimate:
    """A mean over positions; its standard error treats users, not positions, as independent."""

    mean: float
    standard_error: float | None  # None with a single user
    n_positions: int
    n_users: int


@dataclass(frozen=True)
class Detection:
    """How well P(fraud | past and present event) finds the events with fraud."""

    auc: float
    average_precision: float
    n_events: int
    n_fraud: int


def mean_over_users(sums: Floats, counts: Ints) -> Estimate:
    """Mean over positions from each user's sum and number of positions [n], each at least 1."""
    n, users = int(counts.sum()), len(counts)
    mean = float(sums.sum() / n)
    error = None
    if users > 1:
        spread = float(((sums - mean * counts) ** 2).sum())
        error = float(np.sqrt(spread * users / (users - 1)) / n)
    return Estimate(mean, error, n, users)


def fresh(
    world: World,
    seed: int,
    context: int,
    information: Information,
    after: int = 0,
    positions: int = POSITIONS,
    precision: float = PRECISION,
) -> tuple[Estimate, Detection | None]:
    """H_L, the mean of -log p(y_t | past) over fresh events, and the detection of fraud.

    Args:
        world: whose events.
        seed: of the endless order of users.
        context: L.
        information: what the filter is given.
        after: users of the order that are passed over, in whole blocks.
        positions: at least so many; more until the standard error is at most `precision`.
        precision: in nats.

    Raises:
        DataError: there is no exact filter for what is given.
    """
    sums: list[Floats] = []
    counts: list[Ints] = []
    scores: list[Floats] = []
    labels: list[Bools] = []
    for histories in _blocks(world, seed, context, -(-after // BLOCK)):
        filtered = forward(world, histories, information)
        present = histories.present
        if filtered.fraud is not None and histories.marks is not None:
            scores.append(filtered.fraud[present])
            labels.append(histories.marks.fraud[present])
        present[:, 0] = False  # nothing precedes the first event
        sums.append(-np.where(present, filtered.logp, 0.0).sum(axis=1))
        counts.append(histories.lengths - 1)
        estimate = mean_over_users(np.concatenate(sums), np.concatenate(counts))
        error = estimate.standard_error
        if estimate.n_positions >= positions and error is not None and error <= precision:
            break
    if not scores:
        return estimate, None
    return estimate, detection(np.concatenate(scores), np.concatenate(labels))


def _blocks(world: World, seed: int, context: int, number: int) -> Iterator[Histories]:
    while True:
        yield block(world, seed, context, number)
        number += 1


def probabilities(
    world: World, histories: Histories, mixture: Floats, user: Ints, place: Ints
) -> Floats:
    """p(i | past) for every item of the catalogue [P, V].

    Args:
        world: whose items.
        histories: of the users.
        mixture: the filter's, of the positions [P, 1 + rows of emission].
        user: rows of the histories [P].
        place: t of the positions [P], at least 1.
    """
    p = mixture[:, 1:] @ world.emission
    memory = world.spec.memory
    weight = mixture[:, 0] / np.minimum(memory, place)
    for ago in range(1, min(memory, histories.items.shape[1]) + 1):
        row = np.flatnonzero(place >= ago)
        p[row, histories.items[user[row], place[row] - ago]] += weight[row]
    return np.asarray(p)


def oracle_ranks(
    world: World, histories: Histories, filtered: Filtered, user: Ints, place: Ints
) -> Ranks:
    """Where the events that came stand when the catalogue is ordered by p(i | past) [P]."""
    higher, equal = np.empty(len(user), dtype=np.int64), np.empty(len(user), dtype=np.int64)
    for first in range(0, len(user), _ROWS):
        part = slice(first, first + _ROWS)
        who, when = user[part], place[part]
        p = probabilities(world, histories, filtered.mixture[who, when], who, when)
        own = np.take_along_axis(p, histories.items[who, when][:, None], axis=1)
        higher[part] = (p > own).sum(axis=1)
        equal[part] = (p == own).sum(axis=1) - 1
    return Ranks(higher, equal, filtered.logp[user, place])


def detection(scores: Floats, labels: Bools) -> Detection | None:
    """Area under the ROC curve and average precision; None where one class is absent.

    Equal scores count one half in the area and enter the precision together.
    """
    positive = int(labels.sum())
    negative = len(labels) - positive
    if not positive or not negative:
        return None
    above = rankdata(scores)[labels].sum() - positive * (positive + 1) / 2
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(labels[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    gained = np.diff(found[last], prepend=0) / positive
    precision = found[last] / (last + 1)
    return Detection(
        auc=float(above / (positive * negative)),
        average_precision=float((gained * precision).sum()),
        n_events=len(labels),
        n_fraud=positive,
    )
