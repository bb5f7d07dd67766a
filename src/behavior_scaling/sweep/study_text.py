"""The plan of a study as a page of text: where its hours go, what does not fit, what it stores."""

from __future__ import annotations

import math
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from behavior_scaling.config import Study
from behavior_scaling.sizes.gpus import GB, gpu_named
from behavior_scaling.sweep.gpu_seconds import KERNEL_SECONDS
from behavior_scaling.sweep.plan import Plan
from behavior_scaling.sweep.study_plan import (
    MANY_EPOCHS,
    DataSizes,
    PlannedRun,
    gpu_hours,
    laid_out,
    prepared_bytes,
    room,
)

_HEAD = (
    f"  {'axis':<12}{'budget':>8}{'runs':>6}  {'N':<12}{'D':<12}{'epochs':<14}{'steps':<13}"
    f"{'GB a GPU':>8}{'GPU-hours':>11}"
)
WIDTH = 100
NODE = 8  # GPUs kept busy, for days on the clock


def described(
    study: Study, plan: Plan, data: DataSizes, runs: Sequence[PlannedRun]
) -> Iterator[str]:
    """Lines of the summary, none wider than WIDTH.

    Args:
        study: the study.
        plan: its plan.
        data: the data's sizes.
        runs: its planned runs.
    """
    for line in _summary(study, plan, data, runs):
        indent = " " * (len(line) - len(line.lstrip()))
        yield from textwrap.wrap(
            line, WIDTH, subsequent_indent=indent + "    ", break_on_hyphens=False
        ) or [""]


def _summary(
    study: Study, plan: Plan, data: DataSizes, runs: Sequence[PlannedRun]
) -> Iterator[str]:
    yield from _assumptions(study, data)
    yield ""
    yield from _table(runs)
    yield ""
    yield from _hours(study, plan, runs)
    yield ""
    yield from _memory(study, runs)
    yield ""
    yield from _storage(study, data, runs)
    yield ""
    yield from _data_limits(study, data, runs)
    if plan.left_out:
        yield ""
        yield f"left out: {len(plan.left_out)} points"
        for left in plan.left_out:
            where = " ".join(part for part in (left.axis, left.arm, left.label) if part)
            yield f"  {where} at {left.budget:g}: {left.reason}"


def every_run(runs: Sequence[PlannedRun]) -> Iterator[str]:
    """A line for every run."""
    yield (
        f"  {'axis':<12}{'budget':>8} {'cell':<12}{'seed':>5}{'N':>7}{'s':>7}{'D':>7}{'epochs':>8}"
        f"{'steps':>8}{'hours':>8}  why"
    )
    for run in runs:
        cell = run.cell
        yield (
            f"  {cell.axis:<12}{cell.budget:>8.2g} {cell.label:<12}{cell.seed:>5}"
            f"{short(cell.n_total):>7}{cell.n_emb / cell.n_total:>7.3f}{short(cell.positions):>7}"
            f"{run.epochs:>8.3g}{short(run.steps):>8}{run.seconds.total / 3600:>8.2f}  {run.why}"
        )


