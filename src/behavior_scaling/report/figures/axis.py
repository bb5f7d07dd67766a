"""The figure of one axis: loss and recall@10 by budget, and the optima over budgets.

Choices: one row of panels an arm, the same in each, so that arms are compared by looking down;
share, batch and negatives differ only in what is given here.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from behavior_scaling.report import style, tidy
from behavior_scaling.report.figures import frames, panels
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.sheet import Cell, Line, Panel, Prose, compose
from behavior_scaling.report.text import (
    ARM_TITLES,
    LOSS,
    RECALL,
    listing,
    metric_label,
    optimum_symbol,
)

METRICS = [LOSS, RECALL]
READING = (
    "Large marks are means over seeds, dots single runs. Hollow marks saw each event more than "
    "4 times. The tick on a curve is its optimum, the bar behind it the 95% interval. "
    "Dashed lines are trivial rules scored on the same positions."
)
JOINT = (
    "A plus on a dotted line is the optimum of the joint surface at nominal C with its 95% "
    "interval; over budgets it is a hollow mark."
)


@dataclass(frozen=True)
class Layout:
    """What differs between the axes' figures."""

    axis: str
    what: str  # in titles: '{Loss} by {what}'
    x_label: str
    optimum_title: str
    optimum_unit: str  # in words
    exponents: list[str]  # keys in AxisFit.exponents, of which one is there
    unit: str = ""
    paper: tuple[tuple[str, str], ...] = ()  # (claim id, words in front of the paper's value)
    band: bool = False  # draw the paper's range in the optima's panel
    control: str = ""  # what the star is, where the axis has a control


def draw(results: Results, layout: Layout) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws: the data that show the axis, then others."""
    shown = results.for_axis(layout.axis)
    blocks = [_Block(shown, layout, source_lines(results, layout.axis))]
    for own in (results, *results.parts):
        if own is not shown and not own.is_world and own.axis_cells(layout.axis):
            words = f"study {own.study}, data: {own.source}"
            blocks.append(_Block(own, layout, ((words, style.INK),), f"{own.study}: "))
    table = tidy.round_significant(frames.frame([row for block in blocks for row in block.rows()]))
    prose = reading(table, layout.control)
    cells: list[list[Cell]] = []
    for block in blocks:
        curves, optima = block.curves(table), block.optima(table)
        if block is blocks[-1] and len(block.arms) == 1:
            return compose([*cells, *curves, [*optima, prose]]), table
        cells += [*curves, optima]
    return compose([*cells, [prose]]), table


class _Block:
    """The panels of one study's runs of the axis: a row an arm, then the optima.

    An arm of controls only (the full softmax) has its stars in the first arm's panels.
    """

    def __init__(
        self, results: Results, layout: Layout, source: tuple[Line, ...], prefix: str = ""
    ) -> None:
        self.results, self.layout, self.source, self.prefix = results, layout, source, prefix
        every = results.arms(layout.axis)
        runs = results.axis_runs(layout.axis)
        fitted = set(runs.loc[~runs["control"].astype(bool), "arm"])
        self.arms = [arm for arm in every if arm in fitted] or every or [""]
        self.controls = [arm for arm in every if arm not in self.arms]

    def rows(self) -> list[frames.Row]:
        """Every mark of the panels."""
        rows = _rows(self.results, self.layout, self.arms)
        for arm in self.controls:
            for metric in METRICS:
                panel = {"panel": frames.panel_name(self.arms[0], metric)}
                made = frames.curve_rows(self.results, self.layout.axis, arm, metric)
                rows += [row | panel for row in made if row["kind"] in ("run", "control")]
        return [row | {"panel": self.prefix + row["panel"] if row["panel"] else ""} for row in rows]

    def curves(self, table: pd.DataFrame) -> list[list[Cell]]:
        """A row of panels an arm."""
        return [[self._curves(table, arm, metric) for metric in METRICS] for arm in self.arms]

    def optima(self, table: pd.DataFrame) -> list[Cell]:
        """The optima over budgets, a panel an arm."""
        return [self._optima(table, arm) for arm in self.arms]

    def _curves(self, table: pd.DataFrame, arm: str, metric: str) -> Panel:
        rows = table[table["panel"] == self.prefix + frames.panel_name(arm, metric)]

        def fill(axes: Axes) -> None:
            panels.draw_curves(axes, rows, self.results.budgets, self.layout.unit)
            axes.set_xlabel(self.layout.x_label)
            axes.set_ylabel(metric_label(metric))

        title = f"{metric_title(metric)} by {self.layout.what}{_arm_words(arm)}"
        return Panel(title, fill, (*self.source, *panels.lines(rows)))

    def _optima(self, table: pd.DataFrame, arm: str) -> Cell:
        symbol = optimum_symbol(self.layout.axis, arm)
        rows = table[table["panel"] == self.prefix + frames.panel_name(arm, symbol)]
        title = self.layout.optimum_title + _arm_words(arm)
        label = f"{symbol} ({self.layout.optimum_unit})"
        return panels.optima_cell(title, rows, self.results.budgets, label, self.layout.unit)


def source_lines(results: Results, axis: str) -> tuple[Line, ...]:
    """Under a title, what data show an axis where they are not the study's own."""
    source = results.other_source(axis)
    return ((f"data: {source}", style.INK),) if source else ()


def metric_title(metric: str) -> str:
    """A metric at the head of a title."""
    return "Loss" if metric == LOSS else "Recall@10"


def reading(table: pd.DataFrame, control: str = "") -> Prose:
    """How to read the figure, and which runs gave no point."""
    joint = table["kind"].isin(["joint", "joint optimum"]).any()
    forms = dict.fromkeys(table[table["kind"] == "form"]["label"])
    fitted = f"Fitted curves: {'; '.join(forms)}." if forms else ""
    read = f"{READING} {JOINT}" if joint else READING
    words = (f"{read} {control}".strip(), fitted, left_out_text(table))
    return Prose("How to read", tuple((text, style.INK) for text in words))


def left_out_text(table: pd.DataFrame) -> str:
    """Which runs gave no point, by name."""
    rows = table[table["kind"] == "left out"]
    if rows.empty:
        ran = table["kind"].isin(["cell", "control"]).any()
        return "Every run of this axis finished." if ran else "This study has no run of this axis."
    names = [f"{row['label']} ({row['status']})" for row in rows.to_dict("records")]
    return f"Not shown, {len(names)} run{'s' * (len(names) > 1)}: {listing(names, 3)}."


def _arm_words(arm: str) -> str:
    return f", {ARM_TITLES.get(arm, arm)}" if arm else ""


def _rows(results: Results, layout: Layout, arms: list[str]) -> list[frames.Row]:
    rows: list[frames.Row] = []
    for arm in arms:
        for metric in METRICS:
            rows += frames.curve_rows(results, layout.axis, arm, metric)
            rows += frames.joint_rows(results, layout.axis, arm, metric)
        panel = frames.panel_name(arm, optimum_symbol(layout.axis, arm))
        rows += frames.optimum_rows(results, layout.axis, arm, METRICS)
        rows += frames.joint_optimum_rows(results, layout.axis, arm, METRICS)
        rows += frames.exponent_rows(results, layout.axis, arm, METRICS, layout.exponents, panel)
        rows += [
            frames.paper_row(panel, claim, words, layout.band) for claim, words in layout.paper
        ]
    return rows + frames.left_out_rows(results, layout.axis)
