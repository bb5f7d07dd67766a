"""Compute: the best loss and recall@10 that each budget reached, with floors and the fitted trend.

Choices: 'best' is the best cell mean of the allocation axis on validation, so it is chosen on
what it reports and flatters large grids a little; the vertex of the isoFLOP fit, which does not
choose, stands beside it with its interval; the trend is the one in laws/compute.json.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from behavior_scaling.report import style, tidy
from behavior_scaling.report.figures import axis, frames, panels
from behavior_scaling.report.inputs import Results, cells
from behavior_scaling.report.sheet import Panel, Prose, compose
from behavior_scaling.report.text import (
    LOSS,
    estimate_text,
    metric_label,
    short_metric,
)

READING = (
    "Small dots: every cell of the allocation axis. Large dots: the best cell of a budget, chosen "
    "on this metric. Bars: the value at the fitted optimum with its 95% interval. Line: the fitted "
    "trend over budgets. Dashed lines are trivial rules scored on the same positions."
)


def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws."""
    source, results = axis.source_lines(results, "allocation"), results.for_axis("allocation")
    rows = [row for metric in axis.METRICS for row in _rows(results, metric)]
    rows += frames.left_out_rows(results, "allocation")
    table = tidy.round_significant(frames.frame(rows))
    shown = []
    for metric in axis.METRICS:
        own = table[table["panel"] == metric]
        title = f"Best {axis.metric_title(metric).lower()} by compute"
        fill = partial(_draw, rows=own, metric=metric, budgets=results.budgets)
        shown.append(Panel(title, fill, (*source, *panels.lines(own)), height=2.2))
    words = (READING, axis.left_out_text(table))
    prose = Prose("How to read", tuple((text, style.INK) for text in words))
    return compose([shown, [prose]]), table


def _rows(results: Results, metric: str) -> list[frames.Row]:
    base = {"panel": metric, "metric": metric}
    rows: list[frames.Row] = []
    means = cells(results.axis_runs("allocation"), [metric, "epochs"])
    means = means[~means["control"]]
    for budget, group in means.groupby("budget"):
        at = {"budget": budget, "x": budget}
        for cell in group.to_dict("records"):
            point = {"kind": "cell", "y": cell[metric], "epochs": cell["epochs"]}
            rows.append(base | at | point | {"runs": cell["runs"]})
        ordered = group.sort_values(metric, ascending=metric == LOSS)
        best = ordered.to_dict("records")[0]
        point = {"kind": "best", "y": best[metric], "epochs": best["epochs"]}
        rows.append(base | at | point | {"runs": best["runs"]})
    allocation = results.find("allocation", metric)
    for curve in allocation.fit.curves if allocation else ():
        value = curve.best
        if value.status == "converged":
            at = {
                "kind": "vertex",
                "budget": curve.budget,
                "x": curve.budget,
                "status": "converged",
            }
            rows.append(base | at | {"y": value.value, "y_low": value.low, "y_high": value.high})
    rows += _trend_rows(results, metric, base)
    for floor, level in results.floor_values(metric).items():
        rows.append(base | {"kind": "floor", "label": floor, "y": level})
    if metric == LOSS:
        rows.append(base | frames.paper_row(metric, "loss_power_law", "L ≈ a·C^(−b), "))
    return rows


def _trend_rows(results: Results, metric: str, base: frames.Row) -> list[frames.Row]:
    found = results.find("compute", metric)
    if found is None or not found.fit.curves:
        return [base | {"kind": "note", "label": f"no trend of {short_metric(metric)} was fitted"}]
    curve = found.fit.curves[0]
    rows = [
        base | {"kind": "fit", "x": x, "y": y, "label": found.fit.form}
        for x, y in zip(curve.curve_x, curve.curve_y, strict=True)
    ]
    values = [f"{name} = {estimate_text(value)}" for name, value in curve.coefficients.items()]
    words = [f"fit: {found.fit.form}", "; ".join(values), *found.fit.notes]
    return rows + [base | {"kind": "note", "label": text} for text in words if text]


def _draw(axes: Axes, rows: pd.DataFrame, metric: str, budgets: list[float]) -> None:
    axes.set_xscale("log")
    axes.set_ylabel(metric_label(metric))
    small = rows[rows["kind"] == "cell"]
    best = rows[rows["kind"] == "best"].sort_values("x")
    fit = rows[rows["kind"] == "fit"]
    colours = style.budget_colours(budgets)
    axes.plot(small["x"], small["y"], ".", ms=3, color=style.FAINT, zorder=2, gid="cell")
    axes.plot(fit["x"], fit["y"], color=style.INK, lw=1, zorder=3, gid="fit")
    for row in rows[rows["kind"] == "vertex"].to_dict("records"):
        axes.plot(
            [row["x"] * 1.12] * 2, [row["y_low"], row["y_high"]], color=colours[row["x"]],
            lw=3, alpha=0.5, solid_capstyle="butt", zorder=2, gid="interval",
        )  # fmt: skip
    for row in best.to_dict("records"):
        many = row["epochs"] > panels.MANY_EPOCHS
        axes.plot(row["x"], row["y"], "o", ms=5.5, mec=colours[row["x"]], zorder=4, gid="best",
                  mfc="white" if many else colours[row["x"]])  # fmt: skip
    if best.empty:
        panels.empty(axes, "no finished run on the allocation axis")
    else:
        panels.budget_axis(axes, list(best["x"]))
    style.margin_labels(axes, panels.draw_floors(axes, rows[rows["kind"] == "floor"]))
