"""The data of a run as Lightning reads it: batches straight from the sampler, no workers.

Choices: arrays come from memory maps and batches are small, so a worker process would cost more
than it saves; Lightning reads one batch ahead, so every batch carries the sampler's state after
it, and a checkpoint holds the state after the batch that was last trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import LightningDataModule

from behavior_scaling.data.store import Dataset
from behavior_scaling.data.windows import Batch, TrainSampler
from behavior_scaling.model.step import BatchTensors
from behavior_scaling.records.spec import RunSpec


class Step:
    """One step's batch and its place in the run (no dataclass: Lightning would walk into it)."""

    __slots__ = ("after", "batch", "consumed", "number", "tensors")

    def __init__(self, batch: Batch, after: dict[str, int]):
        self.batch = batch
        self.number = batch.step
        self.consumed = batch.consumed
        self.after = after
        self.tensors: BatchTensors | None = None  # on the device, once Lightning has asked for it


def tensors(batch: Batch, device: torch.device) -> BatchTensors:
    """A batch's arrays on a device."""
    return BatchTensors(
        torch.from_numpy(batch.inputs),
        torch.from_numpy(batch.targets),
        torch.from_numpy(batch.document),
        torch.from_numpy(batch.valid),
        None if batch.events is None else torch.from_numpy(batch.events),
    ).to(device)


def sampler(dataset: Dataset, spec: RunSpec, seed: int) -> TrainSampler:
    """Batches of a run's shape; they are the run's own where the seed is."""
    features = spec.contextualizer.event_features
    return TrainSampler(dataset, spec.data.context, spec.batch, spec.positions, seed, features)


class RunData(LightningDataModule):
    """Batches of one run, D loss positions in all."""

    def __init__(self, dataset: Dataset, spec: RunSpec):
        super().__init__()
        self._sampler = sampler(dataset, spec, spec.seed)
        self._after = self._sampler.state_dict()

    def train_dataloader(self) -> Any:
        """An iterable of Step."""
        return _Steps(self._sampler)

    def transfer_batch_to_device(
        self, batch: Step, device: torch.device, dataloader_idx: int
    ) -> Step:
        """Make tensors of the batch's arrays; Lightning calls this when the step begins."""
        batch.tensors = tensors(batch.batch, device)
        self._after = batch.after
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Where the sampler goes on after the batch that was trained on last."""
        return self._after

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._sampler.load_state_dict(state_dict)
        self._after = state_dict


class _Steps:
    def __init__(self, sampler: TrainSampler):
        self._sampler = sampler

    def __iter__(self) -> Iterator[Step]:
        for batch in self._sampler:
            yield Step(batch, self._sampler.state_dict())
