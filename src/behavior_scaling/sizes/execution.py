"""How a run is laid out over devices: no part of what it computes.

Choices: like the kind of machine, an execution changes numbers by rounding alone, so it is recorded
with a run and no part of its id: a study begun on one device goes on with several.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Strategy = Literal["single", "ddp", "fsdp", "deepspeed"]


@dataclass(frozen=True)
class Execution:
    """Devices of a run, and how its batch, weights and candidates are spread over them."""

    strategy: Strategy = "single"
    devices: int = 1
    accumulate: int = 1  # parts of each device's share of the batch, one after the other
    shard_candidates: bool = False  # every device scores all positions against its own part
    compile: bool = False


SINGLE = Execution()
