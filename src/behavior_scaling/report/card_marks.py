"""How a data card draws: bars that lie, bins that double, their ticks, a key in one line."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from behavior_scaling.report import style
from behavior_scaling.report.text import compact, count

BLUE, ORANGE, GREEN = "#0173b2", "#de8f05", "#029e73"


def bars(
    axes: Axes,
    names: list[str],
    values: list[float],
    words: list[str],
    colours: list[str],
    whole: float | None = None,
) -> None:
    """Bars that lie, each under its name and before its value; `whole` is the axis' end."""
    places, height = [], 0.0
    for name in names:
        height += 1.0 if name else 0.5  # a nameless bar belongs to the one above it
        places.append(height)
    end = whole or max(values)
    axes.barh(places, values, 0.42, color=colours, lw=0, gid="bar")
    for place, name, value, word in zip(places, names, values, words, strict=True):
        axes.text(0.015 * end, place - 0.3, name, fontsize=6.2, va="bottom", color=style.INK)
        axes.text(value + 0.02 * end, place, word, fontsize=6.2, va="center", color=style.SOFT)
    axes.set_xlim(0, 1.75 * end)
    axes.set_ylim(height + 0.45, 0.15)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(NullLocator())


def histogram(axes: Axes, rows: pd.DataFrame) -> None:
    """Bins on a logarithmic axis, from x to x_end as high as y; x is above 0."""
    axes.set_xscale("log")
    axes.bar(
        rows["x"], rows["y"], rows["x_end"] - rows["x"], align="edge", color=BLUE, ec="white",
        lw=0.5, gid="bin",
    )  # fmt: skip
    axes.set_xlim(float(rows["x"].min()) / 1.15, float(rows["x_end"].max()) * 1.15)


def decades(axes: Axes) -> None:
    """Ticks at powers of ten on a logarithmic horizontal axis."""
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))


def doubling(axes: Axes) -> None:
    """Ticks at edges of bins that double, or at powers of ten where these say enough."""
    low, high = (math.log2(end) for end in axes.get_xlim())
    if high - low > 8.5:
        decades(axes)
        return
    step = max(1, math.ceil((high - low) / 6))
    shown = [2**power for power in range(math.ceil(low), math.floor(high) + 1, step)]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))


def count_axis(axes: Axes, label: str) -> None:
    """A few ticks and the label of a vertical axis of counts."""
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    axes.set_ylabel(label)


def key(axes: Axes, names: list[tuple[str, str]], height: float) -> None:
    """Names in their colours, in one line at a height of the panel."""
    place = 0.02
    for name, colour in names:
        axes.text(
            place, height, name, color=colour, fontsize=6.5, weight="bold", va="top",
            transform=axes.transAxes,
        )  # fmt: skip
        place += 0.039 * len(name) + 0.05


def note(axes: Axes, words: list[str]) -> None:
    """Words under a panel that has no ticks."""
    axes.text(0.02, -0.05, "; ".join(words), fontsize=6.2, va="top", transform=axes.transAxes)
