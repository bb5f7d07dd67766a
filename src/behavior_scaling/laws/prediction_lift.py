"""What more compute brings: the improvement of the best cell from one budget to a larger one.

Predicted by the joint surface, whose minimum along each iso-cost curve is the best, and by a power
law of the best losses below the held-out budget. Choices: an improvement is positive where the
metric becomes better, in the metric's own unit; it is given for every step of the study's budgets
up to the held-out one, and for every doubling that ends there (C/2 to C, C/4 to C/2, ...), between
budgets with what is held (share, candidates, batch) interpolated in log C; a surface whose N* is
at the end of what the runs cover still has a best value, and the reason says so. Measured, a
budget's best is its isoFLOP curve at the vertex, else its lowest cell; between budgets it is the
parabola in log C through the two beside it and the one below them (a line would overstate the
last doubling of a step of 3 by 3%, because gains fall with compute).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws.arrays import Array, t_quantile
from behavior_scaling.laws.cost_model import Cost, Kind
from behavior_scaling.laws.cost_path import Held
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.isoflop import fit_allocation
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.study_compute import BestLoss, best_losses, loss_scale
from behavior_scaling.laws.surface_base import Base
from behavior_scaling.laws.surface_fit import Surface
from behavior_scaling.laws.surface_intervals import interval
from behavior_scaling.laws.surface_optima import Optimum, optimum_at
from behavior_scaling.laws.trend import Trend, fit_trend, half_width

if TYPE_CHECKING:
    import pandas as pd

SLACK = 1e-6  # of log C: a file holds eight digits of a budget
Step = tuple[str, float, float]  # 'step' or 'doubling', from, to: nominal FLOPs


def steps(budgets: Sequence[float]) -> list[Step]:
    """Every step of ascending budgets, then every doubling that ends at the last, latest first."""
    out: list[Step] = [("step", a, b) for a, b in pairwise(budgets)]
    end = budgets[-1]
    while end / 2 >= budgets[0]:
        out.append(("doubling", end / 2, end))
        end /= 2
    return out


def bests(metric: str, curves: Sequence[CurveData]) -> list[BestLoss]:
    """The measured best of each budget of the allocation axis."""
    return best_losses(metric, curves, fit_allocation(curves).best)


def measured_lift(found: Sequence[BestLoss], start: float, end: float) -> Estimate:
    """The improvement between two budgets, with the seed noise of what it is read from.

    Args:
        found: the measured bests, ascending in budget.
        start: nominal FLOPs.
        end: nominal FLOPs.
    """
    budgets = np.log([one.budget for one in found])
    asked = np.log([start, end])
    if not found or asked[0] < budgets[0] - SLACK or asked[1] > budgets[-1] + SLACK:
        return nothing("too few points", "a budget at one of the ends was not run")
    weight = _between_bests(budgets, asked[0]) - _between_bests(budgets, asked[1])
    value = float(weight @ np.array([one.loss for one in found]))
    used = [(w, one.variance) for w, one in zip(weight, found, strict=True) if w]
    said = "; ".join(
        f"lowest cell instead of a vertex at {one.budget:g}"
        for w, one in zip(weight, found, strict=True)
        if w and one.lowest
    )
    known = [w**2 * v for w, v in used if v is not None]
    if len(known) < len(used):
        return Estimate(value, None, None, "converged", said or "no interval: noise unknown")
    margin = t_quantile(np.inf) * float(np.sqrt(sum(known)))
    return Estimate(value, value - margin, value + margin, "converged", said)


def _between_bests(log_c: Array, at: float) -> Array:
    """[n] weight of each budget's best in the value at log C: a parabola through three of them."""
    out = np.zeros(log_c.size)
    last = int(np.clip(np.searchsorted(log_c, at - SLACK), 2, log_c.size - 1))
    nodes = np.arange(max(last - 2, 0), last + 1)
    for i in nodes:
        others = log_c[nodes[nodes != i]]
        out[i] = np.prod((at - others) / (log_c[i] - others))
    return np.where(np.abs(out) < SLACK, 0.0, out)


