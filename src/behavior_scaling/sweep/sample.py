"""A seeded sample of finished runs that fits some seconds, a little of every kind of run.

Choices: first one run of every kind (axis, arm, stage, ...), drawn from those that leave room for
the cheapest run of each kind that is still to come, the kinds with the cheapest runs first, so that
as many kinds as possible occur; then what still fits, in random order. A run that serves several
axes stands for all of its kinds. Equal runs, seconds and seed give an equal sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Drawable:
    """A run that may be drawn."""

    key: str  # unique
    kinds: tuple[str, ...]  # what it is an example of, one at least
    seconds: float  # that it will take


@dataclass(frozen=True)
class Sample:
    """What was drawn, in the order in which to train: the longest first."""

    runs: tuple[Drawable, ...]
    left_out: tuple[str, ...]  # kinds of which not even the cheapest run fitted


def draw(runs: Sequence[Drawable], room: float, seed: int, *, all_kinds: bool = False) -> Sample:
    """Draw a sample.

    Args:
        runs: those to draw from.
        room: seconds that all drawn runs may take together.
        seed: of the draw.
        all_kinds: draw the cheapest run of a kind where none fits.
    """
    by_key = sorted(runs, key=lambda run: run.key)
    order = [by_key[i] for i in np.random.default_rng(seed).permutation(len(by_key))]
    cheapest: dict[str, float] = {}
    for run in order:
        for kind in run.kinds:
            cheapest[kind] = min(run.seconds, cheapest.get(kind, run.seconds))
    to_come = sorted(cheapest, key=lambda kind: (cheapest[kind], kind))
    chosen: list[Drawable] = []
    left_out: list[str] = []
    while to_come:
        kind, *to_come = to_come
        free = room - sum(run.seconds for run in chosen)
        kept = _kept(free - cheapest[kind], [cheapest[other] for other in to_come])
        of_kind = [run for run in order if kind in run.kinds and run not in chosen]
        fitting = [run for run in of_kind if run.seconds <= free - kept]
        if fitting:
            chosen.append(fitting[0])
        elif all_kinds:
            chosen.append(min(of_kind, key=lambda run: run.seconds))
        else:
            left_out.append(kind)
            continue
        to_come = [other for other in to_come if other not in chosen[-1].kinds]
    for run in order:
        if run not in chosen and sum(one.seconds for one in chosen) + run.seconds <= room:
            chosen.append(run)
    ordered = sorted(chosen, key=lambda run: (-run.seconds, run.key))
    return Sample(tuple(ordered), tuple(left_out))


def _kept(free: float, cheapest: Sequence[float]) -> float:
    """Seconds to keep for the cheapest runs of kinds to come, as many of them as there is room."""
    kept = 0.0
    for seconds in cheapest:
        if kept + seconds <= free:
            kept += seconds
    return kept
