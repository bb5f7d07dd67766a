"""One training step's loss, from a batch of ids to a number: the only place where the parts meet.

Choices: every distinct item of a batch (inputs, targets, candidates) is embedded once and its
vector gathered, since the same vector serves as input and as candidate; positions without a
loss are dropped before scoring; in stage 2 vectors come from the frozen catalogue. A batch may be
one part of a step (parts.py): its candidates are those of the whole step, and where they are
spread over processes, the positions of all processes are scored against the own part of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from behavior_scaling.model.candidates import Candidates
from behavior_scaling.model.objective import Objective, Sequences
from behavior_scaling.model.own_past import OwnPast, own_past
from behavior_scaling.model.shards import Shards
from behavior_scaling.model.two_part import TwoPart


@dataclass(frozen=True)
class BatchTensors:
    """A batch as the model reads it."""

    inputs: Tensor  # int64 [B, L]; any item id where padded
    targets: Tensor  # int64 [B, L]; read only where valid
    document: Tensor  # int [B, L]; -1 = padding, else numbered within the batch
    valid: Tensor  # bool [B, L]; bears a loss
    events: Tensor | None = None  # int64 [B, L, F'], rows of the inputs' event features
    whole: Whole | None = None  # the step that these rows are a part of; None: they are all of it

    def to(self, device: torch.device) -> BatchTensors:
        """The same batch on a device."""
        return BatchTensors(
            self.inputs.to(device),
            self.targets.to(device),
            self.document.to(device),
            self.valid.to(device),
            None if self.events is None else self.events.to(device),
        )


@dataclass(frozen=True)
class Whole:
    """What a step is to one part of it."""

    candidates: Candidates  # drawn from the targets of all positions of the step
    scored: BatchTensors  # rows whose positions are scored here: the part's own, or with shards
    # those of the part in all processes, in the order of their ranks
    shards: Shards | None  # the processes that the candidates are spread over


@dataclass(frozen=True)
class StepResult:
    """A step's loss and what ran (for sizes.flops.executed)."""

    loss: Tensor  # scalar, nats a position
    n_positions: int  # positions scored
    n_items_embedded: int  # distinct items; 0 where the catalogue is frozen
    n_candidates: int  # distinct candidates that positions were scored against here
    embedder_flops: float  # of embedding them, forward and backward; 0 where frozen
    n_drawn: int  # distinct candidates of the step, wherever they were scored


def step_loss(
    model: TwoPart,
    objective: Objective,
    batch: BatchTensors,
    frozen_catalogue: Tensor | None,
    seed: int,
    step: int,
) -> StepResult:
    """Mean loss over the valid positions of a batch.

    Args:
        model: the two parts.
        objective: candidates and loss.
        batch: tensors on the model's device. Of a part of a step, the loss is the mean over the
            positions that `whole` has scored here, and 0 where there is none.
        frozen_catalogue: float [V, d] without gradient in stage 2; None in stage 1.
        seed: of the run; with `step` it determines the candidates.
        step: number of the optimizer step.

    Raises:
        ValueError: a whole batch in which no position bears a loss.
    """
    whole = batch.whole
    shards = None if whole is None else whole.shards
    scored = batch.valid.view(-1).nonzero().squeeze(1)  # [P]
    if scored.shape[0] == 0 and whole is None:
        raise ValueError(f"step {step}: no position of the batch bears a loss")
    inputs = batch.inputs.view(-1)
    targets = batch.targets.view(-1).index_select(0, scored)
    candidates = objective.draw(targets, seed, step) if whole is None else whole.candidates
    n_drawn = candidates.items.shape[0]
    if shards is not None:
        candidates = Candidates(candidates.items[shards.own(n_drawn)], candidates.everything)
    wanted = torch.cat([inputs, targets])
    embedded = wanted[:0]
    table = frozen_catalogue is not None or (candidates.everything and shards is None)
    if frozen_catalogue is not None:
        vectors = frozen_catalogue
    elif table:
        embedded = candidates.items
        vectors = model.item_vectors(embedded)
    else:
        embedded, wanted = torch.unique(torch.cat([wanted, candidates.items]), return_inverse=True)
        vectors = model.item_vectors(embedded)
    gathered = vectors.index_select(0, wanted)
    n_inputs, n_targets = inputs.shape[0], targets.shape[0]
    past, future = gathered[:n_inputs], gathered[n_inputs : n_inputs + n_targets]
    states = model.states(past.view(*batch.inputs.shape, -1), batch.document, batch.events)
    grid = states * model.scale()  # [B, L, d]
    queries = grid.view(-1, grid.shape[-1]).index_select(0, scored)
    own = None
    if objective.scores_past:
        met = past.view_as(grid)
        own = own_past(grid, met, batch.inputs, batch.targets, batch.document, scored)
    rows = batch
    if whole is not None and shards is not None:
        rows = whole.scored
        queries, future, own = _of_all(shards, queries, future, own)
        scored = rows.valid.view(-1).nonzero().squeeze(1)
        targets = rows.targets.view(-1).index_select(0, scored)
    if scored.shape[0] == 0:
        loss = queries.sum()  # 0, and a gradient of 0 for everything that ran
    else:
        loss = objective.loss(
            queries,
            targets,
            future,
            candidates,
            vectors if table else gathered[n_inputs + n_targets :],
            _sequences(rows, targets, scored),
            past=own,
            table=frozen_catalogue is not None
            and (shards is not None or not candidates.everything),
            shards=shards,
        )
    return StepResult(
        loss,
        scored.shape[0],
        embedded.shape[0],
        candidates.items.shape[0],
        model.embedder.training_flops(embedded) if embedded.shape[0] else 0.0,
        n_drawn,
    )


def _of_all(
    shards: Shards, queries: Tensor, future: Tensor, own: OwnPast | None
) -> tuple[Tensor, Tensor, OwnPast | None]:
    """What each process knows of its positions, for the positions of all, in one exchange."""
    columns = [queries, future]
    if own is not None:
        columns += [own.log_sum[:, None], own.holds_target[:, None]]
    kind, width = queries.dtype, queries.shape[1]
    together = shards.gather(torch.cat([column.to(kind) for column in columns], dim=1))
    if own is not None:
        own = OwnPast(together[:, -2], together[:, -1].detach() > 0)
    return together[:, :width], together[:, width : 2 * width], own


def _sequences(batch: BatchTensors, targets: Tensor, scored: Tensor) -> Sequences:
    """The items of every document: its inputs, and its targets where they are read."""
    of_input = batch.document.view(-1).long() + 1  # padding is a sequence that nothing scores
    of_position = of_input.index_select(0, scored)
    return Sequences(
        of_position=of_position,
        sequence=torch.cat([of_input, of_position]),
        item=torch.cat([batch.inputs.view(-1), targets]),
        count=int(of_input.max()) + 1,
    )
