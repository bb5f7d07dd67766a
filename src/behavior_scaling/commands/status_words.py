"""A study's progress in words: times, hours of devices, one line for logs, what needs a hand.

Choices: times have two units at most, none finer than anybody plans by; text from records and
leases is shown without control characters; a folder of the store is written with the first
twelve letters of its run and a star, which a shell completes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from behavior_scaling.sweep.progress import Progress, Run, Span

SHORT = 12  # letters of a run id that are shown
SHOWN = 8  # problems of one kind that are told one by one

Problem = tuple[str, str]  # kind, what and where


@dataclass(frozen=True)
class Places:
    """What a user types and opens."""

    config: Path
    results: Path
    records: Path  # the store or the archive


def line(seen: Progress) -> str:
    """One line: 'quick: 61 of 83 done, 2 running; about 4 min and 0.1 core-hours left'."""
    counts = seen.counts
    parts = [f"{counts['done']} of {len(seen.runs)} done"]
    for state in ("running", "failed", "diverged", "damaged"):
        if counts[state]:
            parts.append(f"{counts[state]} {state}")
    text = f"{seen.study.name}: {', '.join(parts)}"
    if not seen.to_come or seen.study.runs == "archive":
        return text
    return f"{text}; about {duration(seen.end.value)} and {device_hours(seen)} left"


def duration(seconds: float) -> str:
    """'40 s', '4 min', '3 h 20 min', '2 d 5 h'."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def spread(span: Span) -> str:
    """'3 to 6 min', '50 s to 2 min'."""
    low, high = duration(span.low), duration(span.high)
    if low == high:
        return high
    (number, *units), (_, *others) = low.split(), high.split()
    return f"{number if units == others and len(units) == 1 else low} to {high}"


def hours(seconds: float) -> str:
    """Hours with two digits, or all before the point: '0.12', '3.4', '120'."""
    value = seconds / 3600
    if value < 0.01:
        return "under 0.01"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def device_hours(seen: Progress) -> str:
    """'0.1 core-hours', '340 GPU-hours'."""
    return f"{hours(seen.work.value)} {seen.device}-hours"


def name_of(run: Run) -> str:
    """Which run, in few words: axis, arm, label, budget, and the seed if it is not the first."""
    cell = run.cell
    seed = f"seed {cell.seed}" if cell.seed else ""
    words = (cell.axis, cell.arm, cell.label, f"{cell.budget:g}", seed)
    return " ".join(word for word in words if word)


def printable(text: str) -> str:
    """Without colours and control characters, which a terminal would obey; run ids are short."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    plain = "".join(letter if letter.isprintable() else " " for letter in plain)
    return re.sub(rf"\b([0-9a-f]{{{SHORT}}})[0-9a-f]{{{64 - SHORT}}}\b", r"\1*", plain).strip()


def totals(seen: Progress, places: Places, now: datetime) -> Iterator[tuple[str, str]]:
    """Lines under the table: a word, and what it says."""
    if seen.study.runs == "archive":
        yield "archive", f"shipped records in {places.records}; nothing is trained"
        return
    if not seen.prepared:
        yield "data", "not prepared yet: `snakemake` prepares them and then trains"
    if not seen.to_come:
        yield "left", "nothing: every run has an outcome"
        return
    end = now + timedelta(seconds=seen.end.value)
    day = "" if end.date() == now.date() else f"{end:%a %d %b} "
    likely = duration(seen.end.value)
    between = spread(seen.end) if seen.spread_known else likely
    if between != likely:
        likely = f"{likely} ({between})"
    yield "left", f"about {likely}, until {day}{end:%H:%M}"
    devices = f"{seen.capacity} {seen.device}{'' if seen.capacity == 1 else 's'}"
    low, high = hours(seen.work.low), hours(seen.work.high)
    between = f" ({low} to {high})" if seen.spread_known and low != high else ""
    yield "", f"{device_hours(seen)}{between}, on {devices} ({seen.reckoned})"
    yield "basis", _basis(seen)


def _basis(seen: Progress) -> str:
    ratio = seen.ratio
    if not ratio.runs:
        return (
            "estimates alone, for no run of this study has finished: they may be off by several "
            "times"
        )
    runs = f"{ratio.runs} finished run{'s' if ratio.runs > 1 else ''}"
    text = f"{runs} took {ratio.value:.2g} of their estimate"
    if ratio.low is None or ratio.high is None:
        return f"{text}: too few to tell the spread"
    return f"{text}, eight in ten of them {ratio.low:.2g} to {ratio.high:.2g}"


def problems(seen: Progress, places: Places) -> Iterator[Problem]:
    """What needs a hand, with where to look, and then what to do about it."""
    by_kind: dict[str, list[Run]] = {}
    for run in seen.runs:
        kind = "stale" if run.state == "waiting" and run.holder else run.state
        by_kind.setdefault(kind, []).append(run)
    for kind in ("failed", "diverged", "damaged", "stale"):
        runs = by_kind.get(kind, [])
        for run in runs[:SHOWN]:
            yield kind, f"{name_of(run)}: {_what(run, places)}"
        if len(runs) > SHOWN:
            yield kind, f"and {len(runs) - SHOWN} more (--json FILE lists all)"
        if runs:
            yield kind, _remedy(kind, seen, places)


def _what(run: Run, places: Places) -> str:
    """What happened, and the log to read."""
    short = f"{run.run_id[:SHORT]}*"
    if run.state in ("failed", "diverged"):
        error = re.sub(r"^(\w+\.)+(?=\w+:)", "", printable(run.error))  # without its module
        return f"{error}\n{places.records / short}/log.txt"
    if run.holder is None:
        return printable(run.error)
    holder = run.holder
    return (
        f"{printable(holder.host)}, process {holder.pid}, last heard {duration(holder.age_seconds)}"
        f" ago\n{places.records / '.work' / short}/log.txt"
    )


def _remedy(kind: str, seen: Progress, places: Places) -> str:
    if seen.study.runs == "archive":
        return "an archive is a copy: restore it, or write it again (behavior-scaling archive)"
    retry = f"make retry STUDY={places.config}"
    if places.results != Path("results"):
        retry = f"behavior-scaling retry --config {places.config} --results {places.results}"
    return {
        "failed": f"mend the cause, then: {retry}",
        "diverged": "kept as an outcome and left out of every fit",
        "damaged": "the next `snakemake` sets it aside and trains the run again",
        "stale": "whoever comes next takes the run over, from its last checkpoint",
    }[kind]


def to_dict(seen: Progress) -> dict[str, Any]:
    """Plain values for JSON: seconds, device-seconds, every run."""
    return {
        "study": seen.study.name,
        "prepared": seen.prepared,
        "counts": dict(seen.counts),
        "to_come": seen.to_come,
        "seconds_left": asdict(seen.end),
        "device": seen.device,
        "device_seconds_left": asdict(seen.work),
        "devices": seen.capacity,
        "devices_are": seen.reckoned,
        "measured_over_estimated": asdict(seen.ratio),
        "runs": [
            {
                "id": run.run_id,
                "axis": run.cell.axis,
                "arm": run.cell.arm,
                "cell": run.cell.label,
                "stage": run.cell.stage,
                "budget": run.cell.budget,
                "seed": run.cell.seed,
                "state": run.state,
                "devices": run.devices,
                "seconds_left": asdict(run.left),
                "share": run.share,
                "error": run.error,
                "holder": asdict(run.holder) if run.holder else None,
            }
            for run in seen.runs
        ],
    }
