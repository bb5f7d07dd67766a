"""What a run will take on a GPU: a model of stated assumptions. Not measured: no GPU was at hand.

Choices: a step is its nominal FLOPs at the study's `utilisation` of the GPU's peak, the passes over
its matrix of scores at the memory's bandwidth (a score is few FLOPs at small widths), and its
operations at KERNEL_SECONDS each, added up as if nothing overlapped. Evaluation scores every target
against the whole catalogue in fp32, twice, in blocks as large as evaluate/scoring.py makes them.
The numbers of operations were counted on a CPU (docs/performance.md). Several devices share the
steps at SCALING of their sum; evaluation and probes are taken to keep one of them busy.
"""

from __future__ import annotations

from dataclasses import dataclass

from behavior_scaling.config import Study
from behavior_scaling.sizes.execution import Execution
from behavior_scaling.sizes.flops import candidates_drawn, flops_cache
from behavior_scaling.sizes.gpus import Gpu, gpu_named
from behavior_scaling.sizes.memory_peak import SCORES
from behavior_scaling.sizes.saved import FLOAT
from behavior_scaling.sweep.cells import Cell

RUN_SECONDS = 60.0  # imports, the model, tokens to the device, choice of kernels, files
KERNEL_SECONDS = 10e-6  # an operation, dispatched from Python
STEP_KERNELS = 240  # of a step, its blocks aside
BLOCK_KERNELS = 90  # of a block, forward and backward
SCORE_PASSES = 6  # over a training step's scores: products, log-sum-exp, gradient
READINGS = 2  # of every score in evaluation, each computed anew
READING_PASSES = 4  # over a block of scores in a reading
READING_KERNELS = 15
EVALUATION_BLOCK = SCORES["cuda"]
SCALING = 0.9  # of several devices
STEPS_PER_PROBE = 6  # four gradients, and again half as much
PROBED = 1_024  # targets that a probe scores (evaluate/sample.py)
EVALUATED = 1_000_000  # targets of an evaluation, where nobody says how many there are


@dataclass(frozen=True)
class GpuSeconds:
    """Seconds of one run, on the clock."""

    train: float
    probes: float
    evaluate: float
    start: float

    @property
    def total(self) -> float:
        """All parts."""
        return self.train + self.probes + self.evaluate + self.start


def gpu_seconds(
    cell: Cell, study: Study, n_items: int, execution: Execution, targets: int = EVALUATED
) -> GpuSeconds:
    """Seconds of a run on the study's GPU.

    Args:
        cell: the run.
        study: its study, which names a GPU.
        n_items: V.
        execution: devices and parts of the batch.
        targets: events that its evaluation scores.

    Raises:
        ValueError: an unknown GPU.
    """
    gpu = gpu_named(str(study.execution.gpu))
    rate = study.execution.utilisation * gpu.flops[study.execution.precision]
    speedup = execution.devices * (SCALING if execution.devices > 1 else 1.0)
    steps = cell.steps(study.data.context)
    blocks = cell.contextualizer.layers + (cell.embedder.depth if cell.stage == 1 else 0)
    scores = cell.positions / steps * candidates_drawn(cell.objective, n_items)
    dispatched = execution.accumulate * (STEP_KERNELS + BLOCK_KERNELS * blocks) * KERNEL_SECONDS
    moved = scores * SCORE_PASSES * FLOAT / gpu.bandwidth
    step = (cell.budget / steps / rate + moved) / speedup + dispatched
    catalogue = _catalogue(cell, study, n_items, gpu)
    probes = min(study.execution.probes, steps) * (
        STEPS_PER_PROBE * step + catalogue + _scoring(cell, study, n_items, gpu, PROBED)
    )
    evaluate = catalogue + _scoring(cell, study, n_items, gpu, targets)
    return GpuSeconds(steps * step, probes, evaluate, RUN_SECONDS)


def _catalogue(cell: Cell, study: Study, n_items: int, gpu: Gpu) -> float:
    """Seconds of embedding every item once, in fp32."""
    spent = flops_cache(cell.embedder, cell.contextualizer.width, study.data.tokens, n_items)
    return spent / (study.execution.utilisation * gpu.flops["fp32"])


def _scoring(cell: Cell, study: Study, n_items: int, gpu: Gpu, targets: int) -> float:
    """Seconds of scoring targets against the whole catalogue."""
    scores = float(targets) * n_items * READINGS
    products = 2 * scores * cell.contextualizer.width
    moved = scores * READING_PASSES * FLOAT / gpu.bandwidth
    dispatched = scores / EVALUATION_BLOCK * READING_KERNELS * KERNEL_SECONDS
    busy = products / (study.execution.utilisation * gpu.flops["fp32"]) + moved
    return max(busy, dispatched)
