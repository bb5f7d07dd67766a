"""Worlds of known entropy: exponents by entropy, loss above it, fitted E, repeated data.

Choices: worlds are told apart by colour, marker and name at their line; an exponent stands twice
over a world's entropy, of the loss itself (the form of the claim) and of what lies above the known
E; a fitted E is drawn as its distance from the known one, so that one axis serves all worlds; the
loss that repeated events cost is drawn over how often they were seen, beside what the fitted R*
says of the very same cells, and what repeats worth nothing would cost.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from behavior_scaling.laws.parts import carried
from behavior_scaling.report import style, tidy
from behavior_scaling.report.figures import frames, grid, marks, panels
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.sheet import Cell, Line, Panel, Prose, compose
from behavior_scaling.report.text import estimate_text, flops, number
from behavior_scaling.report.worlds import (
    EXPONENTS,
    NONE,
    Across,
    Repetition,
    WorldLaw,
    across_worlds,
    repeated_data,
    world_laws,
)

EXPONENT, EXCESS, FITTED, REPEATED = "exponent", "excess", "fitted E", "repeated"
SERIES = (
    marks.Series(EXPONENTS["plain"], "#0173b2", "o"),
    marks.Series(EXPONENTS["known"], "#d55e00", "D"),
)
ESTIMATORS = (
    marks.Series("joint surface", "#0173b2", "s"),
    marks.Series("approach 3, L(N, D)", "#029e73", "^"),
)
COLOURS = ("#0173b2", "#d55e00", "#029e73", "#8a6d00", "#cc78bc", "#222222")
MARKERS = "osD^vP"
POINTS = 25
READING = (
    "E of a world is known: the exact filter's cross-entropy on the validation positions; worlds "
    "stand at H_L, the same over fresh events. The best loss of a budget is its isoFLOP vertex, or "
    "its lowest cell where no vertex is identified. Intervals (95%) are of seeds alone: model and "
    "oracle are scored on the same users. Repeated data: the same cells of the same world on "
    "fewer users, loss over that on all of them; plus: by the fitted R* in D_eff = U + U·R*·(1 − "
    "exp(−(epochs − 1)/R*)); tick: had repeats been worth nothing. " + marks.SIGNS
)


def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws."""
    worlds = world_laws(results.world_rows, results.place)
    pairs = repeated_data(results.repetition_rows, results.place)
    rows = [row for world in worlds for row in _rows(world)]
    rows += [row for pair in pairs for row in _repeated_rows(pair)]
    if not worlds:
        rows.append({"panel": "", "kind": "note", "label": NONE})
    table = tidy.round_significant(frames.frame(rows, words=("reason", "world")))
    if not worlds:
        return compose([[Prose("Worlds of known entropy", ((NONE, style.INK),))]]), table
    sheet: list[list[Cell]] = [
        [_exponents(table), _excess(table)],
        [_fitted(table), _repeated(table, pairs)],
        [_across(across_worlds(results.across, results.place))],
    ]
    notes: dict[str, list[str]] = {}
    for world in worlds:
        for text in world.notes:
            notes.setdefault(text, []).append(world.study)
    said = [f"{', '.join(names)}: {text}." for text, names in notes.items()]
    words = tuple((text, style.INK) for text in (READING, *said))
    return compose([*sheet, [Prose("How to read", words)]]), table


def _rows(world: WorldLaw) -> list[frames.Row]:
    base = {"world": world.study}
    rows: list[frames.Row] = [
        base | marks.estimate_row(EXPONENT, one.name, world.entropy, world.exponent(name))
        for one, name in zip(SERIES, ("plain", "known"), strict=True)
    ]
    for one in world.budgets:
        gap, at = one.gap, {"budget": one.budget, "x": one.budget, "status": one.at}
        ends = {"y": gap.value, "y_low": gap.low, "y_high": gap.high}
        rows.append(base | {"panel": EXCESS, "kind": "best"} | at | ends)
    a, b = world.known["a"].value, world.known["b"].value
    if a is not None and b is not None:
        budgets = [one.budget for one in world.budgets]
        for x in np.geomspace(min(budgets), max(budgets), POINTS):
            rows.append(base | {"panel": EXCESS, "kind": "fit", "x": x, "y": a * x**-b})
    for series, name in zip(ESTIMATORS, ("surface", "parametric"), strict=True):
        found = world.fitted[name]
        moved = carried(found, partial(_less, world.oracle))
        rows.append(base | marks.estimate_row(FITTED, series.name, world.entropy, moved))
    return rows


