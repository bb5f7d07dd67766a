"""A figure as rows of panels at fixed places in inches: the same panel size in every figure.

Choices: places are computed, not negotiated by a layout engine, so that a longer label moves
nothing and the same data always give the same picture; a row is as high as its longest subtitle
needs; a panel keeps room on its right for direct labels.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from behavior_scaling.report import style

WIDTH = 7.2  # inches: the text width of the paper
LEFT, RIGHT, BOTTOM, TOP = 0.62, 0.98, 0.44, 0.30  # around a panel: ticks, labels, title
GAP = 0.06  # under a row
LINE, TEXT_LINE = 0.118, 0.135  # inches a line of subtitle, of prose
CHARACTERS = 21.5  # of subtitle in an inch
TEXT_CHARACTERS = 19.5  # of prose in an inch

Line = tuple[str, str]  # text, colour


@dataclass(frozen=True)
class Panel:
    """A plot: title, small lines under it (statuses, reference values), and what draws it."""

    title: str
    draw: Callable[[Axes], None]
    lines: tuple[Line, ...] = ()
    height: float = 1.7  # inches of the plotting area
    bare: bool = False  # a table: no room for ticks and labels
    right: float = RIGHT  # inches on its right: less where no label stands there


@dataclass(frozen=True)
class Prose:
    """Words in the place of a plot."""

    heading: str
    paragraphs: tuple[Line, ...]


Cell = Panel | Prose


def compose(rows: Sequence[Sequence[Cell]]) -> Figure:
    """Lay out rows of one to three cells; the cells of a row share its width equally."""
    lines = [max(len(_wrapped(cell, WIDTH / len(row))) for cell in row) for row in rows]
    heights = [
        max(_height(cell, WIDTH / len(row), count) for cell in row)
        for row, count in zip(rows, lines, strict=True)
    ]
    total = sum(heights) + GAP * len(rows)
    figure = Figure(figsize=(WIDTH, total))
    FigureCanvasAgg(figure)
    top = total
    for row, height, count in zip(rows, heights, lines, strict=True):
        width = WIDTH / len(row)
        for column, cell in enumerate(row):
            if isinstance(cell, Panel):
                _add_panel(figure, cell, column * width, top, width, count)
            else:
                _add_prose(figure, cell, column * width, top, width)
        top -= height + GAP
    return figure


def _height(cell: Cell, width: float, lines: int) -> float:
    if isinstance(cell, Panel):
        bottom = 0 if cell.bare else BOTTOM
        return TOP + LINE * lines + cell.height + bottom
    return TOP + TEXT_LINE * len(_prose_lines(cell, width))


def _add_panel(
    figure: Figure, panel: Panel, left: float, top: float, width: float, lines: int
) -> None:
    height = figure.get_figheight()
    upper = top - TOP - LINE * lines  # plots of a row stand at one height
    before, after = (0.10, 0.05) if panel.bare else (LEFT, panel.right)
    axes = figure.add_axes(
        (
            (left + before) / WIDTH,
            (upper - panel.height) / height,
            (width - before - after) / WIDTH,
            panel.height / height,
        )
    )
    place: dict[str, Any] = {"x": (left + 0.10) / WIDTH, "ha": "left", "va": "baseline"}
    figure.text(
        y=(top - 0.19) / height, s=panel.title, fontsize=8.5, weight="bold", color=style.INK,
        **place,
    )  # fmt: skip
    for index, (text, colour) in enumerate(_wrapped(panel, width)):
        y = (top - 0.19 - 0.14 - LINE * index) / height
        figure.text(y=y, s=text, fontsize=6.4, color=colour, **place)
    panel.draw(axes)


def _add_prose(figure: Figure, prose: Prose, left: float, top: float, width: float) -> None:
    height = figure.get_figheight()
    place: dict[str, Any] = {"x": (left + 0.10) / WIDTH, "ha": "left", "va": "baseline"}
    figure.text(
        y=(top - 0.19) / height, s=prose.heading, fontsize=8.5, weight="bold", color=style.INK,
        **place,
    )  # fmt: skip
    for index, (text, colour) in enumerate(_prose_lines(prose, width)):
        y = (top - 0.19 - 0.03 - TEXT_LINE * (index + 1)) / height
        figure.text(y=y, s=text, fontsize=7, color=colour, **place)


def _wrapped(panel: Cell, width: float) -> list[Line]:
    if isinstance(panel, Prose):
        return []
    characters = int(CHARACTERS * (width - 0.2))
    return [
        (part, colour)
        for text, colour in panel.lines
        for part in textwrap.wrap(text, characters, subsequent_indent="  ")
    ]


def _prose_lines(prose: Prose, width: float) -> list[Line]:
    characters = int(TEXT_CHARACTERS * (width - 0.25))
    return [
        (part, colour)
        for text, colour in prose.paragraphs
        for part in textwrap.wrap(text, characters)
    ]
