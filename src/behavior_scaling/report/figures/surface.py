"""Does the joint surface fit? Observed against fitted, residuals along each axis, and its parts.

Choices: a residual is observed minus fitted in the metric's own unit, drawn against what an axis
moves for the cells of that axis; a slope or a bend there is what the surface does not describe;
residuals by axis are shown for the loss, recall@10 has its scatter and its column of parts. Cells
are those that the fit used, taken from the runs table by the fit's own rule.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from behavior_scaling.laws.surface_data import surface_data
from behavior_scaling.laws.table import AXES, X_COLUMN
from behavior_scaling.report import style, tidy
from behavior_scaling.report.figures import axis, frames, grid, panels
from behavior_scaling.report.inputs import ReportError, Results
from behavior_scaling.report.joint import Surface
from behavior_scaling.report.parameters import PARTS
from behavior_scaling.report.sheet import Cell, Line, Panel, Prose, compose
from behavior_scaling.report.text import (
    LOSS,
    axis_title,
    flops,
    listing,
    metric_label,
    short_metric,
)

X_LABELS = {
    "allocation": "parameters N",
    "share": "embedder share s",
    "batch": "batch B (sequences)",
    "negatives": "distinct candidates",
}
SAME = 1e-6  # relative: a cell of the runs table and the one in the laws file
READING = (
    "Each mark is a cell (mean over its seeds) of any axis; its bar is the surface's own 95% "
    "interval, without the noise of a cell. On the dashed diagonal observed and fitted agree; "
    "level dashed lines are trivial rules scored on the same positions. Hollow marks belong to "
    "stage 2. A trend of residuals along an axis is what the surface misses. A "
    "part is kept where leaving it out costs more than 4 of AICc ('kept': never up for removal); a "
    "part left out has no number, here or anywhere else."
)


def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws."""
    rows = [row for metric in axis.METRICS for row in _rows(results, metric)]
    table = tidy.round_significant(frames.frame(rows, ("stage",)))
    budgets = results.budgets
    sheet: list[list[Cell]] = [[_fit_cell(table, metric, budgets) for metric in axis.METRICS]]
    shown = [_residual_cell(table, name, results) for name in AXES]
    if any(isinstance(cell, Panel) for cell in shown):
        sheet += [shown[:2], shown[2:]]
    if results.surfaces:
        sheet.append([_parts(results)])
    sheet.append([Prose("How to read", ((READING, style.INK),))])
    return compose(sheet), table


def _rows(results: Results, metric: str) -> list[frames.Row]:
    surface = results.surface(metric)
    base = {"panel": metric, "metric": metric}
    shown = [name for name in AXES if results.for_axis(name) is results]
    if surface is None:
        text = f"no joint surface of {short_metric(metric)} was fitted"
        return [base | {"kind": "note", "label": text}]
    rows: list[frames.Row] = []
    for cell in surface_cells(results, surface):
        point = {"budget": cell["budget"], "stage": cell["stage"], "x": cell["fitted"]}
        point |= {"x_low": cell["low"], "x_high": cell["high"], "y": cell["observed"]}
        rows.append(base | {"kind": "cell"} | point)
        rows += _residual_rows(cell, shown) if metric == LOSS else []
    for name in AXES if metric == LOSS else ():
        own = results.for_axis(name)
        fitted = None if own is results else own.surface(metric)
        for cell in surface_cells(own, fitted) if fitted else ():
            rows += _residual_rows(cell, [name])
    for floor, value in results.floor_values(metric).items():
        rows.append(base | {"kind": "floor", "label": floor, "y": value})
    return rows + [base | {"kind": "note", "label": text} for text in _notes(surface)]


def _residual_rows(cell: dict[str, Any], names: list[str]) -> list[frames.Row]:
    """One cell's residual of the loss on those axes that it serves."""
    point = {"y": cell["observed"] - cell["fitted"], "stage": cell["stage"]}
    point |= {"budget": cell["budget"], "kind": "residual", "metric": LOSS}
    return [
        point | {"panel": f"residual: {name}", "arm": arm, "x": x}
        for name, arm, x in cell["axes"]
        if name in names
    ]


def surface_cells(results: Results, surface: Surface) -> list[dict[str, Any]]:
    """The surface's cells with the axes that each serves.

    Returns:
        budget, stage, observed, fitted, low, high, and axes: (axis, arm, x) of every row of the
        runs table in the cell, each once.

    Raises:
        ReportError: the laws file was made from another table of runs.
    """
    if not surface.fit:
        return []
    data = surface_data(results.runs, surface.metric)
    observed = np.array([cell["observed"] for cell in surface.fit])
    if observed.shape != data.values.shape or not np.allclose(observed, data.values, rtol=SAME):
        raise ReportError(
            f"{surface.origin.file}: the surface of {surface.metric} was fitted to another table "
            "of runs; run the fit again"
        )
    served: list[dict[tuple[str, str, float], None]] = [{} for _ in surface.fit]
    cell_of = dict(zip(data.frame["id"], data.cell, strict=True))
    runs = results.runs[results.runs["id"].isin(cell_of) & results.runs["axis"].isin(AXES)]
    for run in runs.to_dict("records"):
        place = (str(run["axis"]), str(run["arm"]), float(run[X_COLUMN[run["axis"]]]))
        served[cell_of[run["id"]]][place] = None
    return [{**row, "axes": list(axes)} for row, axes in zip(surface.fit, served, strict=True)]


