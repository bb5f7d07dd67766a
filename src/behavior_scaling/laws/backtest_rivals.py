"""What a prediction has to beat: the last budget again, and a line over log C."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.backtest_score import Forecast
from behavior_scaling.laws.curve import CurveData


def last_cell(curves: Sequence[CurveData], x: Array, noise: Array, *, relative: bool) -> Forecast:
    """The nearest cell (in log x) of the largest budget left, with its noise and the hidden cell's.

    Args:
        curves: of the budgets left, ascending.
        x: [n] of the hidden cells.
        noise: [n] variance of the hidden cells' means, fitted scale.
        relative: whether cells are matched by x over the mean x of their budget.
    """
    near = _nearest(curves[-1], x, relative)
    variance = _variance(curves[-1])
    own = noise if variance is None else variance[near]
    return Forecast(curves[-1].y[near], np.sqrt(own + noise))


def log_linear(
    curves: Sequence[CurveData], budget: float, x: Array, noise: Array, *, relative: bool
) -> Forecast:
    """A line over log C through the nearest cell of every budget left.

    The variance around the line is its scatter, or the cells' noise where that is larger.
    """
    z = np.log([data.budget for data in curves])
    values = np.stack([data.y[_nearest(data, x, relative)] for data in curves])  # [budgets, n]
    centre, at = z - z.mean(), np.log(budget) - z.mean()
    slope = centre @ values / (centre @ centre)
    level = values.mean(axis=0)
    rest = values - level - centre[:, None] * slope
    scatter = np.maximum(np.sum(rest**2, axis=0) / (z.size - 2), noise)
    leverage = 1 / z.size + at**2 / (centre @ centre)
    return Forecast(level + at * slope, np.sqrt(scatter * leverage + noise))


def _nearest(data: CurveData, x: Array, relative: bool) -> Array:
    here, wanted = np.log(data.x), np.log(x)
    if relative:
        here, wanted = here - here.mean(), wanted - wanted.mean()
    return np.asarray(np.argmin(np.abs(here[None, :] - wanted[:, None]), axis=1))


def _variance(data: CurveData) -> Array | None:
    return None if data.noise.variance is None else data.noise.variance * data.spread
