"""Windows: the batches that training and evaluation read.

A position is an event that another event of the same user follows: the event is the input, the
follower is the target.

Choices (training): in every epoch each user's positions are cut at a random offset into windows
of at most L (those that fit half a window are never cut, as evaluation never cuts them: histories
so short are always seen from their start), packed into rows of L and shuffled, all from
(seed, epoch) alone, so that any batch can be made again; an epoch is planned when its first row
is asked for, and its positions are written out batch by batch; batches of B rows run on across
epochs; the last one is cut so that the number of losses is D exactly.
Choices (evaluation): windows at a stride of half of L, so that each target is scored once and
sees at least min(history, L/2) events, up to a user's last target of the split; packed into rows
as in training, in a fixed order. Events of other splits are history where they precede a target.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.event_columns import EventReader
from behavior_scaling.data.packing import Grid, PackedRows, packed_rows
from behavior_scaling.data.ragged import ragged
from behavior_scaling.data.store import SPLIT_CODES, Dataset, EvalSplit

WRITTEN_ROWS = 256  # rows of a plan that are written out at once: the work of a call is shared


@dataclass(frozen=True)
class Batch:
    """B rows of training."""

    inputs: NDArray[np.int64]  # [B, L] catalogue index, padding 0
    targets: NDArray[np.int64]  # [B, L] catalogue index, padding 0
    document: NDArray[np.int32]  # [B, L] 0, 1, ... within the batch, one a window; padding -1
    valid: NDArray[np.bool_]  # [B, L] bears a loss
    step: int  # 0 for the first batch of a run
    consumed: int  # loss positions before this batch
    events: NDArray[np.int64] | None  # [B, L, F'] rows of the inputs' event features, padding 0


@dataclass(frozen=True)
class EvalBatch:
    """R rows of evaluation; user, event and session_start speak of the target."""

    inputs: NDArray[np.int64]  # [R, L] catalogue index, padding 0
    targets: NDArray[np.int64]  # [R, L] catalogue index, padding 0
    document: NDArray[np.int32]  # [R, L] 0, 1, ... within the batch, one a window; padding -1
    valid: NDArray[np.bool_]  # [R, L] is scored here
    user: NDArray[np.int32]  # [R, L] padding -1
    event: NDArray[np.int64]  # [R, L] the target's index among the data set's events; padding -1
    session_start: NDArray[np.bool_]  # [R, L] the target opens a session
    events: NDArray[np.int64] | None  # [R, L, F'] rows of the inputs' event features, padding 0


class TrainSampler:
    """An iterator over the batches of a run: D loss positions, then it ends.

    The state says what has been handed out, so a sampler that loads it goes on with the very
    batch that would have followed.
    """

    def __init__(
        self,
        dataset: Dataset,
        context: int,
        batch: int,
        positions: int,
        seed: int,
        event_features: tuple[str, ...] = (),
    ) -> None:
        """Prepare a run over `dataset`.

        Args:
            dataset: the prepared data; only its training events are read.
            context: L, positions of a row.
            batch: B, rows of a batch.
            positions: D, loss positions of the whole run, repeats included.
            seed: of offsets, packing order and shuffling.
            event_features: of the inputs, by name, that batches carry.

        Raises:
            ValueError: a size below 1, no user with two training events, an unknown event feature.
        """
        if min(context, batch, positions) < 1:
            raise ValueError(
                f"context, batch and positions must be at least 1, "
                f"got {context}, {batch} and {positions}"
            )
        counts = dataset.train_lengths - 1
        users = np.flatnonzero(counts > 0)
        if not len(users):
            raise ValueError(f"{dataset.path}: no user has two training events to learn from")
        self._first = dataset.offsets[users]  # [n] first event of each user who has positions
        self._counts = counts[users]  # [n] positions of each
        self._items = dataset.items
        self._read_events = _event_reader(dataset, event_features)
        self.context = context
        self.batch = batch
        self.positions = positions
        self.seed = seed
        self._epoch = 0
        self._row = 0
        self._step = 0
        self._consumed = 0
        self._plan: PackedRows | None = None  # of the epoch, once a row of it is asked for
        self._written: Grid | None = None  # rows of the plan from `_written_from` on
        self._written_from = 0

    def epoch_plan(self, epoch: int) -> PackedRows:
        """The rows of an epoch, in the order in which they are handed out."""
        rng = np.random.default_rng([self.seed, epoch])
        size = self.context
        cut = rng.integers(1, size + 1, len(self._counts))  # length of the first window
        cut[self._counts <= size // 2] = size
        windows = 1 + np.maximum(self._counts - cut + size - 1, 0) // size
        owner, nth = ragged(np.zeros_like(windows), windows)
        end = np.minimum(cut[owner] + nth * size, self._counts[owner])
        start = np.where(nth == 0, 0, cut[owner] + (nth - 1) * size)
        shuffled = rng.permutation(len(owner))
        starts = (self._first[owner] + start)[shuffled]
        lengths = (end - start)[shuffled]
        rows = packed_rows(starts, lengths, size)
        return rows[rng.permutation(len(rows))]

    def __iter__(self) -> Iterator[Batch]:
        """Batches from the present state on."""
        while self._consumed < self.positions:
            yield self._next()

    def _next(self) -> Batch:
        made = self._batch(self._take_rows(), self._step, self._consumed)
        left = self.positions - self._consumed
        bearing = int(made.valid.sum())
        if bearing > left:
            made.valid[:] &= np.cumsum(made.valid).reshape(made.valid.shape) <= left
            bearing = left
        self._step += 1
        self._consumed += bearing
        return made

    def _batch(self, grid: Grid, step: int, consumed: int) -> Batch:
        inputs, targets = _pairs(self._items, grid.event)
        document = grid.documents()
        events = None if self._read_events is None else self._read_events(grid.event)
        return Batch(inputs, targets, document, document >= 0, step, consumed, events)

    def draws(self, epoch: int, count: int) -> Iterator[Batch]:
        """Independent batches of an epoch, beside the run: the state stays, D is not spent.

        Each has B rows drawn without replacement from the epoch's, whatever the others have;
        no batch is cut, and none of another epoch has the same number.
        """
        plan = self.epoch_plan(epoch)
        rng = np.random.default_rng([self.seed, epoch, count])
        for number in range(count):
            rows = rng.choice(len(plan), self.batch, replace=self.batch > len(plan))
            yield self._batch(plan[rows].grid(), epoch * count + number, 0)

    def _take_rows(self) -> Grid:
        """The next B rows, over the ends of as many epochs as it takes."""
        taken = []
        wanted = self.batch
        while wanted:
            if self._plan is None:
                self._plan = self.epoch_plan(self._epoch)
            elif self._row == len(self._plan):
                self._epoch += 1
                self._row = 0
                self._plan = self.epoch_plan(self._epoch)
                self._written = None
            rows = self._write_out(self._plan, wanted)
            self._row += len(rows.event)
            wanted -= len(rows.event)
            taken.append(rows)
        if len(taken) == 1:
            return taken[0]
        return Grid(
            np.concatenate([rows.event for rows in taken]),
            np.concatenate([rows.window for rows in taken]),
        )

    def _write_out(self, plan: PackedRows, wanted: int) -> Grid:
        """Up to B rows of the plan from the present one on; many are written out at a time."""
        first = self._row - self._written_from
        if self._written is None or not 0 <= first < len(self._written.event):
            self._written = plan[self._row : self._row + WRITTEN_ROWS].grid()
            self._written_from, first = self._row, 0
        part = slice(first, first + wanted)
        return Grid(self._written.event[part], self._written.window[part])

    def state_dict(self) -> dict[str, int]:
        """What has been handed out so far, and the settings that it belongs to."""
        return {
            "epoch": self._epoch,
            "row": self._row,
            "step": self._step,
            "consumed": self._consumed,
            **self._settings(),
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where another sampler of the same settings stopped.

        Raises:
            ValueError: the state belongs to other settings.
        """
        for name, value in self._settings().items():
            if state[name] != value:
                raise ValueError(f"the sampler's state has {name} {state[name]}, not {value}")
        self._epoch, self._row = state["epoch"], state["row"]
        self._step, self._consumed = state["step"], state["consumed"]
        self._plan = self._written = None

    def _settings(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("context", "batch", "positions", "seed")}