def _notes(surface: Surface) -> list[str]:
    metric = short_metric(surface.metric)
    if not surface.fit:
        why = f": {surface.reason}" if surface.reason else ""
        return [f"no surface of {metric}: {surface.status}{why}"]
    rest = [row["observed"] - row["fitted"] for row in surface.fit]
    size = math.sqrt(sum(r * r for r in rest) / len(rest))
    inside = sum(row["low"] <= row["observed"] <= row["high"] for row in surface.fit)
    words = [f"{surface.cells} cells; residuals have a root mean square of {size:.2g}; "
             f"{inside} cells lie within the surface's own interval"]  # fmt: skip
    weak = [name for name, value in surface.parameters.items() if value.status == "at bound"]
    if surface.reason:
        words.append(surface.reason)
    if weak:
        words.append(f"at a bound: {listing(weak, 4)}")
    return words


def _fit_cell(table: pd.DataFrame, metric: str, budgets: list[float]) -> Cell:
    rows = table[table["panel"] == metric]
    title = f"{axis.metric_title(metric)}: observed against fitted"
    lines: tuple[Line, ...] = panels.lines(rows)
    if not (rows["kind"] == "cell").any():
        return Prose(title, lines)
    fill = partial(_draw_fit, rows=rows, metric=metric, budgets=budgets)
    return Panel(title, fill, lines, height=2.0)


def _draw_fit(axes: Axes, rows: pd.DataFrame, metric: str, budgets: list[float]) -> None:
    cells = rows[rows["kind"] == "cell"]
    labels = _draw_marks(axes, cells, budgets, bars=True)
    ends = [float(cells[["x", "y"]].min().min()), float(cells[["x", "y"]].max().max())]
    axes.plot(ends, ends, color=style.SOFT, lw=0.8, ls=panels.FLOOR_DASHES, zorder=1, gid="equal")
    axes.margins(0.06)
    labels += panels.draw_floors(axes, rows[rows["kind"] == "floor"])
    axes.set_xlabel(f"fitted {metric_label(metric).split(' ', 1)[1]}")
    axes.set_ylabel("observed")
    style.margin_labels(axes, labels, gap=0.075)


def _residual_cell(table: pd.DataFrame, name: str, results: Results) -> Cell:
    rows = table[table["panel"] == f"residual: {name}"]
    title = f"Loss residuals, {axis_title(name)} axis"
    source = axis.source_lines(results, name)
    if rows.empty:
        return Prose(title, (("no cell of this axis is in the surface", style.INK), *source))
    budgets = results.for_axis(name).budgets
    fill = partial(_draw_residuals, rows=rows, name=name, budgets=budgets)
    return Panel(title, fill, source, height=1.2)


def _draw_residuals(axes: Axes, rows: pd.DataFrame, name: str, budgets: list[float]) -> None:
    axes.set_xscale("log")
    axes.axhline(0, color=style.SOFT, lw=0.8, ls=panels.FLOOR_DASHES, zorder=1)
    labels = _draw_marks(axes, rows, budgets, bars=False)
    axes.margins(y=0.12)
    panels.x_axis(axes, rows["x"], unit="share" if name == "share" else "")
    axes.set_xlabel(X_LABELS[name])
    axes.set_ylabel("observed − fitted")
    style.margin_labels(axes, labels, gap=0.11)


def _draw_marks(
    axes: Axes, rows: pd.DataFrame, budgets: list[float], *, bars: bool
) -> list[tuple[float, str, Any]]:
    """A mark a cell, by budget; labels at each budget's mean height."""
    colours, markers = style.budget_colours(budgets), style.budget_markers(budgets)
    labels: list[tuple[float, str, Any]] = []
    for budget in budgets:
        own = rows[rows["budget"] == budget]
        if own.empty:
            continue
        colour = colours[budget]
        for stage, face in ((1, colour), (2, "white")):
            part = own[own["stage"] == stage]
            axes.plot(
                part["x"], part["y"], marker=markers[budget], ls="none", ms=3.6, mec=colour,
                mfc=face, mew=0.8, zorder=3, gid="cell",
            )  # fmt: skip
        if bars:
            axes.hlines(own["y"], own["x_low"], own["x_high"], color=colour, lw=0.7, alpha=0.5)
        labels.append((float(own["y"].mean()), f"C = {flops(budget)}", colour))
    return labels


def _parts(results: Results) -> Panel:
    """Which parts each metric's surface kept, and what each is worth."""
    shown = [s for s in results.surfaces if s.metric.split("/")[1] == "restored"]
    shown = [s for s in shown if s.metric.split("/")[2] == "all"]
    head = ["part: what it says", *(short_metric(s.metric) for s in shown)]
    rows: list[list[str | grid.Cell]] = [
        [words, *(_part_words(s, part) for s in shown)] for part, words in PARTS.items()
    ]
    width = 0.64 / max(1, len(shown))
    title = "Parts of the surface: AICc lost without them"
    return grid.table(title, head, rows, (0.32, *[width] * len(shown)))


def _part_words(surface: Surface, name: str) -> grid.Cell:
    part = surface.parts.get(name)
    if part is None or not part.kept:
        return grid.Cell("left out", style.FAINT)
    return grid.Cell("kept" if part.aicc is None else f"+{part.aicc:.1f}", bold=True)
