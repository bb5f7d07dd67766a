"""The clock of a job: seconds and targets of training, with quality measured while it stands still.

Choices: frameworks own their training loops, so the clock is what they all report to: once a
step, after the optimizer. Batch making, forward, backward and optimizer lie between two reports
and are counted; evaluation happens inside a report and is not. `wall` is what a user waits for;
`cpu` is the job's own processor time, the same on an idle machine, because a job has one thread
and no workers, and the fairer of the two on a busy one. A rate is taken between two reports,
however long a step lasts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

SOURCES = {"wall": time.perf_counter, "cpu": time.process_time}


class Clock:
    """Takes the time of one training run.

    Args:
        seconds: of training, after which the run is to stop; at least one step is counted.
        warm: seconds at the start that do not count towards the rate.
        moments: seconds at which quality is measured, ascending.
        quality: of the model as it stands.
        source: of the time, 'wall' or 'cpu'.
    """

    def __init__(
        self,
        seconds: float,
        warm: float = 0.0,
        moments: Sequence[float] = (),
        quality: Callable[[], float] | None = None,
        source: str = "wall",
    ):
        self._time = SOURCES[source]
        self._end = warm + seconds
        self._warm = warm
        self._moments = list(moments)
        self._quality = quality
        self._now = 0.0
        self._first: tuple[float, int] | None = None  # seconds and targets when counting began
        self.seconds = 0.0  # of training so far
        self.targets = 0  # so far
        self.steps = 0
        self.curve: list[dict[str, float]] = []

    def start(self) -> None:
        """Training begins: what was done before is start-up."""
        self._now = self._time()

    def step(self, targets: int) -> bool:
        """A step with so many targets has been taken; returns whether the run is to stop."""
        self.seconds += self._time() - self._now
        self.targets += targets
        self.steps += 1
        counting = self._first is not None
        if not counting and self.seconds >= self._warm:
            self._first = (self.seconds, self.targets)
        due = [moment for moment in self._moments if moment <= self.seconds]
        if due:
            self._moments = self._moments[len(due) :]
            self._measure(due[-1])
        self._now = self._time()
        return counting and self.seconds >= self._end

    def finish(self) -> None:
        """The run is over: measure its quality, unless the last step was measured."""
        if not self.curve or self.curve[-1]["targets"] != self.targets:
            self._measure(self._end)

    def _measure(self, due: float) -> None:
        if self._quality is not None:
            point = {"due": due, "seconds": self.seconds, "targets": self.targets}
            self.curve.append(point | {"ndcg": self._quality()})

    @property
    def rate(self) -> float:
        """Targets a second after the warm-up.

        Raises:
            RuntimeError: the run ended before a step could be counted.
        """
        if self._first is None or self.targets == self._first[1]:
            raise RuntimeError("the run ended before its warm-up: no step to take a rate from")
        seconds, targets = self._first
        return (self.targets - targets) / (self.seconds - seconds)
