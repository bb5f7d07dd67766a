"""The jobs of the benchmark, in the order in which they run.

Choices: throughput first, every contestant once a round, each round beginning with another one,
so that none always has the same neighbour; then quality, one run a contestant of the longest
horizon. Ours decays its learning rate over the run, so each horizon is a run of its own; D is
what the measured throughput makes of the horizon.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from settings import CONTESTANTS, LR_FACTORS, QUALITY_SHAPE, SHAPES, Durations

ENDLESS = 10**9  # targets of a run that is cut by the clock
SCHEDULED = ("ours-features", "ours-table")  # their rate depends on the length of the run


@dataclass(frozen=True)
class Job:
    """What one process does."""

    contestant: str
    shape: str
    data: str  # the exported folder
    seed: int
    warm: float  # seconds of training that do not count towards the rate
    seconds: float  # that do
    moments: tuple[float, ...]  # seconds at which quality is measured
    targets: int  # that the run is to see
    lr_factor: float
    clock: str  # 'wall' or 'cpu'


def throughput_jobs(data: str, durations: Durations, clock: str) -> dict[str, Job]:
    """By name: every contestant, shape and round."""
    names = list(CONTESTANTS)
    jobs = {}
    for number in range(durations.rounds):
        turned = names[number % len(names) :] + names[: number % len(names)]
        for shape in SHAPES:
            for name in turned:
                jobs[f"throughput-{shape}-{name}-{number}"] = Job(
                    name, shape, data, number, durations.warm, durations.counted, (), ENDLESS,
                    1.0, clock,
                )  # fmt: skip
    return jobs


def quality_jobs(
    data: str, durations: Durations, clock: str, throughput: list[dict[str, Any]]
) -> dict[str, Job]:
    """By name: every contestant's runs; those without a measured throughput are left out."""
    jobs = {}
    for horizon in reversed(durations.horizons):
        for name in CONTESTANTS:
            rates = [
                result["targets_per_second"]
                for result in throughput
                if (result["contestant"], result["shape"]) == (name, QUALITY_SHAPE)
            ]
            if not rates or (horizon < durations.horizons[-1] and name not in SCHEDULED):
                continue
            moments = tuple(share * horizon for share in durations.moments)
            jobs[f"quality-{QUALITY_SHAPE}-{name}-{horizon:g}s"] = Job(
                name, QUALITY_SHAPE, data, 0, 0.0, horizon, moments,
                int(statistics.median(rates) * horizon), LR_FACTORS[name], clock,
            )  # fmt: skip
    return jobs
