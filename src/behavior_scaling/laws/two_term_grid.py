"""Residual sums of the two-term law at given exponents, with everything else in closed form.

y(u) = y0 + a u^alpha + b u^-beta, a, b >= 0, is linear in (y0, a, b) once the exponents are
fixed, and remains so when its optimum is fixed as well: from u*^(alpha+beta) = b beta / (a alpha)

    y(u) = y0 + c * g(u),   g(u) = (u/u*)^alpha / alpha + (u/u*)^-beta / beta,   c >= 0,

so a profile over u* needs a search over two exponents only. Every function below is vectorised
over arrays of exponents and returns weighted residual sums of squares of their shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from behavior_scaling.laws.arrays import Array

ALPHA_BOUNDS = (0.2, 3.0)
BETA_BOUNDS = (0.1, 2.0)
GRID = 24
Objective = Callable[[Array, Array], Array]
STENCIL = 0.02  # of log exponent, for the curvature in refine()
ROUNDS = 5


@dataclass(frozen=True)
class Budget:
    """One budget's cells in the joint fit; arrays [cells]."""

    log_u: Array
    y: Array
    weight: Array  # one over the variance of a cell, up to a factor common to all budgets


@dataclass(frozen=True)
class Sums:
    """Weighted, centred second moments over the cells; arrays of the exponents' shape."""

    yy: float
    pp: Array  # of u^alpha
    qq: Array  # of u^-beta
    pq: Array
    py: Array
    qy: Array


def coarse_grid() -> tuple[Array, Array]:
    """Log-spaced exponents [GRID, GRID] between their bounds."""
    alpha, beta = (np.geomspace(*bounds, GRID) for bounds in (ALPHA_BOUNDS, BETA_BOUNDS))
    a, b = np.meshgrid(alpha, beta, indexing="ij")
    return np.clip(a, *ALPHA_BOUNDS), np.clip(b, *BETA_BOUNDS)


def sums(budget: Budget, alpha: Array, beta: Array, shift: float = 0.0) -> Sums:
    """Form the moments; alpha and beta of one shape; u^-beta stands for (u + shift)^-beta."""
    share, root = budget.weight / budget.weight.sum(), np.sqrt(budget.weight)
    p = np.exp(alpha[..., None] * budget.log_u)  # [..., cells]
    q = np.exp(-beta[..., None] * shifted(budget.log_u, shift))
    p = (p - (p @ share)[..., None]) * root
    q = (q - (q @ share)[..., None]) * root
    y = (budget.y - budget.y @ share) * root
    return Sums(float(y @ y), np.sum(p * p, -1), np.sum(q * q, -1), np.sum(p * q, -1), p @ y, q @ y)


def shifted(log_u: Array, shift: float) -> Array:
    """The log of u + shift."""
    return np.asarray(np.log(np.exp(log_u) + shift)) if shift > 0 else log_u


def rising(s: Sums) -> Array:
    """Of y0 + a u^alpha."""
    return np.asarray(s.yy - np.maximum(s.py, 0.0) ** 2 / s.pp)


def falling(s: Sums) -> Array:
    """Of y0 + b u^-beta."""
    return np.asarray(s.yy - np.maximum(s.qy, 0.0) ** 2 / s.qq)


def slopes(s: Sums) -> tuple[Array, Array]:
    """The (a, b) >= 0 of the two-term law: free, or one or both terms absent."""
    determinant = s.pp * s.qq - s.pq**2
    regular = determinant > 1e-12 * s.pp * s.qq
    safe = np.where(regular, determinant, 1.0)
    a = (s.py * s.qq - s.qy * s.pq) / safe
    b = (s.qy * s.pp - s.py * s.pq) / safe
    inner = regular & (a >= 0) & (b >= 0)
    up = rising(s) <= falling(s)
    alone_a = np.where(up, np.maximum(s.py / s.pp, 0.0), 0.0)
    alone_b = np.where(up, 0.0, np.maximum(s.qy / s.qq, 0.0))
    return np.where(inner, a, alone_a), np.where(inner, b, alone_b)


def free(s: Sums) -> Array:
    """Of the two-term law."""
    a, b = slopes(s)
    fitted = a * s.py + b * s.qy
    return np.asarray(s.yy - 2 * fitted + a * a * s.pp + 2 * a * b * s.pq + b * b * s.qq)


def with_optimum(s: Sums, alpha: Array, beta: Array, log_optimum: Array) -> Array:
    """Of the law whose optimum log u* is given (broadcast against the exponents)."""
    ca, cb = np.exp(-alpha * log_optimum) / alpha, np.exp(beta * log_optimum) / beta
    gg = ca**2 * s.pp + 2 * ca * cb * s.pq + cb**2 * s.qq
    gy = ca * s.py + cb * s.qy
    return np.asarray(s.yy - np.maximum(gy, 0.0) ** 2 / np.maximum(gg, 1e-300))