def _less(known: float, value: float) -> float:
    return value - known


def _repeated_rows(pair: Repetition) -> list[frames.Row]:
    base = {"panel": REPEATED, "world": pair.repeated}
    kinds = {"cell": "difference", "predicted": "predicted", "nothing": "worth_nothing"}
    return [
        base
        | {"kind": kind, "budget": cell["budget"], "x": cell["epochs_repeated"], "y": cell[key]}
        | {"epochs": cell["epochs_repeated"]}
        for cell in pair.cells
        for kind, key in kinds.items()
        if cell[key] is not None
    ]


def _looks(rows: pd.DataFrame) -> dict[str, marks.Series]:
    """A colour and a marker for every world, in the order of the table."""
    names = list(dict.fromkeys(rows["world"]))
    return {
        name: marks.Series(name, COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)])
        for i, name in enumerate(names)
    }


def _by_entropy(table: pd.DataFrame, panel: str, title: str, series: Any, label: str) -> Cell:
    """A panel of estimates over the worlds' entropy, two series side by side."""
    rows = table[table["panel"] == panel]
    lines: list[Line] = _statuses(rows, series)
    if not marks.says_something(rows):
        return Prose(title, tuple(lines))
    fill = partial(_draw_by_entropy, rows=rows, series=series, label=label)
    return Panel(title, fill, tuple(lines), height=1.7)


def _statuses(rows: pd.DataFrame, series: tuple[marks.Series, ...]) -> list[Line]:
    """A line for every status and reason, with the worlds that it is of."""
    bad = rows[rows["status"] != "converged"]
    said: dict[str, list[str]] = {}
    for one in series:
        for row in bad[bad["label"] == one.name].to_dict("records"):
            text = f"{one.name}: {row['status']} ({row['reason']})"
            said.setdefault(text, []).append(row["world"])
    return [(f"{', '.join(names)}: {text}", style.INK) for text, names in said.items()]


def _exponents(table: pd.DataFrame) -> Cell:
    title = "Exponent b of the loss, by entropy"
    return _by_entropy(table, EXPONENT, title, SERIES, "b (95% interval)")


def _fitted(table: pd.DataFrame) -> Cell:
    title = "Fitted E less the known one"
    return _by_entropy(table, FITTED, title, ESTIMATORS, "E − known E (nats)")


def _draw_by_entropy(
    axes: Axes, rows: pd.DataFrame, series: tuple[marks.Series, ...], label: str
) -> None:
    places = sorted(rows["x"].unique())
    span = max(places[-1] - places[0], 1.0)
    axes.axhline(0, color=style.SOFT, lw=0.8, ls=panels.FLOOR_DASHES, zorder=1)
    crosses: list[tuple[float, str]] = []
    labels: list[tuple[float, str, Any]] = []
    for index, one in enumerate(series):
        own = rows[rows["label"] == one.name].sort_values("x")
        worlds = own.groupby("x").cumcount()  # repeated data have the entropy of fresh ones
        for (_, row), again in zip(own.iterrows(), worlds, strict=True):
            x = row["x"] + span * (0.02 * (index - 0.5) + 0.045 * again)
            if not marks.draw_estimate(axes, x, row.to_dict(), one):
                crosses.append((x, one.colour))
        known = own[own["y"].notna()]
        if len(known):
            labels.append((float(known["y"].iloc[-1]), one.name.split(",")[0], one.colour))
    marks.strip(axes, crosses)
    axes.set_xlim(places[0] - 0.12 * span, places[-1] + 0.16 * span)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel("entropy H_L (nats an event)")
    axes.set_ylabel(label)
    style.margin_labels(axes, labels, gap=0.1)


def _excess(table: pd.DataFrame) -> Cell:
    rows = table[table["panel"] == EXCESS]
    title = "Best loss above the known E, by compute"
    if rows.empty:
        return Prose(title, (("no finished run", style.INK),))
    return Panel(title, partial(_draw_excess, rows=rows, looks=_looks(table)), height=1.7)