def eval_windows(
    dataset: Dataset,
    split: EvalSplit,
    context: int,
    rows: int = 64,
    event_features: tuple[str, ...] = (),
) -> Iterator[EvalBatch]:
    """Batches that score every eligible target of a split exactly once.

    A target is eligible where an event of the same user precedes it. The last batch has fewer rows.

    Args:
        dataset: the prepared data.
        split: validation or test.
        context: L, positions of a row, at least 2.
        rows: R, rows of a batch.
        event_features: of the inputs, by name, that batches carry.
    """
    if context < 2 or rows < 1:
        raise ValueError(f"context must be at least 2 and rows at least 1, got {context}, {rows}")
    read_events = _event_reader(dataset, event_features)
    start, length, scored_from = _eval_cuts(dataset, split, context)
    packed = packed_rows(start, length, context)
    for first in range(0, len(packed), rows):
        part = packed[first : first + rows].grid()
        present = part.event >= 0
        inputs, targets = _pairs(dataset.items, part.event)
        target = np.where(present, part.event + 1, -1)
        counts = present & (dataset.split[target] == SPLIT_CODES[split])
        owner = np.searchsorted(dataset.offsets, part.event, side="right") - 1
        yield EvalBatch(
            inputs=inputs,
            targets=targets,
            document=part.documents(),
            valid=counts & (part.event >= scored_from[part.window]),
            user=np.where(present, owner, -1).astype(np.int32),
            event=target,
            session_start=present & (dataset.sessions[target] != dataset.sessions[part.event]),
            events=None if read_events is None else read_events(part.event),
        )


def _eval_cuts(
    dataset: Dataset, split: EvalSplit, context: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Windows of a split: first input event, number of inputs, first input that is scored."""
    targets = dataset.eval_events(split)
    owner = np.searchsorted(dataset.offsets, targets, side="right") - 1
    users, first, count = np.unique(owner, return_index=True, return_counts=True)
    head = dataset.offsets[users]
    stop = targets[first + count - 1]  # inputs end before a user's last target
    scored = targets[first] - 1  # the first input whose target counts
    half = context // 2
    start = np.maximum(scored - half, head)
    stride = context - half
    windows = 1 + np.maximum(stop - start - context + stride - 1, 0) // stride
    owner, nth = ragged(np.zeros_like(windows), windows)
    begin = start[owner] + nth * stride
    length = np.minimum(stop[owner] - begin, context)
    return begin, length, np.where(nth == 0, scored[owner], begin + half)


def _event_reader(dataset: Dataset, event_features: tuple[str, ...]) -> EventReader | None:
    return EventReader(dataset.event_columns(), event_features) if event_features else None


def _pairs(
    items: NDArray[np.int32], events: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Inputs and targets of a grid of input events; padding 0."""
    padded = events < 0
    inputs = items[events].astype(np.int64)
    targets = items[events + 1].astype(np.int64)
    inputs[padded] = 0
    targets[padded] = 0
    return inputs, targets
