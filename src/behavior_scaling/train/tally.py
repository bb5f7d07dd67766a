"""What a run counts while it trains: loss curve, steps, candidates, executed FLOPs, probes.

Choices: losses are weighted by their positions; the curve has about 50 points, each the mean
since the one before; `train_loss` is the mean over the steps that end in the last tenth of D.
All of it is plain numbers that go into the checkpoint and come back from it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Self

CURVE_POINTS = 50
LAST_SHARE = 0.1


@dataclass
class Tally:
    """Sums over the steps taken so far; `positions` is D."""

    positions: int
    consumed: int = 0
    steps: int = 0
    steps_after_warmup: int = 0
    candidates: int = 0  # distinct ones of every step, added up
    items_embedded: int = 0  # distinct ones of every step, added up
    flops: float = 0.0  # executed
    seconds: float = 0.0  # of training, over all processes that worked on the run
    last_loss: float = 0.0  # sum of loss x positions over the last tenth
    last_positions: int = 0
    point_loss: float = 0.0  # sum of loss x positions since the last point of the curve
    point_positions: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    probes: list[dict[str, float | None]] = field(default_factory=list)
    probe_flops: float = 0.0  # executed by probes, not in `flops`
    probe_seconds: float = 0.0  # of probes, not in `seconds`

    def add(self, loss: float, lr: float, positions: int) -> None:
        """Take in one step: its mean loss in nats, its learning rate, its loss positions."""
        before = self.consumed * CURVE_POINTS // self.positions
        self.steps += 1
        self.consumed += positions
        self.point_loss += loss * positions
        self.point_positions += positions
        if self.consumed > (1 - LAST_SHARE) * self.positions:
            self.last_loss += loss * positions
            self.last_positions += positions
        if self.consumed * CURVE_POINTS // self.positions > before:
            mean = self.point_loss / self.point_positions
            self.curve.append({"positions": self.consumed, "train_loss": mean, "lr": lr})
            self.point_loss, self.point_positions = 0.0, 0

    @property
    def recent_loss(self) -> float | None:
        """Mean since the last point of the curve, or that point; None before the first step."""
        if self.point_positions:
            return self.point_loss / self.point_positions
        return self.curve[-1]["train_loss"] if self.curve else None

    @property
    def train_loss(self) -> float:
        """Mean over the last tenth of D, nats."""
        return self.last_loss / self.last_positions

    @property
    def events_per_second(self) -> float:
        """Loss positions a second of training; 0 before there is any."""
        return self.consumed / self.seconds if self.seconds else 0.0

    @property
    def executed_gflops(self) -> float:
        """Executed FLOPs a second of training, in 10^9; 0 before there is any."""
        return self.flops / self.seconds / 1e9 if self.seconds else 0.0

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return dataclasses.asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Inverse of state_dict."""
        return cls(**state)
