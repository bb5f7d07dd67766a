"""The optima by the joint surface, under four ways to count cost, beside the per-axis estimates.

Choices: one row of panels an axis and arm, by loss and by recall@10; at each budget five series
stand side by side, so that what the estimator changes and what the convention changes can be told
apart; budgets are the nominal ones, under another convention a budget is the mean cost of the very
same cells (its level is in the table); the paper's range is drawn only where it has one near.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from behavior_scaling.laws.results import Estimate
from behavior_scaling.report import style, tidy
from behavior_scaling.report.claims_file import load_claims
from behavior_scaling.report.figures import axis, frames, grid, marks, panels
from behavior_scaling.report.floors import sentence
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.sheet import Cell, Line, Panel, Prose, compose
from behavior_scaling.report.text import (
    CONVENTIONS,
    axis_title,
    join,
    short_metric,
)

PER_AXIS = "per axis"
JOINT = {name: f"joint: {words}" for name, words in CONVENTIONS.items()}
SERIES = (
    marks.Series(PER_AXIS, style.INK, "s"),
    *(
        marks.Series(name, colour, marker)
        for name, colour, marker in zip(
            JOINT.values(), ("#0173b2", "#029e73", "#d55e00", "#8a6d00"), "oD^v", strict=True
        )
    ),
)
GROUPS = {"joint surface": list(JOINT.values())}
SYMBOLS = {"allocation": "N*", "share": "s*", "negatives": "K*"}
UNITS = {"allocation": "parameters", "share": "of N", "negatives": "candidates"}
PAPER = {"allocation": ("allocation_n", "N* ∝ C^a, "), "share": ("share_optimum", "")}
TITLE = "Where the optimum lies: one axis alone, and the joint surface under four costs"
EXPONENTS = "exponents"
OF = {("allocation", "optimum"): "N", ("allocation", "D"): "D", ("share", "optimum"): "share",
      ("negatives", "optimum"): "K"}  # fmt: skip
READING = (
    "Each budget has five places, from left to right in the order of the key: the optimum of that "
    "axis alone (parabola or two-term curve), then the minimum of the joint surface along the "
    "iso-cost curve of each convention. " + marks.SIGNS
)


def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws."""
    table = tidy.round_significant(frames.frame(_rows(results), ("cost",), ("reason",)))
    sheet: list[list[Cell]] = [
        [Panel(TITLE, partial(marks.draw_key, series=SERIES), height=0.16, bare=True)]
    ]
    for name, arm in _axes(results):
        source = axis.source_lines(results, name)
        sheet.append([_cell(table, name, arm, metric, source) for metric in axis.METRICS])
    sheet.append([_exponents(table)])
    notes = [
        str(text) for text in table[(table["kind"] == "note") & (table["panel"] == "")]["label"]
    ]
    words = tuple((text, style.INK) for text in (*notes, READING, sentence(results)) if text)
    return compose([*sheet, [Prose("How to read", words)]]), table


def _axes(results: Results) -> list[tuple[str, str]]:
    return [(name, arm) for name in SYMBOLS for arm in (results.for_axis(name).arms(name) or [""])]


def _panel(name: str, arm: str, metric: str) -> str:
    return frames.panel_name(arm, f"{SYMBOLS[name]} by {short_metric(metric)}")


def _rows(results: Results) -> list[frames.Row]:
    rows: list[frames.Row] = []
    for name, arm in _axes(results):
        own = results.for_axis(name)
        for metric in axis.METRICS:
            rows += _estimates(own, name, arm, metric)
            rows += _slopes(own, name, arm, metric)
    if not results.surfaces:
        rows.append({"panel": "", "kind": "note", "label": "No joint surface was fitted."})
    off: Counter[str] = Counter()
    total = 0
    for metric in axis.METRICS:
        surface = results.surface(metric)
        if surface and surface.status != "converged":
            text = f"Surface of {short_metric(metric)}: {surface.status} ({surface.reason})."
            rows.append({"panel": "", "kind": "note", "label": text})
        for one in surface.optima if surface else ():
            total += 1
            off.update({note.split(":")[0] for note in one.notes})
    if off:
        parts = ", ".join(f"{name} ({count})" for name, count in sorted(off.items()))
        text = f"Said of some of the {total} joint optima (each note stands in conventions.csv): "
        rows.append({"panel": "", "kind": "note", "label": f"{text}{parts}."})
    return rows


