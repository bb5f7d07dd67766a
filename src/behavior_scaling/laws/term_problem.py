"""The problem behind a law E + sum_k A_k x_k^-alpha_k: fitted parameters, bounds and starts.

Choices: amplitudes are fitted as logarithms at the middle of the data (x divided by its geometric
mean), which takes the valley between amplitude and exponent out of the problem, and are given back
in the inputs' own units; the default starts are a grid around the data, not around a published fit.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError, vector
from behavior_scaling.laws.many_law import Model
from behavior_scaling.laws.nonnegative import nonnegative
from behavior_scaling.laws.power_sum import PowerSum, Term, constant_term, power_term
from behavior_scaling.laws.solve import Scout, Solution, scout_rows, solve

EXPONENTS = (1e-3, 6.0)  # bounds
START_EXPONENTS = (0.08, 0.2, 0.45, 1.0)
START_FLOORS = (0.2, 0.6, 0.95)  # of the smallest y
START_SHARES = (0.25, 0.75)  # of what E leaves at the middle of the data
RANGE = (1e-30, 1e30)  # of y and of an input: beyond it powers leave double precision
LEAST = (0.5, 0.1)  # of the smallest y: E, and other amplitudes, that a start has at least
REACH = 25.0  # how far a log amplitude may leave the logarithm of the middle of y


@dataclass(frozen=True)
class Input:
    """One term A x^-alpha."""

    amplitude: str  # name of A
    exponent: str  # name of alpha
    x: Array  # [n] positive


@dataclass(frozen=True)
class Asked:
    """How the table is to be fitted."""

    residuals: str  # 'log' or 'linear'
    delta: float | None
    bootstrap: int
    seed: int


@dataclass(frozen=True, eq=False)
class Problem:
    """The law in fitted parameters: [E], then log amplitude (centred) and exponent of each term."""

    inputs: tuple[Input, ...]
    y: Array  # own unit
    floor: bool
    asked: Asked
    centers: Array  # mean log x of each term

    @property
    def names(self) -> list[str]:
        """Of the fitted parameters, in order."""
        return (["E"] if self.floor else []) + [
            name for term in self.inputs for name in (term.amplitude, term.exponent)
        ]

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """What the law can be fitted without, and the parameters that go with it."""
        floor = {"E": ("E",)} if self.floor else {}
        return floor | {t.amplitude: (t.amplitude, t.exponent) for t in self.inputs}

    @property
    def exponents(self) -> list[int]:
        """Positions of the exponents."""
        return [int(self.floor) + 1 + 2 * k for k in range(len(self.inputs))]

    @property
    def observed(self) -> Array:
        """[n] on the fitted scale."""
        return np.log(self.y) if self.asked.residuals == "log" else self.y

    def model(self, rows: npt.NDArray[np.int64] | slice = slice(None)) -> Model:
        """The law over some of the points."""
        shift = int(self.floor)
        terms: list[Term] = [constant_term(0)] if self.floor else []
        for k, (term, center) in enumerate(zip(self.inputs, self.centers, strict=True)):
            log_x = np.log(term.x[rows]) - center
            terms.append(power_term(shift + 2 * k, shift + 2 * k + 1, log_x))
        size = self.y[rows].size
        return PowerSum(tuple(terms), len(self.names), size, self.asked.residuals == "log")

    def bounds(self) -> tuple[Array, Array]:
        """[p] each."""
        middle = float(np.log(np.median(self.y)))
        low = [middle - REACH] * self.floor + [middle - REACH, EXPONENTS[0]] * len(self.inputs)
        high = [float(np.log(self.y.max()))] * self.floor
        return np.array(low), np.array(high + [middle + REACH, EXPONENTS[1]] * len(self.inputs))

    def starts(self) -> Array:
        """[s, p] grid: floors x exponents of each term x how the rest is shared at the middle."""
        middle, least = float(np.median(self.y)), float(self.y.min())
        floors = [least * share for share in START_FLOORS] if self.floor else [0.0]
        shares = START_SHARES if len(self.inputs) == 2 else (1.0,)
        rows = []
        exponents = itertools.product(START_EXPONENTS, repeat=len(self.inputs))
        for level, share, powers in itertools.product(floors, shares, list(exponents)):
            parts = (share, 1 - share)[: len(self.inputs)]
            row = [float(np.log(level))] if self.floor else []
            for part, power in zip(parts, powers, strict=True):
                row += [float(np.log((middle - level) * part)), power]
            rows.append(row)
        return np.array(rows)

    def centred(self, theta: Array) -> Array:
        """Log amplitudes in own units -> at the middle of the data; theta [s, p]."""
        out = theta.copy()
        for k, center in enumerate(self.centers):
            a = int(self.floor) + 2 * k
            out[:, a] = theta[:, a] - theta[:, a + 1] * center
        return out

    def own(self, theta: Array) -> dict[str, Array]:
        """Fitted parameters [r, p] -> named ones in own units."""
        out: dict[str, Array] = {"E": np.exp(theta[:, 0])} if self.floor else {}
        for k, (term, center) in enumerate(zip(self.inputs, self.centers, strict=True)):
            a = int(self.floor) + 2 * k
            out[term.amplitude] = np.exp(theta[:, a] + theta[:, a + 1] * center)
            out[term.exponent] = theta[:, a + 1]
        return out

    def projected(self, starts: Array, rows: npt.NDArray[np.int64] | slice) -> Array:
        """Starts [s, p] with the amplitudes that fit some of the points best at their exponents.

        The law is linear in E and the amplitudes (variable projection; residuals relative to y
        where logarithms are fitted), so a start's own amplitudes would only be a longer way.
        """
        y = self.y[rows]
        unit = y if self.asked.residuals == "log" else np.ones_like(y)
        powers = np.clip(starts[:, self.exponents], *EXPONENTS)
        columns = [np.ones((len(starts), y.size))] if self.floor else []
        for k, (term, center) in enumerate(zip(self.inputs, self.centers, strict=True)):
            columns.append(np.exp(-powers[:, k : k + 1] * (np.log(term.x[rows]) - center)))
        design = np.stack(columns, axis=2) / unit[:, None]
        amplitudes, _ = nonnegative(design, y / unit)
        out = starts.copy()
        out[:, self.exponents] = powers
        at = (
            [0, *(i - 1 for i in self.exponents)] if self.floor else [i - 1 for i in self.exponents]
        )
        least = [LEAST[0]] * self.floor + [LEAST[1]] * len(self.inputs)
        out[:, at] = np.log(np.maximum(amplitudes, np.array(least) * float(self.y.min())))
        return out

    def solve(self, starts: Array | None = None) -> Solution:
        """The best minimum from starts [s, p] in fitted parameters, or from the default ones."""
        rows = scout_rows(*(term.x for term in self.inputs), self.y)
        scout = None if rows is None else Scout(self.model(rows), rows)
        given = self.starts() if starts is None else starts
        return solve(
            self.model(),
            self.observed,
            self.projected(given, slice(None) if rows is None else rows),
            *self.bounds(),
            delta=self.asked.delta,
            scout=scout,
        )

    def without(self, part: str, theta: Array) -> Problem:
        """The law without a part, theta the fitted parameters; a constant if no term is left."""
        if part == "E":
            return replace(self, floor=False)
        keep = np.array([term.amplitude != part for term in self.inputs])
        left = tuple(term for term, kept in zip(self.inputs, keep, strict=True) if kept)
        return replace(self, inputs=left, centers=self.centers[keep], floor=self.floor or not left)

    def logs(self, theta: Array) -> list[Array]:
        """Log x [n] of each term, theta the fitted parameters."""
        return [np.log(term.x) for term in self.inputs]

    def exchanged(self, theta: Array) -> Array | None:
        """The parameters with each of two terms doing the other's work, as far as inputs go along.

        None where the inputs do not rise together.
        """
        if len(self.inputs) != 2:
            return None
        first, second = self.logs(theta)
        if not np.corrcoef(first, second)[0, 1] > 0:
            return None
        ratio = float(np.std(second) / np.std(first))  # log x_2 changes so much for one of log x_1
        out, (i, j) = theta.copy(), self.exponents
        out[[i - 1, i, j - 1, j]] = theta[j - 1], theta[j] * ratio, theta[i - 1], theta[i] / ratio
        return out


def checked(y: npt.ArrayLike, inputs: Sequence[Input], asked: Asked, floor: bool) -> Problem:
    """The problem of a table.

    Raises:
        LawsError: lengths differ, an entry is not positive or out of range, y or an input is
            constant, there are fewer points, or different settings, than parameters, or one
            resample.
    """
    if asked.bootstrap < 0 or asked.bootstrap == 1:
        raise LawsError(f"bootstrap: {asked.bootstrap} resamples; give 0 or at least 2")
    if asked.residuals not in ("log", "linear"):
        raise LawsError(f"residuals: {asked.residuals!r}; known: log, linear")
    ys = vector(y, "y", positive=True)
    terms = []
    _check_range(ys, "y")
    for term in inputs:
        x = vector(term.x, term.amplitude, positive=True)
        _check_range(x, f"input of {term.amplitude}")
        if x.size != ys.size:
            raise LawsError(f"input of {term.amplitude}: {x.size} entries for {ys.size} of y")
        if x.size and np.ptp(x) <= 1e-12 * x.max():
            raise LawsError(f"input of {term.amplitude}: constant, so {term.exponent} has no data")
        terms.append(Input(term.amplitude, term.exponent, x))
    count = int(floor) + 2 * len(terms)
    if ys.size <= count:
        raise LawsError(f"{ys.size} points for {count} parameters; at least {count + 1} are needed")
    settings = len(np.unique(np.stack([term.x for term in terms]), axis=1).T)
    if settings < count:
        raise LawsError(f"{settings} different settings for {count} parameters; too few")
    if np.ptp(ys) <= 1e-12 * ys.max():
        raise LawsError("y: constant; there is nothing to fit")
    centers = np.array([float(np.mean(np.log(term.x))) for term in terms])
    return Problem(tuple(terms), ys, floor, asked, centers)


def _check_range(values: Array, name: str) -> None:
    """Refuse magnitudes that powers up to the sixth carry out of double precision."""
    for index in np.flatnonzero((values < RANGE[0]) | (values > RANGE[1])):
        raise LawsError(
            f"{name}: entry {index} is {values[index]:.3g}; take a larger or smaller unit"
        )
