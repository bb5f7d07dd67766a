"""Non-negative least squares of a few columns, exactly, for many designs at once.

Choices: with q columns there are 2^q sets of coefficients that may be active; all are solved at
once and the best feasible one is taken, which is the minimum because the problem is convex.
"""

from __future__ import annotations

import itertools

import numpy as np

from behavior_scaling.laws.arrays import Array


def nonnegative(design: Array, y: Array) -> tuple[Array, Array]:
    """Least squares with coefficients >= 0, exactly, for many designs.

    Args:
        design: [r, n, q], q small.
        y: [n].

    Returns:
        Coefficients [r, q] and sums of squares [r].
    """
    rows, _, count = design.shape
    size = np.sqrt(np.einsum("rnq,rnq->rq", design, design))
    unit = design / np.where(size > 0, size, 1.0)[:, None, :]
    gram = np.swapaxes(unit, 1, 2) @ unit
    right = (y @ unit)[:, :]  # [r, q]
    total = float(y @ y)
    best = np.full(rows, total)
    coefficients = np.zeros((rows, count))
    for active in itertools.product((False, True), repeat=count):
        chosen = np.flatnonzero(active)
        if chosen.size == 0:
            continue
        part = gram[:, chosen[:, None], chosen[None, :]] + 1e-15 * np.eye(chosen.size)
        found = np.linalg.solve(part, right[:, chosen, None])[:, :, 0]
        cost = total - np.sum(found * right[:, chosen], axis=1)
        better = np.all(found >= 0, axis=1) & (cost < best)
        best = np.where(better, cost, best)
        coefficients[better] = 0.0
        coefficients[np.ix_(better, chosen)] = found[better]
    return coefficients / np.where(size > 0, size, 1.0), best
