"""What every run of a study will need of its GPU, before anything is spent: one row a run.

Choices: a run that several axes ask for is one row, under the first; the data's sizes are given,
so that a study can be planned before they are downloaded; every row says in words why it is laid
out as it is, those that fit as they are too. Bytes of records and of prepared data were counted on
what the small studies wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from behavior_scaling.config import Study
from behavior_scaling.sizes.execution import Execution
from behavior_scaling.sizes.flops import Flops, candidates_drawn, nominal, vectors_are_frozen
from behavior_scaling.sizes.gpus import GB, gpu_named
from behavior_scaling.sizes.memory_peak import Peak
from behavior_scaling.sizes.saved import FLOAT
from behavior_scaling.sweep.cells import Cell, unique
from behavior_scaling.sweep.execution import SPREAD_WEIGHTS, USABLE, Choice, choose
from behavior_scaling.sweep.gpu_seconds import GpuSeconds, gpu_seconds
from behavior_scaling.sweep.plan import Plan

MANY_EPOCHS = 4  # repetition is nearly free below this (definitions: Laws)
ALONE = "one GPU"
RANK_BYTES = 20  # of an evaluated event in ranks.parquet
RECORD_BYTES = 60_000  # the record itself, its curve, its log, sums over users


@dataclass(frozen=True)
class DataSizes:
    """How large a study's data are, and who says so."""

    items: int  # V
    events: int
    users: int | None
    said_by: str
    about: bool  # rounded, or not checked against the data

    def targets(self, study: Study) -> int:
        """Events that an evaluation scores under the time split, about."""
        return round(self.events * (1 - study.data.train_fraction))

    def unique_positions(self, study: Study) -> int:
        """U: training events that an event of the same user precedes, about."""
        train = self.events * study.data.train_fraction * study.data.train_users
        return max(1, round(train - (self.users or 0) * study.data.train_users))


@dataclass(frozen=True)
class PlannedRun:
    """One run and what it needs."""

    cell: Cell
    steps: int
    epochs: float
    flops: Flops  # nominal, of the whole run
    choice: Choice
    seconds: GpuSeconds
    optimizer_bytes: int  # Adam's two moments, which memory counts among the weights
    checkpoint_bytes: int
    record_bytes: int
    logits_bytes: int  # of a step's, if they were made whole
    why: str  # in words, how it is made to fit, or that it fits

    @property
    def gpu_hours(self) -> float:
        """Hours of all its devices."""
        return self.seconds.total / 3600 * self.choice.execution.devices

    @property
    def data_limited(self) -> bool:
        """Whether it sees its events more than MANY_EPOCHS times."""
        return self.epochs > MANY_EPOCHS


def plan_runs(study: Study, plan: Plan, data: DataSizes) -> list[PlannedRun]:
    """Every run of a study's plan, each once.

    Args:
        study: the study, which names a GPU.
        plan: its plan over the data's items.
        data: the data's sizes.

    Raises:
        ValueError: an unknown GPU.
    """
    return [_planned(study, cell, data) for cell in unique(list(plan.cells))]


def _planned(study: Study, cell: Cell, data: DataSizes) -> PlannedRun:
    targets = data.targets(study)
    choice = choose(cell, study, data.items)
    cost = nominal(
        cell.embedder,
        cell.contextualizer,
        cell.objective,
        stage=cell.stage,
        batch=cell.batch,
        context=study.data.context,
        tokens=study.data.tokens,
        n_items=data.items,
    )
    parts = (cost.embedder, cost.contextualizer, cost.attention, cost.logits)
    trained = cell.n_total - (cell.n_emb if vectors_are_frozen(cell.embedder, cell.stage) else 0)
    spread = choice.execution.devices if choice.execution.strategy in SPREAD_WEIGHTS else 1
    return PlannedRun(
        cell=cell,
        steps=cell.steps(study.data.context),
        epochs=cell.positions / data.unique_positions(study),
        flops=Flops(*(part * cell.positions for part in parts)),
        choice=choice,
        seconds=gpu_seconds(cell, study, data.items, choice.execution, targets),
        optimizer_bytes=2 * FLOAT * trained // spread,
        checkpoint_bytes=FLOAT * (cell.n_total + 2 * trained),  # weights, Adam's two moments
        record_bytes=RANK_BYTES * targets + FLOAT * cell.n_emb + RECORD_BYTES,
        logits_bytes=FLOAT
        * cell.batch
        * study.data.context
        * candidates_drawn(cell.objective, data.items),
        why=_why(choice, study),
    )


def prepared_bytes(study: Study, data: DataSizes) -> int:
    """Bytes of the prepared data, about: events, users, tokens and ids of items."""
    events, items, users = 30 * data.events, 32 * data.items, 16 * (data.users or 0)
    return events + users + items + 3 * FLOAT * study.data.tokens * data.items


def largest_part(peak: Peak) -> str:
    """Name of the part that needs most at the peak."""
    step = peak.training
    if peak.evaluation.total > step.total + peak.working:
        return "the catalogue in evaluation"
    parts = {
        "weights": step.weights,
        "the catalogue": step.items,
        "activations": step.activations,
        "candidates": step.candidates,
        "temporaries": peak.working,
    }
    return max(parts, key=lambda name: parts[name])


def room(study: Study) -> float:
    """Bytes of a device that a run may take."""
    return USABLE * gpu_named(str(study.execution.gpu)).memory_bytes


def _why(choice: Choice, study: Study) -> str:
    limit, part = room(study), study.execution
    need = f"{choice.memory.total / GB:.1f} of {limit / GB:.0f} GB"
    layout = laid_out(choice.execution)
    if choice.reason == "too large":
        return f"{need} at the least ({layout}): {remedy(choice.memory, part.most_devices)}"
    reasons = []
    if choice.alone.total > limit:
        most = largest_part(choice.alone)
        reasons.append(f"{choice.alone.total / GB:.0f} GB on one GPU, most of it {most}")
    if choice.reason == "hours":
        reasons.append(f"more than {part.longest_hours:g} h on fewer GPUs")
    if not reasons:
        return f"fits as it is: {need}" + (f" ({layout})" if layout != ALONE else "")
    return f"{' and '.join(reasons)}: {layout}, {need}"


def remedy(peak: Peak, most_devices: int) -> str:
    """What would make a run fit that nothing allowed makes fit."""
    most = largest_part(peak)
    if most.startswith("the catalogue"):
        return f"most of it {most}, which every GPU holds whole; a GPU of more memory is needed"
    return f"most of it {most}; allow more than {most_devices} devices, or a GPU of more memory"


def laid_out(execution: Execution) -> str:
    """An execution in words."""
    said = []
    if execution.devices > 1:
        spread = {"ddp": "the batch", "fsdp": "batch and weights", "deepspeed": "batch and weights"}
        what = spread.get(execution.strategy, "the batch")
        said.append(f"{what} over {execution.devices} GPUs ({execution.strategy})")
    if execution.shard_candidates:
        said.append("candidates spread")
    if execution.accumulate > 1:
        said.append(f"the batch in {execution.accumulate} parts")
    return ", ".join(said) or ALONE


def gpu_hours(runs: Sequence[PlannedRun]) -> float:
    """Sum of the GPU-hours of some runs."""
    return sum(run.gpu_hours for run in runs)
