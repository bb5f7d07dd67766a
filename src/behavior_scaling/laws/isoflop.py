"""IsoFLOP curves (Chinchilla's approach 2): the best N of each budget, then N* and D* over C.

Choices: one parabola in log N per budget (parabola.py), D at the vertex read off the cells' own
D(N) (log D linear in log N between cells, so no FLOP convention enters), the same curve again
with cells of at most four epochs, and the flag 'data-limited' where a cell beside the vertex has
more. The parabola is the paper's estimator; its vertex is biased where the two exponents of
L(N, D) differ and the grid is wide or off-centre (arXiv 2603.22339), which is why it stands
second to the joint surface.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.parabola import Parabola, fit_parabola, parabola_curve
from behavior_scaling.laws.parts import AxisParts, carried, exponential
from behavior_scaling.laws.results import CurveFit, Estimate
from behavior_scaling.laws.trend import TINY, Trend, fit_trend
from behavior_scaling.laws.users import SLOPE_NOTE

MAX_EPOCHS = 4.0
FORM = "y = c0 + c1 log N + c2 (log N)^2 for each budget; N* at its minimum"


def fit_allocation(curves: Sequence[CurveData]) -> AxisParts:
    """IsoFLOP fits of all budgets; each needs the columns 'positions' (D) and 'epochs'.

    Returns:
        CurveFits with optimum N*, derived 'D', 'D_over_N' and 'N_within_4_epochs', and the
        exponents 'N' and 'D' over budgets, from all cells and from those within four epochs.
    """
    whole = [fit_parabola(data) for data in curves]
    few = [fit_parabola(data.subset(data.columns["epochs"] <= MAX_EPOCHS)) for data in curves]
    fits = tuple(
        _curve_fit(data, fit, once.vertex)
        for data, fit, once in zip(curves, whole, few, strict=True)
    )
    n, d = _trends(curves, whole)
    n_few, d_few = _trends(curves, few)
    exponents = {
        "N": n.slope,
        "D": d.slope,
        "N_within_4_epochs": n_few.slope,
        "D_within_4_epochs": d_few.slope,
    }
    notes = [trend.note(name) for name, trend in (("N", n), ("D", d)) if trend.without]
    if any(fit.redrawn is not None for fit in whole):
        notes.append(SLOPE_NOTE)
    return AxisParts(fits, exponents, tuple(notes), tuple(fit.best for fit in whole))


def extrapolated(curves: Sequence[CurveData], budget: float) -> dict[str, Estimate]:
    """N* and D* at another budget, from their power laws over the budgets of the curves."""
    trends = _trends(curves, [fit_parabola(data) for data in curves])
    return {name: exponential(trend.at(budget)) for name, trend in zip("ND", trends, strict=True)}


def _trends(curves: Sequence[CurveData], fits: Sequence[Parabola]) -> tuple[Trend, Trend]:
    """Exponents of N* and D* over the budgets whose vertex is identified."""
    budgets, logs, variances, dfs, redrawn = [], [], [], [], []
    for data, fit in zip(curves, fits, strict=True):
        if fit.vertex.value is not None and fit.variance is not None:
            z, slope = fit.vertex.value, _log_d_slope(data, fit.vertex.value)
            budgets.append(data.budget)
            logs.append((z, _log_d(data, z)))
            variances.append((max(fit.variance, TINY), max(slope**2 * fit.variance, TINY)))
            dfs.append(fit.df)
            if fit.redrawn is not None:
                moved = fit.redrawn - z
                redrawn.append((z + moved, _log_d(data, z) + slope * moved))
    n, d = (
        fit_trend(
            budgets,
            [pair[i] for pair in logs],
            [pair[i] for pair in variances],
            np.stack([pair[i] for pair in redrawn], axis=1) if redrawn else None,
            dfs=np.array(dfs),
        )
        for i in (0, 1)
    )
    return n, d


def _curve_fit(data: CurveData, fit: Parabola, few_epochs: Estimate) -> CurveFit:
    def d(z: float) -> float:
        return float(np.exp(_log_d(data, z)))

    derived = {
        "D": carried(fit.vertex, d, rising=False),
        "D_over_N": carried(fit.vertex, lambda z: d(z) / float(np.exp(z)), rising=False),
        "N_within_4_epochs": exponential(few_epochs),
    }
    flags = ("data-limited",) if _data_limited(data, fit.vertex) else ()
    return parabola_curve(data, fit, derived, flags)


def _log_d(data: CurveData, z: float) -> float:
    """The log D at log N = z: linear between cells, end segments carried on beyond them."""
    log_n, log_d = _d_line(data)
    i = _segment(log_n, z)
    return float(log_d[i] + (z - log_n[i]) * _log_d_slope(data, z))


def _log_d_slope(data: CurveData, z: float) -> float:
    log_n, log_d = _d_line(data)
    i = _segment(log_n, z)
    return float((log_d[i + 1] - log_d[i]) / (log_n[i + 1] - log_n[i]))


def _segment(log_n: Array, z: float) -> int:
    return int(np.clip(np.searchsorted(log_n, z) - 1, 0, log_n.size - 2))


def _d_line(data: CurveData) -> tuple[Array, Array]:
    """Distinct log N and the mean log D of their cells."""
    x, index = np.unique(data.x, return_inverse=True)
    log_d = np.bincount(index, np.log(data.columns["positions"])) / np.bincount(index)
    return np.log(x), np.asarray(log_d, dtype=np.float64)


def _data_limited(data: CurveData, vertex: Estimate) -> bool:
    """Whether a cell beside the vertex passes the data more than four times.

    Beside a vertex outside the grid stands the cell at that edge.
    """
    bounds = (vertex.low, vertex.high)
    if vertex.value is None and bounds == (None, None):
        return False
    z = vertex.value if vertex.value is not None else np.inf if vertex.high is None else -np.inf
    right = int(np.searchsorted(np.log(data.x), z))
    beside = [i for i in (right - 1, right) if 0 <= i < data.cells]
    return any(data.columns["epochs"][i] > MAX_EPOCHS for i in beside)
