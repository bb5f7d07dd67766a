"""Seed noise: how far two runs of one cell lie apart, and how it enters every interval.

Choices: the seed variance is pooled over the cells of a budget, in the metric's own unit; with
replicates at three budgets or more it is smoothed, log-linear in log C, each budget's log
variance corrected for its bias and weighted by its known variance (digamma, trigamma of df/2).
A budget without replicates has no noise level: its intervals then rest on the scatter around the
fitted curve. Where that scatter is significantly larger than the seed noise (F test, 5%), the
curve does not describe the cells and the scatter is used instead, which widens the interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from behavior_scaling.laws.arrays import Array, LawsError, f_quantile, vector

SMOOTH_BUDGETS = 3


@dataclass(frozen=True)
class NoiseLevel:
    """Seed variance of a single run at one budget, in squared units of the metric."""

    variance: float | None
    df: float
    reason: str = ""

    @property
    def known(self) -> bool:
        """Whether the runs hold replicates to know it from."""
        return self.variance is not None


@dataclass(frozen=True)
class ErrorVariance:
    """The variance that a fit's intervals use; None where nothing tells it."""

    value: float | None
    df: float
    reason: str = ""


def pooled(cells: npt.ArrayLike, values: npt.ArrayLike) -> tuple[float, int]:
    """Sum of squares of runs around their cells' means, and its degrees of freedom.

    Args:
        cells: [runs] label of each run's cell.
        values: [runs] metric, own unit.
    """
    value = vector(values, "values")
    _, index, counts = np.unique(np.asarray(cells), return_inverse=True, return_counts=True)
    if index.size != value.size:
        raise LawsError(f"cells: {index.size} labels for {value.size} values")
    centred = value - (np.bincount(index, value, counts.size) / counts)[index]
    return float(centred @ centred), int(np.sum(counts - 1))


def noise_levels(
    budgets: npt.ArrayLike, sums: npt.ArrayLike, dfs: npt.ArrayLike
) -> dict[float, NoiseLevel]:
    """Noise level of every budget from its pooled sum of squares and degrees of freedom.

    Args:
        budgets: [n] nominal FLOPs, distinct.
        sums: [n] sums of squares around the cell means, squared units of the metric.
        dfs: [n] degrees of freedom; 0 where a budget has no replicates.
    """
    c = vector(budgets, "budgets", positive=True)
    ss, df = vector(sums, "sums"), vector(dfs, "dfs")
    if not c.size == ss.size == df.size or np.unique(c).size != c.size:
        raise LawsError("budgets, sums, dfs: expected one entry each for every distinct budget")
    has = df > 0
    raw = np.divide(ss, df, out=np.zeros_like(ss), where=has)
    usable = has & (raw > 0)
    variance, effective = raw.copy(), df.copy()
    how = "pooled over the budget's cells"
    if usable.sum() >= SMOOTH_BUDGETS:
        variance, effective = _smooth(np.log(c), raw, df, usable)
        how = "pooled over the budget's cells, log-linear in log C"
    return {
        float(c[i]): NoiseLevel(float(variance[i]), float(effective[i]), how)
        if has[i]
        else NoiseLevel(None, 0.0, "no cell of this budget was run with two seeds")
        for i in range(c.size)
    }


def _smooth(
    log_c: Array, raw: Array, df: Array, usable: npt.NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Weighted line through the log variances; an equivalent df (2 / variance of the log)."""
    half = df[usable] / 2
    level = np.log(raw[usable]) - special.digamma(half) + np.log(half)
    weight = 1.0 / special.polygamma(1, half)
    design = np.stack([np.ones_like(log_c), log_c - log_c[usable].mean()], axis=1)
    inner = design[usable]
    covariance = np.linalg.inv(inner.T @ (weight[:, None] * inner))
    line = design @ (covariance @ (inner.T @ (weight * level)))
    spread = np.einsum("ij,jk,ik->i", design, covariance, design)
    return np.exp(line), 2.0 / spread


def error_variance(residual: float, dof: int, noise: NoiseLevel, tiny: float) -> ErrorVariance:
    """The variance for a fit's intervals: seed noise, or the scatter around the curve.

    Args:
        residual: weighted residual sum of squares, in the units of the noise level.
        dof: cells minus fitted parameters.
        noise: seed noise, in the same units.
        tiny: smallest variance that rounding can tell from none.
    """
    scatter = residual / dof if dof > 0 else 0.0
    if noise.variance is not None:
        level = max(noise.variance, tiny)
        if dof > 0 and scatter > level * f_quantile(dof, noise.df):
            return ErrorVariance(
                scatter, float(dof), "cells scatter around the curve by more than seed noise"
            )
        return ErrorVariance(level, noise.df)
    if dof > 0:
        return ErrorVariance(
            max(scatter, tiny), float(dof), "no replicates: interval from the scatter of cells"
        )
    return ErrorVariance(None, 0.0, "no replicates and no cell to spare: noise unknown")


def resample(error: ErrorVariance, spread: Array, resamples: int, seed: int) -> Array:
    """Noise for a parametric bootstrap in which the cells stay: [resamples, cells].

    Args:
        error: variance of a run and its degrees of freedom; each resample's variance is drawn
            anew (df / chi-squared), so that a poorly known noise gives t-like, wider tails.
        spread: [cells] variance of each cell's mean over the variance of a run.
        resamples: number of draws.
        seed: of the generator; equal seeds give equal draws.

    Raises:
        LawsError: the variance is not known.
    """
    if error.value is None:
        raise LawsError(f"noise cannot be redrawn: {error.reason}")
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal((resamples, spread.size))
    known = np.isinf(error.df)
    factor = np.ones(resamples) if known else error.df / rng.chisquare(error.df, resamples)
    return np.asarray(normal * np.sqrt(error.value * spread[None, :] * factor[:, None]))
