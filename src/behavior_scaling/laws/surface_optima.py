"""Optima of the surface under every cost convention, with intervals from its redrawn refits.

For each nominal budget of an axis and each convention: N* with the share held, s* with D/N held,
and the best number of distinct candidates of each arm with (N, s) held, by minimising along the
iso-cost curve whose level is the mean cost of that budget's own cells under the convention. The
search stays within the range that the runs cover; an optimum at its end is 'at bound', one whose
interval is open on a side is 'not identified', and so is one that needs a part which the runs do
not show. Exponents over C follow from the refits: the slope of log N* over log C in each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.cost_model import (
    COLUMNS,
    CONVENTIONS,
    TOLERATED,
    Cost,
    Kind,
    costs,
    kinds,
)
from behavior_scaling.laws.cost_path import (
    Best,
    Held,
    Path,
    Segment,
    allocation_path,
    candidates_path,
    lowest_on,
    polished,
    share_path,
)
from behavior_scaling.laws.parts import carried, nothing
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.surface_base import Base, base_points
from behavior_scaling.laws.surface_fit import Surface
from behavior_scaling.laws.surface_intervals import bounded, interval
from behavior_scaling.laws.table import numbers

if TYPE_CHECKING:
    import pandas as pd

MIN_BUDGETS = 3
DRAWN = ("draws", "log_d", "values")
MAX_EPOCHS = 4.0  # more at the optimum: 'data-limited' (definitions.md, 'Laws')


@dataclass(frozen=True)
class Optimum:
    """One optimum: one axis and arm, one budget, one convention."""

    axis: str
    arm: str
    convention: str
    budget: float  # nominal
    cost: float  # level of the iso-cost curve under the convention
    optimum: Estimate  # N*, s* or n_cand*
    best: Estimate  # the metric there, own unit
    derived: dict[str, Estimate] = field(default_factory=dict)  # D, D_over_N, over_catalogue
    notes: tuple[str, ...] = ()
    draws: Array | None = None  # log of the optimum in every refit; not written
    log_d: Array | None = None
    values: Array | None = None  # the metric there in every refit, fitted scale; not written

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        raw = {name: value for name, value in vars(self).items() if name not in DRAWN}
        out = {
            name: asdict(value) if isinstance(value, Estimate) else value
            for name, value in raw.items()
        }
        out["derived"] = {name: asdict(value) for name, value in self.derived.items()}
        return out


def optima(
    surface: Surface, draws: Array, runs: pd.DataFrame, conventions: Sequence[str] = CONVENTIONS
) -> tuple[list[Optimum], dict[str, Any]]:
    """Every optimum that the runs allow to be asked for.

    Args:
        surface: the fit.
        draws: [r, p] parameters of redrawn refits; r = 0 leaves out all intervals.
        runs: the runs table, for the base points of every axis.
        conventions: cost conventions.

    Returns:
        The optima and, by convention, what is known of its cost function.
    """
    found: list[Optimum] = []
    said: dict[str, Any] = {}
    bases = base_points(runs, surface.data.frame)
    for convention in conventions:
        functions = costs(surface.data.frame, convention)
        if isinstance(functions, str):
            said[convention] = {"status": "not identified", "reason": functions}
            continue
        said[convention] = _described(functions)
        for base in bases:
            found.append(optimum_at(surface, draws, base, convention, functions))
    return found, said


def optimum_at(
    surface: Surface, draws: Array, base: Base, convention: str, functions: Mapping[Kind, Cost]
) -> Optimum:
    """One optimum; without draws it has no interval.

    Args:
        surface: the fit.
        draws: [r, p] redrawn refits.
        base: axis, base point and range.
        convention: the cost convention.
        functions: its cost functions by kind of run.
    """
    cells, held = base.cells, base.held
    level = _level(cells, convention, functions)
    missing = _missing(surface, base)
    segments = [
        (low, high, _path(base.axis, functions[kind], level, held))
        for kind, low, high in base.reach
        if kind in functions and high > low
    ]
    if missing or not segments:
        none = missing or nothing("not identified", "all runs have the same value")
        return Optimum(base.axis, base.arm, convention, held.budget, level, none, none)
    point = _lowest(surface, surface.parameters[None, :], segments, exact=True)
    sample = _lowest(surface, draws, segments, exact=False) if len(draws) else None
    estimate = bounded(point, sample)
    log_d, all_d = _log_d(point, segments), None if sample is None else _log_d(sample, segments)
    derived = {}
    best = nothing(estimate.status, estimate.reason)
    if estimate.value is not None:
        own = surface.data.transform.own_unit
        best = interval(
            own(float(point.value[0])),
            None if sample is None else surface.data.transform.inverse(sample.value),
            estimate,
        )
        drawn_d = None if all_d is None else np.exp(all_d)
        derived["D"] = interval(float(np.exp(log_d[0])), drawn_d, estimate)
        if base.axis == "allocation":
            over = None if all_d is None or sample is None else np.exp(all_d - sample.z)
            derived["D_over_N"] = interval(float(np.exp(log_d[0] - point.z[0])), over, estimate)
        if base.axis == "negatives" and np.isfinite(held.n_items):
            derived["over_catalogue"] = carried(estimate, lambda k: k / held.n_items)
    both = [point] if sample is None else [point, sample]
    found_z, values = (np.concatenate([getattr(b, n) for b in both]) for n in ("z", "value"))
    found_d = log_d if all_d is None else np.concatenate([log_d, all_d])
    notes = [
        f"cost function of stage {kind[0]} off by up to {functions[kind].error:.0%}"
        for kind, _, _ in base.reach
        if kind in functions and functions[kind].error > TOLERATED
    ]
    epochs = float(np.exp(log_d[0])) / held.unique
    if estimate.value is not None and epochs > MAX_EPOCHS:
        notes.append(f"data-limited: {epochs:.1f} epochs at the optimum")
    return Optimum(
        base.axis, base.arm, convention, held.budget, level, estimate, best, derived,
        tuple(notes), found_z, found_d, values,
    )  # fmt: skip


def compared(found: Sequence[Optimum], check: Sequence[Optimum]) -> list[Optimum]:
    """The optima, with a note where another scale of the metric puts one outside its interval.

    Args:
        found: on the metric's own scale.
        check: the same ones from the untransformed metric.
    """
    out = []
    for one, other in zip(found, check, strict=True):
        own, value = one.optimum, other.optimum.value
        inside = value is not None and (own.low or 0.0) <= value <= (own.high or np.inf)
        moved = own.status == "converged" and not inside
        said = "none" if value is None else f"{value:.4g}"
        note = f"transform-dependent: {said} from the untransformed metric"
        out.append(replace(one, notes=(*one.notes, note)) if moved else one)
    return out


def _missing(surface: Surface, base: Base) -> Estimate | None:
    """Why the surface has no such optimum."""
    needed = {
        "allocation": ("data",),
        "share": ("context", "embedder"),
        "negatives": ("candidates", "data"),
    }[base.axis]
    lost = [part for part in needed if part not in surface.shown]
    if base.axis == "allocation" and not {"context", "embedder"} & set(surface.shown):
        lost.append("context or embedder")
    if not lost:
        return None
    status = "not identified" if surface.law.parts else surface.status
    reasons = {left.part: left.reason for left in surface.left}
    why = reasons.get(lost[0], surface.reason)
    return nothing(status, f"no {lost[0]} term in the surface" + (f": {why}" if why else ""))


def _level(cells: pd.DataFrame, convention: str, functions: Mapping[Kind, Cost]) -> float:
    """Geometric mean cost of the cells: as measured, or by the convention's formula."""
    if convention in COLUMNS:
        return float(np.exp(np.mean(np.log(numbers(cells, COLUMNS[convention])))))
    inputs = [numbers(cells, name) for name in ("n_emb", "n_ctx", "n_cand_distinct", "batch")]
    each = np.array(
        [
            float(functions[kind].per_position(*(np.array(v[i]) for v in inputs)))
            for i, kind in enumerate(kinds(cells))
        ]
    )
    return float(np.exp(np.mean(np.log(each * numbers(cells, "positions")))))


