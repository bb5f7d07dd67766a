"""Calibration: the learning rate of every group of runs, and what every other setting changes.

Choices: a panel a budget, so that losses of one height are compared; each group with its own
parabola over the points that entered it, its vertex, and a vertical bar at what the fitted rule
chooses; below, differences to the study's own setting grouped by what is varied, the largest gain
first, with two standard deviations of their noise.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from behavior_scaling.laws.calibration import NEAR, Group
from behavior_scaling.laws.variations import BETTER, TOLD, WORSE
from behavior_scaling.report import style, tidy
from behavior_scaling.report.calibration import Calibration, Difference, group_name, rule_text
from behavior_scaling.report.figures import frames, marks, panels
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.sheet import Cell, Line, Panel, Prose, compose
from behavior_scaling.report.text import LOSS, RECALL, flops, metric_label, three_decimals

VERDICTS = {BETTER: "#029e73", WORSE: "#d55e00"}
ROW = 0.15  # inches a setting
ACROSS = 2  # panels in a row
READING = (
    "Runs of a group differ in nothing but the learning rate. The parabola in log lr goes through "
    "the best rate tried and those within a factor of two of it; diamond: its vertex; upright bar: "
    "what the fitted rule chooses. A group without a diamond has its best at the end of what was "
    "tried and does not enter the rule. Differences: a setting's run minus the run with the "
    f"study's own value, same seed; bar: {TOLD:g} standard deviations of the difference of two "
    "runs. Coloured: told from none (green better, orange worse); hollow: cannot be told."
)


def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws."""
    found = results.calibration
    table = tidy.round_significant(frames.frame(_rows(found), ("sd",), ("variation", "reason")))
    sheet: list[list[Cell]] = []
    if found.rule:
        budgets = sorted({group.budget for group in found.rule.groups})
        cells: list[Cell] = [_rates(table, budget) for budget in budgets]
        cells.append(Prose("Learning-rate rule", _rule_lines(found)))
        sheet += [cells[i : i + ACROSS] for i in range(0, len(cells), ACROSS)]
    if found.differences:
        sheet.append([_differences(table, found)])
    if sheet:
        sheet.append([Prose("How to read", ((READING, style.INK),))])
    else:
        why = "This study varies no setting beside its axes."
        sheet.append([Prose("Calibration", ((why, style.INK),))])
    return compose(sheet), table


def _rows(found: Calibration) -> list[frames.Row]:
    rows: list[frames.Row] = []
    for group in found.rule.groups if found.rule else ():
        rows += _group_rows(group)
    for one in found.differences:
        rows.append(
            {"panel": "differences", "kind": "difference", "metric": one.metric}
            | {"budget": one.budget, "variation": one.variation, "label": one.setting}
            | {"x": one.difference, "sd": one.sd, "status": one.verdict, "reason": one.reason}
            | {"runs": one.runs}
        )
    if not rows:
        rows.append({"kind": "note", "label": "this study varies no setting beside its axes"})
    return rows


def _group_rows(group: Group) -> list[frames.Row]:
    base = {"panel": "learning rate", "budget": group.budget, "label": group_name(group)}
    base |= {"metric": LOSS, "variation": ", ".join(group.variations)}
    points = [
        {"kind": "cell", "x": x, "y": y} for x, y in zip(group.rates, group.losses, strict=True)
    ]
    rows = [base | point for point in points]
    best, bend, floor = group.best, group.curvature, group.loss
    rows.append(
        base
        | {"kind": "vertex", "x": best.value, "x_low": best.low, "x_high": best.high, "y": floor}
        | {"status": best.status, "reason": best.reason}
    )
    if best.value is not None and bend is not None and floor is not None:
        own = group.rates[int(np.argmin(group.losses))]
        low, high = max(own / NEAR, group.rates[0]), min(own * NEAR, group.rates[-1])
        for x in np.geomspace(low, high, 31):
            rows.append(
                base | {"kind": "fit", "x": x, "y": floor + bend * math.log(x / best.value) ** 2}
            )
    if group.rule is not None:
        height = float(np.interp(math.log(group.rule), np.log(group.rates), group.losses))
        if best.value is not None and bend is not None and floor is not None:
            height = floor + bend * math.log(group.rule / best.value) ** 2
        rows.append(base | {"kind": "rule", "x": group.rule, "y": height})
    return rows


def _rates(table: pd.DataFrame, budget: float) -> Panel:
    rows = table[(table["panel"] == "learning rate") & (table["budget"] == budget)]
    bad = rows[(rows["kind"] == "vertex") & (rows["status"] != "converged")]
    lines: list[Line] = [
        (f"{row['label']}: {row['status']} ({row['reason']})", style.INK)
        for row in bad.to_dict("records")
    ]
    return Panel(f"C = {flops(budget)}", partial(_draw_rates, rows=rows), tuple(lines))


