"""The critical batch size three ways: knee of the metric, steps to a loss, gradient noise scale.

Choices: the methods answer different questions, so they stand side by side and are never averaged;
where two intervals do not meet, a sign above the budget and a sentence say so; sequences are drawn,
events stand in the table, because one factor joins them; steps and noise exist for the loss alone.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from behavior_scaling.laws.results import Estimate
from behavior_scaling.report import style, tidy
from behavior_scaling.report.figures import axis, frames, grid, marks, panels
from behavior_scaling.report.floors import sentence
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.joint import Critical
from behavior_scaling.report.sheet import Cell, Line, Panel, Prose, compose
from behavior_scaling.report.text import (
    LOSS,
    METHODS,
    estimate_text,
    flops,
    listing,
    short_metric,
)

SERIES = tuple(
    marks.Series(name, colour, marker)
    for name, colour, marker in zip(
        METHODS.values(), (style.INK, "#0173b2", "#d55e00"), "soD", strict=True
    )
)
METRICS = tuple(LOSS.replace("cross_entropy", name) for name in ("recall@10", "ndcg@10", "mrr@10"))
BY_METRIC = tuple(
    marks.Series(short_metric(metric), colour, marker)
    for metric, colour, marker in zip(
        (LOSS, *METRICS), ("#0173b2", "#c8640a", "#029e73", "#8a6d00"), "os^v", strict=True
    )
)
METHOD, METRIC, NOISE, STEPS = "method", "metric", "noise", "steps"
READING = (
    "The knee asks how much data a batch wastes at a fixed D; steps to a target how fast a fixed "
    "loss is reached; the noise scale compares the gradient's noise with its size. Only the arm "
    "with a fixed candidate set enters. Runs cross a target before their learning-rate schedule "
    "has ended. " + marks.SIGNS
)


def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws."""
    source, results = axis.source_lines(results, "batch"), results.for_axis("batch")
    table = tidy.round_significant(frames.frame(_rows(results), words=("reason",)))
    budgets = results.budgets
    sheet: list[list[Cell]] = [
        [_series_cell(table, METHOD, "B_crit by loss, three ways", SERIES),
         _series_cell(table, METRIC, "B_crit by metric (knee over B)", BY_METRIC)],
        [_hyperbola_cell(table, budgets), _noise_cell(table, budgets)],
    ]  # fmt: skip
    ways = [one for one in results.criticals if one.metric == LOSS]
    if ways:
        sheet.append([_table(ways)])
    words = [(text, style.INK) for text in (READING, sentence(results, (LOSS, *METRICS))) if text]
    words += source
    said = [str(text) for text in table[table["kind"] == "disagreement"]["label"]]
    if said:
        text = f"Intervals that do not meet (≠), in sequences: {listing(said, 4)}."
        words.append((text, style.INK))
    return compose([*sheet, [Prose("How to read", tuple(words))]]), table


def _rows(results: Results) -> list[frames.Row]:
    rows: list[frames.Row] = []
    for one in results.criticals:
        at = {"budget": one.budget, "metric": one.metric, "runs": one.runs}
        if one.metric == LOSS:
            rows.append(marks.estimate_row(METHOD, METHODS[one.method], one.budget, one.sequences)
                        | at)  # fmt: skip
            rows += _path_rows(one, at)
        if one.method == "curve" and one.metric in (LOSS, *METRICS):
            name = short_metric(one.metric)
            rows.append(marks.estimate_row(METRIC, name, one.budget, one.sequences) | at)
    rows += _disagreements(results)
    known = {row["panel"] for row in rows}
    ran = bool(results.arms("batch"))
    why = "no critical batch was fitted" if ran else "axis not run in this study"
    rows += [{"panel": panel, "kind": "note", "label": why}
             for panel in (METHOD, METRIC) if panel not in known]  # fmt: skip
    rows += [
        {"panel": panel, "kind": "note", "label": f"no {words}: runs were not probed on their way"}
        for panel, words in ((STEPS, "steps to a target"), (NOISE, "gradient noise scale"))
        if panel not in known
    ]
    rows.append(frames.paper_row(METHOD, "batch_loss", "loss, recall@10 "))
    rows.append(frames.paper_row(METRIC, "batch_ndcg", "NDCG@10, MRR@10 "))
    return rows


