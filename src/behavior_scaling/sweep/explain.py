"""What a study would run and what it leaves out, as text, before anything is spent.

Choices: hours by axis of a study that names a GPU are `plan-study`'s (study_text.py).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from behavior_scaling.config import Study
from behavior_scaling.sweep.cells import Cell, unique
from behavior_scaling.sweep.plan import Bundle, Plan
from behavior_scaling.sweep.seconds import estimated_seconds

_HEAD = (
    f"{'N':>9}{'s':>7}{'embedder':>10}{'context.':>10}"
    f"{'D':>11}{'D/N':>9}{'B':>5}{'M+K':>7}{'steps':>7}{'lr':>9}  seeds"
)


def explain(study: Study, plan: Plan) -> Iterator[str]:
    """Lines of the explanation: cells by axis and budget, what is left out, bundles, totals."""
    groups: dict[tuple[str, float], dict[tuple[str, str], list[Cell]]] = defaultdict(dict)
    for cell in plan.cells:
        points = groups[cell.axis, cell.budget]
        points.setdefault((cell.arm, cell.label), []).append(cell)
    for (axis, budget), points in groups.items():
        names = [("cell", "arm"), *((label, arm or "-") for arm, label in points)]
        wide, short = (max(map(len, column)) + 2 for column in zip(*names, strict=True))
        heads = [f"  {label:<{max(wide, 12)}}{arm:<{max(short, 9)}}" for label, arm in names]
        yield f"\n{axis} at {budget:g} FLOPs"
        yield heads[0] + _HEAD
        for head, seeds in zip(heads[1:], points.values(), strict=True):
            yield head + _line(study, seeds)
    if plan.left_out:
        yield "\nleft out"
        for left in plan.left_out:
            yield f"  {left.axis} {left.arm} {left.label} at {left.budget:g}: {left.reason}"
    runs = sum(len(bundle.cells) for bundle in plan.bundles)
    shared = len(plan.cells) - len({cell.key for cell in plan.cells})
    flops = sum(bundle.flops for bundle in plan.bundles)
    gpu = study.execution.gpu
    if gpu is None:
        where = "on one core of a small machine (a shared run counts once)"
        yield f"\nestimated seconds by axis, {where}"
        yield from _seconds(study, plan)
    yield "\nbundles"
    for bundle in plan.bundles:
        after = f" after {', '.join(bundle.parents)}" if bundle.parents else ""
        yield (
            f"  {bundle.key}  {len(bundle.cells)} runs, {bundle.flops:.3g} FLOPs, "
            f"{bundle.seconds:,.0f} s{_devices(bundle)}{after}"
        )
    seconds = sum(bundle.seconds * bundle.devices for bundle in plan.bundles)
    time = f"{seconds:,.0f} s of one core" if gpu is None else f"{seconds / 3600:,.1f} h of {gpu}"
    yield (
        f"\n{len(plan.cells)} cells, {runs} runs ({shared} cells share another's run, parents of "
        f"stage 2 counted), {len(plan.bundles)} jobs, {flops:.3g} nominal FLOPs, "
        f"about {time}"
    )


def _devices(bundle: Bundle) -> str:
    return f" on {bundle.devices} devices" if bundle.devices > 1 else ""


def _seconds(study: Study, plan: Plan) -> Iterator[str]:
    """Runs and estimated seconds of every axis; a run of two axes counts for the first."""
    runs: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    for cell in unique(list(plan.cells)):
        runs[cell.axis] += 1
        seconds[cell.axis] += estimated_seconds(cell, study.data.context, study.execution.probes)
    for axis, count in runs.items():
        yield f"  {axis:<12}{count:>5} runs{seconds[axis]:>12,.0f} s"


def _line(study: Study, seeds: list[Cell]) -> str:
    cell = seeds[0]
    candidates = cell.objective.in_batch + cell.objective.uniform
    return (
        f"{cell.n_total:>9,}{cell.n_emb / cell.n_total:>7.3f}"
        f"{f'{cell.embedder.width}x{cell.embedder.depth}':>10}"
        f"{f'{cell.contextualizer.width}x{cell.contextualizer.layers}':>10}"
        f"{cell.positions:>11,}{cell.positions / cell.n_total:>9.1f}{cell.batch:>5}"
        f"{'all V' if cell.objective.kind == 'full' else candidates:>7}"
        f"{cell.steps(study.data.context):>7}{cell.optimizer.lr:>9.2g}"
        f"  {' '.join(str(one.seed) for one in seeds)}"
    )
