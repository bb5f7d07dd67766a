"""A step's batch cut among processes, and each process' rows into parts that follow one another.

Choices: every process holds the whole batch (the sampler gives all of them the same) and takes
consecutive rows of it, so that nothing but gradients, and with shards positions, has to travel;
candidates are drawn once, from the targets of the whole batch, so that they are those of one
process that holds it all. A part without any loss in any process is left out in all of them; a
process that has no row in a part runs the first row of the batch without a loss, so that all
processes do the same things in the same order, whatever they exchange on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from behavior_scaling.model.objective import Objective
from behavior_scaling.model.shards import Shards
from behavior_scaling.model.step import BatchTensors, Whole


@dataclass(frozen=True)
class Share:
    """Which rows of every batch a process takes."""

    rank: int = 0
    size: int = 1  # processes
    accumulate: int = 1  # parts, one after the other
    shards: Shards | None = None  # where the candidates are spread over the processes, too

    def alone(self) -> Share:
        """The same parts, all of them by one process."""
        return Share(accumulate=self.size * self.accumulate)

    def parts(
        self, batch: BatchTensors, objective: Objective, seed: int, step: int
    ) -> Iterator[BatchTensors]:
        """This process' parts of a batch; the batch itself where it is not cut.

        Each part's gradient, weighted by its share of the step's positions (without shards those
        of the process alone) and summed over parts and processes, is that of the whole batch.
        """
        if self.size == self.accumulate == 1:
            yield batch
            return
        candidates = objective.draw(batch.targets[batch.valid], seed, step)
        rows = batch.inputs.shape[0]
        for part in range(self.accumulate):
            numbers = [self._rows(rows, rank, part) for rank in range(self.size)]
            everywhere = _take(batch, [row for own in numbers for row in own])
            if not bool(everywhere.valid.any()):
                continue
            own = _take(batch, list(numbers[self.rank]) or [0])
            if not numbers[self.rank]:
                own.valid.zero_()
            scored = own if self.shards is None else everywhere
            whole = Whole(candidates, scored, self.shards)
            yield BatchTensors(own.inputs, own.targets, own.document, own.valid, own.events, whole)

    def _rows(self, rows: int, rank: int, part: int) -> range:
        """Rows of one part of one process: consecutive, as even as can be."""
        first, last = rows * rank // self.size, rows * (rank + 1) // self.size
        cuts = [first + (last - first) * one // self.accumulate for one in (part, part + 1)]
        return range(*cuts)


def _take(batch: BatchTensors, rows: list[int]) -> BatchTensors:
    at = torch.tensor(rows, dtype=torch.int64, device=batch.inputs.device)
    return BatchTensors(
        batch.inputs[at],
        batch.targets[at],
        batch.document[at],
        batch.valid[at],
        None if batch.events is None else batch.events[at],
    )
