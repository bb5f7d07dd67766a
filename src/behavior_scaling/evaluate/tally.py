"""What is counted of one score on one block of states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from behavior_scaling.evaluate.counting import Counts, Own, Partition
from behavior_scaling.evaluate.kinds import Groups
from behavior_scaling.evaluate.lists import Coverage, Lists
from behavior_scaling.evaluate.scoring import Reader, Scratch


class NonFiniteScoresError(ArithmeticError):
    """The model gives a score that is NaN or infinite."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a block of P states."""

    rows: Tensor  # int64 [n] which state a pair is of; 0, 1, ... P - 1 come first
    items: Tensor  # int64 [n] the pair's item
    listed: Tensor  # int64 [m] states whose lists count for coverage


@dataclass(frozen=True)
class Counted:
    """What is kept of n (state, item) pairs."""

    higher: npt.NDArray[np.int32]  # [n] items that score above the pair's
    equal: npt.NDArray[np.int32]  # [n] other items that score the same
    logp: npt.NDArray[np.float32]  # [n] log-probability of the item over the catalogue, nats

    @classmethod
    def concatenate(cls, parts: list[Counted]) -> Counted:
        """One after the other."""
        names = ("higher", "equal", "logp")
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})

    def take(self, index: npt.NDArray[np.int64]) -> Counted:
        """Some of the pairs."""
        return Counted(self.higher[index], self.equal[index], self.logp[index])


class Tally:
    """The readers of one score, and what they found.

    Args:
        asked: of the block.
        states: P of the block.
        groups: the columns of the score.
        scratch: buffers of the catalogue.
        coverage: that the block's lists are added to.
    """

    def __init__(
        self, asked: Asked, states: int, groups: Groups, scratch: Scratch, coverage: Coverage
    ):
        self._own = Own(groups, asked.rows, asked.items)
        self._partition = Partition(states, groups, scratch, asked.rows.device)
        self._counts = Counts(self._own, groups, scratch)
        self.readers: list[Reader] = [self._own, self._partition, self._counts]
        if len(asked.listed):
            self.readers.append(Lists(coverage, asked.listed))

    def counted(self, what: str) -> Counted:
        """What was found once the scores have been read.

        Args:
            what: names the scores in an error.

        Raises:
            NonFiniteScoresError: a score is NaN or infinite.
        """
        partition = self._partition.value()
        if not bool(partition.isfinite().all()):
            raise NonFiniteScoresError(f"{what} scores are not all finite")
        logp = self._own.value - partition[self._own.rows]
        return Counted(
            self._counts.higher().cpu().numpy(),
            self._counts.equal().cpu().numpy(),
            logp.float().cpu().numpy(),
        )
