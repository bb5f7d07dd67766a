"""The figure of a data card: nine panels, each drawn from its rows of the tidy table.

Choices: bins double, so that one axis holds a single event and a million; gaps of 0, which would
hide all others, are said in words; so is a panel of which nothing is known.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
)  # fmt: skip

from behavior_scaling.data.card import TOP, CardFacts
from behavior_scaling.report import card_marks as marks
from behavior_scaling.report import style
from behavior_scaling.report.card_marks import BLUE, GREEN, ORANGE
from behavior_scaling.report.figures.panels import empty
from behavior_scaling.report.sheet import Panel, Prose, compose
from behavior_scaling.report.text import compact, count, percent

COLOURS = {
    "train": BLUE, "context": style.FAINT, "validation": ORANGE, "test": GREEN,
    "item": BLUE, "event": GREEN,
}  # fmt: skip
SLICE_NAMES = {
    "session_start": "open a session",
    "unseen_user": "have a user without train events",
    "cold_item": "have an item without train events",
    "popular_tail": "have an item of the rarer half",
}
MOST_BARS = 6  # of columns with missing values
TIMES = {  # ticks; where room is short, the first
    86400: "1 d", 60: "1 min", 3600: "1 h", 365 * 86400: "1 y", 1: "1 s",
    30 * 86400: "30 d", 3650 * 86400: "10 y",
}  # fmt: skip
READING = (
    "Popularity and entropy are of train events; lengths, sessions, gaps and repeats of all. A "
    "transition is an event that another of the same user precedes; a target is such an event of "
    "an evaluation split. Bins double: 1, 2–3, 4–7, 8–15 and so on."
)
HEIGHT = 1.4

Fill = Callable[..., None]  # of the axes and its rows


def draw(facts: CardFacts, table: pd.DataFrame) -> Figure:
    """The figure of a card's tidy table (card_rows.card_rows)."""

    def panel(key: str, title: str, fill: Fill, *words: str) -> Panel:
        rows = table[table["panel"] == key]
        lines = tuple((text, style.INK) for text in words)
        return Panel(title, partial(fill, rows=rows), lines, height=HEIGHT, right=0.16)

    lengths, top = facts.lengths, facts.popularity
    inside = "" if facts.inside is None else f"{percent(facts.inside)} of transitions inside one"
    pause = "" if facts.zero_gaps is None else f"{percent(facts.zero_gaps)} are 0 s, not drawn"
    return compose(
        [
            [
                panel(
                    "events", "Events over time", partial(_events, unit=facts.timeline.unit),
                    f"{count(facts.counts.events)} events"
                    + ("" if facts.t1 is None else "; dashed: t1, where train ends"),
                ),
                panel(
                    "lengths", "Sequence lengths", partial(_bins, what="events of a user"),
                    f"median {count(lengths.quantiles['0.5'])}, longest "
                    f"{count(lengths.greatest or 0)}; dashed: L = {facts.settings['context']}",
                ),
                panel(
                    "popularity", "Popularity of items", _popularity,
                    f"top {TOP:.0%}: {percent(top.top_share)} of train events; "
                    f"Gini {top.gini:.2f}",
                ),
            ],
            [
                panel("entropy", "Entropy and floors", _entropy, "nats per event · perplexity"),
                panel(
                    "sessions", "Session lengths", partial(_bins, what="events of a session"),
                    f"{count(facts.sessions.n)} sessions; {inside}",
                ),
                panel("gaps", "Time gaps", _gaps, pause),
            ],
            [
                panel("repeats", "Repeats", _repeats, "an item that the user had before"),
                panel("targets", "Evaluation targets", _targets, "share of targets that …"),
                panel("missing", "Missing features", _missing, "share without a value"),
            ],
            [Prose("How to read", ((READING, style.INK),))],
        ]
    )  # fmt: skip


def _absent(axes: Axes, rows: pd.DataFrame) -> bool:
    """Say what is absent; whether that is all there is."""
    absent = rows[rows["series"] == "absent"]
    if len(absent) == len(rows):
        empty(axes, "\n".join(textwrap.fill(label, 24) for label in absent["label"]))
        return True
    return False


def _events(axes: Axes, rows: pd.DataFrame, unit: str) -> None:
    bottom: dict[float, float] = {}
    named = []
    for split in ("train", "context", "validation", "test"):
        own = rows[rows["series"] == split]
        if own.empty:
            continue
        named.append(split)
        base = [bottom.get(x, 0.0) for x in own["x"]]
        axes.bar(
            own["x"] / 86400, own["y"], (own["x_end"] - own["x"]) / 86400, base, align="edge",
            color=COLOURS[split], lw=0, gid=split,
        )  # fmt: skip
        for x, y in zip(own["x"], own["y"], strict=True):
            bottom[x] = bottom.get(x, 0.0) + y
    for x in rows[rows["series"] == "t1"]["x"]:
        axes.axvline(x / 86400, 0, 0.85, color=style.INK, lw=0.8, ls=(0, (3, 2)), gid="t1")
    axes.margins(x=0.01)
    axes.set_ylim(0, 1.22 * max(bottom.values()))
    marks.key(axes, [(split, COLOURS[split]) for split in named], 0.97)
    locator = cast(Any, AutoDateLocator)(minticks=2, maxticks=4)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(cast(Any, ConciseDateFormatter)(locator, show_offset=False))
    marks.count_axis(axes, f"events per {unit}")
    axes.set_xlabel("time (UTC)")


