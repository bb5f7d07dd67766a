"""What a run will take, before anything is measured: a model of a few lines, for bundling.

Choices: a step costs a constant for the loop, the optimizer and the loss, another for every block
(a small block is some fifty operations of a few microseconds each, whatever its width), and its
nominal FLOPs at a rate; a run costs a constant for its model, its evaluation and its files. Small
runs are all constants, large ones all FLOPs. The constants were measured on one core of a small
CPU machine in fp32, over the shapes of config/quick.yaml, where they hold within a factor of two;
on another machine every estimate is off by about one factor, which is nearly that of a study key
`bundle_seconds`. Times are for one thread and nothing else on the core. A study that names a GPU
has a model of its own (gpu_seconds.py).
"""

from __future__ import annotations

from behavior_scaling.config import Study
from behavior_scaling.sizes.execution import Execution
from behavior_scaling.sweep.cells import Cell
from behavior_scaling.sweep.gpu_seconds import gpu_seconds

RUN_SECONDS = 0.6
STEP_SECONDS = 0.003
BLOCK_SECONDS = 0.0035  # a step, for a block of either part that is trained
FLOPS_PER_SECOND = 4e10  # nominal ones: an item that a batch holds twice is embedded once
STEPS_PER_PROBE = 6  # four gradients and the loss of a sample


def run_seconds(cell: Cell, study: Study, n_items: int, execution: Execution) -> float:
    """Seconds of one run on what the study is planned for: a CPU, or its GPU.

    Args:
        cell: the run.
        study: its study.
        n_items: V.
        execution: of the run; a CPU's seconds are those of one core whatever it says.

    Raises:
        ValueError: an unknown GPU.
    """
    if study.execution.gpu is None:
        return estimated_seconds(cell, study.data.context, study.execution.probes)
    return gpu_seconds(cell, study, n_items, execution).total


def estimated_seconds(cell: Cell, context: int, probes: int) -> float:
    """Seconds of one run on one core, start-up of its job aside.

    Args:
        cell: the run.
        context: L, positions a sequence.
        probes: measurements on the way.
    """
    steps = cell.steps(context)
    blocks = cell.contextualizer.layers + (cell.embedder.depth if cell.stage == 1 else 0)
    step = STEP_SECONDS + BLOCK_SECONDS * blocks + cell.budget / steps / FLOPS_PER_SECOND
    return RUN_SECONDS + (steps + STEPS_PER_PROBE * min(probes, steps)) * step
