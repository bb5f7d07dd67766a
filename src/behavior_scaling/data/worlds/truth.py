"""The truth on a prepared data set: what the exact filter reaches on its evaluation positions.

Choices: the histories are drawn again and compared with the data set's event by event, so that
data of another world, seed or number of users are refused; amounts come from there too, for a
data set keeps them as levels only. The catalogue is ordered for a sample of the positions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.rank_gains import KINDS, expected
from behavior_scaling.data.store import SPLIT_CODES, Dataset, EvalSplit
from behavior_scaling.data.worlds.filter import Information, forward, refusal
from behavior_scaling.data.worlds.generate import BLOCK, Bools, Histories, draw
from behavior_scaling.data.worlds.named import named
from behavior_scaling.data.worlds.oracle import detection, fresh, mean_over_users, oracle_ranks
from behavior_scaling.data.worlds.parameters import Floats, Ints, World

RANKED = 10_000  # positions of a split whose catalogue is ordered
CUTOFF = 10
SPLITS: tuple[EvalSplit, ...] = ("validation", "test")
INFORMATION: tuple[Information, ...] = ("items", "events")


def truth(dataset: Dataset, config: DataConfig) -> dict[str, Any]:
    """Entropy of the world, and what its exact filter reaches on the evaluation positions.

    Args:
        dataset: prepared from the world.
        config: names the world, its users and seed, and L.

    Returns:
        By what is given ('items', 'events'): `fresh`, the entropy H_L over later users; and by
        split and slice cross_entropy with its standard error (nats, clustered by user), recall,
        ndcg and mrr at 10 over n_ranked positions; with payments `fraud`. Or `refused`: why there
        is no exact filter.

    Raises:
        DataError: no such world, or the data set holds other events than it draws.
    """
    world = named(config.source)
    _same_catalogue(world, dataset, config)
    targets = np.sort(np.concatenate([dataset.eval_events(split) for split in SPLITS]))
    body: dict[str, Any] = {
        "world": config.source,
        "context": config.context,
        "users": config.world.users,
        "seed": config.world.seed,
    }
    for information in INFORMATION:
        reason = refusal(world, information)
        if reason is not None:
            body[information] = {"refused": reason}
            continue
        entropy, found = fresh(
            world, config.world.seed, config.context, information, after=config.world.users
        )
        whole: dict[str, Any] = {"entropy": asdict(entropy)}
        if found is not None:
            whole["fraud"] = asdict(found)
        scores = _score(world, dataset, config, information, targets)
        body[information] = {
            "fresh": whole,
            **{split: _summary(dataset, scores, split) for split in SPLITS},
        }
    return body


@dataclass(frozen=True)
class _Scores:
    """What the filter says of the evaluation positions of both splits [P]."""

    targets: Ints  # the events
    user: Ints
    logp: Floats
    ranked: Bools  # has counts
    higher: Ints
    equal: Ints
    fraud: Floats  # P(fraud | past and present event); 0 without payments
    label: Bools


def _score(
    world: World, dataset: Dataset, config: DataConfig, information: Information, targets: Ints
) -> _Scores:
    """Filter the histories of the users who have targets."""
    count = len(targets)
    scores = _Scores(
        targets=targets,
        user=np.searchsorted(dataset.offsets, targets, side="right") - 1,
        logp=np.empty(count),
        ranked=_sample(dataset, targets, config.world.seed),
        higher=np.zeros(count, dtype=np.int64),
        equal=np.zeros(count, dtype=np.int64),
        fraud=np.zeros(count),
        label=np.zeros(count, dtype=bool),
    )
    histories = draw(world, config.world.seed, config.context, config.world.users)
    for first, block in zip(range(0, config.world.users, BLOCK), histories, strict=True):
        _same_events(dataset, config, block, first)
        rows = np.arange(*np.searchsorted(scores.user, (first, first + len(block.lengths))))
        users, user = np.unique(scores.user[rows] - first, return_inverse=True)
        if not len(users):
            continue
        place = targets[rows] - dataset.offsets[scores.user[rows]]
        chosen = block.users(users)
        filtered = forward(world, chosen, information)
        scores.logp[rows] = filtered.logp[user, place]
        ordered = scores.ranked[rows]
        ranks = oracle_ranks(world, chosen, filtered, user[ordered], place[ordered])
        scores.higher[rows[ordered]], scores.equal[rows[ordered]] = ranks.higher, ranks.equal
        if filtered.fraud is not None and chosen.marks is not None:
            scores.fraud[rows] = filtered.fraud[user, place]
            scores.label[rows] = chosen.marks.fraud[user, place]
    return scores


def _sample(dataset: Dataset, targets: Ints, seed: int) -> Bools:
    """Which targets are ranked: RANKED of each split, drawn by seed."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(targets), dtype=bool)
    for split in SPLITS:
        rows = np.flatnonzero(dataset.split[targets] == SPLIT_CODES[split])
        chosen[rng.choice(rows, min(RANKED, len(rows)), replace=False)] = True
    return chosen


