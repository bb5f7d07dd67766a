"""Bytes that a run's training step needs at its peak, by part: whether a run fits a device.

Choices: what autograd saves is counted tensor by tensor and checked in the tests against what
torch saves, in both precisions. bf16-mixed keeps weights, gradients, moments, normed inputs and the
loss in float32; products, their inputs and attention's mask are bf16, and a matrix has a bf16 copy
while it is applied. Logits are counted by the block of positions that is held at once, not by the
number of positions. Distinct items are bounded by inputs and targets, unless the caller knows
better (step_items). Of a run over several devices each one's share is counted, the largest. What a
moment of a step needs besides is in memory_peak.py. The interpreter, the allocator's slack,
kernels' workspaces and memory-mapped data are not counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec
from behavior_scaling.sizes.execution import SINGLE, Execution
from behavior_scaling.sizes.flops import (
    candidates_drawn,
    scores_past,
    takes_everything,
    vectors_are_frozen,
)
from behavior_scaling.sizes.parameters import (
    MLP_RATIO,
    contextualizer_parameters,
    embedder_block_parameters,
    embedder_parameters,
    table_parameters,
)
from behavior_scaling.sizes.saved import (
    FLOAT,
    HALF,
    Precision,
    contextualizer_saves,
    embedder_saves,
    past_saves,
)
from behavior_scaling.user_class import is_user_class

INDEX = 8
FEWEST_ROWS = 128  # of a tile of scores (model/logit_tiles.py)


@dataclass(frozen=True)
class Memory:
    """Bytes by part, on each device."""

    weights: int  # parameters, their gradients, Adam's two moments, copies in use
    items: int  # codes and means of the catalogue, and in stage 2 its cached vectors
    activations: int  # what autograd saves of both parts
    candidates: int  # vectors, mask and correction, one block of logits, and their gradients

    @property
    def total(self) -> int:
        """All parts."""
        return self.weights + self.items + self.activations + self.candidates


def memory(
    embedder: EmbedderSpec,
    contextualizer: ContextualizerSpec,
    objective: ObjectiveSpec,
    *,
    stage: int,
    batch: int,
    context: int,
    tokens: int,
    n_items: int,
    documents: int,
    block_bytes: int,
    precision: Precision = "fp32",
    execution: Execution = SINGLE,
    embedded: int | None = None,
) -> Memory:
    """Bytes of one training step on each device.

    Args:
        embedder: the embedder's spec.
        contextualizer: the contextualizer's spec.
        objective: candidates of a step.
        stage: 1 or 2.
        batch: B, of all devices together.
        context: L.
        tokens: T.
        n_items: V.
        documents: sequences in a batch (B or more where short ones are packed).
        block_bytes: bytes of logits held at once (model/logit_tiles.py TILE_BYTES).
        precision: of products.
        execution: devices and what they share.
        embedded: distinct items that a device embeds a step (stage 1), where it is known better
            than by the bound of all inputs, targets and candidates (step_items).

    Raises:
        ValueError: a stage other than 1 or 2, or an embedder that cannot be built.
    """
    frozen = vectors_are_frozen(embedder, stage)
    width = contextualizer.width
    local = local_step(objective, batch, context, documents, n_items, execution)
    grid, candidates = local.grid, local.candidates
    everything = takes_everything(objective, n_items)
    if stage == 2:
        embedded = 0  # vectors are rows of the cache, and a chunk of candidates is gathered at once
        held = 2 * local.scored + chunk_columns(local.scored, candidates, block_bytes)
    else:
        if embedded is None:
            embedded = min(n_items, 2 * grid + local.foreign)
        held = embedded + 2 * local.scored + candidates
    vectors = (FLOAT if precision == "fp32" or stage == 2 else HALF) * held * width
    mask = 0 if everything else local.documents * (candidates + 1) * FLOAT
    rows = min(local.scored, max(1, block_bytes // (FLOAT * candidates)))
    past = past_saves(width, context, precision) if scores_past(objective, n_items) else 0
    saved = grid * (contextualizer_saves(contextualizer, context, precision) + past)
    items = 0 if frozen else embedded * embedder_saves(embedder, width, tokens, precision)
    return Memory(
        weights=weights_memory(embedder, contextualizer, n_items, stage, precision, execution),
        items=catalogue_inputs(embedder, width, tokens, n_items, stage),
        activations=round(FLOAT * (saved + items)),
        candidates=vectors
        + FLOAT * held * width
        + min(mask, max(block_bytes, local.documents * FLOAT))
        + rows * candidates * FLOAT,
    )


@dataclass(frozen=True)
class LocalStep:
    """What one device works on at once."""

    grid: int  # positions of its part of the batch
    documents: int  # whose positions it scores
    scored: int  # positions that it scores: with candidates spread, those of all devices
    candidates: int  # distinct ones that it scores them against
    foreign: int  # of them, those that its own positions do not name


def local_step(
    objective: ObjectiveSpec,
    batch: int,
    context: int,
    documents: int,
    n_items: int,
    execution: Execution,
) -> LocalStep:
    """The largest share of a step: rows are cut over devices, a device's over its parts.

    Candidates are those of the whole step (model/parts.py), so to a part of it the in-batch ones
    may be foreign, too.
    """
    parts = execution.devices * execution.accumulate
    spread = execution.devices if execution.shard_candidates else 1
    grid = math.ceil(batch / parts) * context
    drawn = min(n_items, candidates_drawn(objective, n_items))
    candidates = math.ceil(drawn / spread)
    own = parts == 1 and not takes_everything(objective, n_items)
    return LocalStep(
        grid=grid,
        documents=math.ceil(documents / parts) * spread,
        scored=grid * spread,
        candidates=candidates,
        foreign=objective.uniform if own else candidates,
    )


def step_items(
    objective: ObjectiveSpec,
    *,
    batch: int,
    context: int,
    documents: int,
    n_items: int,
    execution: Execution = SINGLE,
) -> int:
    """Most distinct items that a device embeds a step where targets are the next inputs.

    A document of n positions names n + 1 items, so a device's inputs and targets are at most
    B L + documents items, to which come candidates of other positions and those drawn uniformly.
    """
    local = local_step(objective, batch, context, documents, n_items, execution)
    named = math.ceil(documents / (execution.devices * execution.accumulate))
    return min(n_items, local.grid + named + local.foreign)


def chunk_columns(positions: int, candidates: int, block_bytes: int) -> int:
    """Candidates whose vectors are gathered at once from a frozen table: a tile's columns.

    As of model/logit_tiles.py tile_shape.
    """
    cells, fewest = block_bytes // FLOAT, min(positions, FEWEST_ROWS)
    if candidates * fewest <= cells:
        return candidates
    return min(candidates, max(1, cells // min(positions, 2 * FEWEST_ROWS)))


def weights_memory(
    embedder: EmbedderSpec,
    contextualizer: ContextualizerSpec,
    n_items: int,
    stage: int,
    precision: Precision,
    execution: Execution,
) -> int:
    """Parameters, gradients, moments, and bf16 copies of the largest matrices while they work.

    Under fsdp a share of what is trained, and one block whole with its gradient; under deepspeed
    (ZeRO stage 2) all weights, in bf16 where products are, and a share of a float32 copy,
    gradients and moments.
    """
    width, part = contextualizer.width, execution.devices
    n_emb, n_ctx = embedder_parameters(embedder, width), contextualizer_parameters(contextualizer)
    n_emb += table_parameters(embedder, width, n_items)  # its gradient is dense: it counts as any
    trained = n_ctx + (0 if stage == 2 else n_emb)
    frozen = n_emb + n_ctx - trained
    size = FLOAT if precision == "fp32" else HALF
    if execution.strategy == "fsdp":
        gathered = 2 * _largest_block(embedder, contextualizer, stage)
        held = FLOAT * (frozen + math.ceil(4 * trained / part) + gathered)
    elif execution.strategy == "deepspeed":
        held = size * (frozen + trained) + FLOAT * math.ceil(4 * trained / part)
    else:
        held = FLOAT * (frozen + 4 * trained)
    if precision == "fp32":
        return held
    return held + HALF * (MLP_RATIO * max(embedder.width, width) ** 2 + embedder.width * width)


def _largest_block(embedder: EmbedderSpec, contextualizer: ContextualizerSpec, stage: int) -> int:
    ours = (4 + 2 * MLP_RATIO) * contextualizer.width**2
    if stage == 2 or embedder.depth == 0 or is_user_class(embedder.kind):
        return ours
    return max(ours, embedder_block_parameters(embedder))


def catalogue_inputs(
    embedder: EmbedderSpec, width: int, tokens: int, n_items: int, stage: int
) -> int:
    """Bytes of the catalogue's fixed inputs, and in stage 2 of its cached vectors."""
    cache = n_items * width * FLOAT if stage == 2 else 0
    return n_items * embedder_inputs(embedder, tokens) + cache


def embedder_inputs(embedder: EmbedderSpec, tokens: int) -> int:
    """Bytes of an item's fixed inputs: its tokens or their mean, and a tabtransformer's numbers.

    A user's class is taken to hold the tokens, as it is given them.
    """
    if embedder.kind == "table":
        return 0
    numbers = FLOAT * embedder.width if embedder.kind == "tabtransformer" else 0
    averaged = embedder.kind in ("mlp", "fixed") or embedder.depth == 0
    if averaged and not is_user_class(embedder.kind):
        return FLOAT * embedder.width + numbers
    return tokens * (FLOAT + INDEX) + numbers
