"""The joint surface as a sum of parts, for many parameter vectors at once.

    y = E + A_e N_emb^-a_e + A_c N_ctx^-a_c + G [D_rep / (1 + B / B_crit)]^-g + H e^(r w) n_cand^-k
        + stage-2 offset (+ its slope over log C)
    D_rep = U + U R* (1 - exp(-(epochs - 1) / R*)) beyond one epoch, else D

Sources: the sum of powers is Chinchilla's approach 3 with N split in its two parts; repetition is
Muennighoff et al., arXiv 2305.16264; the batch is McCandlish et al., arXiv 1812.06162. Choices:
inputs are divided by their geometric means and amplitudes are logarithms, so that every parameter
is of order one and A_e is the size of its term at the mean embedder; w is the share of a cell's
distinct candidates that only uniform draws brought, so that number and distribution separate; a
stage-2 child starts from its parent's embedder, whose quality moves with the budget: hence an
offset that may move with log C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.many_law import Dense

INPUTS = ("n_emb", "n_ctx", "positions", "n_cand", "batch", "budget")  # divided by their mean
PARTS: dict[str, tuple[str, ...]] = {
    "E": ("E",),
    "context": ("log A_c", "a_c"),
    "embedder": ("log A_e", "a_e"),
    "data": ("log G", "g"),
    "candidates": ("log H", "k"),
    "uniform": ("r",),
    "repetition": ("log R*",),
    "batch": ("log B_crit",),
    "stage": ("offset",),
    "stage trend": ("offset slope",),
}
NEEDS = {"uniform": "candidates", "repetition": "data", "batch": "data", "stage trend": "stage"}
POWERS = {"context": "n_ctx", "embedder": "n_emb", "candidates": "n_cand"}
EXPONENT = (0.02, 3.0)
REPETITION = (0.1, 1000.0)  # R*, in epochs
KNEE = 30.0  # B_crit is looked for this far beyond the batches that ran
AMPLITUDE = (1e-6, 1e3)  # of the range of y


def centre(inputs: Mapping[str, Array]) -> dict[str, float]:
    """Geometric mean of every scaled input."""
    return {name: float(np.exp(np.mean(np.log(inputs[name])))) for name in INPUTS}


@dataclass(frozen=True, eq=False)
class SurfaceLaw:
    """The surface over n points, with some of its parts; a Model of the shared solver."""

    inputs: Mapping[str, Array]  # own units, [n] or broadcastable: INPUTS, unique,
    # uniform_share and stage2
    reference: Mapping[str, float]
    parts: tuple[str, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Parameter names, in their order."""
        return tuple(name for part in PARTS if part in self.parts for name in PARTS[part])

    @cached_property
    def _logs(self) -> dict[str, Array]:
        """What `log` has taken so far: a solver asks for the same ones at every step."""
        return {}

    def log(self, name: str) -> Array:
        """Logarithm of an input over its reference."""
        if name not in self._logs:
            self._logs[name] = np.asarray(np.log(self.inputs[name] / self.reference[name]))
        return self._logs[name]

    @cached_property
    def _epochs(self) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
        """Epochs, how many beyond the first, and whether there are any."""
        epochs = self.inputs["positions"] / self.inputs["unique"]
        repeated = np.real(epochs) > 1
        return epochs, np.asarray(np.where(repeated, epochs - 1, 0.0)), repeated

    def without(self, part: str) -> SurfaceLaw:
        """The law without a part and what needs it."""
        gone = {part, *(child for child, parent in NEEDS.items() if parent == part)}
        return SurfaceLaw(
            self.inputs, self.reference, tuple(p for p in self.parts if p not in gone)
        )

    def at(self, inputs: Mapping[str, Array]) -> SurfaceLaw:
        """The same law over other points."""
        return SurfaceLaw(inputs, self.reference, self.parts)

    def evaluate(self, theta: Array) -> Dense:
        """Values and exact Jacobian at parameter vectors [r, p]."""
        columns = theta.T[:, :, None].copy()  # each by itself, side by side
        points = np.size(self.inputs["positions"])
        slopes = np.empty((theta.shape[0], len(columns), points))  # points lie side by side
        values = np.zeros((theta.shape[0], points))
        column = dict(zip(self.names, columns, strict=True))
        at = {name: slopes[:, i] for i, name in enumerate(self.names)}
        for part, name in POWERS.items():
            if part not in self.parts:
                continue
            level, exponent = PARTS[part]
            z = self.log(name)
            power = column[level] - column[exponent] * z
            if part == "candidates" and "uniform" in self.parts:
                power = power + column["r"] * self.inputs["uniform_share"]
            term = np.exp(power, out=at[level])
            values += term
            np.multiply(-term, z, out=at[exponent])
            if part == "candidates" and "uniform" in self.parts:
                at["r"][:] = term * self.inputs["uniform_share"]
        if "data" in self.parts:
            values += self._data(column, at)
        for name, factor in self._linear:
            values += column[name] * factor
            at[name][:] = factor
        return Dense(values, slopes.swapaxes(1, 2))

    def values(self, column: Mapping[str, Array]) -> Array:
        """The surface alone, parameters by name, in any shapes that broadcast with the inputs.

        Only analytic operations are used, so that complex inputs give derivatives (complex step).
        """
        total = np.zeros(1)
        for part, name in POWERS.items():
            if part in self.parts:
                level, exponent = PARTS[part]
                power = column[level] - column[exponent] * self.log(name)
                if part == "candidates" and "uniform" in self.parts:
                    power = power + column["r"] * self.inputs["uniform_share"]
                total = total + np.exp(power)
        if "data" in self.parts:
            total = total + np.exp(column["log G"] - column["g"] * self._log_data(column)[0])
        for name, factor in self._linear:
            total = total + column[name] * factor
        return total

    @cached_property
    def _linear(self) -> list[tuple[str, Array | float]]:
        factors: list[tuple[str, Array | float]] = []
        if "E" in self.parts:
            factors.append(("E", 1.0))
        if "stage" in self.parts:
            factors.append(("offset", self.inputs["stage2"]))
        if "stage trend" in self.parts:
            factors.append(("offset slope", self.inputs["stage2"] * self.log("budget")))
        return factors

    def _log_data(self, column: Mapping[str, Array]) -> tuple[Array, Seen | None, Array | None]:
        """log of D_rep / (1 + B / B_crit) over the reference of D, what was seen, B / B_crit."""
        log_d, seen, odds = self.log("positions"), None, None
        if "repetition" in self.parts:
            seen = self._seen(column)
            log_d = log_d + np.log(seen.share)
        if "batch" in self.parts:
            odds = np.exp(self.log("batch") - column["log B_crit"])
            log_d = log_d - np.log1p(odds)
        return np.asarray(log_d), seen, odds

    def _seen(self, column: Mapping[str, Array]) -> Seen:
        epochs, beyond, repeated = self._epochs
        rate = np.exp(-column["log R*"])
        x = beyond * rate
        fading = np.expm1(-x)
        return Seen(np.where(repeated, (1 - fading / rate) / epochs, 1.0), 1 + fading, x)

    def _data(self, column: Mapping[str, Array], at: Mapping[str, Array]) -> Array:
        log_d, seen, odds = self._log_data(column)
        term = np.exp(column["log G"] - column["g"] * log_d, out=at["log G"])
        np.multiply(-term, log_d, out=at["g"])
        slope = -column["g"] * term  # d term / d log_d
        if seen is not None:
            decay, x = seen.decay, seen.x
            gained = np.exp(column["log R*"]) * (1 - decay - x * decay) / self._epochs[0]
            at["log R*"][:] = slope * gained / seen.share
        if odds is not None:
            at["log B_crit"][:] = slope * odds / (1 + odds)
        return np.asarray(term)


