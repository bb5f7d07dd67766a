"""Iso-cost curves through the inputs of the surface, and the best point on one.

Allocation holds the share and finds D from the cost; share holds D/N, so N and D follow from the
cost; candidates hold (N, s). A curve is a function of z, the logarithm of N, s or n_cand. Choices:
the minimum over z is looked for on a grid (so that a second valley is not missed), refined by the
parabola through the three lowest nodes; the point estimate is then polished as a root of the
derivative, which the complex step gives exactly (Squire and Trapp, SIAM Rev. 40, 1998): every
operation on the way is analytic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.cost_model import Cost

GRID = 97
STEP = 1e-30  # of the complex step
NEWTON = 10  # quadratic, and the slope lies between 1.5 and 2
STEPS = 60  # of the root of a slope
CLOSE = 1e-12  # in z

Path = Callable[[Array], dict[str, Array]]


@dataclass(frozen=True)
class Held:
    """What stays at the base point."""

    share: float
    ratio: float  # D / N, for the share path
    n_emb: float  # for the candidates path
    n_ctx: float
    n_cand: float
    batch: float
    unique: float
    budget: float  # nominal, as the stage offset's input
    stage: int
    uniform_share: float
    in_batch: float  # distinct candidates without uniform ones
    n_items: float


def allocation_path(cost: Cost, level: float, held: Held) -> Path:
    """z = log N; level in FLOPs of the cost's convention."""

    def inputs(z: Array) -> dict[str, Array]:
        n = np.exp(z)
        n_emb, n_ctx = held.share * n, (1 - held.share) * n
        each = cost.per_position(n_emb, n_ctx, np.array(held.n_cand), np.array(held.batch))
        return _inputs(held, n_emb=n_emb, n_ctx=n_ctx, positions=level / each)

    return inputs


def share_path(cost: Cost, level: float, held: Held) -> Path:
    """z = log s; N solves cost(N, s) * ratio * N = level."""
    n_cand, batch = np.array(held.n_cand), np.array(held.batch)

    def inputs(z: Array) -> dict[str, Array]:
        s = np.exp(z)
        log_n = np.full(np.shape(s), np.log(held.n_emb + held.n_ctx)) + 0 * s
        for _ in range(NEWTON):  # convex and increasing in log N: Newton's method cannot fail
            sizes = s * np.exp(log_n), (1 - s) * np.exp(log_n)
            each, degree = cost.with_degree(*sizes, n_cand, batch)
            miss = np.log(each) + log_n + np.log(held.ratio / level)
            log_n = log_n - miss / (1 + degree)
        n = np.exp(log_n)
        return _inputs(held, n_emb=s * n, n_ctx=(1 - s) * n, positions=held.ratio * n)

    return inputs


def candidates_path(cost: Cost, level: float, held: Held) -> Path:
    """z = log n_cand (distinct); beyond the in-batch ones they are uniform where the arm is."""

    def inputs(z: Array) -> dict[str, Array]:
        n = np.exp(z)
        sizes = np.array(held.n_emb), np.array(held.n_ctx)
        each = cost.per_position(*sizes, n, np.array(held.batch))
        uniform = 1 - held.in_batch / n if held.uniform_share > 0 else 0 * n
        return _inputs(held, n_cand=n, positions=level / each, uniform_share=uniform)

    return inputs


def _inputs(held: Held, **moved: Array) -> dict[str, Array]:
    still = {
        "n_emb": held.n_emb,
        "n_ctx": held.n_ctx,
        "n_cand": held.n_cand,
        "batch": held.batch,
        "unique": held.unique,
        "budget": held.budget,
        "stage2": float(held.stage == 2),
        "uniform_share": held.uniform_share,
    }
    return {name: np.array(value) for name, value in still.items()} | moved


Value = Callable[[Array], Array]  # z [grid] -> [r, grid]


@dataclass(frozen=True)
class Segment:
    """A range of z and the r functions on it (another kind of run has another cost)."""

    value: Value
    low: float
    high: float
    path: Path


@dataclass(frozen=True)
class Best:
    """The lowest points of r functions."""

    z: Array  # [r]
    value: Array  # [r]
    segment: Array  # [r] index
    end: Array  # [r] -1 or 1 where the minimum is an end of the whole range, else 0


def lowest_on(segments: Sequence[Segment]) -> Best:
    """Minima of r functions over adjoining segments."""
    found = [_lowest(s) for s in segments]
    values = np.stack([value for _, value, _ in found])
    which = np.argmin(values, axis=0)
    rows = np.arange(values.shape[1])
    z = np.stack([z for z, _, _ in found])[which, rows]
    end = np.stack([end for _, _, end in found])[which, rows]
    outer = ((end < 0) & (which == 0)) | ((end > 0) & (which == len(segments) - 1))
    return Best(z, values[which, rows], which, np.where(outer, end, 0))


def _lowest(segment: Segment) -> tuple[Array, Array, Array]:
    z = np.linspace(segment.low, segment.high, GRID)
    v = segment.value(z)
    i = np.argmin(v, axis=1)
    end = np.where(i == 0, -1, np.where(i == GRID - 1, 1, 0))
    j = np.clip(i, 1, GRID - 2)[:, None]
    left, middle, right = (np.take_along_axis(v, j + k, axis=1)[:, 0] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    good = (end == 0) & (bend > 0)
    safe = np.where(good, bend, 1.0)
    shift = np.where(good, 0.5 * (left - right) / safe, 0.0)
    best = np.where(end == 0, z[j[:, 0]] + shift * (z[1] - z[0]), z[i])
    fall = np.where(good, (left - right) ** 2 / (8 * safe), 0.0)
    return best, v[np.arange(len(v)), i] - fall, end


def polished(segments: Sequence[Segment]) -> Best:
    """The lowest point of one function (r = 1), to rounding."""
    found = lowest_on(segments)
    at = int(found.segment[0])
    segment = segments[at]
    step = (segment.high - segment.low) / (GRID - 1)
    a, b = float(found.z[0]) - step, float(found.z[0]) + step
    if a < segment.low or b > segment.high:
        return found

    def slope(z: float) -> float:
        return float(np.imag(segment.value(np.array([z + 1j * STEP])))[0, 0]) / STEP

    z = np.array([_root(slope, a, b)])
    return Best(z, np.real(segment.value(z))[:, 0], found.segment, found.end)


def _root(function: Callable[[float], float], a: float, b: float) -> float:
    """A zero of a function that rises through it between a and b (regula falsi, Illinois)."""
    fa, fb = function(a), function(b)
    if not fa < 0 < fb:
        return a if abs(fa) < abs(fb) else b
    last, side = b, 0
    for _ in range(STEPS):
        c = (a * fb - b * fa) / (fb - fa)
        fc = function(c)
        if fc == 0 or abs(c - last) < CLOSE:
            return c
        last = c
        if fc > 0:  # an end that stays twice loses half its weight
            b, fb, fa, side = c, fc, fa / 2 if side == 1 else fa, 1
        else:
            a, fa, fb, side = c, fc, fb / 2 if side == -1 else fb, -1
    return last