@dataclass(frozen=True)
class PowerLaw:
    """L = a C^-b through the best losses; of a maximised metric L is 1 - m."""

    trend: Trend
    metric: str

    @classmethod
    def of(cls, metric: str, found: Sequence[BestLoss]) -> PowerLaw:
        """The law of the budgets found; fewer than three leave it without a value."""
        loss = np.array([one.loss for one in found])
        known = [one.variance for one in found if one.variance]
        variances = np.array(known) / loss**2 if len(known) == loss.size else None
        return cls(fit_trend([one.budget for one in found], np.log(loss), variances), metric)

    def best(self, budget: float) -> Estimate:
        """The metric at a budget, own unit."""
        said = self.trend.at(budget)
        if said.value is None or said.low is None or said.high is None:
            return said
        own = loss_scale(self.metric).own_unit
        ends = sorted(own(float(np.exp(v))) for v in (said.low, said.high))
        return Estimate(own(float(np.exp(said.value))), ends[0], ends[1], "converged")

    def lift(self, start: float, end: float) -> Estimate:
        """The improvement between two budgets; its margin by the delta method."""
        level, slope = self.trend.intercept, self.trend.slope
        if level.value is None or slope.value is None:
            return level
        x = np.log([start, end]) - self.trend.center
        y = np.exp(level.value + slope.value * x)
        value = float(y[0] - y[1])
        margin = float(
            np.hypot(value * half_width(level), (y[0] * x[0] - y[1] * x[1]) * half_width(slope))
        )
        return Estimate(value, value - margin, value + margin, "converged")


@dataclass(frozen=True)
class Ladder:
    """The surface's best along the iso-cost curves of any budgets."""

    surface: Surface
    draws: Array  # [r, p]
    bases: Mapping[float, Base]  # of the allocation axis, by budget
    functions: Mapping[Kind, Cost]

    def at(self, budget: float) -> Optimum:
        """The optimum of the allocation axis there."""
        base = self.bases.get(budget) or _between(self.bases, budget)
        return optimum_at(self.surface, self.draws, base, "nominal", self.functions)

    def lift(self, start: float, end: float) -> Estimate:
        """The improvement between two budgets; every refit is compared with itself."""
        points = [self.at(start), self.at(end)]
        if points[0].values is None or points[1].values is None:
            lost = next(point.optimum for point in points if point.values is None)
            return nothing(lost.status, lost.reason)
        own = self.surface.data.transform.inverse
        scale = loss_scale(self.surface.data.metric)
        first, last = (scale.forward(own(p.values)) for p in points if p.values is not None)
        gain = first - last
        said = "; ".join(
            f"N* at {p.budget:g}: {p.optimum.status}"
            for p in points
            if p.optimum.status != "converged"
        )
        sample = gain[1:] if gain.size > 1 else None
        return interval(float(gain[0]), sample, nothing("converged", said))


def _between(bases: Mapping[float, Base], budget: float) -> Base:
    """A base point between those of two budgets: what is held, interpolated in log C."""
    budgets = sorted(bases)
    near = min(budgets, key=lambda c: (abs(np.log(c / budget)), -c))
    log_c = np.log(budgets)
    held: dict[str, Any] = {}
    for name in (field.name for field in fields(Held)):
        values = np.array([float(getattr(bases[c].held, name)) for c in budgets])
        if name not in ("stage", "budget") and np.isfinite(values).all():
            logs = (values > 0).all()
            at = np.interp(np.log(budget), log_c, np.log(values) if logs else values)
            held[name] = float(np.exp(at) if logs else at)
    base = bases[near]
    cells: pd.DataFrame = base.cells.assign(flops_nominal=budget)
    return replace(base, held=replace(base.held, budget=budget, **held), cells=cells)


def lift_rows(ladder: Ladder | Estimate, law: PowerLaw, wanted: Sequence[Step]) -> list[Any]:
    """One row a step: {'kind', 'from', 'to', 'forecasts': {'surface', 'power_law'}}.

    Args:
        ladder: of the surface, or why there is none.
        law: of the best losses.
        wanted: steps and doublings.
    """
    return [
        {
            "kind": kind,
            "from": start,
            "to": end,
            "forecasts": {
                "surface": asdict(
                    ladder if isinstance(ladder, Estimate) else ladder.lift(start, end)
                ),
                "power_law": asdict(law.lift(start, end)),
            },
        }
        for kind, start, end in wanted
    ]
