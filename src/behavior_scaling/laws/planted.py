"""Known truths that can be planted into the cells of a study, with parameters a person can state.

Every axis bears its own law, in the form that its fit assumes. Allocation, share and negatives:

    y(x, C) = best(C) + c [(u^alpha - 1) / alpha + (u^-beta - 1) / beta],   u = x / x*(C),

the two-term law of two_term.py, and, along C ~ N D, the isoFLOP curve of Chinchilla's approach 3
(alpha is then the exponent of D, beta that of N). Its minimum is x* whatever c, alpha and beta are,
and c = curvature / (alpha + beta), the curvature being that of y over log x at x*: a factor of e
away from the optimum costs about curvature / 2. Batch: y = best(C) + h (r^gamma - 1) / gamma,
r = (1 + B / B_crit) D_0 / D, as in batch.py. Over compute: best(C) = E + (level - E) (C / C_0)^-b;
optima move as x*(C) = x* (C / C_0)^exponent. C_0 is the pivot, one budget for all axes. A truth of
the joint surface stands apart (planted_surface.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError


@dataclass(frozen=True)
class Bowl:
    """A law with an optimum on one axis."""

    optimum: float  # x* at the pivot, own unit
    exponent: float  # of x* over C
    curvature: float  # of y over log x at x*, nats
    alpha: float  # of the rising term
    beta: float  # of the falling term

    def at(self, ratio: float) -> float:
        """The optimum where C is `ratio` times the pivot."""
        return float(self.optimum * ratio**self.exponent)

    def rise(self, x: npt.ArrayLike, ratio: float) -> Array:
        """How far y lies above its best at x."""
        z = np.log(np.asarray(x, dtype=np.float64) / self.at(ratio))
        terms = np.expm1(self.alpha * z) / self.alpha + np.expm1(-self.beta * z) / self.beta
        return np.asarray(self.curvature / (self.alpha + self.beta) * terms)


@dataclass(frozen=True)
class Knee:
    """A law over batch sizes with a critical one."""

    optimum: float  # B_crit at the pivot, sequences
    exponent: float  # of B_crit over C
    slope: float  # h: nats per unit of log r far above the knee, at r = 1
    gamma: float

    def at(self, ratio: float) -> float:
        """The critical batch where C is `ratio` times the pivot."""
        return float(self.optimum * ratio**self.exponent)

    def rise(self, batch: npt.ArrayLike, positions: npt.ArrayLike, ratio: float) -> Array:
        """How far y lies above a vanishing batch at the median D of the cells."""
        b, log_d = np.asarray(batch, dtype=np.float64), np.log(positions)
        log_r = np.log1p(b / self.at(ratio)) + np.median(log_d) - log_d
        return np.asarray(self.slope * np.expm1(self.gamma * log_r) / self.gamma)


@dataclass(frozen=True)
class Compute:
    """The best loss over compute."""

    floor: float  # E
    level: float  # best loss at the pivot
    fall: float  # b

    def best(self, ratio: float) -> float:
        """The best loss where C is `ratio` times the pivot."""
        return float(self.floor + (self.level - self.floor) * ratio**-self.fall)

    def without_floor(self) -> Compute:
        """E = 0 with the same loss and the same slope over log C at the pivot."""
        return Compute(0.0, self.level, self.fall * (1 - self.floor / self.level))


@dataclass(frozen=True)
class Truth:
    """What is planted on every axis."""

    pivot: float  # C_0, FLOPs
    compute: Compute
    allocation: Bowl  # of N
    share: Bowl  # of s
    negatives: Bowl  # of distinct candidates
    batch: Knee  # of B, sequences; as_paper arms bear a bowl around the same optimum

    def law(self, axis: str) -> Bowl | Knee:
        """The law of an axis."""
        laws: dict[str, Bowl | Knee] = {
            "allocation": self.allocation,
            "share": self.share,
            "negatives": self.negatives,
            "batch": self.batch,
        }
        return laws[axis]

    def optimum(self, axis: str, budget: float) -> float:
        """N*, s*, K* or B_crit at a budget."""
        return self.law(axis).at(budget / self.pivot)

    def losses(
        self, axis: str, arm: str, budget: float, x: npt.ArrayLike, positions: npt.ArrayLike
    ) -> Array:
        """Loss of the cells of one curve, without noise [cells].

        Args:
            axis: one of table.AXES.
            arm: of the batch axis: 'clean' has a knee, 'as_paper' an optimum.
            budget: nominal FLOPs.
            x: [cells] N, s, distinct candidates or B.
            positions: [cells] D, for the batch axis.
        """
        ratio = budget / self.pivot
        best, law = self.compute.best(ratio), self.law(axis)
        if isinstance(law, Bowl):
            return best + law.rise(x, ratio)
        if arm == "clean":
            return best + law.rise(x, positions, ratio)
        bowl = Bowl(law.optimum, law.exponent, law.slope * law.gamma, law.gamma, law.gamma)
        return best + bowl.rise(x, ratio)

    def moved(self, axis: str, **values: float) -> Truth:
        """The same truth with some parameters of one law changed."""
        if axis == "compute":
            return replace(self, compute=replace(self.compute, **values))
        law = self.law(axis)
        return replace(self, **{axis: replace(law, **values)})  # type: ignore[arg-type]


NAMED = ("compute", "allocation", "share", "negatives", "batch")


def stated(truth: Truth, values: Mapping[str, float]) -> Truth:
    """A truth with parameters set by name, e.g. {'share.curvature': 0.1, 'compute.floor': 5}.

    Raises:
        LawsError: a name that no law has, or a value that the law cannot take.
    """
    for name, value in values.items():
        axis, _, parameter = name.partition(".")
        known = [f"{part}.{field.name}" for part in NAMED for field in fields(getattr(truth, part))]
        if name not in known:
            raise LawsError(f"truth: {name!r} is no parameter; known: {', '.join(known)}")
        signed = parameter in ("exponent", "floor")
        if (
            not np.isfinite(value)
            or not (signed or value > 0)
            or (parameter == "floor" and value < 0)
        ):
            raise LawsError(f"truth: {name} = {value!r}; it must be a positive number")
        truth = truth.moved(axis, **{parameter: float(value)})
    if truth.compute.floor >= truth.compute.level:
        raise LawsError(
            f"truth: compute.floor = {truth.compute.floor:g} is not below compute.level = "
            f"{truth.compute.level:g}"
        )
    return truth
