"""The scale on which a metric is fitted: forward, back, and the delta-method variance.

Choices (definitions.md, 'Laws'): every scale points down, so that a lower value is better and
all laws minimise. Recall and accuracy enter as -logit(m), NDCG and MRR as log(1 - m), losses as
they are. 'negated' is the untransformed check of a maximised metric, 'complement' its loss-like
form in the law over compute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from behavior_scaling.laws.arrays import Array, LawsError


@dataclass(frozen=True)
class Transform:
    """A monotone change of scale; the open interval (lower, upper) is its domain."""

    name: str
    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    lower: float = -np.inf
    upper: float = np.inf

    def valid(self, values: Array) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Which values lie inside the domain (NaN does not)."""
        return np.isfinite(values) & (values > self.lower) & (values < self.upper)

    def variance(self, values: Array, variances: Array) -> Array:
        """Delta method: Var t(m) = t'(m)^2 Var m, in squared units of the new scale."""
        return np.asarray(self.derivative(values) ** 2 * variances, dtype=np.float64)

    def own_unit(self, value: float) -> float:
        """One fitted value, back in the metric's own unit."""
        return float(self.inverse(np.asarray([value], dtype=np.float64))[0])


IDENTITY = Transform("identity", lambda m: m, lambda y: y, np.ones_like)
LOG = Transform("log(m)", np.log, np.exp, lambda m: 1.0 / m, lower=0.0)
NEGATIVE_LOGIT = Transform(
    "-logit(m)",
    lambda m: np.log1p(-m) - np.log(m),
    lambda y: 1.0 / (1.0 + np.exp(y)),
    lambda m: -1.0 / (m * (1.0 - m)),
    lower=0.0,
    upper=1.0,
)
LOG_COMPLEMENT = Transform(
    "log(1 - m)",
    lambda m: np.log1p(-m),
    lambda y: -np.expm1(y),
    lambda m: -1.0 / (1.0 - m),
    upper=1.0,
)
NEGATED = Transform("-m", lambda m: -m, lambda y: -y, lambda m: -np.ones_like(m))
COMPLEMENT = Transform("1 - m", lambda m: 1.0 - m, lambda y: 1.0 - y, lambda m: -np.ones_like(m))

_MAXIMISED = {
    "recall": NEGATIVE_LOGIT,
    "accuracy": NEGATIVE_LOGIT,
    "ndcg": LOG_COMPLEMENT,
    "mrr": LOG_COMPLEMENT,
}
_MINIMISED = ("cross_entropy", "train_loss")


def base_name(metric: str) -> str:
    """'validation/restored/all/recall@10' -> 'recall'."""
    return metric.rsplit("/", 1)[-1].split("@", 1)[0]


def is_maximised(metric: str) -> bool:
    """Whether a larger value of the metric is better.

    Raises:
        LawsError: the metric gets no law (coverage, for one, has no optimum by definition).
    """
    name = base_name(metric)
    if name in _MAXIMISED:
        return True
    if name in _MINIMISED:
        return False
    known = ", ".join([*_MAXIMISED, *_MINIMISED])
    raise LawsError(f"metric {metric!r} has no scale for a law; known: {known}")


def transform_for(metric: str) -> Transform:
    """The scale of definitions.md for a metric's column name."""
    return _MAXIMISED[base_name(metric)] if is_maximised(metric) else IDENTITY
