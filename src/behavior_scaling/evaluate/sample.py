"""The validation loss on a fixed sample of positions: cheap enough to be measured on the way.

Choices: the sample is whole rows of the validation windows, evenly spread over all of them, about
1,024 scored positions in all; it depends on the data alone, so that every run of a study is
measured on the same positions, from the same histories. Scores and the partition are those of
the evaluation (evaluate/scoring.py), over the full catalogue, in fp32.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from behavior_scaling.data.store import Dataset
from behavior_scaling.data.windows import EvalBatch, eval_windows
from behavior_scaling.evaluate.counting import Own, Partition
from behavior_scaling.evaluate.scoring import Catalogue, Restoring, restored_of, scored_states
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.two_part import TwoPart

POSITIONS = 1_024


def validation_sample(dataset: Dataset, event_features: tuple[str, ...] = ()) -> EvalBatch:
    """Rows of the validation windows that score about POSITIONS targets, or all rows."""
    context = dataset.meta.spec.context
    windows = eval_windows(dataset, "validation", context, dataset.n_events, event_features)
    whole = next(windows)  # one batch: there are fewer rows than events
    n_rows = len(whole.valid)
    wanted = min(n_rows, math.ceil(POSITIONS * n_rows / int(whole.valid.sum())))
    rows = np.arange(wanted) * n_rows // wanted
    arrays = {field.name: getattr(whole, field.name) for field in fields(whole)}
    chosen: dict[str, Any] = {
        name: None if array is None else array[rows] for name, array in arrays.items()
    }
    return EvalBatch(**chosen)


@torch.no_grad()
def sample_cross_entropy(
    model: TwoPart, objective: Objective, catalogue: Catalogue, sample: EvalBatch
) -> float:
    """Mean full-catalogue cross-entropy of the restored score over a sample, nats an event."""
    states = scored_states(model, catalogue, sample)  # [P, d]
    targets = torch.from_numpy(sample.targets[sample.valid]).to(states.device)  # [P]
    restored = restored_of(objective, catalogue)
    groups = catalogue.kinds if restored is None else restored.groups
    blocks = torch.split(states, catalogue.rows())
    found: list[tuple[Own, Partition]] = []
    for some in torch.split(targets, catalogue.rows()):
        rows = torch.arange(len(some), device=states.device)
        partition = Partition(len(some), groups, catalogue.scratch, states.device)
        found.append((Own(groups, rows, some), partition))
    readers = [pair if restored is None else (Restoring(restored, pair),) for pair in found]
    catalogue.read(blocks, readers)
    total = sum(float((partition.value() - own.value).sum()) for own, partition in found)
    return total / len(targets)
