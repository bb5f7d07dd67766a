"""PowerSum: a sum of power-law terms, E + A N^-alpha + B D^-beta and its kin, many fits at once.

Choices: every term is exp(features . parameters), so amplitudes are logarithms (they stay positive
and well scaled) and exponents multiply minus the log of an input; the prediction may be fitted as
it is or as its logarithm (Hoffmann et al., arXiv 2203.15556, eq. 3: log-sum-exp). First and second
derivatives are products of fixed feature columns with the terms, so no Jacobian is ever formed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Term:
    """exp(sum_j features[:, j] theta[index[j]]); [1, q] features make a constant term."""

    index: tuple[int, ...]  # positions of its parameters
    features: Array  # [n, q] or [1, q]


def constant_term(index: int) -> Term:
    """exp(theta[index])."""
    return Term((index,), np.ones((1, 1)))


def power_term(amplitude: int, exponent: int, log_x: Array) -> Term:
    """exp(theta[amplitude]) x^-theta[exponent], x given by its logarithm [n]."""
    return Term((amplitude, exponent), np.stack([np.ones_like(log_x), -log_x], axis=1))


@dataclass(frozen=True, eq=False)
class PowerSum:
    """The sum of terms, or its logarithm, as a Model of `minimise_many`."""

    terms: tuple[Term, ...]
    parameters: int
    points: int
    log: bool  # whether values are logarithms of the sum

    def __post_init__(self) -> None:
        """Refuse features that do not fit."""
        for term in self.terms:
            rows, columns = term.features.shape
            if rows not in (1, self.points) or columns != len(term.index):
                raise LawsError(f"features {term.features.shape}: no fit for {self.points} points")

    @cached_property
    def blocks(self) -> dict[tuple[int, int], tuple[Array, Index, Index]]:
        """Of two terms j <= k: [n or 1, q_j q_k] products of features, and where they belong."""
        out = {}
        for j, first in enumerate(self.terms):
            for k, second in enumerate(self.terms[j:], start=j):
                both = first.features[:, :, None] * second.features[:, None, :]
                places = np.array(first.index)[:, None], np.array(second.index)[None, :]
                out[j, k] = (np.asarray(both.reshape(both.shape[0], -1)), *places)
        return out

    def evaluate(self, theta: Array) -> _Sum:
        """The law at parameter vectors [r, p]."""
        logs = [theta[:, list(term.index)] @ term.features.T for term in self.terms]
        if not self.log:
            parts = [np.exp(part) for part in logs]
            return _Sum(self, _total(parts, self.points), parts)
        top = logs[0]
        for part in logs[1:]:
            top = np.maximum(top, part)
        parts = [np.exp(part - top) for part in logs]
        total = _total(parts, self.points)
        return _Sum(self, top + np.log(total), [part / total for part in parts])


def _total(parts: Sequence[Array], points: int) -> Array:
    total = np.zeros((parts[0].shape[0], points))
    for part in parts:
        total += part
    return total


@dataclass(frozen=True, eq=False)
class _Sum:
    """Evaluation of a PowerSum: each term's part in the derivative of the prediction."""

    model: PowerSum
    values: Array  # [r, n]
    parts: list[Array]  # [r, n] or [r, 1]: the term, or its share of the sum where fitted as log

    @cached_property
    def pairs(self) -> dict[tuple[int, int], Array]:
        """[r, n] products of two parts."""
        count = len(self.parts)
        return {
            (j, k): self.parts[j] * self.parts[k] for j in range(count) for k in range(j, count)
        }

    def gradient(self, c: Array) -> Array:
        """See many.Evaluation."""
        out = np.zeros((c.shape[0], self.model.parameters))
        for term, part in zip(self.model.terms, self.parts, strict=True):
            out[:, list(term.index)] += _summed(c * part, term.features)
        return out

    def gram(self, c: Array) -> Array:
        """See many.Evaluation."""
        out = np.zeros((c.shape[0], self.model.parameters, self.model.parameters))
        for (j, k), pair in self.pairs.items():
            products, first, second = self.model.blocks[j, k]
            block = _summed(c * pair, products).reshape(-1, first.size, second.size)
            out[:, first, second] += block
            if j != k:
                out[:, second.T, first.T] += block.swapaxes(1, 2)
        return out

    def hessian(self, square: Array, linear: Array) -> Array:
        """See many.Evaluation; a logarithm's Hessian is sum p_k g_k g_k^T - (its gradient)^2."""
        out = self.gram(square - linear if self.model.log else square)
        for j, part in enumerate(self.parts):
            products, first, second = self.model.blocks[j, j]
            block = _summed(linear * part, products).reshape(-1, first.size, second.size)
            out[:, first, second] += block
        return out


def _summed(c: Array, features: Array) -> Array:
    """Sum over points of c [r, n] times features [n or 1, q]."""
    if features.shape[0] == 1:
        return np.asarray(c.sum(axis=1)[:, None] * features)
    return np.asarray(c @ features)
