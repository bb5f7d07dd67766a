"""Agreement: does the cell with the lower loss also rank better? Scatter by axis, table of ρ.

Choices: ρ is positive where lower loss goes with better ranking, the paper's orientation is not
stated; one budget and one axis at a time, because pooling over budgets would only show that more
compute is better; a ρ from too few cells is named, not coloured.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator

from behavior_scaling.laws.table import AXES
from behavior_scaling.report import style, tidy
from behavior_scaling.report.figures import axis, frames, panels
from behavior_scaling.report.inputs import Results, cells
from behavior_scaling.report.sheet import Cell, Line, Panel, Prose, compose
from behavior_scaling.report.text import (
    LOSS,
    RECALL,
    axis_title,
    floor_title,
    flops,
    metric_label,
    short_metric,
)

TABLE = "rank correlation"
READING = (
    "Each mark is a cell (mean over seeds; hollow: events seen more than 4 times; star: a control, "
    "outside the correlations). "
    "ρ is Spearman's rank correlation over the cells of one budget; +1 means that the lower loss "
    "always ranks better; p is from permutations, the number of cells stands in brackets. Dashed "
    "lines are trivial rules scored on the same positions."
)
ROW = 0.185  # inches a line of the table


def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws."""
    table = tidy.round_significant(
        frames.frame(_rows(results), extra=("p_value",), words=("reason",))
    )
    shown: list[Cell] = []
    for name in dict.fromkeys(table[table["kind"] == "cell"]["panel"]):
        rows = table[table["panel"] == name]
        title = axis_title(*_split(name))
        ran = _split(name)[0]
        fill = partial(_scatter, rows=rows, budgets=results.for_axis(ran).budgets)
        source = axis.source_lines(results, ran)
        lines = (*source, *_upright_words(rows), *panels.lines(rows))
        shown.append(Panel(title[0].upper() + title[1:], fill, lines, height=1.5))
    shown.append(_reading(table))
    sheet = [shown[i : i + 2] for i in range(0, len(shown), 2)]
    rho = table[table["kind"] == "correlation"]
    if len(rho):
        height = ROW * (1.5 + len(_lines(rho)))
        title = "Rank correlation ρ of loss and recall@10 (+1: lower loss ranks better)"
        sheet.append([Panel(title, partial(_rho_table, rho=rho), height=height, bare=True)])
    return compose(sheet), table


def _reading(table: pd.DataFrame) -> Prose:
    """How to read the figure, and which runs gave no point."""
    words = axis.left_out_text(table).replace(" of this axis", "")
    notes = [f"{sign} {reason}." for reason, sign in _signs(table).items()]
    notes += [f"{text}." for text in table[table["kind"] == "note"]["label"]]
    return Prose("How to read", tuple((text, style.INK) for text in (READING, *notes, words)))


def _signs(table: pd.DataFrame) -> dict[str, str]:
    """A sign for each remark on a correlation that was computed."""
    known = table[(table["kind"] == "correlation") & (table["status"] == "converged")]
    reasons = [reason for reason in dict.fromkeys(known["reason"]) if reason]
    return {reason: "*" * (index + 1) for index, reason in enumerate(reasons)}


def _rows(results: Results) -> list[frames.Row]:
    rows: list[frames.Row] = []
    for name in AXES:
        own = results.for_axis(name)
        for arm in own.arms(name):
            panel = f"{name}/{arm}"
            rows += _floor_rows(own, panel)
            found = cells(own.axis_runs(name, arm), [LOSS, RECALL, "epochs"])
            for cell in found.to_dict("records"):
                point = {"kind": "cell", "x": cell[LOSS], "y": cell[RECALL], "runs": cell["runs"]}
                status = "control" if cell["control"] else ""
                rows.append(
                    {"panel": panel, "arm": arm, "metric": RECALL, "budget": cell["budget"]}
                    | point
                    | {"epochs": cell["epochs"], "status": status}
                )
        rows += frames.left_out_rows(own, name)
    for row in results.shown.agreements:
        if row.metric != RECALL:
            continue
        rho = row.correlation
        rows.append(
            {"panel": TABLE, "kind": "correlation", "arm": row.arm, "metric": row.loss}
            | {"label": f"{row.axis}/{row.arm}", "budget": row.budget, "runs": row.cells}
            | {"y": rho.value, "y_low": rho.low, "y_high": rho.high}
            | {"status": rho.status, "p_value": row.p_value, "reason": rho.reason}
        )
    if not any(row["panel"] == TABLE for row in rows):
        rows.append({"panel": TABLE, "kind": "note", "label": "no correlation was computed"})
    return rows