def short(value: float) -> str:
    """Two significant digits: 62k, 4.0M, 1.1G."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.995 * size:
            scaled = value / size
            return f"{scaled:.1f}{letter}" if scaled < 9.95 else f"{scaled:.0f}{letter}"
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _assumptions(study: Study, data: DataSizes) -> Iterator[str]:
    gpu, part = gpu_named(str(study.execution.gpu)), study.execution
    about = "about " if data.about else ""
    users = "" if data.users is None else f", {short(data.users)} users"
    variant = f" {study.data.variant}" if study.data.variant else ""
    yield f"{study.name}: {study.title}"
    yield (
        f"  data   {study.data.name}{variant}: {about}{short(data.items)} items, "
        f"{short(data.events)} events{users}"
    )
    yield f"         as said by {data.said_by}"
    yield (
        f"  GPU    {gpu.name}: {gpu.memory_bytes / GB:.0f} GB, of which {room(study) / GB:.0f} are "
        f"used; {gpu.flops[part.precision] / 1e12:,.0f} TFLOP/s in {part.precision}, dense"
    )
    yield f"         as said by {gpu.source}"
    yield (
        f"  times  {part.utilisation:.0%} of that rate, {KERNEL_SECONDS * 1e6:.0f} µs an operation"
        f": assumptions, not measured (docs/plan.md)"
    )


def _grouped(runs: Sequence[PlannedRun]) -> dict[tuple[str, float], list[PlannedRun]]:
    groups: dict[tuple[str, float], list[PlannedRun]] = defaultdict(list)
    for run in runs:
        groups[run.cell.axis, run.cell.budget].append(run)
    return groups


def _kind(run: PlannedRun) -> str:
    """A layout without its number of parts."""
    return laid_out(replace(run.choice.execution, accumulate=1))


def _table(runs: Sequence[PlannedRun]) -> Iterator[str]:
    yield _HEAD
    for (axis, budget), own in _grouped(runs).items():
        yield (
            f"  {axis:<12}{budget:>8.2g}{len(own):>6}  "
            f"{_range([run.cell.n_total for run in own]):<12}"
            f"{_range([run.cell.positions for run in own]):<12}"
            f"{_range([run.epochs for run in own]):<14}"
            f"{_range([run.steps for run in own]):<13}"
            f"{max(run.choice.memory.total for run in own) / GB:>8.1f}{gpu_hours(own):>11,.1f}"
        )
    yield f"  {'all':<12}{'':>8}{len(runs):>6}  {'':<59}{gpu_hours(runs):>11,.1f}"


def _hours(study: Study, plan: Plan, runs: Sequence[PlannedRun]) -> Iterator[str]:
    total = gpu_hours(runs)
    parts = {
        "training": sum(run.seconds.train * run.choice.execution.devices for run in runs),
        "probes": sum(run.seconds.probes * run.choice.execution.devices for run in runs),
        "evaluation": sum(run.seconds.evaluate * run.choice.execution.devices for run in runs),
        "start-up": sum(run.seconds.start * run.choice.execution.devices for run in runs),
    }
    said = ", ".join(f"{name} {seconds / 36 / total:.0f}%" for name, seconds in parts.items())
    longest = max(runs, key=lambda run: run.seconds.total)
    gpu = gpu_named(str(study.execution.gpu))
    yield (
        f"hours: {total:,.{0 if total >= 10 else 1}f} GPU-hours in {len(plan.bundles)} jobs; "
        f"{total / 24 / NODE:,.1f} days on {NODE} GPUs kept busy"
    )
    yield f"  of which {said}"
    yield (
        f"  longest run: {longest.seconds.total / 3600:.1f} h, {longest.cell.axis} "
        f"{longest.cell.label} at {longest.cell.budget:g}"
    )
    yield (
        f"  energy: {total * gpu.watts / 1000:,.0f} kWh at the board's {gpu.watts:.0f} W "
        f"throughout: an assumption, without hosts and cooling"
    )


def _memory(study: Study, runs: Sequence[PlannedRun]) -> Iterator[str]:
    limit = room(study)
    fitting = sum(run.choice.alone.total <= limit for run in runs)
    large = [run for run in runs if run.choice.reason == "too large"]
    yield (
        f"memory: {fitting} of {len(runs)} runs fit one {study.execution.gpu} with the batch "
        f"whole; {len(runs) - fitting - len(large)} are made to fit, {len(large)} do not"
    )
    kinds: dict[tuple[int, str], list[PlannedRun]] = defaultdict(list)
    for run in runs:
        if run.choice.reason not in ("fits", "too large"):
            kinds[run.choice.execution.devices, _kind(run)].append(run)
    for (_, kind), own in sorted(kinds.items()):
        parts = [run.choice.execution.accumulate for run in own]
        cut = f", the batch in {_range(parts)} parts" if max(parts) > 1 else ""
        yield f"  {len(own):>4} runs: {kind}{cut}"
    for (axis, budget), own in _grouped(large).items():
        worst = max(own, key=lambda run: run.choice.memory.total)
        where = f"{len(own):>4} runs of {axis} at {budget:g}"
        yield f"  {where} do not fit: the largest needs {worst.why}"
    most = max(runs, key=lambda run: run.logits_bytes)
    whole = size(most.logits_bytes)
    yield (
        f"  logits come in tiles (chunking, always on): whole, {most.cell.axis} "
        f"{most.cell.label} would take {whole}"
    )


def _storage(study: Study, data: DataSizes, runs: Sequence[PlannedRun]) -> Iterator[str]:
    records = sum(run.record_bytes for run in runs)
    checkpoints = [run.checkpoint_bytes for run in runs]
    yield (
        f"storage: records {size(records)}, prepared data about "
        f"{size(prepared_bytes(study, data))}, raw files not known before they are fetched"
    )
    yield (
        f"  checkpoints: the largest {size(max(checkpoints))}, one a running job, gone with its "
        f"end ({size(sum(checkpoints))} all at once)"
    )


def _data_limits(study: Study, data: DataSizes, runs: Sequence[PlannedRun]) -> Iterator[str]:
    limited = [run for run in runs if run.data_limited]
    about = "about " if data.about else ""
    yield (
        f"data: {about}{short(data.unique_positions(study))} training positions, "
        f"{short(data.targets(study))} evaluated"
    )
    yield (
        f"  {len(limited)} of {len(runs)} runs are data-limited: they see their events more than "
        f"{MANY_EPOCHS} times"
    )
    if not limited:
        return
    by_budget = Counter(run.cell.budget for run in limited)
    every = Counter(run.cell.budget for run in runs)
    said = ", ".join(
        f"{budget:.2g}: {by_budget[budget]}/{every[budget]}" for budget in sorted(every)
    )
    yield f"  by budget: {said}"
    wanted = max(run.cell.positions for run in limited) / MANY_EPOCHS
    yield (
        f"  none would be with {short(wanted)} training positions; laws are fitted with repeats "
        f"and without"
    )


def size(count: float) -> str:
    """Bytes in decimal units, two significant digits."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = min(len(units) - 1, int(math.log10(max(1.0, count)) // 3))
    scaled = count / 1000**power
    return f"{scaled:.1f} {units[power]}" if scaled < 9.95 else f"{scaled:,.0f} {units[power]}"


def _range(values: Sequence[float]) -> str:
    low, high = short(min(values)), short(max(values))
    return low if low == high else f"{low}–{high}"
