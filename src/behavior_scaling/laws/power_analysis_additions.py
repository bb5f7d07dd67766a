"""Runs that a study might add, each as a changed study with its own plan.

Candidates of an axis: one more seed on every cell; two more points, half an octave to each side of
the expected optimum (the next half octave outwards where that is taken already); two more values
below the smallest, or above the largest, half an octave apart; one more smaller or larger budget,
at the ratio of the two budgets that lie at that end, its grid and base point moved along the
planted exponent of N*. What the sweep cannot realise, or leaves out, is no candidate, and its
reason is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from behavior_scaling.config import ConfigError, Study, parse_study
from behavior_scaling.laws.planted import Truth
from behavior_scaling.sweep.cells import Cell, unique
from behavior_scaling.sweep.plan import Plan

Planner = Callable[[Study], Plan]
HALF_OCTAVE = 2.0**0.5
VALUES = {"share": ("shares",), "batch": ("batches",), "negatives": ("uniform", "popular")}
REACH = 6  # half octaves from the optimum within which room for two points is looked for


@dataclass(frozen=True)
class Addition:
    """A changed study and what its change costs."""

    axis: str
    text: str
    study: Study
    plan: Plan
    runs: int
    flops: float
    cells: tuple[Cell, ...]  # the runs that are new


@dataclass(frozen=True)
class Impossible:
    """A change that adds no run."""

    axis: str
    text: str
    reason: str


def additions(
    study: Study, plan: Plan, truth: Truth, planner: Planner
) -> list[Addition | Impossible]:
    """All candidates of every axis that the study has.

    Args:
        study: the study.
        plan: its plan.
        truth: where optima are expected.
        planner: study to plan.
    """
    out = []
    have = {cell.key for cell in unique(list(plan.cells))}
    for axis in ("allocation", "share", "batch", "negatives"):
        if getattr(study.axes, axis) is None:
            continue
        for text, changes in _changes(study, plan, truth, axis):
            out.append(_planned(axis, text, changes, have, planner))
    return out


def _planned(
    axis: str, text: str, changes: Iterator[dict[str, Any]], have: set[str], planner: Planner
) -> Addition | Impossible:
    """The first of some variants of a change that adds a cell to the axis."""
    reason = "nothing new can be realised there"
    for raw in changes:
        try:
            changed = parse_study(raw, where="addition")
            plan = planner(changed)
        except (ConfigError, ValueError) as error:
            reason = str(error).splitlines()[-1].strip()
            continue
        own = [cell for cell in plan.cells if cell.axis == axis and cell.key not in have]
        if own:
            new = [cell for cell in unique(list(plan.cells)) if cell.key not in have]
            flops = sum(cell.budget for cell in new)
            return Addition(axis, text, changed, plan, len(new), flops, tuple(new))
        left = [item for item in plan.left_out if item.axis == axis]
        reason = f"{left[-1].label}: {left[-1].reason}" if left else reason
    return Impossible(axis, text, reason)


Changes = Iterator[tuple[str, Iterator[dict[str, Any]]]]


def _changes(study: Study, plan: Plan, truth: Truth, axis: str) -> Changes:
    part = getattr(study.axes, axis)
    seed = max(part.seeds) + 1
    yield "one more seed everywhere", iter([_changed(study, axis, seeds=[*part.seeds, seed])])
    if axis == "allocation":
        yield "two more points beside each vertex", _beside_vertex(study, truth)
    else:
        yield from _more_values(study, plan, truth, axis)
    low, high = min(part.budgets), max(part.budgets)
    ordered = sorted(part.budgets)
    down = ordered[0] / ordered[1] if len(ordered) > 1 else 0.1**0.5
    up = ordered[-1] / ordered[-2] if len(ordered) > 1 else 10.0**0.5
    for name, budget, near in (("smaller", low * down, low), ("larger", high * up, high)):
        text = f"one more {name} budget ({budget:.2g})"
        yield text, iter([_with_budget(study, truth, axis, budget, near)])


def _changed(study: Study, axis: str, **values: Any) -> dict[str, Any]:
    raw = study.model_dump(mode="json")
    raw["axes"][axis] |= values
    return raw


def _beside_vertex(study: Study, truth: Truth) -> Iterator[dict[str, Any]]:
    """For each distance from the vertex the same lists with two more sizes."""
    part = study.axes.allocation
    assert part is not None  # noqa: S101 (the caller asks only for axes that there are)
    for step in range(1, REACH + 1):
        lists = [
            sorted({*sizes, *_pair(truth.optimum("allocation", budget), step)})
            for budget, sizes in zip(part.budgets, part.parameters, strict=True)
        ]
        yield _changed(study, "allocation", parameters=lists)


def _pair(x: float, step: int) -> tuple[float, float]:
    return x / HALF_OCTAVE**step, x * HALF_OCTAVE**step


def _more_values(study: Study, plan: Plan, truth: Truth, axis: str) -> Changes:
    """More values of x: beside the optimum, below the smallest, above the largest."""
    part = getattr(study.axes, axis)
    budget = min(part.budgets)
    for name in VALUES[axis]:
        values = [value for value in getattr(part, name) if value > 0]
        if not values:
            continue
        arm = f", arm {name}" if axis == "negatives" else ""
        best = truth.optimum(axis, budget)
        if axis == "negatives":
            best = _asked(plan, name, best)
        whole = axis != "share"

        def with_more(
            more: tuple[float, ...], name: str = name, whole: bool = whole
        ) -> dict[str, Any]:
            old = getattr(part, name)
            new = [max(1, round(v)) if whole else v for v in more]
            return _changed(study, axis, **{name: sorted({*old, *new})})

        steps = range(1, REACH + 1)
        beside = (with_more(_pair(best, step)) for step in steps)
        yield f"two more points beside the optimum{arm}", beside
        below = (values_below(min(values), k) for k in (1, 2))
        above = (values_above(max(values), k) for k in (1, 2))
        yield f"two more values below {min(values):g}{arm}", (with_more(v) for v in below)
        yield f"two more values above {max(values):g}{arm}", (with_more(v) for v in above)


def values_below(smallest: float, octaves: int) -> tuple[float, float]:
    """Two values below, `octaves` half octaves apart."""
    return smallest / HALF_OCTAVE**octaves, smallest / HALF_OCTAVE ** (2 * octaves)


def values_above(largest: float, octaves: int) -> tuple[float, float]:
    """Two values above, `octaves` half octaves apart."""
    return largest * HALF_OCTAVE**octaves, largest * HALF_OCTAVE ** (2 * octaves)


def _asked(plan: Plan, arm: str, distinct: float) -> float:
    """The asked K or M whose draw is nearest to a number of distinct candidates."""
    asked = [
        cell.objective.uniform if arm == "uniform" else cell.objective.in_batch
        for cell in plan.cells
        if cell.axis == "negatives" and cell.arm == arm and not cell.control
    ]
    return min(asked, key=lambda value: abs(value - distinct)) if asked else distinct


def _with_budget(
    study: Study, truth: Truth, axis: str, budget: float, near: float
) -> dict[str, Any]:
    """The axis with one more budget, its sizes moved along the exponent of N*."""
    factor = (budget / near) ** truth.allocation.exponent
    part = getattr(study.axes, axis)
    values: Mapping[str, Any] = {"budgets": [*part.budgets, budget]}
    if axis == "allocation":
        sizes = part.parameters[part.budgets.index(near)]
        values = {**values, "parameters": [*part.parameters, [size * factor for size in sizes]]}
    raw = _changed(study, axis, **values)
    if axis in ("batch", "negatives") and all(p.budget != budget for p in study.base):
        point = study.base_point(near)
        raw["base"].append(
            point.model_dump() | {"budget": budget, "parameters": point.parameters * factor}
        )
    return raw