def _bins(axes: Axes, rows: pd.DataFrame, what: str) -> None:
    if _absent(axes, rows):
        return
    marks.histogram(axes, rows[rows["series"] == "bins"])
    for x in rows[rows["series"] == "context"]["x"]:
        axes.axvline(x, color=style.INK, lw=0.8, ls=(0, (3, 2)), gid="context")
    marks.doubling(axes)
    marks.count_axis(axes, what.split()[-1] + "s")
    axes.set_xlabel(what)


def _gaps(axes: Axes, rows: pd.DataFrame) -> None:
    if _absent(axes, rows):
        return
    positive = rows[rows["x"] > 0]
    if positive.empty:
        empty(axes, "no transition takes time")
        return
    marks.histogram(axes, positive)
    low, high = axes.get_xlim()
    shown: list[float] = []
    for tick in TIMES:
        near = (abs(math.log(tick / other)) < 0.14 * math.log(high / low) for other in shown)
        if low <= tick <= high and not any(near):
            shown.append(tick)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: TIMES[value]))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))
    axes.set_ylabel("transitions")
    axes.set_xlabel("time since the event before")


def _popularity(axes: Axes, rows: pd.DataFrame) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.plot(rows["x"], rows["y"], color=BLUE, marker=".", ms=2.5, lw=1.2, gid="items")
    axes.set_ylim(bottom=0.7)
    marks.decades(axes)
    axes.yaxis.set_major_locator(LogLocator(numticks=5))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    axes.set_xlabel("rank of the item")
    axes.set_ylabel("train events of the item")


def _entropy(axes: Axes, rows: pd.DataFrame) -> None:
    colours = {"uniform": style.FAINT, "train": BLUE, "validation": ORANGE}
    own = rows[rows["series"] != "absent"]
    words = [f"{y:.2f} · {compact(float(f'{math.exp(y):.2g}'))}" for y in own["y"]]
    shown = [colours[series] for series in own["series"]]
    marks.bars(axes, list(own["label"]), list(own["y"]), words, shown)
    marks.note(axes, list(rows[rows["series"] == "absent"]["label"]))


def _repeats(axes: Axes, rows: pd.DataFrame) -> None:
    if _absent(axes, rows):
        return
    own, ever = rows[rows["series"] == "within"], rows[rows["series"] == "ever"]
    share = float(ever["y"].iloc[0])
    if not share:
        empty(axes, "no user has an item twice")
        return
    axes.set_xscale("log")
    axes.plot(own["x"], own["y"], color=BLUE, marker="o", ms=3, gid="within")
    axes.axhline(share, color=style.INK, lw=0.8, ls=(0, (3, 2)), gid="ever")
    axes.set_ylim(0, 1.18 * share)
    axes.text(1, share * 1.03, f"ever: {percent(share)}", fontsize=6.5, va="bottom")
    marks.decades(axes)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))
    axes.set_xlabel("among the user's last k events, k")
    axes.set_ylabel("transitions")


def _targets(axes: Axes, rows: pd.DataFrame) -> None:
    if _absent(axes, rows):
        return
    own = rows[rows["series"] != "absent"].sort_values(
        "label", key=lambda labels: labels.map(list(SLICE_NAMES).index), kind="stable"
    )
    halves = list(own["series"].unique())
    names = [
        SLICE_NAMES[label] if half == halves[0] else ""
        for half, label in zip(own["series"], own["label"], strict=True)
    ]
    words = [
        f"{percent(y)}, {count(users)} users"
        for y, users in zip(own["y"], own["users"], strict=True)
    ]
    marks.bars(axes, names, list(own["y"]), words, [COLOURS[half] for half in own["series"]], 1.0)
    marks.key(axes, [(half, COLOURS[half]) for half in halves], -0.04)


def _missing(axes: Axes, rows: pd.DataFrame) -> None:
    if _absent(axes, rows):
        return
    own = rows[rows["series"] != "absent"]
    shown = own.sort_values("y", ascending=False, kind="stable").head(MOST_BARS)
    kinds = list(shown["series"])
    names = [f"{label} ({kind})" for label, kind in zip(shown["label"], kinds, strict=True)]
    colours = [COLOURS[kind] for kind in kinds]
    words = [percent(y) for y in shown["y"]]
    marks.bars(axes, names, list(shown["y"]), words, colours, 1.0)
    notes = list(rows[rows["series"] == "absent"]["label"])
    if len(own) > len(shown):
        notes.append(f"{len(own) - len(shown)} columns with less are not drawn")
    marks.note(axes, notes)
