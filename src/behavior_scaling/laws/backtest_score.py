"""Scoring a prediction that has a spread: coverage of its interval, and CRPS.

Source: Gneiting and Raftery, J. Am. Stat. Assoc. 102 (2007): the continuous ranked probability
score is the integral of (F(x) - 1[x >= observed])^2, in the unit of the observation, lower is
better; a prediction without spread scores its absolute error. Choice: every prediction is scored
as a normal one, whatever made it, so that all are scored alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from behavior_scaling.laws.arrays import Array

LEVEL = 0.90
QUANTILE = float(special.ndtri(0.5 + LEVEL / 2))


def crps_normal(observed: Array, mean: Array, sd: Array) -> Array:
    """CRPS of N(mean, sd^2): sd [z (2 Phi(z) - 1) + 2 phi(z) - pi^-1/2], z = (obs - mean) / sd."""
    z = (observed - mean) / sd
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray(sd * (z * (2 * special.ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi)))


@dataclass(frozen=True, eq=False)
class Forecast:
    """Normal predictions of n values, on the fitted scale."""

    mean: Array
    sd: Array

    @property
    def low(self) -> Array:
        """Lower end of the 90% interval."""
        return np.asarray(self.mean - QUANTILE * self.sd)

    @property
    def high(self) -> Array:
        """Upper end of the 90% interval."""
        return np.asarray(self.mean + QUANTILE * self.sd)

    def covers(self, observed: Array) -> Array:
        """Whether each value lies in its interval."""
        return np.asarray((self.low <= observed) & (observed <= self.high))

    def score(self, observed: Array) -> dict[str, Any]:
        """Coverage, mean CRPS, mean error and mean half-width over the values."""
        return {
            "coverage": float(np.mean(self.covers(observed))),
            "crps": float(np.mean(crps_normal(observed, self.mean, self.sd))),
            "error": float(np.mean(self.mean - observed)),
            "half_width": float(np.mean(QUANTILE * self.sd)),
        }
