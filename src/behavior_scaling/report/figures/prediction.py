"""The committed prediction: what was said of the largest budget before it ran, and what came.

Choices: cells of an axis over their variable, loss and recall@10 side by side; the lift of compute
for each doubling, so that steps of any size compare, with the steps that the fit had seen to the
left of a line; scores in a table beside the rivals' and the seed noise, which no prediction can
beat; hindsight stands in the table only.
"""

from __future__ import annotations

import math
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from behavior_scaling.laws.results import Estimate
from behavior_scaling.report import style, tidy
from behavior_scaling.report.figures import axis, frames, grid, marks, panels
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.prediction import (
    NAMES,
    NONE,
    NOT_RUN,
    OF,
    Lift,
    Predicted,
    lift_title,
    lifts,
    predictions,
)
from behavior_scaling.report.sheet import Cell, Line, Panel, Prose, compose
from behavior_scaling.report.text import (
    FORECASTS,
    axis_title,
    compact,
    estimate_text,
    flops,
    metric_label,
    number,
    percent,
    short_metric,
)

READING = (
    "Committed before any run of the held-out budget: the joint surface fitted to the runs below "
    "it (bars: 95% interval of a cell's mean over its seeds), and what it has to beat: the last "
    "budget again (no change), and a line over log C. Full mark: the measured mean lies in the "
    "surface's interval; hollow: outside. Lift: improvement of the best cell for each doubling of "
    "compute, right of the dashed line not seen by the fit; a lift is right where it lies within "
    "5% of the measured one. RMSE in the metric's own unit; seed noise is the RMSE of a perfect "
    "prediction."
)
LINES = {"last": (style.SOFT, panels.FLOOR_DASHES), "log_linear": (style.SOFT, (0, (1, 1.5)))}
MEASURED = "measured"
LIFTED = {"surface": "joint surface", "power_law": "power law", MEASURED: MEASURED}