def curve(budget: Budget, alpha: Array, beta: Array, a: Array, b: Array) -> Array:
    """a u^alpha + b u^-beta less its weighted mean over the cells, [..., cells]."""
    y = a[..., None] * np.exp(alpha[..., None] * budget.log_u)
    y = y + b[..., None] * np.exp(-beta[..., None] * budget.log_u)
    return np.asarray(y - (y @ (budget.weight / budget.weight.sum()))[..., None])


def slopes_with_optimum(
    s: Sums, alpha: Array, beta: Array, log_optimum: Array
) -> tuple[Array, Array]:
    """The (a, b) >= 0 of the law whose optimum log u* is given."""
    ca, cb = np.exp(-alpha * log_optimum) / alpha, np.exp(beta * log_optimum) / beta
    gg = ca**2 * s.pp + 2 * ca * cb * s.pq + cb**2 * s.qq
    c = np.maximum(ca * s.py + cb * s.qy, 0.0) / np.maximum(gg, 1e-300)
    return c * ca, c * cb


def level(budget: Budget, alpha: float, beta: float, a: float, b: float, shift: float) -> float:
    """The y0 that belongs to given (a, b) and exponents."""
    rest = budget.y - a * np.exp(alpha * budget.log_u)
    rest = rest - b * np.exp(-beta * shifted(budget.log_u, shift))
    return float(np.average(rest, weights=budget.weight))


def refine(
    objective: Objective,
    alpha: Array,
    beta: Array,
    *,
    move: tuple[bool, bool] = (True, True),
) -> tuple[Array, Array, Array]:
    """Lowest values that Newton steps over the logs of both exponents reach, within bounds.

    Args:
        objective: (alpha, beta), arrays [k, s], to values [k, s]; row i belongs to problem i.
        alpha: [k] where each problem starts.
        beta: [k].
        move: which of the two may move.

    Returns:
        [k] values, never above the starts', and the exponents alpha and beta there.
    """
    h = STENCIL
    offsets = np.array([[i, j] for i in (-1, 0, 1) for j in (-1, 0, 1)]) * h * np.array(move)
    z = np.stack([np.log(alpha), np.log(beta)], axis=1)  # [k, 2]
    bounds = np.log(np.array([ALPHA_BOUNDS, BETA_BOUNDS])).T

    def at(points: Array) -> Array:  # [k, s, 2] -> [k, s]
        inside = np.exp(np.clip(points, *bounds))
        return objective(
            np.clip(inside[..., 0], *ALPHA_BOUNDS), np.clip(inside[..., 1], *BETA_BOUNDS)
        )

    best = at(z[:, None, :])[:, 0]
    for _ in range(ROUNDS):
        center = np.clip(z, bounds[0] + h * np.array(move), bounds[1] - h * np.array(move))
        around = at(center[:, None, :] + offsets)  # [k, 9], the stencil kept within the bounds
        step = _newton_step(around, h, move)
        tries = center[:, None, :] + step[:, None, :] * np.array([1.0, 0.5, 0.2])[None, :, None]
        points = np.concatenate([center[:, None, :] + offsets, tries, z[:, None, :]], axis=1)
        values = np.concatenate([around, at(tries), best[:, None]], axis=1)
        chosen = np.argmin(values, axis=1)
        rows = np.arange(len(z))
        best, z = values[rows, chosen], np.clip(points[rows, chosen], *bounds)
    alpha, beta = np.exp(z).T
    return best, np.clip(alpha, *ALPHA_BOUNDS), np.clip(beta, *BETA_BOUNDS)


def _newton_step(around: Array, h: float, move: tuple[bool, bool]) -> Array:
    """[k, 2] from a 3 x 3 stencil; a damped gradient step where the curvature is not positive."""
    f = around.reshape(-1, 3, 3)
    ga, gb = (f[:, 2, 1] - f[:, 0, 1]) / (2 * h), (f[:, 1, 2] - f[:, 1, 0]) / (2 * h)
    aa = (f[:, 2, 1] - 2 * f[:, 1, 1] + f[:, 0, 1]) / h**2
    bb = (f[:, 1, 2] - 2 * f[:, 1, 1] + f[:, 1, 0]) / h**2
    ab = (f[:, 2, 2] - f[:, 2, 0] - f[:, 0, 2] + f[:, 0, 0]) / (4 * h**2)
    aa, bb = (aa if move[0] else np.ones_like(aa)), (bb if move[1] else np.ones_like(bb))
    determinant = aa * bb - ab**2
    convex = (aa > 0) & (determinant > 1e-9 * np.abs(aa * bb))
    safe = np.where(convex, determinant, 1.0)
    steep = np.maximum(np.hypot(ga, gb), 1e-300)
    da = np.where(convex, -(bb * ga - ab * gb) / safe, -0.2 * ga / steep)
    db = np.where(convex, -(aa * gb - ab * ga) / safe, -0.2 * gb / steep)
    return np.asarray(np.clip(np.stack([da, db], axis=1), -0.7, 0.7))
