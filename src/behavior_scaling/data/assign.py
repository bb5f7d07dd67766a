"""Which split every event belongs to, found in passes over the sorted events.

Choices: passes read pieces of the arrays that are on disk already; counts of training events are
taken on the way, since everything else that is fitted to the data asks for them. A split with too
few targets is refused: its metrics would be noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.npy import NpyWriter, pieces
from behavior_scaling.data.split import cut_time, last_codes, split_codes, with_context
from behavior_scaling.data.store import SPLIT_CODES, TRAIN, EvalSplit

EVAL_SPLITS: tuple[EvalSplit, ...] = ("validation", "test")

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Assigned:
    """What the passes found, beside split.npy."""

    t1: int | None
    train_counts: Ints  # [V] training events
    train_lengths: Ints  # [n_users] training events
    targets: dict[EvalSplit, int]  # per split: its events that have a predecessor


def assign_splits(
    config: DataConfig,
    offsets: Ints,
    test_half: NDArray[np.bool_],
    training: NDArray[np.bool_] | None,
    scored: NDArray[np.bool_] | None,
    n_items: int,
    folder: Path,
) -> Assigned:
    """Write split.npy.

    Args:
        config: the split and its settings.
        offsets: user u owns events offsets[u]:offsets[u + 1] [n_users + 1].
        test_half: users whose late events are test [n_users].
        training: users who train [n_users]; None: all.
        scored: users whose late events are targets [n_users]; None: all.
        n_items: V.
        folder: holds items.npy and times.npy.

    Raises:
        DataError: nothing lies before the cut, or a split has fewer targets than
            config.least_targets.
    """
    times = folder / "times.npy"
    t1 = None
    if config.split == "time":
        t1 = cut_time(lambda: pieces(times), int(offsets[-1]), config.train_fraction)
    held = 1 if config.split == "leave_one_out" else config.last_n
    counts, lengths = np.zeros(n_items, np.int64), np.zeros(len(offsets) - 1, np.int64)
    targets = dict.fromkeys(EVAL_SPLITS, 0)
    both = zip(pieces(times), pieces(folder / "items.npy"), strict=True)
    with NpyWriter(folder / "split.npy", "|u1") as writer:
        for (event, user), (when, item) in zip(owners(offsets, times), both, strict=True):
            if t1 is None:
                codes = last_codes(event, user, offsets, held)
            else:
                codes = split_codes(when, user, t1, test_half)
            codes = with_context(codes, user, training, scored)
            writer.append(codes)
            trained = codes == TRAIN
            counts += np.bincount(item[trained], minlength=n_items)
            first = user[0]
            lengths[first : user[-1] + 1] += np.bincount(
                user[trained] - first, minlength=int(user[-1] - first) + 1
            )
            preceded = event > offsets[user]
            for name in targets:
                targets[name] += int((preceded & (codes == SPLIT_CODES[name])).sum())
    _refuse_few(config, targets)
    return Assigned(t1, counts, lengths, targets)


def owners(offsets: Ints, like: Path) -> Iterator[tuple[Ints, Ints]]:
    """Index and user of every event, in the pieces in which the file `like` is read."""
    done = 0
    for piece in pieces(like):
        event = np.arange(done, done + len(piece))
        first, last = np.searchsorted(offsets, [done, done + len(piece) - 1], side="right") - 1
        bounds = np.clip(offsets[first : last + 2], done, done + len(piece))
        yield event, np.repeat(np.arange(first, last + 1), np.diff(bounds))
        done += len(piece)


def _refuse_few(config: DataConfig, targets: dict[EvalSplit, int]) -> None:
    for name, count in targets.items():
        if count < config.least_targets:
            raise DataError(
                f"{config.name}: the {name} split has {count:,} targets (events of it that "
                f"have a predecessor), fewer than the {config.least_targets:,} below which metrics "
                f"are noise: bring more events, hold out more (data.train_fraction, "
                f"data.last_n), or lower data.least_targets knowingly"
            )
