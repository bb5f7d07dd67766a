"""From checked columns to curves: rows grouped by budget, replicates found, seed noise pooled.

Choices: published tables jitter around their nominal budgets, so rows whose C lie within a relative
tolerance (largest over smallest) are one budget, cut at the widest gaps first; the budget's C is
the geometric mean. Replicates are rows with equal C and x (and D): they make one cell and tell the
seed noise, pooled as in a study.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError
from behavior_scaling.laws.curve import CurveData, curve_data
from behavior_scaling.laws.noise import noise_levels, pooled

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Curves:
    """The curves of a table, ascending in budget, and how they were made, in words."""

    data: tuple[CurveData, ...]
    notes: tuple[str, ...]


def near_equal(values: Array, tolerance: float) -> Labels:
    """Group numbers that differ by at most a share of themselves.

    Args:
        values: [n] positive.
        tolerance: largest over smallest of a group, minus one.

    Returns:
        [n] labels 0.. ascending with the values. A range too wide is cut at its widest gap, again
        and again; numbers without gaps therefore fall into arbitrary groups, which show as such by
        their size.
    """
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise LawsError(f"tolerance: {tolerance!r} is not a share of 0 or more")
    order = np.argsort(values, kind="stable")
    z = np.log(values[order])
    reach = float(np.log1p(tolerance)) + 1e-12
    first = np.zeros(z.size, dtype=np.int64)
    ranges = [(0, z.size)]
    while ranges:
        low, high = ranges.pop()
        if z[high - 1] - z[low] > reach:
            cut = low + 1 + int(np.argmax(np.diff(z[low:high])))
            first[cut] = 1
            ranges += [(low, cut), (cut, high)]
    labels = np.empty(z.size, dtype=np.int64)
    labels[order] = np.cumsum(first)
    return labels


def curves_of(
    c: Array, x: Array, y: Array, tolerance: float, columns: Mapping[str, Array]
) -> Curves:
    """One curve for each budget of a table.

    Args:
        c: [rows] compute.
        x: [rows] the law's own variable.
        y: [rows] loss.
        tolerance: within which budgets are one.
        columns: other columns of the curves, [rows] each; equal where rows are replicates.
    """
    budget = near_equal(c, tolerance)
    keys = np.stack([budget, c, x, *columns.values()], axis=1)
    _, first, cell = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    cell = cell.reshape(-1)
    counts = np.bincount(cell).astype(np.float64)
    mean = np.bincount(cell, y) / counts
    least = np.array([c[budget == b].min() for b in range(int(budget.max()) + 1)])
    ratio = np.log(c / least[budget])  # exactly zero where a budget does not jitter
    nominal = least * np.exp(np.bincount(budget, ratio) / np.bincount(budget))
    parts = [pooled(cell[budget == b], y[budget == b]) for b in range(nominal.size)]
    noise = noise_levels(nominal, [p[0] for p in parts], [p[1] for p in parts])
    data = []
    for b, level in enumerate(nominal):
        here = budget[first] == b
        data.append(
            curve_data(
                float(level),
                x[first][here],
                mean[here],
                noise=noise[float(level)],
                repeats=counts[here],
                within=parts[b][0],
                columns={name: column[first][here] for name, column in columns.items()},
            )
        )
    return Curves(tuple(data), _notes(c, budget, data, tolerance))


def _notes(c: Array, budget: Labels, data: list[CurveData], tolerance: float) -> tuple[str, ...]:
    shown = ", ".join(f"{d.budget:.3g} ({d.runs})" for d in data[:12])
    rest = f" and {len(data) - 12} more" if len(data) > 12 else ""
    one = "1 budget" if len(data) == 1 else f"{len(data)} budgets"
    notes = [f"{one} by C, equal within {tolerance:.1%} (rows): {shown}{rest}"]
    jitter = max(float(np.ptp(np.log(c[budget == b]))) for b in range(len(data)))
    if jitter > 1e-9:
        notes.append(f"within a budget C varies by up to {np.expm1(jitter):.2%}")
    spread = int(sum(d.runs - d.cells for d in data))
    runs = sum(d.runs for d in data)
    if spread:
        notes.append(f"{runs} rows are {runs - spread} cells: seed noise from the replicates")
    return tuple(notes)