def _summary(dataset: Dataset, scores: _Scores, split: EvalSplit) -> dict[str, Any]:
    """The slices of a split, and its detection of fraud."""
    targets = scores.targets
    here = dataset.split[targets] == SPLIT_CODES[split]
    start = dataset.sessions[targets] != dataset.sessions[targets - 1]
    body: dict[str, Any] = {
        "all": _slice(scores, here),
        "session_start": _slice(scores, here & start),
        "in_session": _slice(scores, here & ~start),
    }
    found = detection(scores.fraud[here], scores.label[here])
    if found is not None:
        body["fraud"] = asdict(found)
    return body


def _slice(scores: _Scores, rows: Bools) -> dict[str, float | int | None]:
    """Cross-entropy of some positions, and the rank metrics of those that have ranks."""
    if not rows.any():
        return {"n_positions": 0, "n_users": 0}
    users, user = np.unique(scores.user[rows], return_inverse=True)
    sums = np.asarray(np.bincount(user, -scores.logp[rows], len(users)), dtype=np.float64)
    estimate = mean_over_users(sums, np.bincount(user, minlength=len(users)))
    body: dict[str, float | int | None] = {
        "cross_entropy": estimate.mean,
        "standard_error": estimate.standard_error,
        "n_positions": estimate.n_positions,
        "n_users": estimate.n_users,
    }
    ranked = rows & scores.ranked
    if ranked.any():
        for kind in KINDS:
            gains = expected(kind, CUTOFF, scores.higher[ranked], scores.equal[ranked])
            body[f"{kind}@{CUTOFF}"] = float(gains.mean())
        body["n_ranked"] = int(ranked.sum())
    return body


def oracle(body: dict[str, Any]) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """What `truth` found, as floors are kept: {split: {slice: {metric: value}}}.

    Of the two oracles the one that is given items only where there is one, since that is what a
    model sees unless its study names event features. Slices only: how well fraud is told ranks no
    items. The slice 'all' also has the entropy H_L over fresh events and its standard error (nats).
    """
    found = body["items"] if "refused" not in body["items"] else body["events"]
    entropy = found["fresh"]["entropy"]
    parts: dict[str, dict[str, dict[str, float | int | None]]] = {
        split: {
            part: dict(values) for part, values in found[split].items() if "cross_entropy" in values
        }
        for split in SPLITS
    }
    for split in SPLITS:
        parts[split]["all"] |= {"H": entropy["mean"], "H_se": entropy["standard_error"]}
    return parts


def _same_catalogue(world: World, dataset: Dataset, config: DataConfig) -> None:
    expected_ids = np.arange(world.spec.items)
    if not np.array_equal(dataset.item_ids, expected_ids) or dataset.n_users != config.world.users:
        raise DataError(
            f"{dataset.path}: has {dataset.n_items} items and {dataset.n_users} users, not those "
            f"of {config.source} with {config.world.users} users; prepare it from this study"
        )


def _same_events(dataset: Dataset, config: DataConfig, block: Histories, first: int) -> None:
    """Raise unless the users from `first` on have the block's events."""
    stop = first + len(block.lengths)
    events = slice(int(dataset.offsets[first]), int(dataset.offsets[stop]))
    present = block.present
    opens = np.diff(dataset.sessions[events], prepend=-1) != 0
    if not (
        np.array_equal(np.diff(dataset.offsets[first : stop + 1]), block.lengths)
        and np.array_equal(dataset.items[events], block.items[present])
        and np.array_equal(dataset.times[events], block.times[present])
        and np.array_equal(opens, block.starts[present])
    ):
        raise DataError(
            f"{dataset.path}: users {first} to {stop - 1} have other events than "
            f"{config.source} draws with seed {config.world.seed} and L = {config.context}; "
            f"fetch and prepare it again from this study"
        )
