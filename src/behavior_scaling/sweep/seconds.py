"""What a run will take, before anything is measured: a model of a few lines, for bundling.

Choices: a step costs a constant for the loop, the optimizer and the loss, another for every block
(a small block is some fifty operations of a few microseconds each, whatever its width), and its
nominal FLOPs at a rate; a run costs a constant for its model, its evaluation and its files. Small
runs are all constants, large ones all FLOPs. The constants were measured on one core of a small
CPU machine in fp32, over the shapes of config/quick.yaml, where they hold within a factor of two;
on another machine every estimate is off by about one factor, which is nearly that of a study key
`bundle_seconds`. Times are for one thread and nothing else on the core.
"""

from __future__ import annotations

from behavior_scaling.sweep.cells import Cell

RUN_SECONDS = 0.6
STEP_SECONDS = 0.003
BLOCK_SECONDS = 0.0035  # a step, for a block of either part that is trained
FLOPS_PER_SECOND = 4e10  # nominal ones: an item that a batch holds twice is embedded once
STEPS_PER_PROBE = 6  # four gradients and the loss of a sample


def estimated_seconds(cell: Cell, context: int, probes: int) -> float:
    """Seconds of one run, start-up of its job aside.

    Args:
        cell: the run.
        context: L, positions a sequence.
        probes: measurements on the way.
    """
    steps = -(-cell.positions // (cell.batch * context))
    blocks = cell.contextualizer.layers + (cell.embedder.depth if cell.stage == 1 else 0)
    step = STEP_SECONDS + BLOCK_SECONDS * blocks + cell.budget / steps / FLOPS_PER_SECOND
    return RUN_SECONDS + (steps + STEPS_PER_PROBE * min(probes, steps)) * step