def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws."""
    made, gains = predictions(results), lifts(results)
    rows = [row for one in made if not one.hindsight for row in _cell_rows(one)]
    rows += [row for one in gains if _drawn(one) for row in _lift_rows(one)]
    if not rows:
        rows.append({"kind": "note", "label": NONE})
    table = tidy.round_significant(frames.frame(rows, ("inside",), ("forecast",)))
    sheet: list[list[Cell]] = []
    own = [one for one in made if not one.hindsight]
    for place in dict.fromkeys((one.axis, one.arm) for one in own):
        sheet.append([_panel(table, own, place, metric) for metric in axis.METRICS])
    if any(_drawn(one) for one in gains):
        sheet.append([_lift_panel(table, gains, metric) for metric in axis.METRICS])
    if made:
        sheet += [[_scores(made)], [_optima(made)], [_lifts(gains)]]
        sheet.append([Prose("How to read", ((READING, style.INK),))])
    else:
        said = f"{NONE[0].upper()}{NONE[1:]}."
        sheet.append([Prose("Prediction", ((said, style.INK),))])
    return compose(sheet), table


def _name(one: Predicted) -> str:
    return frames.panel_name(one.arm, f"{one.axis} by {short_metric(one.metric)}")


def _cell_rows(one: Predicted) -> list[frames.Row]:
    base = {"panel": _name(one), "arm": one.arm, "metric": one.metric, "budget": one.held_out}
    rows: list[frames.Row] = []
    for cell in one.cells:
        ours = cell["forecasts"].get("surface")
        inside = {"inside": None if ours is None else ours["inside"]}
        if cell["observed"] is not None:
            seen = {"kind": "cell", "y": cell["observed"], "runs": cell["runs"]}
            rows.append(base | {"x": cell["x"]} | seen | inside)
        for name, said in cell["forecasts"].items():
            if said is not None:
                ends = {"y": said["value"], "y_low": said["low"], "y_high": said["high"]}
                known = {"kind": "predicted", "forecast": name, "inside": said["inside"]}
                rows.append(base | {"x": cell["x"]} | known | ends)
    return rows


def _drawn(one: Lift) -> bool:
    return one.kind == "step" and not one.hindsight


def _lift_rows(one: Lift) -> list[frames.Row]:
    """For each doubling, at the middle of the step."""
    base: frames.Row = {"panel": f"lift by {short_metric(one.metric)}", "metric": one.metric}
    base |= {"budget": one.end, "x": math.sqrt(one.start * one.end)}
    rows = []
    for name, value in ((one.forecast, one.predicted), (MEASURED, one.measured)):
        if name == MEASURED and one.forecast != "surface":
            continue
        ends = (value.value, value.low, value.high)
        each = [None if end is None else end / one.doublings for end in ends]
        rows.append(
            base
            | {"kind": "lift", "forecast": name, "status": value.status}
            | {"label": flops(one.end)}
            | dict(zip(("y", "y_low", "y_high"), each, strict=True))
            | {"inside": one.agrees}
        )
    return rows


def _panel(table: pd.DataFrame, own: list[Predicted], place: tuple[str, str], metric: str) -> Cell:
    title = f"{axis.metric_title(metric)} predicted: {axis_title(*place)}"
    one = next((o for o in own if (o.axis, o.arm, o.metric) == (*place, metric)), None)
    if one is None:
        return Prose(title, (("not predicted", style.INK),))
    rows = table[table["panel"] == _name(one)]
    score = one.scores.get("surface")
    text = f"C = {flops(one.held_out)}, from {one.trained_on} runs below it"
    text += f", committed {one.made}: " if one.made else ": "
    if score is not None:
        hit = round(score["coverage"] * score["cells"])
        text += f"{hit} of {score['cells']} cells in their {percent(one.level)} interval"
    else:
        text += NOT_RUN if not one.scores else f"surface {one.status}: {one.reason}"
    lines: list[Line] = [(text, style.INK)]
    if not one.same_runs:
        lines.append(("the runs it was made from have changed since", style.INK))
    return Panel(title, partial(_draw, rows=rows, one=one), tuple(lines), height=1.6)


def _draw(axes: Axes, rows: pd.DataFrame, one: Predicted) -> None:
    colour = panels.METRIC_COLOURS[one.metric.split("/")[-1]]
    axes.set_xscale("log")
    said = rows[rows["kind"] == "predicted"]
    labels: list[tuple[float, str, str]] = []
    for name, (shade, dashes) in LINES.items():
        own = said[said["forecast"] == name].sort_values("x")
        axes.plot(own["x"], own["y"], color=shade, lw=0.9, ls=dashes, zorder=1, gid=name)
        if len(own):
            labels.append((float(own["y"].iloc[-1]), FORECASTS[name], shade))
    ours = said[said["forecast"] == "surface"].sort_values("x")
    axes.vlines(ours["x"], ours["y_low"], ours["y_high"], color=colour, lw=2.4, alpha=0.35)
    axes.plot(ours["x"], ours["y"], color=colour, lw=1.0, zorder=2, gid="surface")
    if len(ours):
        labels.append((float(ours["y"].iloc[-1]), FORECASTS["surface"], colour))
    cells = rows[rows["kind"] == "cell"]
    for inside, face in ((True, colour), (False, "white")):
        part = cells[(cells["inside"] == 1.0) == inside]
        axes.plot(part["x"], part["y"], "o", mec=colour, mfc=face, ls="none", zorder=4,
                  gid="inside" if inside else "outside")  # fmt: skip
    axes.margins(0.06)
    if rows.empty:
        panels.empty(axes, "nothing was predicted")
    else:
        panels.x_axis(axes, rows["x"], None, "share" if one.axis == "share" else "")
    axes.set_xlabel("share s" if one.axis == "share" else "parameters N")
    axes.set_ylabel(metric_label(one.metric).split(" ", 1)[1])
    style.margin_labels(axes, labels)


def _series(metric: str) -> list[marks.Series]:
    colour = panels.METRIC_COLOURS[metric.split("/")[-1]]
    return [
        marks.Series("surface", colour, "o"),
        marks.Series("power_law", style.SOFT, "s"),
        marks.Series(MEASURED, style.INK, "D"),
    ]


def _lift_panel(table: pd.DataFrame, gains: tuple[Lift, ...], metric: str) -> Cell:
    title = f"{axis.metric_title(metric)}: lift of each doubling of compute"
    own = [one for one in gains if _drawn(one) and one.metric == metric]
    if not own:
        return Prose(title, (("not predicted", style.INK),))
    lines: list[Line] = []
    for one in own:
        if one.ahead:
            error = "not known" if one.error is None else percent(one.error)
            text = f"{flops(one.start)} to {flops(one.end)}, {NAMES[one.forecast]}: error {error}"
            lines.append((text, style.INK))
    rows = table[table["panel"] == f"lift by {short_metric(metric)}"]
    edge = min(one.start for one in own if one.ahead)
    return Panel(title, partial(_draw_lift, rows=rows, metric=metric, edge=edge), tuple(lines),
                 height=1.6)  # fmt: skip


def _draw_lift(axes: Axes, rows: pd.DataFrame, metric: str, edge: float) -> None:
    axes.set_xscale("log")
    series = _series(metric)
    places = sorted(rows["x"].unique())
    step = marks.dodge(places, len(series)) ** 0.5
    labels: list[tuple[float, str, str]] = []
    for index, look in enumerate(series):
        shift = step ** (index - (len(series) - 1) / 2)
        for row in rows[rows["forecast"] == look.name].to_dict("records"):
            known = marks.draw_estimate(axes, row["x"] * shift, row, look) and row["y"] == row["y"]
            if known and row["x"] == places[-1]:
                labels.append((row["y"], LIFTED[look.name], look.colour))
    axes.axvline(edge, color=style.SOFT, lw=0.8, ls=panels.FLOOR_DASHES, zorder=1, gid="edge")
    axes.axhline(0, color=style.FAINT, lw=0.7, zorder=1)
    axes.set_xticks(places, [str(rows.loc[rows["x"] == x, "label"].iloc[0]) for x in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.12)
    axes.set_xlabel("step of compute, up to C")
    axes.set_ylabel("improvement for 2× C")
    style.margin_labels(axes, labels)


def _scores(made: tuple[Predicted, ...]) -> Cell:
    """RMSE and coverage of the cells; the lowest RMSE stands out."""
    rows: list[list[str | grid.Cell]] = []
    for one in made:
        if not one.scores:
            rows.append([one.title, grid.Cell(NOT_RUN, style.SOFT), "", "", ""])
            continue
        best = min(one.scores.values(), key=lambda score: float(score["rmse"]))
        line: list[str | grid.Cell] = [one.title]
        for name in FORECASTS:
            score = one.scores.get(name)
            if score is None:
                line.append(grid.Cell("–", style.SOFT))
                continue
            words = f"{number(score['rmse'])}, {percent(score['coverage'])}"
            line.append(grid.Cell(words, bold=score is best))
        rows.append([*line, "–" if one.noise is None else number(one.noise)])
    head = ["", *FORECASTS.values(), "seed noise"]
    title = "Cells: RMSE (bold: lowest), and coverage of 95% intervals"
    return grid.table(title, head, rows, (0.37, 0.17, 0.18, 0.17, 0.11))


def _optima(made: tuple[Predicted, ...]) -> Cell:
    """What was foretold of N*, D* and the best metric, beside what the budget's own cells give."""
    rows: list[list[str | grid.Cell]] = []
    for one in made:
        for of, symbol in OF.items():
            own = [other for other in one.optimum if other.of == of]
            if own:
                words = [grid.Cell(_words(of, o.predicted), bold=bool(o.agrees)) for o in own]
                found = _words(of, own[0].found)
                after = " (hindsight)" if one.hindsight else ""
                rows.append([f"{symbol} by {short_metric(one.metric)}{after}", *words, found])
    head = ["", "joint surface", "power law over budgets", "found"]
    title = "Optimum of the held-out budget (bold: differs by no more than both intervals allow)"
    return grid.table(title, head, rows, (0.22, 0.26, 0.26, 0.26))


def _words(of: str, value: Estimate) -> str:
    """Sizes short enough for a column."""
    if of == "best":
        return estimate_text(value, "metric")
    if value.value is None or value.low is None or value.high is None:
        return estimate_text(value)
    short = [compact(float(f"{v:.3g}")) for v in (value.value, value.low, value.high)]
    said = "" if value.status == "converged" else f", {value.status}"
    return f"{short[0]} ({short[1]} to {short[2]}){said}"


def _lifts(gains: tuple[Lift, ...]) -> Cell:
    """Lifts that end at the held-out budget."""
    rows: list[list[str | grid.Cell]] = []
    for one in gains:
        if not one.ahead:
            continue
        error = "–" if one.error is None else percent(one.error)
        rows.append(
            [
                lift_title(one),
                NAMES[one.forecast],
                estimate_text(one.predicted),
                estimate_text(one.measured),
                grid.Cell(error, bold=bool(one.within)),
            ]
        )
    title = "Lift of compute, up to the held-out budget (bold: within 5%)"
    head = ["", "forecast", "predicted", "measured", "error"]
    return grid.table(title, head, rows, (0.32, 0.17, 0.22, 0.21, 0.08))
