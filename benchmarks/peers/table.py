"""From the jobs' results to one summary, one table and the curves as CSV.

Choices: throughput is the median over rounds. Quality within T seconds is the best validation
NDCG@10 measured by then (everyone may stop early); time to a level is when a curve first reached
it, on the straight line between two measurements, for ours over its runs of every horizon.
"""

from __future__ import annotations

import csv
import io
import statistics
from typing import Any

from settings import CONTESTANTS

Result = dict[str, Any]
OURS = ("ours-features", "ours-table")


def summary(throughput: list[Result], quality: list[Result]) -> dict[str, Any]:
    """What peers.json holds."""
    rates = _rates(throughput)
    every = {r["contestant"]: r["trains_every_position"] for r in throughput}
    curves = {
        name: [r["curve"] for r in quality if r["contestant"] == name] for name in CONTESTANTS
    }
    curves = {name: found for name, found in curves.items() if found}
    best = {name: max(p["ndcg"] for p in _points(found)) for name, found in curves.items()}
    peers = {name: value for name, value in best.items() if name not in OURS}
    levels = {f"best of {name}": value for name, value in peers.items()}
    horizons = sorted({r["job"]["seconds"] for r in quality})
    return {
        "clock": sorted({r["job"]["clock"] for r in throughput + quality}),
        "torch": sorted({r["torch"] for r in throughput + quality}),
        "targets_per_second": rates,
        "ratios": {shape: _ratios(found, every) for shape, found in rates.items()},
        "parameters": {
            shape: {r["contestant"]: r["parameters"] for r in throughput if r["shape"] == shape}
            for shape in rates
        },
        "ndcg_within": {
            f"{horizon:g}": {name: _within(found, horizon) for name, found in curves.items()}
            for horizon in horizons
        },
        "seconds_to": {
            level: {
                "ndcg": value,
                **{name: _seconds_to(found, value) for name, found in curves.items()},
            }
            for level, value in sorted(levels.items(), key=lambda pair: pair[1])
        },
    }


def _rates(throughput: list[Result]) -> dict[str, dict[str, dict[str, float]]]:
    """Median, least and most targets a second, by shape and contestant."""
    found: dict[str, dict[str, list[float]]] = {}
    for result in throughput:
        by_name = found.setdefault(result["shape"], {})
        by_name.setdefault(result["contestant"], []).append(result["targets_per_second"])
    return {
        shape: {
            name: {"median": statistics.median(v), "least": min(v), "most": max(v)}
            for name, v in by_name.items()
        }
        for shape, by_name in found.items()
    }


def _ratios(
    rates: dict[str, dict[str, float]], every: dict[str, bool]
) -> dict[str, dict[str, float]]:
    """Our median over the best peer that trains every position, and over RecBole's."""
    median = {name: rate["median"] for name, rate in rates.items()}
    full = [value for name, value in median.items() if every[name] and name not in OURS]
    bases = {"best peer training every position": max(full, default=None)}
    bases["recbole-sasrec"] = median.get("recbole-sasrec")
    return {
        name: {base: median[name] / value for base, value in bases.items() if value}
        for name in OURS
        if name in median
    }


def _points(curves: list[list[dict[str, float]]]) -> list[dict[str, float]]:
    return [point for curve in curves for point in curve]


def _within(curves: list[list[dict[str, float]]], seconds: float) -> float | None:
    """Best quality measured by then; the step that straddles the moment counts."""
    found = [p["ndcg"] for p in _points(curves) if p["due"] <= seconds]
    return max(found, default=None)


def _seconds_to(curves: list[list[dict[str, float]]], level: float) -> float | None:
    """When the first of the curves reached a level; None if none did."""
    times = []
    for curve in curves:
        before = {"seconds": 0.0, "ndcg": 0.0}
        for point in curve:
            if point["ndcg"] >= level:
                share = (level - before["ndcg"]) / (point["ndcg"] - before["ndcg"])
                times.append(before["seconds"] + share * (point["seconds"] - before["seconds"]))
                break
            before = point
    return min(times, default=None)


def render(found: dict[str, Any]) -> str:
    """The table as text."""
    lines = [f"Seconds are of the {' and '.join(found['clock'])} clock"]
    for shape, rates in found["targets_per_second"].items():
        lines += [f"\nTraining throughput, {shape} (target events/s: median, range, parameters)"]
        for name, rate in rates.items():
            size = found["parameters"][shape][name]
            spread = f"{rate['least']:>9,.0f} – {rate['most']:,.0f}"
            lines.append(f"  {name:<16}{rate['median']:>10,.0f} {spread:<24}{size:>10,}")
        for name, ratios in found["ratios"][shape].items():
            stated = ", ".join(f"{value:.2f}x {base}" for base, value in ratios.items())
            lines.append(f"  {name}: {stated}")
    lines += ["\nBest validation NDCG@10 within T seconds of training"]
    lines += _rows("T", found["ndcg_within"], "{:.4f}")
    lines += ["\nSeconds of training to a level of NDCG@10"]
    lines += _rows("level", found["seconds_to"], "{:.4g}")
    for name, reason in found["failed"].items():
        lines.append(f"FAILED {name}: {reason}")
    return "\n".join(lines)


def _rows(head: str, table: dict[str, dict[str, float | None]], form: str) -> list[str]:
    columns = list(dict.fromkeys(name for row in table.values() for name in row))
    lines = [f"  {head:<24}" + "".join(f"{name:>17}" for name in columns)]
    for label, row in table.items():
        cells = ["–" if row.get(name) is None else form.format(row[name]) for name in columns]
        lines.append(f"  {label:<24}" + "".join(f"{cell:>17}" for cell in cells))
    return lines


def curves_csv(quality: list[Result]) -> str:
    """Every measurement of quality: contestant, horizon, seconds, targets, NDCG@10."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["contestant", "horizon", "seconds", "targets", "ndcg@10"])
    for result in quality:
        head = [result["contestant"], f"{result['job']['seconds']:g}"]
        for point in result["curve"]:
            seconds, value = f"{point['seconds']:.2f}", f"{point['ndcg']:.6f}"
            writer.writerow([*head, seconds, point["targets"], value])
    return text.getvalue()