def _path(axis: str, cost: Cost, level: float, held: Held) -> Path:
    make = {"allocation": allocation_path, "share": share_path, "negatives": candidates_path}
    return make[axis](cost, level, held)


def _lowest(
    surface: Surface,
    theta: Array,
    segments: Sequence[tuple[float, float, Path]],
    *,
    exact: bool,
) -> Best:
    columns = {name: theta[:, [i]] for i, name in enumerate(surface.law.names)}

    def on(path: Path) -> Any:
        return lambda z: surface.law.at(path(z)).values(columns)

    parts = [Segment(on(path), low, high, path) for low, high, path in segments]
    return polished(parts) if exact else lowest_on(parts)


def _log_d(best: Best, segments: Sequence[tuple[float, float, Path]]) -> Array:
    out = np.zeros(best.z.size)
    for i, (_, _, path) in enumerate(segments):
        here = best.segment == i
        out[here] = np.log(path(best.z[here])["positions"])
    return out


def exponents(found: Sequence[Optimum]) -> list[dict[str, Any]]:
    """Slopes of log N* and log D*, log s*, log n_cand* over log C, by convention, axis and arm."""
    out = []
    keys = sorted({(o.convention, o.axis, o.arm) for o in found})
    for key in keys:
        here = [o for o in found if (o.convention, o.axis, o.arm) == key]
        usable = [o for o in here if o.optimum.status == "converged" and o.draws is not None]
        for name in ("optimum", "D"):
            out.append(
                {
                    "convention": key[0],
                    "axis": key[1],
                    "arm": key[2],
                    "of": name,
                    "exponent": asdict(_exponent(usable, name)),
                }
            )
    return out


def _exponent(usable: Sequence[Optimum], name: str) -> Estimate:
    if len(usable) < MIN_BUDGETS:
        reason = f"{len(usable)} budgets with an identified optimum; {MIN_BUDGETS} needed"
        return nothing("too few points", reason)
    x = np.log([o.cost for o in usable])
    x = x - x.mean()
    logs = [o.draws if name == "optimum" else o.log_d for o in usable]
    stacked = np.stack([part for part in logs if part is not None])
    slopes = x @ stacked / (x @ x)  # the estimate first, then the refits
    said = nothing("converged", "")
    return interval(float(slopes[0]), slopes[1:] if slopes.size > 1 else None, said)


def _described(functions: Mapping[Kind, Cost]) -> dict[str, Any]:
    return {
        "status": "converged",
        "functions": [
            {
                "stage": kind[0],
                "uniform": kind[1],
                "blocks": kind[2],
                "runs": cost.runs,
                "largest_error": cost.error,
                "terms": [{"coefficient": c, "powers": list(powers)} for c, powers in cost.terms],
                "note": "off by more than 5% somewhere" if cost.error > TOLERATED else "",
            }
            for kind, cost in sorted(functions.items())
        ],
    }
