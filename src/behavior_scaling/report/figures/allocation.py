"""Allocation: isoFLOP curves of loss and recall@10, epochs, and N*, D* against compute.

Choices: the epochs of each cell have a panel of their own, because repetition moves the vertex
and must be seen; D* is the fit's derived value, never computed from C and N* here.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from behavior_scaling.report import style, tidy
from behavior_scaling.report.figures import axis, frames, panels
from behavior_scaling.report.inputs import Results, cells
from behavior_scaling.report.sheet import Line, Panel, compose
from behavior_scaling.report.text import flops, metric_label

EPOCHS, N_OPTIMUM, D_OPTIMUM = "epochs", "N*", "D*"
X_LABEL = "parameters N = N_emb + N_ctx"
# panel, key in exponents and derived, claim, the paper's symbol for the exponent, title, unit
OPTIMA_PANELS = (
    (N_OPTIMUM, "N", "allocation_n", "a", "Best model size by budget", "N* (parameters)"),
    (D_OPTIMUM, "D", "allocation_d", "b", "Best number of events by budget", "D* (loss positions)"),
)


def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws."""
    source, results = axis.source_lines(results, "allocation"), results.for_axis("allocation")
    table = tidy.round_significant(frames.frame(_rows(results)))
    budgets = results.budgets
    curves = [_curves(table, metric, budgets, source) for metric in axis.METRICS]
    optima = []
    for panel, _, _, _, title, label in OPTIMA_PANELS:
        optima.append(panels.optima_cell(title, table[table["panel"] == panel], budgets, label))
    epochs = Panel(
        "How often each event is seen",
        partial(_draw_epochs, rows=table[table["panel"] == EPOCHS], budgets=budgets),
    )
    return compose([curves, optima, [epochs, axis.reading(table)]]), table


def _curves(
    table: pd.DataFrame, metric: str, budgets: list[float], source: tuple[Line, ...]
) -> Panel:
    rows = table[table["panel"] == metric]

    def fill(axes: Axes) -> None:
        panels.draw_curves(axes, rows, budgets)
        axes.set_xlabel(X_LABEL)
        axes.set_ylabel(metric_label(metric))

    title = f"{axis.metric_title(metric)} at equal compute (isoFLOP)"
    return Panel(title, fill, (*source, *panels.lines(rows)), height=2.3)


def _rows(results: Results) -> list[frames.Row]:
    rows: list[frames.Row] = []
    for metric in axis.METRICS:
        rows += frames.curve_rows(results, "allocation", "", metric)
        rows += frames.joint_rows(results, "allocation", "", metric)
    for cell in cells(results.axis_runs("allocation"), ["n_total", "epochs"]).to_dict("records"):
        rows.append(
            {"panel": EPOCHS, "kind": "cell", "budget": cell["budget"], "runs": cell["runs"]}
            | {"x": cell["n_total"], "y": cell["epochs"], "epochs": cell["epochs"]}
        )
    for panel, name, claim, symbol, _, _ in OPTIMA_PANELS:
        derived = None if panel == N_OPTIMUM else name
        found = frames.optimum_rows(results, "allocation", "", axis.METRICS, derived)
        found += frames.joint_optimum_rows(results, "allocation", "", axis.METRICS, derived)
        rows += [row | {"panel": panel} for row in found]
        rows += frames.exponent_rows(results, "allocation", "", axis.METRICS, [name], panel)
        rows.append(frames.paper_row(panel, claim, f"{panel} ∝ C^{symbol}, "))
    return rows + frames.left_out_rows(results, "allocation")


def _draw_epochs(axes: Axes, rows: pd.DataFrame, budgets: list[float]) -> None:
    if rows.empty:
        panels.empty(axes, "no finished run")
        return
    colours, markers = style.budget_colours(budgets), style.budget_markers(budgets)
    axes.set_xscale("log")
    axes.set_yscale("log")
    labels: list[tuple[float, str, Any]] = []
    for budget in budgets:
        own = rows[rows["budget"] == budget].sort_values("x")
        if own.empty:
            continue
        axes.plot(own["x"], own["y"], color=colours[budget], lw=0.8, zorder=2, gid="line")
        panels.draw_marks(axes, own, colours[budget], markers[budget])
        labels.append((float(own["y"].iloc[-1]), f"C = {flops(budget)}", colours[budget]))
    axes.axhline(panels.MANY_EPOCHS, color=style.SOFT, lw=0.8, ls=panels.FLOOR_DASHES, zorder=1)
    labels.append((panels.MANY_EPOCHS, f"{panels.MANY_EPOCHS} epochs", style.SOFT))
    panels.x_axis(axes, rows["x"])
    panels.value_ticks(axes)
    axes.set_xlabel(X_LABEL)
    axes.set_ylabel("epochs (D over unique positions)")
    style.margin_labels(axes, labels)
