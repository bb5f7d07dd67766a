"""The backtest: what the laws foretold of the largest budget, held against what was measured.

Choices: one row an axis and arm, loss and recall@10 side by side, drawn only where something was
predicted; a hollow mark is a cell outside its 90% interval; the scores of the surface stand beside
those of the two rivals that it has to beat; where too few budgets are left the reason is a
sentence.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from behavior_scaling.report import style, tidy
from behavior_scaling.report.figures import axis, frames, grid, panels
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.joint import Backtest
from behavior_scaling.report.sheet import Cell, Line, Panel, Prose, compose
from behavior_scaling.report.text import (
    FORECASTS,
    axis_title,
    budgets_text,
    compact,
    flops,
    join,
    metric_label,
    number,
    optimum_symbol,
    percent,
    short_metric,
)

READING = (
    "Every run at or above the largest budget of an axis was hidden, the joint surface fitted to "
    "the rest, and each hidden cell predicted. Bar: 90% interval of the prediction, with the "
    "cell's own noise. Full mark: the measured value lies within; hollow: outside. On the dashed "
    "diagonal prediction and measurement agree; level dashed lines are trivial rules scored on the "
    "same positions. CRPS: mean distance of the predicted distribution "
    "from what was measured, on the fitted scale (log x* for optima); lower is better. Rivals: the "
    "nearest cell of the last budget left, and a line over log C."
)
NEEDS = (
    "A prediction hides the largest budget of an axis and needs at least three budgets of that "
    "axis below it, or neither the surface nor its rivals have a trend to follow."
)


def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws."""
    shown = [one for one in results.shown.backtests if one.metric in axis.METRICS]
    extra, words = ("covered", "coverage", "crps"), ("reason",)
    table = tidy.round_significant(frames.frame(_rows(results, shown), extra, words))
    known = [one for one in shown if one.status == "converged"]
    sheet: list[list[Cell]] = []
    for name, arm in dict.fromkeys((one.axis, one.arm) for one in known):
        source = axis.source_lines(results, name)
        sheet.append([_cell(table, known, name, arm, metric, source) for metric in axis.METRICS])
    if known:
        sheet += [[_scores(known)], [_optima(known)]]
    missing = _missing(results, shown)
    if missing:
        sheet.append([Prose("Not predicted", missing)])
    if not shown:
        sheet.append([Prose("Backtest", (("No backtest was made.", style.INK),))])
    sheet.append([Prose("How to read", ((READING, style.INK),))])
    return compose(sheet), table


def _name(one: Backtest) -> str:
    return frames.panel_name(one.arm, f"{one.axis} by {short_metric(one.metric)}")


def _rows(results: Results, shown: list[Backtest]) -> list[frames.Row]:
    rows: list[frames.Row] = []
    for one in shown:
        base = {"panel": _name(one), "arm": one.arm, "metric": one.metric, "budget": one.held_out}
        if one.status != "converged":
            rows.append(base | {"kind": "note", "status": one.status, "reason": one.reason})
            continue
        for cell in one.cells:
            rows.append(
                base
                | {"kind": "cell", "x": cell["observed"], "y": cell["predicted"]}
                | {"y_low": cell["low"], "y_high": cell["high"], "covered": cell["covered"]}
            )
        for floor, value in results.for_axis(one.axis).floor_values(one.metric).items():
            rows.append(base | {"kind": "floor", "label": floor, "y": value})
        for name, score in one.scores.items():
            numbers = {"coverage": score["coverage"], "crps": score["crps"]}
            rows.append(base | {"kind": "score", "label": name} | numbers)
        for name, score in (one.optimum.get("scores") or {}).items():
            if score:
                ends = {"y": score["value"], "y_low": score["low"], "y_high": score["high"]}
                numbers = {"coverage": score["coverage"], "crps": score["crps"]}
                rows.append(base | {"kind": "optimum", "label": name} | ends | numbers)
    return rows


def _cell(
    table: pd.DataFrame,
    known: list[Backtest],
    name: str,
    arm: str,
    metric: str,
    source: tuple[Line, ...],
) -> Cell:
    title = f"{axis.metric_title(metric)} predicted: {axis_title(name, arm)}"
    one = next((o for o in known if (o.axis, o.arm, o.metric) == (name, arm, metric)), None)
    if one is None:
        return Prose(title, (("not predicted; see below", style.INK),))
    ours = one.scores["surface"]
    hit = sum(bool(cell["covered"]) for cell in one.cells)
    rivals = [f"{FORECASTS[k]} {number(v['crps'])}" for k, v in one.scores.items()
              if k != "surface"]  # fmt: skip
    lines: tuple[Line, ...] = (
        *source,
        (
            f"held out C = {flops(one.held_out)}: {hit} of {len(one.cells)} cells in their "
            f"{percent(one.level)} interval; CRPS {number(ours['crps'])} ({join(rivals)})",
            style.INK,
        ),
    )
    rows = table[table["panel"] == _name(one)]
    return Panel(title, partial(_draw, rows=rows, metric=metric), lines, height=1.5)


