"""Where the joint surface misses an axis: residuals that follow the axis's own input.

Choices: within an axis and arm, the residuals of its cells less their mean at each budget are
regressed on log x and its square, likewise centred; where an F test finds that these explain more
than the cells' scatter would (p < 0.01), the surface bends another way than the runs do, and its
optimum on that axis would be a confident number for the wrong curve: it is 'not identified'.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.surface_fit import Surface
from behavior_scaling.laws.surface_optima import Optimum
from behavior_scaling.laws.table import X_COLUMN, Group, numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

INPUT = {"allocation": "N", "share": "s", "batch": "B", "negatives": "the number of candidates"}
CHANCE = 0.01
SHAPES = 2  # slope and curvature
MIN_DF = 3


def judged(found: Sequence[Optimum], surface: Surface, axes: Sequence[Group]) -> list[Optimum]:
    """The optima, without a number where the surface misses their axis."""
    missed = misfits(surface, axes) if surface.law.parts else {}
    out = []
    for one in found:
        reason = missed.get((one.axis, one.arm))
        if reason is None or one.optimum.status != "converged":
            out.append(one)
            continue
        none = nothing("not identified", reason)
        out.append(replace(one, optimum=none, best=none, derived={}))
    return out


def misfits(surface: Surface, axes: Sequence[Group]) -> dict[tuple[str, str], str]:
    """(axis, arm) of the runs table whose residuals follow x, each with the evidence."""
    out = {}
    for group in axes:
        chance = followed(*_cells(surface, group))
        if chance is not None and chance < CHANCE:
            said = f"the surface misses how the metric follows {INPUT[group.axis]}"
            out[group.axis, group.arm] = f"{said} (residuals: p = {chance:.1g})"
    return out


def followed(residual: Array, x: Array, budget: Array) -> float | None:
    """Chance of residuals that follow log x so closely if they do not; None with too few cells.

    Args:
        residual: [n] of cells, all of one scale.
        x: [n] positive.
        budget: [n] the budget of each cell.
    """
    levels, index = np.unique(budget, return_inverse=True)
    z = np.log(x) - np.mean(np.log(x)) if x.size else x
    shapes = np.stack([_within(z, index), _within(z**2, index)], axis=1)
    df = residual.size - levels.size - SHAPES
    if df < MIN_DF or np.linalg.matrix_rank(shapes) < SHAPES:
        return None
    r = _within(residual, index)
    fitted = shapes @ np.linalg.lstsq(shapes, r, rcond=None)[0]
    rest = float(np.sum((r - fitted) ** 2))
    explained = float(np.sum(fitted**2))
    if rest <= 0:
        return 0.0 if explained > 0 else 1.0
    return float(special.fdtrc(SHAPES, df, explained / SHAPES / (rest / df)))


def _within(values: Array, index: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> Array:
    """Values less their mean at each budget."""
    return np.asarray(values - (np.bincount(index, values) / np.bincount(index))[index])


def _cells(surface: Surface, group: Group) -> tuple[Array, Array, Array]:
    """Standardised residual, x and budget of the surface's cells that serve a group."""
    data = surface.data
    cell = dict(zip((str(i) for i in data.frame["id"]), data.cell, strict=True))
    rows = [(cell[str(i)], k) for k, i in enumerate(group.frame["id"]) if str(i) in cell]
    first = dict(rows[::-1])  # one row for each cell
    at, rows_of = np.array(sorted(first), dtype=np.int64), [first[c] for c in sorted(first)]
    residual = np.sqrt(data.weight[at]) * (data.y[at] - surface.fitted[at])
    x, budget = numbers(group.frame, X_COLUMN[group.axis]), numbers(group.frame, "budget")
    return residual, x[rows_of], budget[rows_of]
