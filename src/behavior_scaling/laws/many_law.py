"""What a law gives to the solver of many fits (many.py): predictions and their derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from behavior_scaling.laws.arrays import Array


class Evaluation(Protocol):
    """A law at r parameter vectors."""

    @property
    def values(self) -> Array:
        """[r, n] predictions on the fitted scale."""

    def gradient(self, c: Array) -> Array:
        """[r, n] -> [r, p]: sum over points of c_i times the prediction's gradient."""

    def gram(self, c: Array) -> Array:
        """[r, n] -> [r, p, p]: sum over points of c_i times the gradient's outer product."""

    def hessian(self, square: Array, linear: Array) -> Array | None:
        """[r, n] twice -> [r, p, p]: gram(square) plus the sum of linear_i prediction Hessians.

        None where they are not known, and the fit is a Gauss-Newton one.
        """


class Model(Protocol):
    """A law over n points."""

    def evaluate(self, theta: Array) -> Evaluation:
        """The law at parameter vectors [r, p]."""


@dataclass(frozen=True)
class Dense:
    """An Evaluation from a Jacobian in full; without Hessians its fits are Gauss-Newton ones."""

    values: Array  # [r, n]
    jacobian: Array  # [r, n, p]

    def gradient(self, c: Array) -> Array:
        """See Evaluation."""
        return np.asarray((c[:, None, :] @ self.jacobian)[:, 0, :])

    def gram(self, c: Array) -> Array:
        """See Evaluation."""
        return np.asarray(self.jacobian.swapaxes(1, 2) @ (c[:, :, None] * self.jacobian))

    def hessian(self, square: Array, linear: Array) -> Array | None:
        """Not known."""
        return None
