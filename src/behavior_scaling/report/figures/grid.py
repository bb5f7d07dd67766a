"""A table of words as a panel: columns at given widths, a bold head, colour where asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.axes import Axes

from behavior_scaling.report import style
from behavior_scaling.report.figures import marks
from behavior_scaling.report.sheet import Panel

ROW = 0.175  # inches a line
SIZE = 6.4


@dataclass(frozen=True)
class Cell:
    """Words, and how they look."""

    text: str
    colour: str = style.INK
    bold: bool = False


Rows = Sequence[Sequence[Cell | str]]


def table(
    title: str, head: Sequence[str], rows: Rows, widths: Sequence[float], note: str = ""
) -> Panel:
    """A panel with a table.

    Args:
        title: of the panel.
        head: names of the columns.
        rows: cells, as many in each as in the head.
        widths: of the columns, as shares of the panel's width.
        note: a line under the title.
    """
    fill = partial(_draw, head=head, rows=rows, widths=widths)
    lines = ((note, style.INK),) if note else ()
    return Panel(title, fill, lines, height=ROW * (len(rows) + 1.4), bare=True)


def _draw(axes: Axes, head: Sequence[str], rows: Rows, widths: Sequence[float]) -> None:
    marks.blank(axes)
    axes.set_ylim(len(rows) + 1.4, 0)
    lefts = [sum(widths[:column]) for column in range(len(widths))]
    for left, name in zip(lefts, head, strict=True):
        axes.text(left, 0.5, name, fontsize=SIZE, weight="bold", va="center", color=style.INK)
    axes.plot([0, sum(widths)], [1.0, 1.0], color=style.SOFT, lw=0.6)
    for line, row in enumerate(rows):
        for left, cell in zip(lefts, row, strict=True):
            one = cell if isinstance(cell, Cell) else Cell(cell)
            axes.text(
                left, line + 1.55, one.text, fontsize=SIZE, va="center", color=one.colour,
                weight="bold" if one.bold else "normal",
            )  # fmt: skip