def _path_rows(one: Critical, at: frames.Row) -> list[frames.Row]:
    """What a method measured on its way: crossings and the hyperbola, or noise over training."""
    if one.method == "noise":
        return [marks.estimate_row(NOISE, flops(one.budget), share, value) | at
                for share, value in one.trajectory]  # fmt: skip
    if one.method != "steps":
        return []
    rows: list[frames.Row] = [
        {"panel": STEPS, "kind": "crossing", "x": steps, "y": steps * batch, **at}
        for batch, steps in one.crossings
    ]
    least, most = one.coefficients.get("S_min"), one.coefficients.get("E_min")
    if least and most and least.value and most.value and one.crossings:
        first = min(steps for _, steps in one.crossings) / least.value
        last = max(steps for _, steps in one.crossings) / least.value
        # (S / S_min - 1)(E / E_min - 1) = 1
        for ratio in np.geomspace(max(first, 1.02), max(last, 1.1), 61):
            y = most.value * (1 + 1 / (ratio - 1))
            rows.append({"panel": STEPS, "kind": "fit", "x": least.value * ratio, "y": y, **at})
    target = one.coefficients.get("target")
    if target and target.value:
        return [*rows, {"panel": STEPS, "kind": "target", "y": target.value, **at}]
    text = f"C = {flops(one.budget)}: {one.sequences.status} ({one.sequences.reason})"
    return [*rows, {"panel": STEPS, "kind": "note", "label": text, **at}]


def _disagreements(results: Results) -> list[frames.Row]:
    """Each pair of methods once: both say it, each from its side."""
    seen: dict[tuple[float, frozenset[str]], str] = {}
    for one in results.criticals:
        for text in one.disagreements if one.metric == LOSS else ():
            pair = text.replace(" sequences", "").replace("curve:", "knee:")
            seen.setdefault((one.budget, frozenset(pair.split(", "))), pair)
    return [
        {"panel": METHOD, "kind": "disagreement", "x": budget, "budget": budget, "metric": LOSS,
         "label": f"at C = {flops(budget)} {text}"}
        for (budget, _), text in seen.items()
    ]  # fmt: skip


def _series_cell(
    table: pd.DataFrame, panel: str, title: str, series: tuple[marks.Series, ...]
) -> Cell:
    rows = table[table["panel"] == panel]
    lines = [(str(text), style.INK) for text in rows[rows["kind"] == "note"]["label"]]
    lines += marks.reasons(rows, series, {"all": [one.name for one in series]})
    lines += [(str(text), style.ACCENT) for text in rows[rows["kind"] == "paper"]["label"]]
    if not marks.says_something(rows):
        return Prose(title, tuple(lines))
    return Panel(title, partial(_draw_series, rows=rows, series=series), tuple(lines), height=1.6)


def _draw_series(axes: Axes, rows: pd.DataFrame, series: tuple[marks.Series, ...]) -> None:
    axes.set_xscale("log")
    axes.set_ylabel("B_crit (sequences)")
    marks.draw_series(axes, rows, series)
    own = rows[rows["kind"] == "estimate"]
    panels.budget_axis(axes, sorted(own["x"].unique()))
    panels.value_ticks(axes)
    top = axes.get_ylim()[1]
    for budget in sorted(rows[rows["kind"] == "disagreement"]["x"].unique()):
        axes.text(budget, top, "≠", ha="center", va="bottom", fontsize=9, color=style.INK)
    labels: list[tuple[float, str, Any]] = []
    for one in series:
        part = own[own["label"] == one.name].sort_values("x")
        heights = part[["y", "y_low", "y_high"]].bfill(axis=1)["y"].dropna()
        if len(heights):
            labels.append((float(heights.iloc[-1]), one.name.split(" over")[0], one.colour))
    style.margin_labels(axes, [(y, _short(text), colour) for y, text, colour in labels], gap=0.09)


def _short(text: str) -> str:
    return {"knee of the metric": "knee", "steps to a target loss": "steps",
            "gradient noise scale": "noise scale"}.get(text, text)  # fmt: skip


def _hyperbola_cell(table: pd.DataFrame, budgets: list[float]) -> Cell:
    rows = table[table["panel"] == STEPS]
    title = "Steps against sequences to one loss"
    lines: list[Line] = list(panels.lines(rows))
    targets = rows[rows["kind"] == "target"].to_dict("records")
    if targets:
        words = [f"{row['y']:.3f} at C = {flops(row['budget'])}" for row in targets]
        lines.append((f"target losses in nats: {'; '.join(words)}", style.INK))
    if not (rows["kind"] == "crossing").any():
        return Prose(title, tuple(lines))
    fill = partial(_draw_hyperbola, rows=rows, budgets=budgets)
    return Panel(title, fill, tuple(lines), height=1.7)


