"""numbers.json: every number that paper, README and report print, with its origin.

Choices: a number is a raw value, the string that is printed, and the file and key it was read
from; a value that is not identified keeps its key and prints its status, so that a text never
loses a placeholder when a fit fails; keys hold only letters, digits, '_' and '.', so that they
can stand in a template.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, TypedDict

from behavior_scaling.files import write_text
from behavior_scaling.report.claims import judge, ours_text
from behavior_scaling.report.claims_file import load_claims
from behavior_scaling.report.figures.frames import run_name
from behavior_scaling.report.inputs import Origin, Results, cells, load_results
from behavior_scaling.report.text import (
    ARM_TITLES,
    AXES,
    FLOORS,
    LOSS,
    RECALL,
    count,
    estimate_text,
    flops,
    listing,
    number,
    optimum_symbol,
    short_metric,
    three_decimals,
)

HEADLINE = {"loss": LOSS, "recall": RECALL}
RUNS = "runs.parquet"


class Number(TypedDict):
    """One number: raw value (None: not identified), printed text, and origin."""

    value: Any
    text: str
    file: str
    key: str


Numbers = dict[str, Number]


def make_numbers(results_dir: Path, floors: Path) -> Path:
    """Write numbers.json; returns its path."""
    numbers = collect(load_results(results_dir, floors), floors.name)
    path = results_dir / "numbers.json"
    text = json.dumps({"numbers": numbers}, indent=1, sort_keys=True, ensure_ascii=False)
    write_text(path, text + "\n")
    return path


def load_numbers(path: Path) -> Numbers:
    """Read numbers.json; KeyError if it is not one."""
    numbers: Numbers = json.loads(path.read_text())["numbers"]
    return numbers


def collect(results: Results, floors_file: str) -> Numbers:
    """All numbers of a study, by key."""
    numbers: Numbers = {}
    for part in (_study, _runs, _best, _fits, _summaries, _agreement, _claims):
        numbers |= part(results)
    return numbers | _floors(results, floors_file)


def slug(text: str) -> str:
    """A key's part: 'recall@10' gives 'recall_at_10', 1e10 'c1e10' (see _budget)."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower().replace("@", "_at_")).strip("_")


def _entry(value: Any, text: str, file: str, key: str) -> Number:
    return {"value": value, "text": text, "file": file, "key": key}


def _budget(budget: float) -> str:
    return "c" + f"{budget:.3g}".replace("e+", "e").replace(".", "p")


