"""Fitting the joint surface: the best parameters, redrawn refits, predictions.

Intervals: noise is redrawn around the surface, users are drawn anew in the same step (so that both
variances add up), and every draw is refitted from the optimum, with all parts of the fit; its
percentiles are the interval (tests measure their coverage). Which parts are fitted and which have a
number is decided in surface_select.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.many import Many, minimise_many
from behavior_scaling.laws.noise import ErrorVariance, error_variance, resample
from behavior_scaling.laws.results import Status
from behavior_scaling.laws.surface_data import SurfaceData
from behavior_scaling.laws.surface_law import PARTS, SurfaceLaw, centre
from behavior_scaling.laws.surface_select import Left, choose, limits, varying_parts

ONE_SIGMA = (0.15866, 0.84134)
FINE, FINE_STEPS = 1e-7, 60  # of redrawn refits: a hundredth of the noise that they measure
SPARE = 3  # cells beyond the parameters, so that AICc exists


@dataclass(frozen=True, eq=False)
class Surface:
    """A fitted surface."""

    data: SurfaceData
    law: SurfaceLaw  # what is fitted: at least what the runs show
    parameters: Array  # [p] of the law
    shown: tuple[str, ...]  # parts that the runs show
    rss: float  # weighted
    error: ErrorVariance  # in units of the weights
    left: tuple[Left, ...]
    gains: Mapping[str, float]  # AICc that a shown part is worth
    status: Status
    reason: str
    at_bound: tuple[str, ...]  # parameters of shown parts
    best_share: float
    starts: int
    condition: float

    @property
    def fitted(self) -> Array:
        """The surface at its own cells, fitted scale."""
        return np.asarray(self.law.evaluate(self.parameters[None, :]).values[0])

    def carrier(self) -> Array:
        """[p, cells] that carries a change of y to the parameters, to first order."""
        jacobian = self.law.evaluate(self.parameters[None, :]).jacobian[0]
        root = np.sqrt(self.data.weight)
        return np.asarray(np.linalg.pinv(root[:, None] * jacobian, rcond=1e-12) * root)


def fit_surface(data: SurfaceData, *, seed: int = 0) -> Surface:
    """Fit the surface; where the cells refuse it, that is its status.

    Args:
        data: the cells.
        seed: of the starts.
    """
    parts, left = varying_parts(data.inputs) if data.cells else ((), ())
    law = SurfaceLaw(data.inputs, centre(data.inputs) if data.cells else {}, parts)
    refused = _refused(data, law)
    if refused:
        return _unfitted(data, law, refused[0], refused[1])
    chosen = choose(data, law, seed=seed)
    law, solution = chosen.law, chosen.solution
    error = error_variance(
        2 * solution.objective, data.cells - len(law.names), data.noise, data.tiny
    )
    own = {name for part in chosen.shown for name in PARTS[part]}
    at_bound = tuple(law.names[i] for i in solution.at_bound if law.names[i] in own)
    status = solution.status
    if status == "at bound" and not at_bound:
        status = "converged"
    return Surface(
        data=data,
        law=law,
        parameters=solution.parameters,
        shown=chosen.shown,
        rss=2 * solution.objective,
        error=error,
        left=(*left, *chosen.left),
        gains=chosen.gains,
        status=status,
        reason=error.reason,
        at_bound=at_bound,
        best_share=solution.best_share,
        starts=solution.starts,
        condition=solution.condition,
    )


def refit(surface: Surface, y: Array) -> Many:
    """Refits from the optimum for many columns of observations.

    Args:
        surface: the fit whose parts are kept.
        y: [r, cells] observations on the fitted scale.
    """
    data = surface.data
    at = np.broadcast_to(surface.parameters, (y.shape[0], surface.parameters.size))
    return minimise_many(
        surface.law, y, at, *limits(data, surface.law),
        weights=data.weight, tolerance=FINE, max_iterations=FINE_STEPS,
    )  # fmt: skip


def redraw(surface: Surface, resamples: int, seed: int, users: Array | None = None) -> Array:
    """[resamples, p] parameters of refits to redrawn noise.

    Args:
        surface: a fitted surface whose error variance is known.
        resamples: number of draws.
        seed: of the noise.
        users: [resamples, cells] shifts of y by drawing the users anew, on the fitted scale.
    """
    data = surface.data
    y = surface.fitted + resample(surface.error, 1.0 / data.weight, resamples, seed)
    if users is not None:
        y = y + users
    return refit(surface, y).parameters


def predict(surface: Surface, draws: Array, inputs: Mapping[str, Array]) -> tuple[Array, Array]:
    """The surface at other points and its standard deviation, on the fitted scale, [n] each.

    The deviation is half the width of the refits' central 68%: a few that ran far do not count.
    A run's own noise comes on top.

    Args:
        surface: the fit.
        draws: [r, p] redrawn refits.
        inputs: own units, [n] each.
    """
    law = surface.law.at(inputs)
    low, high = np.quantile(law.evaluate(draws).values, ONE_SIGMA, axis=0)
    return law.evaluate(surface.parameters[None, :]).values[0], np.asarray(0.5 * (high - low))


def _refused(data: SurfaceData, law: SurfaceLaw) -> tuple[Status, str] | None:
    if np.unique(data.inputs["budget"]).size < 2:
        return "too few points", "the surface needs two budgets"
    if data.cells < len(law.names) + SPARE:
        return (
            "too few points",
            f"{data.cells} cells for {len(law.names)} parameters; {SPARE} more are needed",
        )
    if np.ptp(data.y) <= 1e-12 * max(float(np.max(np.abs(data.y))), 1e-300):
        return "not identified", "the metric is constant over the cells"
    return None


def _unfitted(data: SurfaceData, law: SurfaceLaw, status: Status, reason: str) -> Surface:
    left = tuple(Left(part, reason) for part in PARTS)
    empty = SurfaceLaw(law.inputs, law.reference, ())
    none = np.zeros(0)
    error = ErrorVariance(None, 0.0, reason)
    return Surface(
        data, empty, none, (), np.nan, error, left, {}, status, reason, (), 0.0, 0, np.inf
    )
