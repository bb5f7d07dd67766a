"""The floors and the best run of the study by slice: where the model has learnt more than counts.

Choices: one row of panels a split, loss and recall@10 side by side; the model is one run, the same
in every slice (report/floors.py); a hollow mark is a model that the best floor of that slice is
level with or ahead of; slices too small for a law are pale.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from behavior_scaling.report import style, tidy
from behavior_scaling.report.figures import axis, frames, marks
from behavior_scaling.report.floors import SMALL, Slice, best_run, slices
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.sheet import Cell, Panel, Prose, compose
from behavior_scaling.report.text import FLOORS, compact, count, metric_label, slice_title

TITLE = "What rules without training reach, and the best run, by slice"
BEST = "best run"
COLOURS = ("#8a6d00", "#029e73", "#222222", "#d55e00", "#cc78bc")
SERIES = (
    *(marks.Series(name, colour, marker)
      for name, colour, marker in zip(FLOORS.values(), COLOURS, "v^sD*", strict=True)),
    marks.Series(BEST, "#0173b2", "o"),
)  # fmt: skip
PALE = 0.35
READING = (
    "Every mark is scored on the positions of its slice, ties as expectations. Best run: the "
    "finished run of the study with the lowest validation loss, the same in every panel; hollow "
    "where the best floor is not beaten. Rules that state no probabilities have no loss. On the "
    f"right: positions and users. Pale: {SMALL}."
)


def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws."""
    parts = slices(results)
    rows = [row for part in parts for metric in axis.METRICS for row in _rows(part, metric)]
    if best_run(results) is None:
        rows.append({"panel": "", "kind": "note", "label": "No run finished."})
    table = tidy.round_significant(
        frames.frame(rows, ("n_positions", "n_users", "small"), ("slice",))
    )
    sheet: list[list[Cell]] = [
        [Panel(TITLE, partial(marks.draw_key, series=_shown(table)), height=0.16, bare=True)]
    ]
    for split in results.floors:
        own = table[table["panel"] == split]
        sheet.append([_cell(own, split, metric) for metric in axis.METRICS])
    if not parts:
        sheet.append([Prose("Floors", (("No floor was measured.", style.INK),))])
    said = [str(text) for text in table[table["kind"] == "note"]["label"]]
    words = tuple((text, style.INK) for text in (READING, *said))
    return compose([*sheet, [Prose("How to read", words)]]), table


def _shown(table: pd.DataFrame) -> tuple[marks.Series, ...]:
    """The series that some row has; only a synthetic world has an oracle."""
    names = {FLOORS.get(label, label) for label in table["label"].dropna()}
    return tuple(one for one in SERIES if one.name in names)


def _rows(part: Slice, metric: str) -> list[frames.Row]:
    name = metric.split("/")[-1]
    base = {"panel": part.split, "metric": name, "slice": part.name, "small": float(part.small)}
    rows: list[frames.Row] = []
    for rule, values in part.rules.items():
        counts = {"n_positions": values.get("n_positions"), "n_users": values.get("n_users")}
        rows.append(base | {"kind": "floor", "label": rule, "x": values.get(name)} | counts)
    if name in part.best:
        status = "behind" if name in part.behind else "beats"
        counts = {"n_positions": part.positions, "n_users": part.users}
        rows.append(base | {"kind": "best", "label": BEST, "status": status} | counts
                    | {"x": part.best[name]})  # fmt: skip
    return rows


def _cell(rows: pd.DataFrame, split: str, metric: str) -> Panel:
    own = rows[rows["metric"] == metric.split("/")[-1]]
    title = f"{axis.metric_title(metric)}, {split}"
    return Panel(title, partial(_draw, rows=own, metric=metric), height=2.2)


def _draw(axes: Axes, rows: pd.DataFrame, metric: str) -> None:
    names = list(dict.fromkeys(rows["slice"]))
    labels = []
    for place, name in enumerate(names):
        own = rows[rows["slice"] == name]
        pale = bool(own["small"].iloc[0])
        axes.axhline(place, color=style.FAINT, lw=0.4, zorder=1)
        for row in own[own["x"].notna()].to_dict("records"):
            series = SERIES[-1] if row["kind"] == "best" else _series(row["label"])
            hollow = row["status"] == "behind"
            axes.plot(
                row["x"], place, series.marker, ms=6 if row["kind"] == "best" else 4.2,
                mec=series.colour, mfc="white" if hollow else series.colour, mew=1.1,
                alpha=PALE if pale else 1, zorder=4 if row["kind"] == "best" else 3,
                gid=row["kind"],
            )  # fmt: skip
        positions, users = (_size(own[name].max()) for name in ("n_positions", "n_users"))
        size = f"{positions}, {users} users"
        labels.append((float(place), size, style.FAINT if pale else style.SOFT))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.yaxis.set_major_locator(FixedLocator(list(range(len(names)))))
    titles = [slice_title(name).replace(" ", "\n", 1) for name in names]
    axes.yaxis.set_major_formatter(FuncFormatter(lambda _, at: titles[at or 0]))
    axes.tick_params(axis="y", labelsize=6.2, length=0)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.margins(x=0.06)
    axes.set_xlabel(metric_label(metric).split(" ", 1)[1])
    style.margin_labels(axes, labels)


def _size(value: float) -> str:
    """A count that fits beside a panel."""
    return compact(float(f"{value:.3g}")) if value >= 1e5 else count(value)


def _series(rule: str) -> marks.Series:
    return next(one for one in SERIES if one.name == FLOORS.get(rule, rule))
