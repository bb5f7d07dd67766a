"""What a contestant is: one small protocol, and the data that all of them are given.

Choices: items are numbers of the catalogue, 0..V-1, at this border; an adapter translates. Items
that a peer never saw in training have no vector there: they are left out of its histories, as
RecTools itself does, and score below everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from clock import Clock
from numpy.typing import NDArray
from settings import LENGTH, Shape
from torch import Tensor


@dataclass(frozen=True)
class Histories:
    """What precedes each target that is scored."""

    items: NDArray[np.int64]  # [n, L] oldest first, from column 0 on; behind the end 0
    lengths: NDArray[np.int64]  # [n] 1..L

    def part(self, start: int, stop: int) -> Histories:
        """Some of them."""
        return Histories(self.items[start:stop], self.lengths[start:stop])


@dataclass(frozen=True)
class Data:
    """Training sequences and the validation positions, the same for everyone."""

    folder: Path  # of the exported files
    prepared: Path  # the package's own prepared data, of which they are made
    n_items: int  # V
    items: NDArray[np.int64]  # [E] of the training events, user by user, in order of time
    offsets: NDArray[np.int64]  # [users + 1]
    histories: Histories
    targets: NDArray[np.int64]  # [n]

    @classmethod
    def open(cls, folder: Path) -> Data:
        """Read what export.py wrote."""
        with np.load(folder / "data.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return cls(
            folder,
            Path(str(arrays["prepared"])),
            int(arrays["n_items"]),
            arrays["items"],
            arrays["offsets"],
            Histories(arrays["histories"], arrays["lengths"]),
            arrays["targets"],
        )

    def windows(self) -> list[NDArray[np.int64]]:
        """Every user's training events as stretches of L + 1, each beginning on the last's end.

        SASRec's authors and both peers keep the last L + 1 events of a user only. Cut into
        windows, every event is a target once an epoch, as in our own runs: more data for them.
        """
        found = []
        for first, stop in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            for end in range(int(stop), int(first) + 1, -LENGTH):
                found.append(self.items[max(int(first), end - LENGTH - 1) : end])
        return found


class Contestant(Protocol):
    """A model and its own way of training it.

    Args of the constructor: shape, data, learning-rate factor, seed, and the number of targets
    that the run will see (for schedules; peers' rates are constant).
    """

    trains_every_position: bool

    def __init__(
        self, shape: Shape, data: Data, lr_factor: float, seed: int, targets: int
    ) -> None: ...

    def train(self, clock: Clock) -> None:
        """Start the clock, train and report every step to it, until it says stop."""
        ...

    def scores(self, histories: Histories) -> Tensor:
        """Scores of the next item [n, V], in evaluation mode; training goes on unharmed."""
        ...

    def parameters(self) -> int:
        """Trainable parameters."""
        ...


def translate(histories: Histories, code: NDArray[np.int64], right: bool) -> Histories:
    """Histories in a peer's own item numbers.

    Args:
        histories: in numbers of the catalogue.
        code: number of every catalogue item [V]; 0 = not known to the peer, which is its padding.
        right: whether the newest item stands in the last column.
    """
    present = np.arange(histories.items.shape[1]) < histories.lengths[:, None]
    coded = np.where(present, code[histories.items], 0)
    # A stable sort by "is padding" closes the gaps and keeps the order.
    order = np.argsort((coded != 0) if right else (coded == 0), axis=1, kind="stable")
    return Histories(np.take_along_axis(coded, order, axis=1), (coded != 0).sum(1))


def to_catalogue(scores: Tensor, code: NDArray[np.int64]) -> Tensor:
    """A peer's scores [n, its items] in order of the catalogue [n, V]."""
    taken = scores.index_select(1, torch.from_numpy(code))
    return taken.masked_fill_(torch.from_numpy(code == 0), torch.finfo(scores.dtype).min)


def coding(known: NDArray[np.int64], numbers: NDArray[np.int64], n_items: int) -> NDArray[np.int64]:
    """The `code` of `translate`: catalogue items `known` have the peer's `numbers` [V]."""
    code = np.zeros(n_items, dtype=np.int64)
    code[known] = numbers
    return code
