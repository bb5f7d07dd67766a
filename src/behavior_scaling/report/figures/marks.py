"""Estimates as marks that show their status: the same signs in every figure that compares series.

Choices: a full mark with a bar is a value with its 95% interval; a hollow mark with an arrow is a
value at the end of what was run, the arrow pointing to where it may lie; a bar with an arrow and no
mark is a bound alone; a cross in the grey strip below the data means that nothing is identified.
Series stand side by side within a budget, at places computed from the budgets' own spacing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.ticker import NullLocator

from behavior_scaling.laws.results import Estimate
from behavior_scaling.report import style
from behavior_scaling.report.figures import frames
from behavior_scaling.report.sheet import Line
from behavior_scaling.report.text import flops, join

STRIP = 0.13  # of the panel's height, for what is not identified
ARROW = 13.0  # points
SIGNS = (
    "Full mark: value with its 95% interval. Hollow mark: at the end of what was run; the arrow "
    "points to where it may lie. Bar with an arrow and no mark: a bound alone. Cross in the grey "
    "strip: not identified; why stands above the panel."
)


@dataclass(frozen=True)
class Series:
    """One way to an estimate: its name, colour and marker."""

    name: str
    colour: str
    marker: str


def estimate_row(panel: str, series: str, x: float, estimate: Estimate) -> frames.Row:
    """A row of the tidy table for one estimate; `reason` needs its column in the frame."""
    return {
        "panel": panel, "kind": "estimate", "label": series, "x": x, "y": estimate.value,
        "y_low": estimate.low, "y_high": estimate.high, "status": estimate.status,
        "reason": estimate.reason,
    }  # fmt: skip


def says_something(rows: pd.DataFrame) -> bool:
    """Whether any estimate has a value or a bound to be drawn."""
    own = rows[rows["kind"] == "estimate"]
    return bool(own[["y", "y_low", "y_high"]].notna().to_numpy().any())


def draw_series(axes: Axes, rows: pd.DataFrame, series: Sequence[Series]) -> None:
    """Estimates over a logarithmic x, one place for each series, and the strip below them."""
    axes.set_yscale("log")
    own = rows[rows["kind"] == "estimate"]
    step = dodge(list(own["x"].unique()), len(series))
    crosses: list[tuple[float, str]] = []
    for index, one in enumerate(series):
        shift = step ** (index - (len(series) - 1) / 2)
        for row in own[own["label"] == one.name].to_dict("records"):
            if not draw_estimate(axes, row["x"] * shift, row, one):
                crosses.append((row["x"] * shift, one.colour))
    strip(axes, crosses)


def dodge(places: list[float], count: int) -> float:
    """The factor between neighbouring series, so that groups at different x stay apart."""
    logs = sorted(math.log(x) for x in places)
    gap = min((b - a for a, b in pairwise(logs)), default=math.log(3))
    return math.exp(0.72 * gap / max(count, 2))


def draw_estimate(axes: Axes, x: float, row: dict[Any, Any], look: Series) -> bool:
    """Draw one estimate; False where nothing can be drawn because nothing is identified."""
    value, low, high = (
        None if row[name] is None or math.isnan(row[name]) else float(row[name])
        for name in ("y", "y_low", "y_high")
    )
    known = [v for v in (low, value, high) if v is not None]
    if not known:
        return False
    bar: dict[str, Any] = {"color": look.colour, "lw": 1.0, "zorder": 3}
    if len(known) > 1:
        axes.plot([x, x], [known[0], known[-1]], solid_capstyle="butt", gid="interval", **bar)
    for end in (low, high):
        if end is not None and end != value:
            axes.plot(x, end, marker="_", ms=4, mew=1.0, gid="end", **bar)
    full = row["status"] == "converged"
    if value is not None:
        axes.plot(
            x, value, marker=look.marker, ms=4.5, mec=look.colour, mew=1.0, ls="none", zorder=4,
            mfc=look.colour if full else "white", gid="value" if full else "bounded",
        )  # fmt: skip
    if not full and (low is None) != (high is None):
        start, sign = (known[-1], 1) if high is None else (known[0], -1)
        arrow(axes, x, start, sign, look.colour)
    return True


def arrow(axes: Axes, x: float, y: float, sign: int, colour: str) -> None:
    """A half-line from a bound, of the same length in every panel."""
    axes.annotate(
        "", xy=(x, y), xytext=(0, sign * ARROW), textcoords="offset points", zorder=3,
        arrowprops={"arrowstyle": "<|-,head_width=0.18,head_length=0.35", "color": colour,
                    "lw": 1.0, "shrinkA": 0, "shrinkB": 0, "gid": "arrow"},
    )  # fmt: skip


def strip(axes: Axes, crosses: list[tuple[float, str]]) -> None:
    """Room for arrows around the data and, if anything is not identified, the strip below."""
    log = axes.get_yscale() == "log"
    pointed = any(isinstance(text, Annotation) for text in axes.texts)
    axes.margins(y=0.32 if pointed else 0.12)  # an arrow is as long in a low panel as in a high one
    low, high = axes.get_ylim()
    if not crosses:
        return
    a, b = (math.log(low), math.log(high)) if log else (low, high)
    lower, middle = a - STRIP * (b - a), a - STRIP / 2 * (b - a)
    ends = [math.exp(v) if log else v for v in (lower, middle)]
    axes.axhspan(ends[0], low, color="#f1f1f1", lw=0, zorder=0, gid="strip")
    for x, colour in crosses:
        axes.plot(x, ends[1], marker="x", ms=3.6, mew=1.0, color=colour, zorder=3, gid="missing")
    axes.set_ylim(ends[0], high)


def reasons(
    rows: pd.DataFrame, series: Sequence[Series], groups: dict[str, list[str]]
) -> list[Line]:
    """Why estimates are not plain values: one line for each status and group of series.

    Args:
        rows: of one panel; the first clause of the first budget's reason is said, all stand in
            the tables.
        series: their order.
        groups: a common name for several series that say the same.
    """
    own = rows[(rows["kind"] == "estimate") & (rows["status"] != "converged")]
    same: dict[tuple[str, tuple[float, ...], str], list[str]] = {}
    for (status, label), part in own.groupby(["status", "label"], sort=False):
        part = part.sort_values("x")
        clauses = [str(reason).split(";")[0] for reason in part["reason"]]
        first = clauses[0]
        if len(set(clauses)) > 1:
            first = f"at {flops(float(part['x'].iloc[0]))}: {first}"
        places = tuple(sorted(float(x) for x in part["x"].unique()))
        same.setdefault((str(status), places, first), []).append(str(label))
    order = [one.name for one in series]
    return [
        (
            f"{status}: {_grouped(sorted(names, key=order.index), groups)} at C = "
            f"{join([flops(c) for c in places])}" + (f" ({first})" if first else ""),
            style.INK,
        )
        for (status, places, first), names in same.items()
    ]


def _grouped(names: list[str], groups: dict[str, list[str]]) -> str:
    for name, members in groups.items():
        if set(members) <= set(names):
            names = [name, *(other for other in names if other not in members)]
    return join(names)


def draw_key(axes: Axes, series: Sequence[Series]) -> None:
    """The series' marks with their names, in one line."""
    blank(axes)
    place = 0.0
    for one in series:
        axes.plot(place + 0.008, 0.5, marker=one.marker, color=one.colour, ms=5, ls="none")
        axes.text(place + 0.022, 0.5, one.name, fontsize=7, va="center", color=style.INK)
        place += 0.05 + 0.0082 * len(one.name)


def blank(axes: Axes) -> None:
    """A panel for words: a unit square without ticks, grid or frame."""
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    for locator in (axes.xaxis, axes.yaxis):
        locator.set_major_locator(NullLocator())
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
