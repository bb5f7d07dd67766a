"""Tables as CSV (numbers) and Markdown (words): runs, optima, exponents, agreement, failures.

Choices: every table has a column of epochs, because a number from data seen twenty times means
something else than one from fresh data, and says which floor a model must beat (in the CSV by the
row's own metric and slice, under the Markdown by the headline metrics); every estimate stands with
interval and status; what is missing has a table of its own, so that it cannot be overlooked.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from behavior_scaling.laws.table import AXES, VARIATION
from behavior_scaling.report import calibration, tidy
from behavior_scaling.report.claims import claims_frame, claims_table, judge
from behavior_scaling.report.claims_file import load_claims
from behavior_scaling.report.figures.frames import run_name
from behavior_scaling.report.floors import SESSION_LOSS, SMALL, sentence
from behavior_scaling.report.inputs import CELL, Results, load_results
from behavior_scaling.report.names import TABLES
from behavior_scaling.report.tables_floors import floors_table
from behavior_scaling.report.tables_joint import epochs_of, flat, joint_tables
from behavior_scaling.report.tables_prediction import prediction_tables
from behavior_scaling.report.tables_truth import truth_table
from behavior_scaling.report.tables_worlds import WORLDS_NOTE, worlds_table
from behavior_scaling.report.text import (
    LOSS,
    RECALL,
    axis_title,
    count,
    estimate_text,
    flops,
    number,
    optimum_symbol,
    percent,
    short_metric,
)

Row = dict[str, Any]
Pair = tuple[Row, Row]  # the row with numbers, the row in words

FAILURE_COLUMNS = ("axis", "arm", "budget", "seed", "outcome", "error", "epochs", "id")


def make_tables(results_dir: Path, floors: Path | None = None) -> list[Path]:
    """Write tables/<name>.csv and .md for every name in names.TABLES; returns the paths.

    Args:
        results_dir: folder with runs.parquet and laws/.
        floors: what `behavior-scaling floors` wrote; None: the floors' table is empty and no other
            table names one.
    """
    results = load_results(results_dir, floors)
    shown = results.shown
    optima = optima_table(shown)
    pairs = {
        "runs": _by_study(results, runs_table),
        "optima": optima,
        "exponents": exponents_table(shown),
        "agreement": agreement_table(shown),
        "failures": _by_study(results, failures_table),
    } | {f"optima_{axis}": _headline(optima, axis) for axis in AXES}
    tables = {
        name: (pd.DataFrame([row for row, _ in found]), pd.DataFrame([words for _, words in found]))
        for name, found in pairs.items()
    }
    # Mostly empty: the header must say what would stand there.
    tables["failures"] = (
        tables["failures"][0].reindex(
            columns=[*(("study", "source") if results.parts else ()), *FAILURE_COLUMNS]
        ),
        tables["failures"][1],
    )
    judged = judge(results, load_claims())
    tables["claims"] = (claims_frame(judged), claims_table(judged))
    varied = epochs_of(results, VARIATION)
    tables |= (
        joint_tables(results)
        | prediction_tables(results)
        | {
            "floors": floors_table(results),
            "worlds": worlds_table(results),
            "truth": truth_table(results),
            "learning_rates": calibration.learning_rates(results.calibration, varied),
            "variations": calibration.variations(results.calibration, varied),
        }
    )
    to_beat = _notes(results)
    notes = {"claims": "", "failures": "", "truth": "", "floors": f"Small: {SMALL}."}
    notes |= {"worlds": WORLDS_NOTE}
    paths = []
    for name in TABLES:
        stem = results_dir / "tables" / name
        numbers = _with_source(results, _with_floors(results, tables[name][0]))
        tidy.write_csv(numbers, stem.with_suffix(".csv"))
        tidy.write_markdown(tables[name][1], stem.with_suffix(".md"), notes.get(name, to_beat))
        paths += [stem.with_suffix(".csv"), stem.with_suffix(".md")]
    return paths


def runs_table(results: Results) -> list[Pair]:
    """One row an axis, arm and budget: how many runs, of what size, on how much data."""
    pairs = []
    order = {axis: index for index, axis in enumerate((*AXES, VARIATION, "control"))}
    grouped = results.runs.groupby(["axis", "arm", "budget"])
    keys: list[Any] = sorted(grouped.groups, key=lambda key: (order[key[0]], *key))
    for axis, arm, budget in keys:
        rows = grouped.get_group((axis, arm, budget))
        outcome = rows["outcome"].value_counts()
        done = int(outcome.get("done", 0))
        other = {str(k): int(v) for k, v in outcome.items() if k != "done"}
        row = {
            "axis": axis, "arm": arm, "budget": budget, "runs": len(rows), "done": done,
            "not_done": len(rows) - done, "cells": len(rows[CELL].drop_duplicates()),
            "seeds": rows["seed"].nunique(),
        } | {
            f"{name}_{end}": getattr(rows[name], end)()
            for name in ("n_total", "share", "positions", "epochs") for end in ("min", "max")
        } | {"seconds": rows["seconds"].sum()}  # fmt: skip
        words = {
            "axis": axis_title(axis, arm),
            "C": flops(budget),
            "runs": count(len(rows)),
            "not done": ", ".join(f"{n} {k}" for k, n in other.items()) or "–",
            "cells × seeds": f"{row['cells']} × {row['seeds']}",
            "N": _range(rows["n_total"], count),
            "share": _range(rows["share"], percent),
            "D": _range(rows["positions"], count),
            "epochs": _range(rows["epochs"], number),
        }
        pairs.append((row, words))
    return pairs


def optima_table(results: Results) -> list[Pair]:
    """One row an axis, arm, metric and budget: the optimum, the value there, the status."""
    pairs = []
    for located in results.fits:
        fit = located.fit
        for index, curve in enumerate(fit.curves if fit.axis != "compute" else ()):
            rows = results.axis_runs(fit.axis, fit.arm)
            rows = rows[(rows["budget"] == curve.budget) & (rows["outcome"] == "done")]
            unit = "share" if fit.axis == "share" else ""
            place = {"axis": fit.axis, "arm": fit.arm, "metric": fit.metric}
            row: Row = place | {"budget": curve.budget, "runs": curve.runs, "cells": curve.cells}
            row |= flat("optimum", curve.optimum) | flat("best", curve.best)
            row |= {"epochs_min": rows["epochs"].min(), "epochs_max": rows["epochs"].max()}
            row |= {"noise": curve.noise, "flags": ", ".join(curve.flags), "form": fit.form}
            row |= {"file": located.origin.file, "key": f"{located.origin.key}.curves[{index}]"}
            derived = [
                f"{name.replace('_', ' ')} {estimate_text(value)}"
                for name, value in curve.derived.items()
                if value.status == "converged"
            ]
            words = {
                "axis": axis_title(fit.axis, fit.arm),
                "metric": short_metric(fit.metric),
                "C": flops(curve.budget),
                "optimum": f"{optimum_symbol(fit.axis, fit.arm)}: "
                + estimate_text(curve.optimum, unit),
                "value there": "–"
                if curve.best.value is None
                else estimate_text(curve.best, "metric"),
                "follows": "; ".join(derived) or "–",
                "epochs": _range(rows["epochs"], number),
                "flags": ", ".join(curve.flags) or "–",
            }
            pairs.append((row, words))
    return pairs


def exponents_table(results: Results) -> list[Pair]:
    """One row an exponent or a coefficient of the law over compute."""
    pairs = []
    for located in results.fits:
        fit = located.fit
        found = dict(fit.exponents)
        if fit.axis == "compute":
            found = dict(fit.curves[0].coefficients) if fit.curves else {}
        epochs = results.axis_runs("allocation" if fit.axis == "compute" else fit.axis)["epochs"]
        for name, value in found.items():
            row: Row = {"axis": fit.axis, "arm": fit.arm, "metric": fit.metric, "name": name}
            row |= flat("", value) | {"reason": value.reason}
            row |= {"epochs_min": epochs.min(), "epochs_max": epochs.max(), "form": fit.form}
            words = {
                "axis": axis_title(fit.axis, fit.arm),
                "metric": short_metric(fit.metric),
                "name": name.replace("_", " "),
                "value": estimate_text(value),
                "remark": value.reason or "–",
                "epochs": _range(epochs, number),
            }
            pairs.append((row, words))
    return pairs


def agreement_table(results: Results) -> list[Pair]:
    """One row a rank correlation of a loss with a ranking metric."""
    pairs = []
    for found in results.agreements:
        epochs = results.runs["epochs"]
        if found.budget is not None:
            runs = results.axis_runs(found.axis, found.arm)
            epochs = runs["epochs"][runs["budget"] == found.budget]
        row = {"axis": found.axis, "arm": found.arm, "budget": found.budget, "loss": found.loss}
        row |= {"metric": found.metric, "cells": found.cells, "p_value": found.p_value}
        row |= flat("", found.correlation) | {"reason": found.correlation.reason}
        row |= {"epochs_min": epochs.min(), "epochs_max": epochs.max()}
        words = {
            "axis": axis_title(found.axis, found.arm),
            "C": "all" if found.budget is None else flops(found.budget),
            "loss": short_metric(found.loss),
            "metric": short_metric(found.metric),
            "ρ (+1: lower loss ranks better)": estimate_text(found.correlation),
            "p": "–" if found.p_value is None else number(found.p_value),
            "cells": count(found.cells),
            "epochs": _range(epochs, number),
        }
        pairs.append((row, words))
    return pairs


def failures_table(results: Results) -> list[Pair]:
    """One row a run that is not done, by name, with its reason."""
    pairs = []
    failed = results.runs[results.runs["outcome"] != "done"]
    for run in failed.to_dict("records") if len(failed) else ():  # slow for no row, too
        axis = str(run["axis"])
        words = {
            "axis": axis_title(axis, str(run["arm"])),
            "run": run_name(axis, run),
            "outcome": run["outcome"],
            "reason": run["error"] or "–",
            "epochs": "–" if pd.isna(run["epochs"]) else number(run["epochs"]),
            "id": str(run["id"])[:12],
        }
        pairs.append(({name: run[name] for name in FAILURE_COLUMNS}, words))
    return pairs


def _with_floors(results: Results, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the floor to beat and its value, where rows are of a metric."""
    if "metric" not in frame.columns or not results.floors:
        return frame
    axes = frame["axis"] if "axis" in frame.columns else [""] * len(frame)
    floors = [
        results.for_axis(axis).floor_to_beat(metric) or ("", None)
        for axis, metric in zip(axes, frame["metric"].astype(str), strict=True)
    ]
    return frame.assign(
        floor=[name for name, _ in floors],
        floor_value=np.array([value for _, value in floors], dtype=float),
    )


