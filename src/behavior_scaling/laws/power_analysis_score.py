"""Scores of an estimand over planted replicates: statuses, bias, coverage, and what it tells.

Choices: coverage and bias are taken over the replicates that give a number ('converged'); a
'confident wrong number' is a converged one whose interval leaves the truth out, over all
replicates; an estimand tells its planted value from another where its interval, or its one-sided
bound, ends on the near side of the other. Chances come with their binomial standard error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.planted_fits import Draws


@dataclass(frozen=True)
class Chance:
    """A share of replicates."""

    value: float
    error: float  # binomial standard error

    @classmethod
    def of(cls, hits: npt.NDArray[np.bool_]) -> Chance | None:
        """From one entry a replicate; None without replicates."""
        if hits.size == 0:
            return None
        p = float(np.mean(hits))
        return cls(p, float(np.sqrt(p * (1 - p) / hits.size)))

    def __str__(self) -> str:
        return f"{self.value:.2f} ± {self.error:.2f}"


@dataclass(frozen=True)
class Score:
    """One estimand under one planted truth."""

    estimand: str
    planted: float
    replicates: int
    statuses: dict[str, int]
    bias: float | None  # median of log(value / planted), or of value - planted (additive)
    coverage: Chance | None  # of the 95% intervals, among converged replicates
    wrong: Chance | None  # converged, and the interval leaves the truth out
    other: float | None  # the value that it is to be told from
    told: Chance | None

    @property
    def converged(self) -> float:
        """Share of replicates that give a number."""
        return self.statuses.get("converged", 0) / max(self.replicates, 1)


def told(draws: Draws, planted: float, other: float) -> npt.NDArray[np.bool_]:
    """Which replicates exclude the other value on the planted one's side."""
    with np.errstate(invalid="ignore"):
        return np.asarray(draws.high < other if planted < other else draws.low > other)


def score(
    estimand: str,
    draws: Draws,
    planted: float,
    other: float | None = None,
    *,
    additive: bool = False,
) -> Score:
    """Count one estimand's replicates.

    Args:
        estimand: its name.
        draws: its replicates.
        planted: the truth.
        other: the value that it is to be told from.
        additive: bias as a difference (exponents, E), not as a log ratio.
    """
    names, counts = np.unique(draws.status, return_counts=True)
    good = draws.converged
    bias = None
    if good.any():
        values = draws.value[good]
        bias = float(np.median(values - planted if additive else np.log(values / planted)))
    outside = draws.excludes(planted)
    return Score(
        estimand,
        planted,
        int(draws.status.size),
        {str(name): int(count) for name, count in zip(names, counts, strict=True)},
        bias,
        Chance.of(~outside[good]),
        Chance.of(good & outside),
        other,
        None if other is None else Chance.of(told(draws, planted, other)),
    )
