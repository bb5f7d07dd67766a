"""The two kinds of panel that the axis figures share: curves by budget, and optima over budgets.

Choices: every panel is drawn from rows of the tidy table (figures/frames.py) and holds nothing
else; hollow marks carry a warning (more than 4 epochs, or a control), a bar is a 95% interval,
statuses other than converged are words under the title (`lines`).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from behavior_scaling.report import style
from behavior_scaling.report.sheet import Cell, Line, Panel, Prose
from behavior_scaling.report.text import compact, floor_title, flops, percent

MANY_EPOCHS = 4  # repetition is nearly free below this (definitions: 'Laws')
METRIC_COLOURS = {"cross_entropy": "#0173b2", "recall@10": "#c8640a"}
FLOOR_DASHES = (0, (4, 2.5))
FLOOR_REACH = 0.5  # floors within half the height of the data are drawn


def draw_curves(axes: Axes, rows: pd.DataFrame, budgets: list[float], x_unit: str = "") -> None:
    """A metric against the axis' variable: runs, cells, fits, vertices, floors.

    Args:
        axes: an empty panel.
        rows: this panel's rows.
        budgets: all budgets of the figure, so that colours agree between panels.
        x_unit: 'share' labels the ticks in percent.
    """
    colours, markers = style.budget_colours(budgets), style.budget_markers(budgets)
    points = rows[rows["kind"].isin(["cell", "control"])]
    axes.set_xscale("log")
    zero = _zero_position(points)
    for budget in budgets:
        own = rows[rows["budget"] == budget]
        colour, marker = colours[budget], markers[budget]
        fit = own[own["kind"] == "fit"]
        axes.plot(fit["x"], fit["y"], color=colour, zorder=2, gid="fit")
        runs = own[own["kind"] == "run"]
        if len(runs) > len(own[own["kind"].isin(["cell", "control"])]):
            axes.plot(
                _shown(runs, zero),
                runs["y"],
                ".",
                color=colour,
                ms=2.5,
                alpha=0.6,
                zorder=2,
                gid="run",
            )
        cells = own[own["kind"] == "cell"]
        draw_marks(axes, cells, colour, marker)
        controls = own[own["kind"] == "control"]
        axes.plot(
            _shown(controls, zero), controls["y"], marker="*", ms=7, ls="none",
            mec=colour, mfc="white", mew=0.9, zorder=4, gid="control",
        )  # fmt: skip
        _vertex(axes, own[own["kind"] == "vertex"], colour)
        _joint(axes, own[own["kind"] == "joint"], colour)
    labels = draw_floors(axes, rows[rows["kind"] == "floor"])
    if points.empty:
        empty(axes, "no finished run")
    else:
        x_axis(axes, points["x"], zero, x_unit)
    for budget in budgets:
        own = points[points["budget"] == budget].sort_values("x")
        if len(own):
            labels.append((float(own["y"].iloc[-1]), f"C = {flops(budget)}", colours[budget]))
    style.margin_labels(axes, labels)


def draw_optima(
    axes: Axes, rows: pd.DataFrame, budgets: list[float], label: str, unit: str = ""
) -> None:
    """Identified optima against budget; hollow: the joint surface's; band: the paper's range."""
    axes.set_ylabel(label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    budget_axis(axes, budgets)  # before any mark: one lone budget gives autoscaling no width
    shown = [(kind, metric) for kind in ("optimum", "joint optimum") for metric in METRIC_COLOURS]
    found = rows[_drawn(rows)]
    shown = [pair for pair in shown if _of(found, *pair).any()]
    labels = []
    for index, (kind, metric) in enumerate(shown):
        own = found[_of(found, kind, metric)].sort_values("x")
        colour = METRIC_COLOURS[metric]
        # Side by side, so that intervals at one budget can be told apart.
        shifted = own["x"] * 1.10 ** (index - (len(shown) - 1) / 2)
        below, above = own["y"] - own["y_low"], own["y_high"] - own["y"]
        joint = kind == "joint optimum"
        axes.errorbar(
            shifted, own["y"], yerr=[below.fillna(0), above.fillna(0)],
            fmt="os"[list(METRIC_COLOURS).index(metric)], color=colour,
            mfc="white" if joint else colour, elinewidth=0.8 if joint else 1, capsize=2, ms=4.5,
            label="_", zorder=3,
        )  # fmt: skip
        labels.append((float(own["y"].iloc[-1]), str(own["label"].iloc[-1]), colour))
    bands = rows[(rows["kind"] == "paper") & rows["y_low"].notna() & rows["y_high"].notna()]
    for band in bands.to_dict("records"):
        axes.axhspan(band["y_low"], band["y_high"], color=style.ACCENT, alpha=0.13, lw=0, zorder=0)
    value_ticks(axes, unit)
    style.margin_labels(axes, labels)


def optima_cell(
    title: str, rows: pd.DataFrame, budgets: list[float], label: str, unit: str = ""
) -> Cell:
    """The panel of the optima, or its words alone where no optimum is identified."""
    if not _drawn(rows).any():
        return Prose(title, lines(rows))
    fill = partial(draw_optima, rows=rows, budgets=budgets, label=label, unit=unit)
    return Panel(title, fill, lines(rows))


def _drawn(rows: pd.DataFrame) -> pd.Series[bool]:
    return rows["kind"].isin(["optimum", "joint optimum"]) & (rows["status"] == "converged")


def _of(rows: pd.DataFrame, kind: str, metric: str) -> pd.Series[bool]:
    return (rows["kind"] == kind) & rows["metric"].str.endswith(f"/{metric}")


def budget_axis(axes: Axes, budgets: list[float]) -> None:
    """Ticks at the budgets that were run, on a logarithmic axis."""
    axes.set_xlim(min(budgets) / 1.6, max(budgets) * 1.6)
    shown = sorted(budgets)
    if len(shown) > 4:  # labels of intermediate budgets would collide
        whole = [budget for budget in shown if flops(budget).startswith("10")]
        shown = whole if len(whole) > 1 else shown[:: len(shown) // 2]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: flops(value)))
    axes.set_xlabel("compute C (FLOPs)")


def value_ticks(axes: Axes, unit: str = "") -> None:
    """Readable ticks on a logarithmic vertical axis, also when it spans less than a decade."""
    low, high = axes.get_ylim()
    decades = math.log10(high / low)
    subs = (
        (1.0,)
        if decades > 2.5
        else (1.0, 2.0, 5.0)
        if decades > 0.8
        else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    )
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=subs))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, unit)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def x_axis(axes: Axes, values: pd.Series[float], zero: float | None = None, unit: str = "") -> None:
    """Limits and readable ticks of a logarithmic axis; `zero` is where a 0 is drawn, if any."""
    positive = values[values > 0]
    low, high = float(positive.min()), float(positive.max())
    axes.set_xlim((low if zero is None else zero) / 1.25, high * 1.25)
    ticks = _x_ticks(low, high)
    axes.xaxis.set_major_locator(FixedLocator(ticks if zero is None else [zero, *ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: "0" if value == zero else _tick(value, unit))
    )


def draw_floors(axes: Axes, floors: pd.DataFrame) -> list[tuple[float, str, Any]]:
    """Draw floors near the data as lines; name farther ones at the edge that they lie beyond.

    A far floor would squeeze the data into a strip. Sets the panel's height, so everything else
    must have been drawn.

    Returns:
        Labels for `style.margin_labels`.
    """
    axes.margins(y=0.08)
    low, high = axes.get_ylim() if axes.lines else (-math.inf, math.inf)
    reach = FLOOR_REACH * (high - low)
    near = floors["y"].between(low - reach, high + reach)
    for value in floors["y"][near]:
        axes.axhline(value, color=style.SOFT, lw=0.8, ls=FLOOR_DASHES, zorder=1, gid="floor")
    bottom, top = axes.get_ylim()
    labels: list[tuple[float, str, Any]] = []
    for floor, drawn in zip(floors.to_dict("records"), near, strict=True):
        value, title = float(floor["y"]), floor_title(floor["label"])
        if drawn:
            labels.append((value, title, style.SOFT))
        else:
            edge, arrow = (top, "↑") if value > high else (bottom, "↓")
            short = title.removesuffix(" floor")
            labels.append((edge, f"{short} {value:.2g} {arrow}", style.SOFT))
    return labels


def draw_upright_floor(axes: Axes, value: float) -> None:
    """A floor of the metric along x, unless it is far. Everything else must have been drawn."""
    low, high = axes.get_xlim()
    if low - FLOOR_REACH * (high - low) <= value <= high + FLOOR_REACH * (high - low):
        axes.axvline(value, color=style.SOFT, lw=0.8, ls=FLOOR_DASHES, zorder=1, gid="floor")


def draw_marks(axes: Axes, cells: pd.DataFrame, colour: Any, marker: str) -> None:
    """A mark a cell: hollow where it saw its events more than four times."""
    many = cells["epochs"] > MANY_EPOCHS
    for part, face in ((cells[~many], colour), (cells[many], "white")):
        axes.plot(
            part["x"], part["y"], marker=marker, ls="none", mec=colour, mfc=face, mew=1.0,
            zorder=3, gid="cell",
        )  # fmt: skip


def lines(rows: pd.DataFrame) -> tuple[Line, ...]:
    """What a panel must say in words: why nothing is fitted, exponents, the paper's values."""
    notes = [(str(text), style.INK) for text in rows[rows["kind"] == "note"]["label"]]
    said = rows[rows["kind"].isin(["vertex", "flag"]) & (rows["label"] != "")]
    for label, own in said.groupby("label", sort=False):
        where = ", ".join(flops(budget) for budget in own["budget"])
        notes.append((f"C = {where}: {label}", style.INK))
    paper = [(str(text), style.ACCENT) for text in rows[rows["kind"] == "paper"]["label"]]
    return (*notes, *paper)


