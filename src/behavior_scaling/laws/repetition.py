"""Data that repeat: L = E + A N^-alpha + B D_eff^-beta, with what a repeated position is worth.

Choices: D_eff = U + U R* (1 - exp(-(epochs - 1) / R*)), epochs = D / U, the data part of
Muennighoff et al. (arXiv 2305.16264, eq. 5; their discount of excess parameters is left out); one
epoch or less gives D itself. R* is fitted with the rest, as a logarithm; where AICc gains no more
than 4 by it, R* is 'not identified' and the rows are those of approach 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError, vector
from behavior_scaling.laws.law_fit import LawFit
from behavior_scaling.laws.many_law import Dense, Model
from behavior_scaling.laws.parametric import DELTA, RESAMPLES
from behavior_scaling.laws.term_law import fit_problem
from behavior_scaling.laws.term_problem import Asked, Input, Problem, checked

FORM = "L = E + A N^-alpha + B D_eff^-beta, D_eff = U + U R (1 - exp(-(D/U - 1) / R))"
WORTH = (0.05, 1e4)  # bounds of R*
START_WORTH = (2.0, 15.0)


def effective(d: Array, unique: Array, worth: Array | float) -> Array:
    """Positions that D is worth; d and unique [n], R* a number or [r, 1]."""
    extra = np.maximum(d / unique - 1.0, 0.0)
    repeated = unique * (1.0 - worth * np.expm1(-extra / worth))
    return np.asarray(np.where(extra > 0, repeated, d))


def effective_slope(d: Array, unique: Array, worth: Array | float) -> Array:
    """Derivative of log D_eff by log R*."""
    ratio = np.maximum(d / unique - 1.0, 0.0) / worth
    rise = unique * worth * (-np.expm1(-ratio) - ratio * np.exp(-ratio))
    return np.asarray(rise / effective(d, unique, worth))


@dataclass(frozen=True, eq=False)
class _Law:
    """E, (a, alpha), (b, beta), log R* at the middle of the data, as a Model."""

    log_n: Array  # centred
    d: Array
    unique: Array
    center: float
    log: bool

    def evaluate(self, theta: Array) -> Dense:
        worth = np.exp(theta[:, 5:6])
        log_d = np.log(effective(self.d, self.unique, worth)) - self.center  # [r, n]
        floor = np.exp(theta[:, :1]) + np.zeros_like(log_d)
        first = np.exp(theta[:, 1:2] - theta[:, 2:3] * self.log_n)
        second = np.exp(theta[:, 3:4] - theta[:, 4:5] * log_d)
        bend = -theta[:, 4:5] * second * effective_slope(self.d, self.unique, worth)
        columns = [floor, first, -first * self.log_n, second, -second * log_d, bend]
        total = floor + first + second
        jacobian = np.stack(columns, axis=2)
        if not self.log:
            return Dense(total, jacobian)
        return Dense(np.log(total), jacobian / total[:, :, None])


@dataclass(frozen=True, eq=False)
class _Repeated(Problem):
    """Approach 3 with R* as a sixth parameter."""

    unique: Array  # [n] U

    @property
    def names(self) -> list[str]:
        return [*super().names, "R"]

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        return {**super().parts, "R": ("R",)}

    def model(self, rows: npt.NDArray[np.int64] | slice = slice(None)) -> Model:
        n, d = (term.x[rows] for term in self.inputs)
        return _Law(
            np.log(n) - self.centers[0],
            d,
            self.unique[rows],
            float(self.centers[1]),
            self.asked.residuals == "log",
        )

    def bounds(self) -> tuple[Array, Array]:
        low, high = super().bounds()
        return np.append(low, np.log(WORTH[0])), np.append(high, np.log(WORTH[1]))

    def starts(self) -> Array:
        plain = super().starts()
        parts = [np.column_stack([plain, np.full(len(plain), np.log(r))]) for r in START_WORTH]
        return np.concatenate(parts)

    def own(self, theta: Array) -> dict[str, Array]:
        return {**super().own(theta), "R": np.exp(theta[:, 5])}

    def logs(self, theta: Array) -> list[Array]:
        first, second = self.inputs
        worth = float(np.exp(theta[5]))
        return [np.log(first.x), np.log(effective(second.x, self.unique, worth))]

    def without(self, part: str, theta: Array) -> Problem:
        """R* aside, a rival keeps the D_eff that was fitted."""
        if part == "R":
            return self._plain(self.inputs[1].x)
        return self._plain(
            effective(self.inputs[1].x, self.unique, float(np.exp(theta[5])))
        ).without(part, theta)

    def _plain(self, d: Array) -> Problem:
        first, second = self.inputs
        inputs = (first, Input(second.amplitude, second.exponent, d))
        return Problem(inputs, self.y, self.floor, self.asked, self.centers)


def fit_repetition(
    y: npt.ArrayLike,
    n: npt.ArrayLike,
    d: npt.ArrayLike,
    unique: npt.ArrayLike,
    *,
    residuals: str = "log",
    delta: float | None = DELTA,
    bootstrap: int = RESAMPLES,
    seed: int = 0,
) -> LawFit:
    """Fit approach 3 with repeated data.

    Args:
        y: [points] losses, positive.
        n: [points] parameters.
        d: [points] positions seen, repeats included.
        unique: [points] distinct positions U.
        residuals: 'log' or 'linear'.
        delta: Huber's threshold; None for least squares.
        bootstrap: resamples of rows; 0 for no intervals.
        seed: of the resamples.

    Raises:
        LawsError: no row beyond one epoch, or anything that `fit_terms` refuses.
    """
    us, ds = vector(unique, "unique", positive=True), vector(d, "d", positive=True)
    if us.size != ds.size:
        raise LawsError(f"unique: {us.size} entries for {ds.size} of d")
    if not np.any(ds > us):
        raise LawsError("repetition: no row has D > U, so nothing repeats; fit the parametric law")
    inputs = [Input("A", "alpha", vector(n, "n", positive=True)), Input("B", "beta", ds)]
    base = checked(y, inputs, Asked(residuals, delta, bootstrap, seed), True)
    if base.y.size <= len(base.names) + 1:
        raise LawsError(f"{base.y.size} points for 6 parameters; at least 7 are needed")
    problem = _Repeated(base.inputs, base.y, True, base.asked, base.centers, us)
    return fit_problem("repetition", FORM, problem)