def _draw_excess(axes: Axes, rows: pd.DataFrame, looks: dict[str, marks.Series]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    labels: list[tuple[float, str, Any]] = []
    for name, look in looks.items():
        own = rows[rows["world"] == name]
        best = own[own["kind"] == "best"].sort_values("x")
        fit = own[own["kind"] == "fit"].sort_values("x")
        if best.empty:
            continue
        axes.plot(fit["x"], fit["y"], color=look.colour, lw=1, zorder=2, gid="fit")
        known = best[best["y_low"] > 0]
        axes.vlines(known["x"], known["y_low"], known["y_high"], color=look.colour, lw=1, zorder=2)
        for at, face in (("vertex", look.colour), ("lowest cell", "white")):
            part = best[best["status"] == at]
            axes.plot(part["x"], part["y"], look.marker, mec=look.colour, mfc=face, mew=1.0,
                      ls="none", zorder=3, gid="best")  # fmt: skip
        labels.append((float(best["y"].iloc[-1]), name, look.colour))
    axes.margins(y=0.1)
    panels.budget_axis(axes, sorted(rows[rows["kind"] == "best"]["x"].unique()))
    panels.value_ticks(axes)
    axes.set_ylabel("loss − E (nats)")
    style.margin_labels(axes, labels, gap=0.09)


def _repeated(table: pd.DataFrame, pairs: tuple[Repetition, ...]) -> Cell:
    rows = table[table["panel"] == REPEATED]
    title = "What repeated events cost"
    lines: list[Line] = [
        (
            f"{pair.repeated} against {pair.fresh}: R* {estimate_text(pair.worth)}"
            + (f" ({pair.worth.reason})" if pair.worth.reason else "")
            + f"; joint surface of {pair.repeated}: R* {estimate_text(pair.surface)}",
            style.INK,
        )
        for pair in pairs
    ]
    if rows.empty:
        none = "no two parts share a world and a grid and differ in unique positions"
        return Prose(title, ((none, style.INK),))
    return Panel(title, partial(_draw_repeated, rows=rows), tuple(lines), height=1.7)


def _draw_repeated(axes: Axes, rows: pd.DataFrame) -> None:
    budgets = sorted(rows["budget"].unique())
    colours, markers = style.budget_colours(budgets), style.budget_markers(budgets)
    axes.set_xscale("log")
    axes.axhline(0, color=style.SOFT, lw=0.8, ls=panels.FLOOR_DASHES, zorder=1)
    labels: list[tuple[float, str, Any]] = []
    for budget in budgets:
        own = rows[rows["budget"] == budget].sort_values("x")
        looks: dict[str, dict[str, Any]] = {
            "cell": {"marker": markers[budget]},
            "predicted": {"marker": "+", "ms": 8, "mew": 1.2},
            "nothing": {"marker": "_", "ms": 8, "mew": 1.0, "alpha": 0.7},
        }
        for kind, look in looks.items():
            part = own[own["kind"] == kind]
            axes.plot(part["x"], part["y"], ls="none", color=colours[budget], zorder=3, gid=kind,
                      **look)  # fmt: skip
        cells = own[own["kind"] == "cell"]
        labels.append((float(cells["y"].iloc[-1]), f"C = {flops(budget)}", colours[budget]))
    axes.margins(y=0.1)
    panels.x_axis(axes, rows["x"])
    axes.set_xlabel("times that an event is seen (epochs)")
    axes.set_ylabel("loss − loss on fresh data")
    style.margin_labels(axes, labels, gap=0.09)


def _across(found: tuple[Across, ...]) -> Cell:
    rows: list[list[str | grid.Cell]] = []
    why: list[str] = []
    for one in found:
        known = one.slope.status == "converged"
        slope = estimate_text(one.slope) if known else one.slope.status
        if not known:
            why.append(f"{EXPONENTS[one.of]}: {one.slope.reason}")
        rank = "–" if one.rank is None else number(one.rank)
        p_value = "–"
        if one.p_value is not None and one.least_p is not None:
            p_value = f"{number(one.p_value)} (least possible {number(one.least_p)})"
        said = grid.Cell(slope, style.INK if known else style.SOFT)
        rows.append([f"{EXPONENTS[one.of]} ({len(one.studies)} worlds)", said, rank, p_value])
    title = "Does it fall as the entropy rises?"
    head = ["exponent", "slope a nat (95% interval)", "rank correlation", "p, one-sided, exact"]
    return grid.table(title, head, rows, (0.36, 0.27, 0.14, 0.23), "; ".join(why))