@dataclass(frozen=True, eq=False)
class Seen:
    """What repeated positions are worth, [r, n] each."""

    share: Array  # D_rep / D
    decay: Array  # exp(-(epochs - 1) / R*)
    x: Array  # (epochs - 1) / R*, 0 up to one epoch


def bounds(law: SurfaceLaw, spread: float, *, floor: bool) -> tuple[Array, Array]:
    """Lower and upper bounds [p].

    Args:
        law: parts and inputs.
        spread: range of y over the points.
        floor: whether E is a loss and cannot be negative.
    """
    batch = law.log("batch")
    size = (float(np.log(AMPLITUDE[0] * spread)), float(np.log(AMPLITUDE[1] * spread)))
    table = {
        "E": (0.0 if floor else -np.inf, np.inf),
        "r": (-5.0, 5.0),
        "log R*": (float(np.log(REPETITION[0])), float(np.log(REPETITION[1]))),
        "log B_crit": (
            float(batch.min()) - float(np.log(KNEE)),
            float(batch.max()) + float(np.log(KNEE)),
        ),
        "offset": (-np.inf, np.inf),
        "offset slope": (-np.inf, np.inf),
    }
    pairs = [
        size if name.startswith("log ") and name not in table else table.get(name, EXPONENT)
        for name in law.names
    ]
    return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])


def starts(
    law: SurfaceLaw, y: Array, weight: Array, count: int, seed: int, *, floor: bool
) -> Array:
    """[count, p] seeded starts: exponents drawn, what is linear then solved for."""
    rng = np.random.default_rng(seed)
    names = law.names
    low, high = bounds(law, float(np.ptp(y)), floor=floor)
    out = np.zeros((count, len(names)))
    for i, name in enumerate(names):
        if name in ("a_c", "a_e", "g", "k"):
            out[:, i] = np.exp(rng.uniform(np.log(0.05), np.log(1.5), count))
        elif name == "log R*":
            out[:, i] = rng.uniform(np.log(1.0), np.log(50.0), count)
        elif name == "log B_crit":
            out[:, i] = rng.uniform(low[i] + np.log(KNEE) - 1, high[i] - np.log(KNEE) + 2, count)
    linear = [i for i, name in enumerate(names) if name in _LINEAR]
    signed = [i for i in linear if not names[i].startswith("log ")]
    jacobian = law.evaluate(out).jacobian  # amplitudes 1: their columns are the terms themselves
    root = np.sqrt(weight / weight.mean())
    for row in range(count):
        design = jacobian[row][:, linear] * root[:, None]
        size = np.linalg.norm(design, axis=0)
        scaled = design / size
        ridge = scaled.T @ scaled + 1e-6 * np.eye(len(linear))
        out[row, linear] = np.linalg.solve(ridge, scaled.T @ (root * y)) / size
    logs = [i for i in linear if i not in signed]
    least = 0.02 * float(np.ptp(y))
    out[:, logs] = np.log(np.maximum(out[:, logs], least))
    return np.clip(out, low, high)


_LINEAR = ("E", "log A_c", "log A_e", "log G", "log H", "offset", "offset slope")
