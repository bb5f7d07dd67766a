"""What a run's processes agree on beside gradients: sums of counts, and when to stop or save.

Choices: these few numbers travel between the processors (gloo), so that no accelerator waits for
them; only rank 0's clock and its folder count, but whoever is asked to stop stops all, after the
same step. A process that waits for rank 0 (a probe, a checkpoint) waits as long as it takes: that
one of them died is seen from outside (launch.py), within seconds, not by a timeout.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

PATIENCE = timedelta(days=7)  # of every exchange


@dataclass
class Peers:
    """The processes of a run; one alone exchanges nothing."""

    rank: int = 0
    size: int = 1
    _group: distributed.ProcessGroup | None = None

    def sums(self, *values: float) -> list[float]:
        """The sums of each over all processes: the same bits in all of them."""
        if self.size == 1:
            return list(values)
        if self._group is None:
            self._group = distributed.new_group(backend="gloo", timeout=PATIENCE)
        together = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(together, distributed.ReduceOp.SUM, self._group)
        found: list[float] = together.tolist()
        return found

    def anyone(self, *flags: bool) -> list[bool]:
        """Whether each flag is set in some process."""
        return [count > 0 for count in self.sums(*map(float, flags))]