def _estimates(results: Results, name: str, arm: str, metric: str) -> list[frames.Row]:
    panel = _panel(name, arm, metric)
    rows: list[frames.Row] = []
    found = results.find(name, metric, arm)
    for curve in found.fit.curves if found else ():
        row = marks.estimate_row(panel, PER_AXIS, curve.budget, curve.optimum)
        rows.append(row | {"cost": curve.budget})
    surface = results.surface(metric)
    for convention, series in JOINT.items():
        for one in surface.optimum(name, arm, convention) if surface else ():
            row = marks.estimate_row(panel, series, one.budget, one.optimum)
            rows.append(row | {"cost": one.cost})
    rows = [row | {"arm": arm, "metric": metric, "budget": row["x"]} for row in rows]
    if not rows:
        why = "no fit was made" if results.arms(name) else "axis not run in this study"
        rows.append({"panel": panel, "kind": "note", "arm": arm, "label": why})
    if name in PAPER:
        claim, words = PAPER[name]
        paper = frames.paper_row(panel, claim, words, band=name == "share")
        value = load_claims().claim(claim).paper.value
        rows.append(paper | ({"y": value} if name == "share" else {}))
    return rows


def _slopes(results: Results, name: str, arm: str, metric: str) -> list[frames.Row]:
    """Exponents over C: per axis and by convention."""
    rows: list[frames.Row] = []
    surface, found = results.surface(metric), results.find(name, metric, arm)
    for (owner, of), key in OF.items():
        if owner != name:
            continue
        symbol = "D*" if of == "D" else SYMBOLS[name]
        estimates: dict[str, Estimate] = {}
        if found and key in found.fit.exponents:
            estimates[PER_AXIS] = found.fit.exponents[key]
        for convention, series in JOINT.items():
            slope = surface.exponent(name, arm, of, convention) if surface else None
            if slope:
                estimates[series] = slope.exponent
        for series, estimate in estimates.items():
            row = marks.estimate_row(EXPONENTS, series, 0.0, estimate)
            words = f"{symbol} by {short_metric(metric)}{_arm(arm)}"
            rows.append(row | {"kind": "exponent", "arm": arm, "metric": metric, "x": None,
                               "reason": words, "label": series})  # fmt: skip
    return rows


def _arm(arm: str) -> str:
    return f", {axis_title('', arm).removeprefix(', ')}" if arm else ""


def _cell(table: pd.DataFrame, name: str, arm: str, metric: str, source: tuple[Line, ...]) -> Cell:
    rows = table[table["panel"] == _panel(name, arm, metric)]
    title = f"{SYMBOLS[name]} by {short_metric(metric)}{_arm(arm)}"
    notes = rows[rows["kind"] == "note"]["label"]
    lines: list[Line] = [*source, *((str(text), style.INK) for text in notes)]
    lines += marks.reasons(rows, SERIES, GROUPS)
    lines += [(str(text), style.ACCENT) for text in rows[rows["kind"] == "paper"]["label"]]
    if not marks.says_something(rows):
        return Prose(title, tuple(lines))
    unit = "share" if name == "share" else ""
    fill = partial(_draw, rows=rows, label=f"{SYMBOLS[name]} ({UNITS[name]})", unit=unit)
    return Panel(title, fill, tuple(lines), height=1.1, right=0.5)


def _draw(axes: Axes, rows: pd.DataFrame, label: str, unit: str) -> None:
    axes.set_xscale("log")
    axes.set_ylabel(label)
    bands = rows[(rows["kind"] == "paper") & rows["y_low"].notna()]
    for band in bands.to_dict("records"):
        axes.axhspan(band["y_low"], band["y_high"], color=style.ACCENT, alpha=0.13, lw=0, zorder=0)
        axes.axhline(band["y"], color=style.ACCENT, lw=0.8, zorder=1, gid="paper")
    marks.draw_series(axes, rows, SERIES)
    panels.budget_axis(axes, sorted(rows[rows["kind"] == "estimate"]["x"].unique()))
    panels.value_ticks(axes, unit)
    if len(bands):
        style.margin_labels(axes, [(float(bands["y"].iloc[0]), "paper", style.ACCENT)])


def _exponents(table: pd.DataFrame) -> Cell:
    """Exponents that are identified, as a table; the others in one line."""
    own = table[table["kind"] == "exponent"]
    rows: list[list[str | grid.Cell]] = []
    short: list[str] = []
    for words, part in own.groupby("reason", sort=False):
        if not (part["status"] == "converged").any():
            short.append(str(words))
            continue
        line: list[str | grid.Cell] = [str(words)]
        for one in SERIES:
            cell = part[part["label"] == one.name].to_dict("records")
            line.append(_slope_words(cell[0]) if cell else grid.Cell("–", style.SOFT))
        rows.append(line)
    title = "Exponent of the optimum in C"
    left = f"Fewer than three identified budgets, so no exponent: {join(short)}." if short else ""
    if not rows:
        return Prose(title, ((left or "No exponent was fitted.", style.INK),))
    head = ["", *(one.name for one in SERIES)]
    return grid.table(title, head, rows, (0.215, 0.155, 0.135, 0.17, 0.2, 0.125), left)


def _slope_words(row: Mapping[Any, Any]) -> grid.Cell:
    if row["status"] != "converged":
        return grid.Cell(str(row["status"]), style.SOFT)
    words = f"{row['y']:.2f} ({row['y_low']:.2f} to {row['y_high']:.2f})"
    return grid.Cell(words.replace("-", "−").replace("nan", "?"))
