"""How a run is laid out over devices: chosen from its memory and its hours, before it runs.

Choices, each only where the one before does not fit: one device; the batch in parts, which shrinks
activations alone; several devices with the batch cut among them (DDP), then with the candidates
spread as well, then with weights, gradients and moments spread too (FSDP), in parts again where it
takes that. Devices double and divide the batch, parts divide a device's share of it, so that no
process has less to do. A run that would take longer than the study's `longest_hours` gets more
devices until it does not, or `most_devices` are reached. A device is full at USABLE of its memory:
CUDA's context and the allocator's gaps need the rest (an assumption, not measured). What a study
states itself (strategy, devices, accumulate) is taken as it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from behavior_scaling.config import Study
from behavior_scaling.config_parts import ExecutionConfig
from behavior_scaling.sizes.execution import SINGLE, Execution, Strategy
from behavior_scaling.sizes.gpus import gpu_named
from behavior_scaling.sizes.memory_peak import Peak, peak_memory
from behavior_scaling.sweep.cells import Cell
from behavior_scaling.sweep.gpu_seconds import gpu_seconds

USABLE = 0.9
SPREAD_WEIGHTS = ("fsdp", "deepspeed")
POSITIONS_A_DOCUMENT = 2  # of short histories, packed: more documents than B, more distinct items
TILE_BYTES = 1 << 28  # of logits held at once on a GPU (model/logit_tiles.py)

Reason = Literal["fits", "parts", "devices", "candidates", "weights", "hours", "too large"]


@dataclass(frozen=True)
class Choice:
    """An execution, what it needs of each device, and why it is this one."""

    execution: Execution
    memory: Peak
    alone: Peak  # on one device, the batch whole
    reason: Reason  # 'too large': nothing that is allowed fits, this needs least


def execution_of(cell: Cell, study: Study, n_items: int) -> Execution:
    """The execution of a run: the plan's for a study with a GPU, else what the study states.

    Args:
        cell: the run.
        study: its study.
        n_items: V.

    Raises:
        ValueError: an unknown GPU, or a strategy that does not go with the number of devices.
    """
    if study.execution.gpu is not None:
        return choose(cell, study, n_items).execution
    part = study.execution
    _check(part)
    strategy = "single" if (part.devices or 1) == 1 else _strategies(part)[0]
    return Execution(strategy, part.devices or 1, part.accumulate or 1, False, part.compile)


def choose(cell: Cell, study: Study, n_items: int) -> Choice:
    """The execution of a run on the study's GPU, with its reasons.

    Args:
        cell: the run.
        study: its study, which names a GPU.
        n_items: V.

    Raises:
        ValueError: as execution_of.
    """
    part = study.execution
    _check(part)
    room = USABLE * gpu_named(str(part.gpu)).memory_bytes
    alone = needs(cell, study, n_items, SINGLE)
    fitting: list[tuple[Execution, Peak]] = []  # the first of every number of devices
    least: tuple[Execution, Peak] | None = None
    for devices in _devices(part, cell.batch):
        for layout in _layouts(part, cell.batch, devices):
            need = alone if layout == SINGLE else needs(cell, study, n_items, layout)
            if least is None or need.total < least[1].total:
                least = layout, need
            if need.total <= room:
                fitting.append((layout, need))
                break
        else:
            continue
        seconds = gpu_seconds(cell, study, n_items, fitting[-1][0]).total
        if seconds <= 3600 * part.longest_hours:
            break
    if not fitting:
        assert least is not None  # noqa: S101 (one device, or those stated, are always tried)
        return Choice(*least, alone, "too large")
    return Choice(*fitting[-1], alone, _reason(fitting))


def needs(cell: Cell, study: Study, n_items: int, execution: Execution) -> Peak:
    """Bytes on each device, evaluation's too."""
    return peak_memory(
        cell.embedder,
        cell.contextualizer,
        cell.objective,
        stage=cell.stage,
        batch=cell.batch,
        context=study.data.context,
        tokens=study.data.tokens,
        n_items=n_items,
        documents=cell.batch * study.data.context // POSITIONS_A_DOCUMENT,
        block_bytes=TILE_BYTES,
        precision=study.execution.precision,
        execution=execution,
    )


def _reason(fitting: list[tuple[Execution, Peak]]) -> Reason:
    first = fitting[0][0]
    if len(fitting) > 1:
        return "hours"
    if first.strategy in SPREAD_WEIGHTS:
        return "weights"
    if first.shard_candidates:
        return "candidates"
    if first.devices > 1:
        return "devices"
    return "parts" if first.accumulate > 1 else "fits"


def _devices(part: ExecutionConfig, batch: int) -> list[int]:
    """Numbers of devices to try, ascending."""
    if part.devices is not None:
        return [part.devices]
    least = 1 if part.strategy in ("auto", "single") else 2
    most = 1 if part.strategy == "single" else max(least, part.most_devices)
    doubled = [2**power for power in range(most.bit_length()) if least <= 2**power <= most]
    return [devices for devices in doubled if batch % devices == 0] or [least]


def _layouts(part: ExecutionConfig, batch: int, devices: int) -> Iterator[Execution]:
    """Layouts over a number of devices, in the order of preference."""
    share = -(-batch // devices)
    parts = [n for n in range(1, share + 1) if share % n == 0]
    if part.accumulate:
        parts = [part.accumulate]
    for strategy in _strategies(part) if devices > 1 else ("single",):
        spread = (False, True) if strategy == "ddp" else (devices > 1,)
        for shard in spread:
            for n in parts if strategy != "deepspeed" else parts[:1]:  # it takes whole batches
                yield Execution(strategy, devices, n, shard, part.compile)


def _strategies(part: ExecutionConfig) -> tuple[Strategy, ...]:
    """Of several devices."""
    return ("ddp", "fsdp") if part.strategy == "auto" else (part.strategy,)


def _check(part: ExecutionConfig) -> None:
    if part.strategy == "single" and (part.devices or 1) > 1:
        raise ValueError(
            f"execution.strategy single uses one device, execution.devices asks for {part.devices}"
        )
    if part.strategy not in ("auto", "single") and part.devices == 1:
        raise ValueError(
            f"execution.strategy {part.strategy} needs several devices, execution.devices is 1"
        )
    if part.strategy == "deepspeed" and (part.accumulate or 1) > 1:
        raise ValueError("execution.strategy deepspeed takes no execution.accumulate")
    if part.gpu is None and part.strategy not in ("auto", "single") and part.devices is None:
        raise ValueError(
            f"execution.strategy {part.strategy}: without execution.gpu nothing says how many "
            f"devices; name execution.devices"
        )
