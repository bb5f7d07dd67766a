"""The one style of every figure, and how figures are written.

Choices: fonts that come with matplotlib, a sequential colour-blind-safe palette in which a larger
budget is darker (and has its own marker, so that colour is never the only key), labels beside the
data instead of legends; files carry no date and a fixed hash salt, so that a second drawing gives
the same bytes. Figures are made without pyplot: no state is shared between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from behavior_scaling.files import replacing

DPI = 200
FORMATS = ("pdf", "svg", "png")
INK, SOFT, FAINT = "#222222", "#666666", "#b8b8b8"
ACCENT = "#b2457c"  # what the paper reports: a hue that the palette does not use
MARKERS = ("o", "s", "D", "^", "v", "P", "X")

_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.color": "#ececec",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.width": 0.4,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "mathtext.fontset": "dejavusans",
    "svg.fonttype": "path",
    "svg.hashsalt": "behavior-scaling",
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "path.simplify": False,
}
_METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "ModDate": None},
    "svg": {"Date": None},
    "png": {},
}


@contextmanager
def applied() -> Iterator[None]:
    """The style, for drawing and for saving alike; a user's own matplotlibrc has no say."""
    with mpl.rc_context():
        mpl.rcdefaults()
        cast(Any, mpl.rcParams).update({**sns.axes_style("ticks"), **_RC})
        yield


def budget_colours(budgets: Sequence[float]) -> dict[float, tuple[float, float, float]]:
    """A colour for each budget: larger is darker."""
    ordered = sorted(set(budgets))
    palette = sns.color_palette("viridis", n_colors=100)
    last = max(1, len(ordered) - 1)
    return {
        budget: palette[round(68 - 66 * position / last)] for position, budget in enumerate(ordered)
    }


def budget_markers(budgets: Sequence[float]) -> dict[float, str]:
    """A marker for each budget, so that the figure can be read without colour."""
    ordered = sorted(set(budgets))
    return {budget: MARKERS[index % len(MARKERS)] for index, budget in enumerate(ordered)}


def encode(figure: Figure, kind: str) -> bytes:
    """The figure's bytes in one format (pdf, svg or png)."""
    buffer = BytesIO()
    with applied():
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=_METADATA[kind])
    return buffer.getvalue()


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write stem.pdf, stem.svg and stem.png, each whole or not at all; returns the paths."""
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in FORMATS]
    for path, kind in zip(paths, FORMATS, strict=True):
        data = encode(figure, kind)
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    return paths


def margin_labels(axes: Axes, labels: list[tuple[float, str, Any]], gap: float = 0.068) -> None:
    """Write labels in the right margin at their heights, moved apart where they would collide.

    Args:
        axes: panel whose limits are final.
        labels: (height in data units, text, colour).
        gap: smallest distance between two labels, as a share of the panel's height.
    """
    low, high = axes.get_ylim()
    transform = axes.transData.transform
    bottom, top = transform((axes.get_xlim()[0], low))[1], transform((axes.get_xlim()[0], high))[1]
    placed = sorted(
        ((transform((axes.get_xlim()[0], y))[1] - bottom) / (top - bottom), text, colour)
        for y, text, colour in labels
    )
    for (height, text, colour), moved in zip(
        placed, spread([height for height, _, _ in placed], gap), strict=True
    ):
        axes.annotate(
            text,
            xy=(1.0, height),
            xytext=(1.03, moved),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=colour,
            fontsize=6.5,
            va="center",
            ha="left",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkA": 0, "shrinkB": 0},
        )


def spread(heights: list[float], gap: float) -> list[float]:
    """Move ascending heights apart to at least `gap`, each group staying around its centre."""
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _bounds(groups[-2], gap)[1] + gap > _bounds(groups[-1], gap)[0]:
            last = groups.pop()
            groups[-1].extend(last)
    return [_bounds(group, gap)[0] + gap * k for group in groups for k in range(len(group))]


def _bounds(group: list[float], gap: float) -> tuple[float, float]:
    centre, half = sum(group) / len(group), gap * (len(group) - 1) / 2
    return centre - half, centre + half