def _draw_rates(axes: Axes, rows: pd.DataFrame) -> None:
    names = list(dict.fromkeys(rows["label"]))
    places = [float(place) for place in range(len(names))]
    colours, markers = style.budget_colours(places), style.budget_markers(places)
    axes.set_xscale("log")
    labels = []
    for place, name in zip(places, names, strict=True):
        own, colour = rows[rows["label"] == name], colours[place]
        cells, fit = own[own["kind"] == "cell"], own[own["kind"] == "fit"]
        axes.plot(cells["x"], cells["y"], color=colour, lw=0.5, alpha=0.5, zorder=2, gid="path")
        axes.plot(
            cells["x"], cells["y"], markers[place], ms=3.2, color=colour, zorder=3, gid="cell"
        )
        axes.plot(fit["x"], fit["y"], color=colour, zorder=2, gid="fit")
        for row in own[own["kind"] == "vertex"].dropna(subset=["x"]).to_dict("records"):
            axes.plot([row["x_low"], row["x_high"]], [row["y"]] * 2, color=colour, lw=0.9)
            axes.plot(
                row["x"], row["y"], "D", ms=4.6, mfc="white", mec=colour, zorder=4, gid="vertex"
            )
        for row in own[own["kind"] == "rule"].to_dict("records"):
            axes.plot(
                row["x"], row["y"], "|", ms=11, mew=1.3, color=style.ACCENT, zorder=5, gid="rule"
            )
        if len(cells):  # none of its runs may have come to an end
            labels.append((float(cells["y"].iloc[-1]), name, colour))
    panels.x_axis(axes, rows[rows["kind"] == "cell"]["x"])
    axes.set_xlabel("peak learning rate")
    axes.set_ylabel(metric_label(LOSS))
    style.margin_labels(axes, labels)


def _rule_lines(found: Calibration) -> tuple[Line, ...]:
    rule = found.rule
    if rule is None or rule.cost is None or rule.study_cost is None:
        why = "nothing fitted" if rule is None else f"{rule.status}: {rule.reason}"
        return ((why, style.INK),)
    held = [name for name, one in rule.parameters.items() if one.status != "converged"]
    words = f"lr = {rule_text(rule)}; it loses {three_decimals(rule.cost)} nats on average against "
    words += f"each group's own vertex, the study's own rule {three_decimals(rule.study_cost)}."
    words += f" Held at the study's: {', '.join(held)}." if held else ""
    words += f" {rule.reason[0].upper()}{rule.reason[1:]}." if rule.reason else ""
    return ((words, style.INK),)


def _differences(table: pd.DataFrame, found: Calibration) -> Panel:
    rows = table[table["kind"] == "difference"]
    order = _order(found.differences)
    title = "One setting at a time: difference to the study's own setting"
    fill = partial(_draw_differences, rows=rows, order=order)
    return Panel(title, fill, height=ROW * (len(order) + 2) + 0.45, bare=True)


def _order(differences: tuple[Difference, ...]) -> list[tuple[str, str, float]]:
    """Settings as (variation, setting, budget): by variation, the largest gain in loss first."""
    kept = [one for one in differences if one.metric == LOSS]
    lowest: dict[str, float] = {}
    for one in kept:
        value = math.inf if one.difference is None else one.difference
        lowest[one.variation] = min(lowest.get(one.variation, math.inf), value)
    kept.sort(key=lambda one: (lowest[one.variation], one.variation))  # stable within a variation
    return [(one.variation, one.setting, one.budget) for one in kept]


def _draw_differences(axes: Axes, rows: pd.DataFrame, order: list[tuple[str, str, float]]) -> None:
    """Names on the left, the loss in the middle, recall on the right, one line a setting."""
    marks.blank(axes)
    height = axes.get_position().height * axes.get_figure().get_figheight()  # type: ignore[union-attr]
    base = 0.42 / height
    several = len({budget for _, _, budget in order}) > 1
    for metric, left in ((LOSS, 0.34), (RECALL, 0.69)):
        inner = axes.inset_axes((left, base, 0.29, 1 - base))
        inner.set_ylim(len(order) - 0.4, -0.6)
        inner.axvline(0, color=style.SOFT, lw=0.8, zorder=1)
        inner.tick_params(left=False, labelleft=False)
        inner.set_xlabel(f"change of {metric_label(metric)}")
        known = rows[rows["metric"] == metric]
        for line, (variation, setting, budget) in enumerate(order):
            own = known[(known["variation"] == variation) & (known["label"] == setting)]
            for row in own[own["budget"] == budget].to_dict("records"):
                _draw_difference(inner, row, line)
        inner.xaxis.set_major_locator(MaxNLocator(5))
        inner.grid(axis="y", visible=False)
        for line in range(1, len(order)):
            if order[line][0] != order[line - 1][0]:
                inner.axhline(line - 0.5, color=style.FAINT, lw=0.4, zorder=0)
    step = (1 - base) / len(order)
    for line, (variation, setting, budget) in enumerate(order):
        y = 1 - step * (line + 0.6)
        if line == 0 or order[line - 1][0] != variation:
            axes.text(0.0, y, variation, fontsize=6.4, weight="bold", va="center", color=style.INK)
        text = f"{setting}, C = {flops(budget)}" if several else setting
        axes.text(0.325, y, text, fontsize=6.4, va="center", ha="right", color=style.INK)


def _draw_difference(axes: Axes, row: dict[Hashable, Any], line: int) -> None:
    if math.isnan(float(row["x"])):
        axes.text(0, line, f" {row['reason']}", fontsize=5.8, va="center", color=style.SOFT)
        return
    x, colour = float(row["x"]), VERDICTS.get(str(row["status"]), style.SOFT)
    wide = TOLD * float(row["sd"])
    if not math.isnan(wide):
        axes.plot([x - wide, x + wide], [line, line], color=colour, lw=0.9, zorder=2, gid="noise")
    told = str(row["status"]) in VERDICTS
    axes.plot(x, line, "o", ms=4, mec=colour, mfc=colour if told else "white", zorder=3,
              gid="difference")  # fmt: skip