def _by_study(results: Results, table: Callable[[Results], list[Pair]]) -> list[Pair]:
    """The rows of a study and of its parts, which then name their study."""
    if not results.parts:
        return table(results)
    return [
        ({"study": one.study, "source": one.source} | row, {"study": one.study} | words)
        for one in (results, *results.parts)
        for row, words in table(one)
    ]


def _with_source(results: Results, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the data of every row's axis, where a study has parts that may show it."""
    if not results.parts or "axis" not in frame.columns or "source" in frame.columns:
        return frame
    return frame.assign(source=[results.for_axis(axis).source for axis in frame["axis"]])


def _notes(results: Results) -> str:
    """Under a table: what a model must beat, and what data show an axis that are not the own."""
    metrics = (LOSS, RECALL, SESSION_LOSS)
    said = [sentence(results, metrics)]
    for axis in AXES:
        other = results.other_source(axis)
        if other:
            floors = sentence(results.for_axis(axis), metrics)
            said.append(f"Data of the axis {axis_title(axis)}: {other}. {floors}")
    return " ".join(text for text in said if text)


def _headline(optima: list[Pair], axis: str) -> list[Pair]:
    """One axis' optima by the metrics that the text speaks of."""
    shown = (LOSS, RECALL, SESSION_LOSS)
    pairs = [pair for pair in optima if pair[0]["axis"] == axis and pair[0]["metric"] in shown]
    return [(row, {k: v for k, v in words.items() if k != "follows"}) for row, words in pairs]


def _range(values: pd.Series[float], word: Any) -> str:
    known = values.dropna()
    if known.empty:
        return "–"
    low, high = word(known.min()), word(known.max())
    return low if low == high else f"{low} to {high}"
