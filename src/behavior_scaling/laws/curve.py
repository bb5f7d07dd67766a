"""CurveData: the cells of one curve (one axis, arm, metric and budget), ready to be fitted.

Choices: a cell's value is the mean over its seeds, transformed after averaging; its variance is
sigma^2 times a known factor `spread` (the delta method over the number of seeds), so that one
seed variance in the metric's own unit serves every scale; redrawn users shift the cells of one
replicate together and enter as deviations, to first order on the fitted scale; cells are sorted
by x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError, vector
from behavior_scaling.laws.noise import NoiseLevel
from behavior_scaling.laws.transforms import IDENTITY, Transform

NO_NOISE = NoiseLevel(None, 0.0, "no replicates")


@dataclass(frozen=True, eq=False)
class CurveData:
    """Cells of one curve, ascending in x; arrays of one length [cells]."""

    budget: float  # nominal FLOPs
    x: Array  # positive, own unit
    y: Array  # fitted scale, lower is better
    spread: Array  # Var(y) over the seed variance of one run
    repeats: Array  # runs in the cell
    within: float  # sum of squares of runs around their cells, squared units of the metric
    noise: NoiseLevel
    transform: Transform
    columns: Mapping[str, Array] = field(default_factory=dict)  # cell means of other columns
    users: Array | None = None  # [replicates, cells] deviations of y under redrawn users

    @property
    def cells(self) -> int:
        """Number of cells."""
        return int(self.x.size)

    @property
    def runs(self) -> int:
        """Number of runs over all cells."""
        return int(self.repeats.sum())

    @property
    def points(self) -> int:
        """Number of distinct values of x."""
        return int(np.unique(self.x).size)

    @property
    def tiny(self) -> float:
        """A variance that double precision cannot tell from none, squared units of the metric."""
        size = float(np.max(np.abs(self.y))) if self.y.size else 1.0
        return (1e-11 * max(size, 1e-300)) ** 2 / float(np.mean(self.spread))

    @property
    def constant(self) -> bool:
        """Whether y does not vary beyond rounding."""
        return bool(np.ptp(self.y) <= 1e-12 * max(float(np.max(np.abs(self.y))), 1e-300))

    @property
    def noise_sd(self) -> float | None:
        """Seed standard deviation of one run on the fitted scale (root mean square of cells)."""
        if self.noise.variance is None or not self.cells:
            return None
        return float(np.sqrt(self.noise.variance * np.mean(self.spread * self.repeats)))

    def subset(self, mask: npt.NDArray[np.bool_]) -> CurveData:
        """The cells that the mask keeps; noise stays as it was pooled."""
        return CurveData(
            self.budget,
            self.x[mask],
            self.y[mask],
            self.spread[mask],
            self.repeats[mask],
            self.within,
            self.noise,
            self.transform,
            {name: values[mask] for name, values in self.columns.items()},
            None if self.users is None else self.users[:, mask],
        )


def curve_data(
    budget: float,
    x: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    transform: Transform = IDENTITY,
    noise: NoiseLevel = NO_NOISE,
    repeats: npt.ArrayLike | None = None,
    within: float = 0.0,
    columns: Mapping[str, npt.ArrayLike] | None = None,
    users: Array | None = None,
) -> CurveData:
    """Check, transform and sort the cells of one curve.

    Args:
        budget: nominal FLOPs, positive.
        x: [cells] positive, own unit (parameters, share, sequences, candidates).
        values: [cells] means over seeds, in the metric's own unit.
        transform: scale of the fit.
        noise: seed noise in the metric's own unit.
        repeats: [cells] runs in each cell, 1 if not given.
        within: sum of squares of runs around their cell means, squared units of the metric.
        columns: other columns, [cells] each.
        users: [replicates, cells] deviations of the means under redrawn users, the metric's unit.

    Raises:
        LawsError: naming the array, if lengths differ, an entry is NaN or not positive, or a
            value lies outside the transform's domain.
    """
    xs = vector(x, "x", positive=True)
    ms = vector(values, "values")
    rs = np.ones_like(xs) if repeats is None else vector(repeats, "repeats", positive=True)
    others = {name: vector(column, name) for name, column in (columns or {}).items()}
    for name, array in {"values": ms, "repeats": rs, **others}.items():
        if array.size != xs.size:
            raise LawsError(f"{name}: {array.size} entries for {xs.size} of x")
    if users is not None and (users.ndim != 2 or users.shape[1] != xs.size):
        raise LawsError(f"users: shape {users.shape} for {xs.size} cells")
    if not (np.isfinite(budget) and budget > 0):
        raise LawsError(f"budget: {budget!r} is not a positive number of FLOPs")
    outside = ~transform.valid(ms)
    if outside.any():
        value = ms[np.flatnonzero(outside)[0]]
        raise LawsError(
            f"values: {float(value)!r} has no {transform.name} (domain {transform.lower} to "
            f"{transform.upper}, ends excluded)"
        )
    order = np.argsort(xs, kind="stable")
    return CurveData(
        float(budget),
        xs[order],
        np.asarray(transform.forward(ms), dtype=np.float64)[order],
        transform.variance(ms, 1.0 / rs)[order],
        rs[order],
        float(within),
        noise,
        transform,
        {name: column[order] for name, column in others.items()},
        None if users is None else (users * transform.derivative(ms))[:, order],
    )
