"""The learning rate, by loss positions consumed.

Choices: linear warm-up, then half a cosine; a step's rate is read at the middle of its positions,
so that neither the first nor the last step is wasted on a rate of zero, and halving the batch
leaves the schedule in place.
"""

from __future__ import annotations

import math

from behavior_scaling.records.spec import OptimizerSpec


def learning_rate(optimizer: OptimizerSpec, position: float, positions: int) -> float:
    """The rate after `position` of D = `positions` loss positions, 0 <= position <= D."""
    warm = optimizer.warmup * positions
    if position < warm:
        return optimizer.lr * position / warm
    progress = (position - warm) / (positions - warm)
    cosine = (1 + math.cos(math.pi * progress)) / 2
    return optimizer.lr * (optimizer.final + (1 - optimizer.final) * cosine)