def empty(axes: Axes, why: str) -> None:
    """A panel without data says why."""
    for ticks in (axes.xaxis, axes.yaxis):
        ticks.set_major_locator(NullLocator())
        ticks.set_minor_locator(NullLocator())
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", color=style.SOFT)


def _vertex(axes: Axes, vertex: pd.DataFrame, colour: Any) -> None:
    known = vertex[vertex["x"].notna() & vertex["y"].notna() & (vertex["label"] == "")]
    for row in known.to_dict("records"):
        axes.plot([row["x_low"], row["x_high"]], [row["y"]] * 2, color=colour, lw=3.2, alpha=0.35,
                  solid_capstyle="butt", zorder=1.5, gid="interval")  # fmt: skip
        axes.plot(row["x"], row["y"], marker="|", ms=11, mew=1.8, color=colour, zorder=5,
                  gid="vertex")  # fmt: skip


def _joint(axes: Axes, joint: pd.DataFrame, colour: Any) -> None:
    """A plus with a thin interval: nothing else in these panels looks like it."""
    for row in joint[joint["x"].notna() & joint["y"].notna()].to_dict("records"):
        axes.plot([row["x_low"], row["x_high"]], [row["y"]] * 2, color=colour, lw=0.9, ls=":",
                  zorder=4, gid="joint interval")  # fmt: skip
        axes.plot(row["x"], row["y"], marker="+", ms=9, mew=1.3, color=colour, zorder=5,
                  gid="joint")  # fmt: skip


def _zero_position(points: pd.DataFrame) -> float | None:
    positive = points["x"][points["x"] > 0]
    has_zero = bool((points["x"] <= 0).any())
    return float(positive.min()) / 2.2 if has_zero and len(positive) else None


def _shown(points: pd.DataFrame, zero: float | None) -> pd.Series[float]:
    return points["x"] if zero is None else points["x"].where(points["x"] > 0, zero)


def _x_ticks(low: float, high: float) -> list[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    subs = (1.0, 3.0) if math.log10(high / low) > 1.7 else (1.0, 2.0, 5.0)
    ticks = [sub * 10.0**exponent for exponent in exponents for sub in subs]
    return [tick for tick in ticks if low / 1.25 <= tick <= high * 1.25]


def _tick(value: float, unit: str) -> str:
    if unit == "share":
        return percent(value)
    return compact(value)
