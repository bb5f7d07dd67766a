"""The numbers of a study's design and of what it cost, for texts that state every decision.

Choices: every key of the study file is an entry under its own path (`settings.optimizer.clip`), so
that a text cannot state a setting that was not used; a list of many values is worded by its ends;
machine and versions come from the archive's manifest where the study is shipped, and the text says
so where it is not; a run that several axes share is counted once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from behavior_scaling.config import Study
from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data import sources
from behavior_scaling.data.sources import SourceInfo
from behavior_scaling.records.manifest import read_manifest
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.number import Numbers, entry
from behavior_scaling.report.text import count, flops, join, number, percent

MANY = 6  # values of a list: more are worded by their ends
RUNS = "runs.parquet"


def settings_numbers(study: Study, file: str) -> Numbers:
    """Every key of the study file, the ladder's ends and the base points in words."""
    entries: Numbers = {}
    for key, value in _leaves(study.model_dump(mode="python"), ""):
        entries[f"settings.{key}"] = entry(_plain(value), _text(key, value), file, key)
    widths, layers = (sorted({step[i] for step in study.contextualizer.ladder}) for i in (0, 1))
    for name, values in (("ladder_widths", widths), ("ladder_layers", layers)):
        key = "contextualizer.ladder"
        entries[f"settings.{name}"] = entry(values, _ends(values), file, key)
    own = study.objective.own_items(study.objective.kind)
    entries["settings.own_items"] = entry(own, own, file, "objective.same_sequence")
    points = [
        f"C = {flops(point.budget)}: N = {count(point.parameters)}, s = {percent(point.share)}, "
        f"embedder depth {point.depth}"
        for point in study.base
    ]
    entries["settings.base_points"] = entry(len(points), "; ".join(points) or "none", file, "base")
    if study.axes.allocation is not None:
        sizes = study.axes.allocation.parameters
        each = sorted({len(row) for row in sizes})
        text = f"{_ends(each)} of {count(min(map(min, sizes)))} to {count(max(map(max, sizes)))}"
        key = "axes.allocation.parameters"
        entries["settings.sizes"] = entry([list(row) for row in sizes], text, file, key)
    return entries


def source_numbers(results: Results, data: DataConfig, file: str) -> Numbers:
    """Origin, licence and citation of the study's data, and a line on each of its parts' data."""
    info = sources.get(data).info
    found = {"version": info.version, "origin": info.origin, "licence": info.licence,
             "citation": info.citation}  # fmt: skip
    entries = {
        f"source.{name}": entry(text, text or "none", file, "data.source")
        for name, text in found.items()
    }
    lines = [_part_words(part) for part in results.parts]
    entries["source.parts"] = entry(len(lines), "; ".join(lines) or "none", file, "parts")
    return entries


def cost_numbers(results: Results, archive: Path) -> Numbers:
    """What the runs of the study and of its parts cost, and on which machine.

    Args:
        results: of the study.
        archive: folder of its shipped records; it need not be there.

    Raises:
        RecordError: the archive's manifest is damaged.
    """
    entries: Numbers = {}
    tables = [one.runs.drop_duplicates("id") for one in (results, *results.parts)]
    runs = math.fsum(len(table) for table in tables)
    entries["cost.runs"] = entry(int(runs), count(runs), RUNS, "distinct id, with the parts")
    for name, column, unit, word in (
        ("hours", "seconds", 3600, number),
        ("flops_nominal", "flops_nominal", 1, flops),
        ("flops_executed", "flops_executed", 1, flops),
    ):
        known = [table[column] for table in tables if column in table]
        total = math.fsum(float(values.sum()) for values in known) / unit
        text = word(float(f"{total:.3g}")) if total else "not recorded"
        entries[f"cost.{name}"] = entry(total, text, RUNS, f"sum({column}), with the parts")
    path = archive / "manifest.json"
    if not path.is_file():
        text = "recorded with each run (this study is not shipped as an archive)"
        place = "machine"
        return entries | {
            "cost.machine": entry(None, text, "store", place),
            "cost.versions": entry(None, text, "store", "versions"),
        }
    summary = read_manifest(path).summary
    for name, key in (("machine", "machines"), ("versions", "versions")):
        words = [_said(row) for row in summary[key]]
        text = "; ".join(words) or "not recorded"
        entries[f"cost.{name}"] = entry(None, text, "manifest.json", f"summary.{key}")
    return entries


def _part_words(part: Results) -> str:
    try:
        info: SourceInfo | None = sources.get(DataConfig(source=part.source)).info
    except ValueError:
        info = None
    items = count(part.runs["n_items"].max())
    licence = f", licence: {info.licence}" if info else ""
    return f"{part.study}: {part.source} ({items} items{licence})"


def _said(row: dict[str, Any]) -> str:
    """'cpu: ..., threads: ... (12 runs)'."""
    words = [f"{key} {value}" for key, value in sorted(row.items()) if key != "runs"]
    return f"{', '.join(words)} ({count(row['runs'])} runs)"


def _leaves(tree: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        here = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            yield from _leaves(value, here)
        elif not _nested(value):
            yield here, value


def _nested(value: Any) -> bool:
    """Lists of lists and of parts: they are worded one by one, or by nobody."""
    return isinstance(value, tuple | list) and any(
        isinstance(v, tuple | list | dict) for v in value
    )


def _text(key: str, value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        last = key.rpartition(".")[2]
        words = [_text(last.removesuffix("s"), one) for one in value]
        if len(words) > MANY:
            return f"{words[0]} to {words[-1]} ({len(words)} values)"
        return join(words) or "none"
    if isinstance(value, float) and key.rpartition(".")[2] == "budget" and value > 1:
        return flops(value)
    if isinstance(value, int | float):
        whole = value == round(value) and abs(value) >= 1000
        return count(value) if whole else f"{value:g}".replace("-", "−")
    return str(value)


def _ends(values: list[int]) -> str:
    low, high = count(min(values)), count(max(values))
    return low if low == high else f"{low} to {high}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