def _study(results: Results) -> Numbers:
    runs = results.runs
    source = str(runs["source"].iloc[0])
    entries = {
        "study.name": _entry(results.study, results.study, RUNS, "study"),
        "study.source": _entry(source, source, RUNS, "source"),
    }
    columns = {"items": "n_items", "unique_positions": "unique_positions"}
    for name, column in (columns | {"context": "context", "tokens": "tokens"}).items():
        value = runs[column].max()
        text = "unknown" if value != value else count(value)
        entries[f"data.{name}"] = _entry(_plain(value), text, RUNS, f"max({column})")
    for end in ("min", "max"):
        value = getattr(runs["epochs"], end)()
        text = "unknown" if value != value else number(value)
        entries[f"data.epochs_{end}"] = _entry(_plain(value), text, RUNS, f"{end}(epochs)")
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
        "runs.total": _entry(len(unique), count(len(unique)), RUNS, "distinct id"),
        "runs.done": _entry(len(done), count(len(done)), RUNS, "outcome = done"),
        "runs.not_done": _entry(len(left), count(len(left)), RUNS, "outcome ≠ done"),
        "runs.not_done_names": _entry(
            len(left), listing(names, 6) or "none", RUNS, "outcome ≠ done"
        ),
        "runs.hours": _entry(hours, number(hours), RUNS, "sum(seconds)"),
        "runs.seeds": _entry(
            int(runs["seed"].nunique()), count(runs["seed"].nunique()), RUNS, "distinct seed"
        ),
        "runs.budgets": _entry(budgets, ", ".join(map(flops, budgets)), RUNS, "distinct budget"),
        "runs.budget_min": _entry(budgets[0], flops(budgets[0]), RUNS, "min(budget)"),
        "runs.budget_max": _entry(budgets[-1], flops(budgets[-1]), RUNS, "max(budget)"),
    }
    for axis in AXES:
        rows = results.axis_runs(axis)
        finished = int((rows["outcome"] == "done").sum())
        entries[f"runs.{axis}"] = _entry(len(rows), count(len(rows)), RUNS, f"axis = {axis}")
        entries[f"runs.{axis}_done"] = _entry(
            finished, count(finished), RUNS, f"axis = {axis}, outcome = done"
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
        entries[f"best.{name}"] = _entry(value, text, RUNS, f"best cell mean of {metric}")
    return entries


def _fits(results: Results) -> Numbers:
    """Optima, values there, derived values, exponents and coefficients of every fit."""
    entries: Numbers = {}
    for located in results.fits:
        fit, origin = located.fit, located.origin
        head = ".".join(slug(part) for part in (fit.axis, fit.arm, fit.metric) if part)
        found = {f"exponents.{name}": value for name, value in fit.exponents.items()}
        for index, curve in enumerate(fit.curves):
            at = f"curves[{index}]"
            found |= {f"{at}.optimum": curve.optimum, f"{at}.best": curve.best}
            found |= {f"{at}.derived.{name}": value for name, value in curve.derived.items()}
            found |= {f"{at}.coefficients.{name}": v for name, v in curve.coefficients.items()}
        for key, value in found.items():
            unit = "metric" if key.endswith(".best") else ""
            unit = "share" if fit.axis == "share" and key.endswith(".optimum") else unit
            name = key
            for index, curve in enumerate(fit.curves):
                name = name.replace(f"curves[{index}]", _budget(curve.budget))
            name = ".".join(slug(part) for part in name.split("."))
            place = f"{origin.key}.{key}.value"
            entries[f"{head}.{name}"] = _entry(
                value.value, estimate_text(value, unit), origin.file, place
            )
    return entries


def _summaries(results: Results) -> Numbers:
    """For each axis and headline metric one line over arms and budgets."""
    entries: Numbers = {}
    for axis in AXES:
        for name, metric in HEADLINE.items():
            parts, values = [], []
            origin = Origin(f"laws/{axis}.json", "fits")
            for arm in results.arms(axis):
                found = results.find(axis, metric, arm)
                words = f"{ARM_TITLES.get(arm, arm)}: " if arm else ""
                if found is None:
                    parts.append(f"{words}nothing was fitted")
                    continue
                origin = found.origin
                unit = "share" if axis == "share" else ""
                curves = found.fit.curves
                values += [curve.optimum.value for curve in curves]
                texts = [f"{flops(c.budget)}: {estimate_text(c.optimum, unit)}" for c in curves]
                parts.append(f"{words}{optimum_symbol(axis, arm)} at " + "; ".join(texts))
            text = ". ".join(parts) or "this axis was not run"
            entries[f"{axis}.{name}"] = _entry(values, text, origin.file, origin.key)
    exponent = results.find("allocation", LOSS)
    for symbol in ("N", "D"):
        value = exponent.fit.exponents.get(symbol) if exponent else None
        key = f"{exponent.origin.key}.exponents.{symbol}.value" if exponent else "fits"
        text = "no exponent was fitted" if value is None else estimate_text(value)
        entries[f"allocation.exponent_{slug(symbol)}"] = _entry(
            value.value if value else None, text, "laws/allocation.json", key
        )
    return entries


def _agreement(results: Results) -> Numbers:
    """Loss against recall@10 within one budget and axis."""
    rows = [
        (index, row)
        for index, row in enumerate(results.agreements)
        if (row.loss, row.metric) == (LOSS, RECALL) and row.budget is not None
    ]
    known = [(index, row) for index, row in rows if row.correlation.status == "converged"]
    parts = [
        f"{row.axis} at {flops(row.budget or 0)}: {estimate_text(row.correlation)}"
        for _, row in known
    ]
    values = [row.correlation.value for _, row in known]
    keys = ", ".join(f"agreement[{index}].correlation.value" for index, _ in known)
    text = "; ".join(parts) or "no curve has enough cells for a correlation"
    few = len(rows) - len(known)
    file = "laws/agreement.json"
    return {
        "agreement.all": _entry(values, text, file, keys or "agreement"),
        "agreement.too_few": _entry(few, count(few), file, "status ≠ converged"),
    }


def _claims(results: Results) -> Numbers:
    entries: Numbers = {}
    claims = load_claims()
    judged = judge(results, claims)
    tally = Counter(item.verdict.name for item in judged)
    for verdict in ("replicated", "consistent", "contradicted", "out of range", "not identified",
                    "not measured"):  # fmt: skip
        key = f"claims.{slug(verdict)}"
        entries[key] = _entry(
            tally[verdict], count(tally[verdict]), "claims.json", f"verdict = {verdict}"
        )
    entries["claims.total"] = _entry(len(judged), count(len(judged)), "claims.json", "claims")
    flagged = sum("pre-bigram" in item.found.flags for item in judged)
    entries["claims.pre_bigram"] = _entry(flagged, count(flagged), "claims.json", "flags")
    for index, item in enumerate(judged):
        name, place = f"claims.by_id.{slug(item.claim.id)}", f"claims[{index}]"
        entries[f"{name}.paper"] = _entry(
            item.claim.paper.value, f"{item.claim.paper.text} {item.claim.mark_text}",
            "claims.json", f"{place}.paper_value",
        )  # fmt: skip
        estimate = item.found.estimate
        entries[f"{name}.ours"] = _entry(
            estimate.value if estimate else None, ours_text(item), "claims.json", f"{place}.value"
        )
        entries[f"{name}.verdict"] = _entry(
            item.verdict.name, item.verdict.name, "claims.json", f"{place}.verdict"
        )
    return entries


def _floors(results: Results, file: str) -> Numbers:
    entries: Numbers = {}
    for split, rules in results.floors.items():
        for floor, metrics in rules.items():
            for metric, value in metrics.items():
                key = f"floors.{slug(split)}.{slug(floor)}.{slug(metric)}"
                text = "–" if value is None else three_decimals(value)
                entries[key] = _entry(value, text, file, f"{split}.{floor}.{metric}")
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
    entries["floors.reached"] = _entry(None, text, file, "validation")
    return entries


def _plain(value: Any) -> Any:
    """A NumPy scalar as a Python number; NaN as None."""
    plain = value.item() if hasattr(value, "item") else value
    return None if plain != plain else plain
