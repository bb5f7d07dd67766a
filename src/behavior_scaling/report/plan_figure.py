"""The figure of a plan: memory against the GPU's, hours by axis, repetition, where hours go.

Choices: drawn from the rows of the plan's CSV and nothing else; both memories of a run stand in
one panel, hollow with the batch whole on one GPU and filled as it is laid out, so that what made a
run fit can be seen; every time is of the stated model, which the figure says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from behavior_scaling.config import Study
from behavior_scaling.report import style, tidy
from behavior_scaling.report.figures import panels
from behavior_scaling.report.sheet import Panel, compose
from behavior_scaling.report.text import compact, flops
from behavior_scaling.sizes.gpus import GB, gpu_named
from behavior_scaling.sweep.study_plan import MANY_EPOCHS, PlannedRun, room
from behavior_scaling.sweep.study_rows import row

NAME = "plan"
AXES = {  # colour, marker
    "allocation": ("#0173b2", "o"),
    "share": ("#c8640a", "s"),
    "batch": ("#029e73", "D"),
    "negatives": ("#7a4fa3", "^"),
}
PARTS = {  # column, colour
    "training": ("hours_train", "#2f4b7c"),
    "probes": ("hours_probes", "#7fa7c9"),
    "evaluation": ("hours_evaluate", "#c8640a"),
    "start-up": ("hours_start", "#8f8f8f"),
}


def write_plan(study: Study, runs: Sequence[PlannedRun], out_dir: Path) -> list[Path]:
    """Write plan.csv and its figure (PDF, SVG, PNG); returns the paths.

    Args:
        study: the study, which names a GPU.
        runs: its planned runs.
        out_dir: made if absent.
    """
    table = tidy.round_significant(pd.DataFrame([row(run) for run in runs]))
    out_dir.mkdir(parents=True, exist_ok=True)
    with style.applied():
        paths = style.save(draw(table, study), out_dir / NAME)
    paths.append(out_dir / f"{NAME}.csv")
    tidy.write_csv(table, paths[-1])
    return paths


def draw(table: pd.DataFrame, study: Study) -> Figure:
    """The figure, from the rows of the plan."""
    gpu, limit = gpu_named(str(study.execution.gpu)), room(study) / GB
    own = table.assign(hours_start=table["hours"] - table[list(_TIMED)].sum(axis=1))
    modelled = (
        f"a model's: {study.execution.utilisation:.0%} of the peak, not measured",
        style.SOFT,
    )
    return compose(
        [
            [
                Panel(
                    f"Memory of one {gpu.name} at the peak",
                    lambda axes: _memory(axes, own, limit),
                    (("filled: as laid out, hollow: batch whole on one GPU", style.SOFT),),
                ),
                Panel("GPU-hours by axis", lambda axes: _hours(axes, own), (modelled,)),
            ],
            [
                Panel(
                    "How often each event is seen",
                    lambda axes: _epochs(axes, own),
                    ((f"every run of the study {study.name}", style.SOFT),),
                ),
                Panel("Where the hours go", lambda axes: _parts(axes, own), (modelled,)),
            ],
        ]
    )


_TIMED = ("hours_train", "hours_probes", "hours_evaluate")


def _memory(axes: Axes, table: pd.DataFrame, limit: float) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    changed = table[table["reason"] != "fits"]
    axes.plot(
        changed["n_total"], changed["memory_alone"] / GB, ls="none", marker="o", ms=3,
        mec=style.FAINT, mfc="none", mew=0.6, gid="alone",
    )  # fmt: skip
    labels = []
    for axis, (colour, marker) in AXES.items():
        rows = table[table["axis"] == axis]
        if rows.empty:
            continue
        memory = rows["memory_bytes"] / GB
        axes.plot(rows["n_total"], memory, ls="none", marker=marker, ms=3, color=colour, gid=axis)
        labels.append((float(memory.iloc[-1]), axis, colour))
    axes.axhline(limit, color=style.ACCENT, lw=1, ls=panels.FLOOR_DASHES, gid="limit")
    axes.margins(y=0.08)
    axes.set_xlim(table["n_total"].min() / 1.4, table["n_total"].max() * 1.4)
    axes.xaxis.set_major_locator(LogLocator(base=10))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    panels.value_ticks(axes)
    axes.set_xlabel("parameters N")
    axes.set_ylabel("GB")
    labels.append((limit, f"{limit:.0f} GB usable", style.ACCENT))
    style.margin_labels(axes, labels)


def _hours(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_yscale("log")
    labels = []
    for axis, (colour, marker) in AXES.items():
        hours = table[table["axis"] == axis].groupby("budget")["gpu_hours"].sum()
        if hours.empty:
            continue
        axes.plot(hours.index, hours, color=colour, marker=marker, ms=4, gid=axis)
        labels.append((float(hours.iloc[-1]), f"{axis} {_hour_text(hours.sum())}", colour))
    axes.set_xscale("log")
    _budget_axis(axes, table)
    panels.value_ticks(axes)
    axes.set_ylabel("GPU-hours")
    style.margin_labels(axes, labels)


def _epochs(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    labels = []
    shift = dict(zip(AXES, (0.82, 0.94, 1.07, 1.22), strict=True))  # side by side at a budget
    for axis, (colour, marker) in AXES.items():
        rows = table[table["axis"] == axis]
        if rows.empty:
            continue
        at = rows["budget"] * shift[axis]
        axes.plot(at, rows["epochs"], ls="none", marker=marker, ms=2.6, color=colour, gid=axis)
        last = rows[rows["budget"] == rows["budget"].max()]["epochs"]
        labels.append((float(last.median()), axis, colour))
    axes.axhline(MANY_EPOCHS, color=style.SOFT, lw=0.8, ls=panels.FLOOR_DASHES, gid="limit")
    axes.margins(y=0.08)
    _budget_axis(axes, table)
    panels.value_ticks(axes)
    axes.set_ylabel("epochs")
    labels.append((MANY_EPOCHS, f"{MANY_EPOCHS} epochs", style.SOFT))
    style.margin_labels(axes, labels)


def _parts(axes: Axes, table: pd.DataFrame) -> None:
    columns = [column for column, _ in PARTS.values()]
    weighted = table[columns].mul(table["devices"], axis=0).assign(budget=table["budget"])
    sums = weighted.groupby("budget")[columns].sum()
    shares = 100 * sums.div(sums.sum(axis=1), axis=0)
    places = range(len(shares))
    below = pd.Series(0.0, index=shares.index)
    labels = []
    for name, (column, colour) in PARTS.items():
        axes.bar(places, shares[column], bottom=below, width=0.8, color=colour, lw=0, gid=name)
        labels.append((float(below.iloc[-1] + shares[column].iloc[-1] / 2), name, colour))
        below = below + shares[column]
    axes.set_ylim(0, 100)
    axes.set_xlim(-0.6, len(shares) - 0.4)
    axes.xaxis.set_major_locator(FixedLocator(list(places)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: _tick(shares.index, int(at))))
    axes.set_xlabel("compute C (FLOPs)")
    axes.set_ylabel("% of GPU-hours")
    style.margin_labels(axes, labels)


def _tick(budgets: pd.Index[float], at: int) -> str:
    """Powers of ten alone, where half-decades would collide."""
    text = flops(float(budgets[at]))
    return text if len(budgets) <= 5 or text.startswith("10") else ""


def _budget_axis(axes: Axes, table: pd.DataFrame) -> None:
    panels.budget_axis(axes, sorted(table["budget"].unique()))
    axes.xaxis.set_minor_locator(NullLocator())


def _hour_text(hours: float) -> str:
    return f"{compact(round(hours)) if hours >= 10 else f'{hours:.1f}'} h"