def _draw(axes: Axes, rows: pd.DataFrame, metric: str) -> None:
    colour = panels.METRIC_COLOURS[metric.split("/")[-1]]
    cells = rows[rows["kind"] == "cell"]
    axes.vlines(cells["x"], cells["y_low"], cells["y_high"], color=colour, lw=1.0, zorder=2)
    for covered, face in ((1.0, colour), (0.0, "white")):
        part = cells[cells["covered"] == covered]
        axes.plot(part["x"], part["y"], "o", mec=colour, mfc=face, ls="none", zorder=3,
                  gid="covered" if covered else "missed")  # fmt: skip
    ends = [float(cells["x"].min()), float(cells["x"].max())]
    axes.plot(ends, ends, color=style.SOFT, lw=0.8, ls=panels.FLOOR_DASHES, zorder=1, gid="equal")
    axes.margins(0.08)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel(f"measured {metric_label(metric).split(' ', 1)[1]}")
    axes.set_ylabel("predicted")
    style.margin_labels(axes, panels.draw_floors(axes, rows[rows["kind"] == "floor"]))


def _scores(known: list[Backtest]) -> Panel:
    """Coverage and CRPS of the cells, surface and rivals; the lowest CRPS stands out."""
    rows: list[list[str | grid.Cell]] = []
    for one in known:
        best = min(one.scores.values(), key=lambda score: float(score["crps"]))
        line: list[str | grid.Cell] = [
            f"{axis_title(one.axis, one.arm)}, {short_metric(one.metric)}"
        ]
        for name in FORECASTS:
            score = one.scores[name]
            words = f"{percent(score['coverage'])}, {number(score['crps'])}"
            line.append(grid.Cell(words, bold=score is best))
        rows.append(line)
    title = "Cells: coverage of 90% intervals, and CRPS (bold: lowest)"
    return grid.table(title, ["", *FORECASTS.values()], rows, (0.4, 0.2, 0.2, 0.2))


def _optima(known: list[Backtest]) -> Cell:
    """What was foretold of N*, s* and K*, beside the hidden budget's own estimate."""
    rows: list[list[str | grid.Cell]] = []
    for one in known:
        if one.axis == "batch":
            continue
        symbol = optimum_symbol(one.axis, one.arm)
        line: list[str | grid.Cell] = [f"{symbol} by {short_metric(one.metric)}, "
                                       f"{axis_title(one.axis, one.arm)}"]  # fmt: skip
        if one.optimum.get("status") != "converged":
            why = f"{one.optimum.get('status', '')}: {one.optimum.get('reason', '')}"
            rows.append([*line, grid.Cell(why, style.SOFT), "", "", ""])
            continue
        unit = percent if one.axis == "share" else _short
        own = one.optimum["estimate"]
        line.append(f"{unit(own['value'])} ({unit(own['low'])} to {unit(own['high'])})")
        for name in FORECASTS:
            score = one.optimum["scores"].get(name)
            if score is None:
                line.append(grid.Cell("–", style.SOFT))
                continue
            words = f"{unit(score['value'])} ({unit(score['low'])} to {unit(score['high'])})"
            line.append(grid.Cell(words, bold=bool(score["coverage"])))
        rows.append(line)
    title = "Optima of the held-out budget (bold: its own estimate lies in the 90% interval)"
    if not rows:
        return Prose(title, (("no axis with an optimum was predicted", style.INK),))
    head = ["", "own estimate", *FORECASTS.values()]
    return grid.table(title, head, rows, (0.3, 0.175, 0.175, 0.175, 0.175))


def _short(value: float) -> str:
    return compact(float(f"{value:.3g}"))


def _missing(results: Results, shown: list[Backtest]) -> tuple[Line, ...]:
    """One line a reason, the axes and metrics of it put together."""
    said: dict[str, dict[str, list[str]]] = {}
    for one in shown:
        if one.status != "converged":
            source = results.other_source(one.axis)
            text = axis_title(one.axis, one.arm) + (f", {source}" if source else "")
            text += f" (C = {budgets_text((one.held_out,) * 2)})"
            reason = f"{one.status}: {one.reason}"
            said.setdefault(reason, {}).setdefault(text, []).append(short_metric(one.metric))
    lines: list[Line] = []
    for reason, places in said.items():
        by_metrics: dict[tuple[str, ...], list[str]] = {}
        for place, metrics in places.items():
            by_metrics.setdefault(tuple(metrics), []).append(place)
        where = [f"{'; '.join(own)} by {join(list(m))}" for m, own in by_metrics.items()]
        lines.append((f"{'; '.join(where)}: {reason}.", style.INK))
    if lines:
        lines.insert(0, (NEEDS, style.INK))
    return tuple(lines)
