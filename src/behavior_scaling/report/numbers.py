"""numbers.json: every number that paper, README and report print, with its origin.

Choices: a number is a raw value, the string that is printed, and the file and key it was read
from, so that a sentence can be followed back to a record.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from behavior_scaling.config import load_study
from behavior_scaling.files import write_text
from behavior_scaling.laws.table import AXES
from behavior_scaling.layout import Layout
from behavior_scaling.report.figures.frames import run_name
from behavior_scaling.report.inputs import Results, cells, load_results
from behavior_scaling.report.number import HEADLINE, Numbers, entry, slug
from behavior_scaling.report.numbers_joint import joint_numbers
from behavior_scaling.report.numbers_laws import (
    agreement_numbers,
    claim_numbers,
    fit_numbers,
    summary_numbers,
)
from behavior_scaling.report.numbers_parts import part_numbers
from behavior_scaling.report.numbers_prediction import prediction_numbers
from behavior_scaling.report.numbers_settings import (
    cost_numbers,
    settings_numbers,
    source_numbers,
)
from behavior_scaling.report.text import (
    FLOORS,
    LOSS,
    RECALL,
    count,
    flops,
    listing,
    number,
    short_metric,
    three_decimals,
)

RUNS = "runs.parquet"


def make_numbers(results_dir: Path, floors: Path, config: Path) -> Path:
    """Write numbers.json; returns its path.

    Args:
        results_dir: folder with runs.parquet, laws/ and claims.json.
        floors: what `behavior-scaling floors` wrote.
        config: the study file: texts state its settings.
    """
    study = load_study(config)
    results = load_results(results_dir, floors)
    file = f"config/{config.name}"
    numbers = (
        collect(results, floors.name)
        | settings_numbers(study, file)
        | source_numbers(results, study.data, file)
        | cost_numbers(results, Layout(results_dir.parent, study).archive)
    )
    path = results_dir / "numbers.json"
    text = json.dumps({"numbers": numbers}, indent=1, sort_keys=True, ensure_ascii=False)
    write_text(path, text + "\n")
    return path


def collect(results: Results, floors_file: str) -> Numbers:
    """The numbers of a study's results, by key."""
    numbers: Numbers = {}
    for part in (
        _study, _runs, _best, fit_numbers, summary_numbers, agreement_numbers, claim_numbers,
        joint_numbers, part_numbers, prediction_numbers,
    ):  # fmt: skip
        numbers |= part(results)
    return numbers | _floors(results, floors_file)


def _study(results: Results) -> Numbers:
    runs = results.runs
    source = str(runs["source"].iloc[0])
    entries = {
        "study.name": entry(results.study, results.study, RUNS, "study"),
        "study.source": entry(source, source, RUNS, "source"),
    }
    columns = {"items": "n_items", "unique_positions": "unique_positions"}
    for name, column in (columns | {"context": "context", "tokens": "tokens"}).items():
        value = runs[column].max()
        text = "unknown" if value != value else count(value)
        entries[f"data.{name}"] = entry(_plain(value), text, RUNS, f"max({column})")
    for end in ("min", "max"):
        value = getattr(runs["epochs"], end)()
        text = "unknown" if value != value else number(value)
        entries[f"data.epochs_{end}"] = entry(_plain(value), text, RUNS, f"{end}(epochs)")
    return entries


def _runs(results: Results) -> Numbers:
    runs = results.runs
    unique = runs.drop_duplicates("id")
    done = unique[unique["outcome"] == "done"]
    left = unique[unique["outcome"] != "done"].to_dict("records")
    names = [f"{run['axis']}, {run_name(str(run['axis']), run)}: {run['outcome']}" for run in left]
    hours = float(unique["seconds"].sum()) / 3600
    budgets = results.budgets
    entries = {
        "runs.total": entry(len(unique), count(len(unique)), RUNS, "distinct id"),
        "runs.done": entry(len(done), count(len(done)), RUNS, "outcome = done"),
        "runs.not_done": entry(len(left), count(len(left)), RUNS, "outcome ≠ done"),
        "runs.not_done_names": entry(
            len(left), listing(names, 6) or "none", RUNS, "outcome ≠ done"
        ),
        "runs.hours": entry(hours, number(hours), RUNS, "sum(seconds)"),
        "runs.seeds": entry(
            int(runs["seed"].nunique()), count(runs["seed"].nunique()), RUNS, "distinct seed"
        ),
        "runs.budgets": entry(budgets, ", ".join(map(flops, budgets)), RUNS, "distinct budget"),
        "runs.budget_min": entry(budgets[0], flops(budgets[0]), RUNS, "min(budget)"),
        "runs.budget_max": entry(budgets[-1], flops(budgets[-1]), RUNS, "max(budget)"),
    }
    for axis in AXES:
        rows = results.for_axis(axis).axis_runs(axis)
        finished = int((rows["outcome"] == "done").sum())
        entries[f"runs.{axis}"] = entry(len(rows), count(len(rows)), RUNS, f"axis = {axis}")
        entries[f"runs.{axis}_done"] = entry(
            finished, count(finished), RUNS, f"axis = {axis}, outcome = done"
        )
        other = results.other_source(axis)
        entries[f"runs.{axis}_source"] = entry(
            other or results.source, other or results.source, RUNS, "source"
        )
    return entries


def _best(results: Results) -> Numbers:
    """The best cell of the study: the mean over its seeds, chosen on what it reports."""
    entries: Numbers = {}
    means = cells(results.runs, [LOSS, RECALL])
    for name, metric in HEADLINE.items():
        known = means[metric].dropna()
        value = None if known.empty else float(known.min() if metric == LOSS else known.max())
        text = "unknown" if value is None else three_decimals(value)
        entries[f"best.{name}"] = entry(value, text, RUNS, f"best cell mean of {metric}")
    return entries


def _floors(results: Results, file: str) -> Numbers:
    entries: Numbers = {}
    for split, parts in results.floors.items():
        for part in ("all", "session_start"):
            where = f"{slug(split)}" if part == "all" else f"{slug(split)}.{part}"
            for floor, metrics in parts.get(part, {}).items():
                for metric, value in metrics.items():
                    word = count if metric.startswith("n_") else three_decimals
                    key = f"floors.{where}.{slug(floor)}.{slug(metric)}"
                    text = "–" if value is None else word(value)
                    entries[key] = entry(value, text, file, f"{split}.{part}.{floor}.{metric}")
    reached = []
    for metric, lower in ((LOSS, True), (RECALL, False)):
        means = cells(results.runs, [metric])[metric].dropna()
        if means.empty:
            continue
        best = float(means.min() if lower else means.max())
        floors = results.floor_values(metric)
        beaten = [FLOORS.get(f, f) for f, v in floors.items() if (best < v if lower else best > v)]
        missed = [FLOORS.get(f, f) for f in floors if FLOORS.get(f, f) not in beaten]
        reached.append(
            f"by {short_metric(metric)} the best cell beats {', '.join(beaten) or 'no floor'}"
            + (f" and stays behind {', '.join(missed)}" if missed else "")
        )
    text = "; ".join(reached) or "no run finished"
    entries["floors.reached"] = entry(None, text, file, "validation.all")
    return entries


def _plain(value: Any) -> Any:
    """A NumPy scalar as a Python number; NaN as None."""
    plain = value.item() if hasattr(value, "item") else value
    return None if plain != plain else plain