def _floor_rows(results: Results, panel: str) -> list[frames.Row]:
    """The floor to beat by loss, a place along x, and those of recall@10, along y."""
    rows: list[frames.Row] = []
    base = {"panel": panel, "kind": "floor"}
    to_beat = results.floor_to_beat(LOSS)
    if to_beat:
        rows.append(base | {"metric": LOSS, "label": to_beat[0], "x": to_beat[1]})
    for floor, value in results.floor_values(RECALL).items():
        rows.append(base | {"metric": RECALL, "label": floor, "y": value})
    return rows


def _upright_words(rows: pd.DataFrame) -> list[Line]:
    """The name of the floor along x: beside its line it would cover marks."""
    floors = rows[(rows["kind"] == "floor") & (rows["metric"] == LOSS)]
    return [
        (f"upright: {floor_title(str(row['label']))}, loss {row['x']:.3f}", style.SOFT)
        for row in floors.to_dict("records")
    ]


def _split(panel: str) -> tuple[str, str]:
    name, _, arm = panel.partition("/")
    return name, arm


def _scatter(axes: Axes, rows: pd.DataFrame, budgets: list[float]) -> None:
    colours, markers = style.budget_colours(budgets), style.budget_markers(budgets)
    labels: list[tuple[float, str, Any]] = []
    for budget in budgets:
        own = rows[rows["budget"] == budget].sort_values("x")
        if own.empty:
            continue
        panels.draw_marks(axes, own[own["status"] == ""], colours[budget], markers[budget])
        controls = own[own["status"] == "control"]
        axes.plot(controls["x"], controls["y"], "*", ms=7, mfc="white", mec=colours[budget])
        labels.append((float(own["y"].mean()), f"C = {flops(budget)}", colours[budget]))
    axes.margins(0.08)
    floors = rows[rows["kind"] == "floor"]
    labels += panels.draw_floors(axes, floors[floors["metric"] == RECALL])
    for value in floors[floors["metric"] == LOSS]["x"]:
        panels.draw_upright_floor(axes, value)
    axes.set_xlabel(metric_label(LOSS))
    axes.set_ylabel(metric_label(RECALL))
    style.margin_labels(axes, labels, gap=0.085)


def _lines(rho: pd.DataFrame) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(rho["label"], rho["metric"], strict=True)))


def _rho_table(axes: Axes, rho: pd.DataFrame) -> None:
    """Rows: axis and loss; columns: budgets, then pooled. Colour only where converged."""
    signs = _signs(rho)
    lines, budgets = _lines(rho), sorted(rho["budget"].dropna().unique())
    columns = [*budgets, None] if rho["budget"].isna().any() else [*budgets]
    colours = sns.color_palette("PuOr", as_cmap=True)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(lines) + 1.2, 0)
    for locator in (axes.xaxis, axes.yaxis):
        locator.set_major_locator(NullLocator())
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    first, width = 0.29, 0.71 / max(1, len(columns))
    small: dict[str, Any] = {"fontsize": 6.6, "va": "center", "color": style.INK}
    in_cell = small | {"fontsize": 6.6 * min(1.0, width / 0.17)}  # many budgets: narrow cells
    for column, budget in enumerate(columns):
        head = "all, partial" if budget is None else f"C = {flops(budget)}"
        axes.text(first + (column + 0.5) * width, 0.5, head, ha="center", weight="bold", **small)
    for line, (name, loss) in enumerate(lines):
        axes.text(0, line + 1.5, f"{axis_title(*_split(name))}: {short_metric(loss)}", **small)
        own = rho[(rho["label"] == name) & (rho["metric"] == loss)]
        for column, budget in enumerate(columns):
            cell = own[own["budget"].isna() if budget is None else own["budget"] == budget]
            if cell.empty:
                continue
            text, known = _rho_words(cell.iloc[0], signs)
            if known:
                face = colours(0.5 + 0.22 * float(cell["y"].iloc[0]))
                corner = (first + column * width, line + 1.05)
                axes.add_patch(Rectangle(corner, width * 0.97, 0.9, fc=face, lw=0))
            place = first + (column + 0.485) * width
            axes.text(place, line + 1.5, text, ha="center", **in_cell)


def _rho_words(row: pd.Series[Any], signs: dict[str, str]) -> tuple[str, bool]:
    if row["status"] != "converged":
        return f"{row['status']} ({row['runs']:.0f})", False
    sign = signs.get(str(row["reason"]), "")
    p_value = "" if pd.isna(row["p_value"]) else f", p = {row['p_value']:.1g}"
    return f"{row['y']:+.2f}{p_value} ({row['runs']:.0f}){sign}".replace("-", "−"), True