def _draw_hyperbola(axes: Axes, rows: pd.DataFrame, budgets: list[float]) -> None:
    colours, markers = style.budget_colours(budgets), style.budget_markers(budgets)
    axes.set_xscale("log")
    axes.set_yscale("log")
    labels: list[tuple[float, str, Any]] = []
    for budget in budgets:
        own = rows[rows["budget"] == budget]
        fit, points = own[own["kind"] == "fit"], own[own["kind"] == "crossing"]
        axes.plot(fit["x"], fit["y"], color=colours[budget], zorder=2, gid="fit")
        axes.plot(points["x"], points["y"], marker=markers[budget], ls="none",
                  color=colours[budget], zorder=3, gid="crossing")  # fmt: skip
        if len(points):
            last = points.sort_values("x").iloc[-1]
            labels.append((float(last["y"]), f"C = {flops(budget)}", colours[budget]))
    points = rows[rows["kind"] == "crossing"]
    axes.margins(y=0.1)
    panels.x_axis(axes, points["x"])
    panels.value_ticks(axes)
    axes.set_xlabel("optimiser steps S")
    axes.set_ylabel("sequences E = S·B")
    style.margin_labels(axes, labels, gap=0.08)


def _noise_cell(table: pd.DataFrame, budgets: list[float]) -> Cell:
    rows = table[table["panel"] == NOISE]
    series = tuple(
        marks.Series(flops(budget), to_hex(colour), marker)
        for (budget, colour), marker in zip(
            style.budget_colours(budgets).items(), style.budget_markers(budgets).values(),
            strict=True,
        )
        if (rows["label"] == flops(budget)).any()
    )  # fmt: skip
    title = "Gradient noise scale over training"
    notes = [(str(text), style.INK) for text in rows[rows["kind"] == "note"]["label"]]
    if not marks.says_something(rows):
        bad = rows[rows["kind"] == "estimate"]
        said = dict.fromkeys(zip(bad["status"], bad["reason"], strict=True))
        notes += [(f"{status}: {reason}", style.INK) for status, reason in said]
        return Prose(title, tuple(notes))
    return Panel(title, partial(_draw_noise, rows=rows, series=series), tuple(notes), height=1.7)


def _draw_noise(axes: Axes, rows: pd.DataFrame, series: tuple[marks.Series, ...]) -> None:
    """Linear in the share of training; budgets side by side within a quarter."""
    axes.set_yscale("log")
    crosses: list[tuple[float, str]] = []
    labels: list[tuple[float, str, Any]] = []
    for index, one in enumerate(series):
        shift = 0.16 * ((index + 0.5) / len(series) - 0.5)
        own = rows[rows["label"] == one.name].sort_values("x")
        for row in own.to_dict("records"):
            if not marks.draw_estimate(axes, row["x"] + shift, row, one):
                crosses.append((row["x"] + shift, one.colour))
        known = own[own["y"].notna()]
        axes.plot(known["x"] + shift, known["y"], color=one.colour, lw=0.7, zorder=2, gid="path")
        if len(known):
            labels.append((float(known["y"].iloc[-1]), f"C = {one.name}", one.colour))
    marks.strip(axes, crosses)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
    axes.set_xlabel("share of a run's events")
    axes.set_ylabel("noise scale (sequences)")
    panels.value_ticks(axes)
    style.margin_labels(axes, labels, gap=0.08)


def _table(ways: list[Critical]) -> Panel:
    """By loss, sequences and events by method, where the plots show sequences alone."""
    rows: list[list[str | grid.Cell]] = []
    for budget in sorted({one.budget for one in ways}):
        own = {one.method: one for one in ways if one.budget == budget}
        for unit in ("sequences", "events"):
            line: list[str | grid.Cell] = [f"C = {flops(budget)}, {unit}"]
            for method in METHODS:
                if method not in own:
                    line.append(grid.Cell("not measured", style.SOFT))
                    continue
                found: Estimate = getattr(own[method], unit)
                said = found.status == "converged"
                colour = style.INK if said else style.SOFT
                line.append(grid.Cell(estimate_text(found), colour))
            rows.append(line)
    title = "B_crit by loss, in sequences and in events"
    return grid.table(title, ["", *METHODS.values()], rows, (0.2, 0.27, 0.27, 0.26))
