"""The most bytes that a run holds at once on a device: a training step's peak, or evaluation.

Choices: a step's peak is what `memory` counts plus what its widest moment works with: scoring the
past, a tile of the loss, or the backward pass of a half block, whose temporaries are counted as
model/ makes them. Backward frees as it goes, so the embedder's comes when the contextualizer holds
nothing more. Evaluation runs in float32 beside all weights, as the probes during training do, and
adds the vectors of the whole catalogue, which stage 2 holds anyway. Counts are bytes of tensors,
which the tests hold against what a real step has alive; kernels' workspaces and the allocator's
gaps are not among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec
from behavior_scaling.sizes.execution import SINGLE, Execution
from behavior_scaling.sizes.flops import scores_past, vectors_are_frozen
from behavior_scaling.sizes.memory import (
    Memory,
    catalogue_inputs,
    embedder_inputs,
    local_step,
    memory,
    step_items,
    weights_memory,
)
from behavior_scaling.sizes.parameters import (
    MLP_RATIO,
    contextualizer_parameters,
    embedder_parameters,
)
from behavior_scaling.sizes.saved import (
    FLOAT,
    HALF,
    Precision,
    contextualizer_saves,
    past_saves,
    token_row,
)

# Widths that the backward pass of an MLP works with besides what it saved: the gradient that comes,
# the one that goes, and that times the normed input; of products, the hidden layer's two.
BACKWARD_WIDE = 3
BACKWARD_PRODUCTS = 2 * MLP_RATIO
# Bytes a pair of positions takes while the past is scored, beyond those saved: three masks, scores,
# exponentials; in bf16 the scores a second time.
PAST_PAIR = 3 + 2 * FLOAT
# Tiles of the loss beyond the one that `memory` counts: the one before, what is added to a tile's
# scores, and in bf16 the products and weights.
TILES, TILES_HALF = 2, 3
# Floats without a gradient, in widths: the residual, its norm, and queries, keys and values flat
# and again in rows with attention's output, which is more than the MLP.
FORWARD_FLAT, FORWARD_ROWS = 5, 4
CATALOGUE_BLOCK = 8192  # items embedded at once (model/two_part.py)
WINDOW_ROWS = 64  # of evaluation's windows (data/windows.py)
SCORES = {"cpu": 1 << 19, "cuda": 1 << 25}  # held at once (evaluate/scoring.py BLOCK)
SCORE_ROWS = 64  # fewest (FEWEST_ROWS there)
WIDEST = 1 << 16  # columns up to which the catalogue is copied (WIDEST there)
SCORE_BUFFERS = 3  # raw, restored, and one for counting
GROUP_BYTES = 32  # an item's column, order, start and size (evaluate/kinds.py)


@dataclass(frozen=True)
class Peak:
    """Bytes on each device."""

    training: Memory
    working: int  # of a step's widest moment, besides
    evaluation: Memory

    @property
    def total(self) -> int:
        """The larger of training and evaluation."""
        return max(self.training.total + self.working, self.evaluation.total)


def peak_memory(
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
    device: Literal["cpu", "cuda"] = "cuda",
) -> Peak:
    """Peak bytes of a run on each device; arguments and errors as of memory.memory.

    What is asked besides is the kind of device, which says how many scores evaluation holds.
    """
    local = local_step(objective, batch, context, documents, n_items, execution)
    embedded = step_items(
        objective,
        batch=batch,
        context=context,
        documents=documents,
        n_items=n_items,
        execution=execution,
    )
    training = memory(
        embedder,
        contextualizer,
        objective,
        stage=stage,
        batch=batch,
        context=context,
        tokens=tokens,
        n_items=n_items,
        documents=documents,
        block_bytes=block_bytes,
        precision=precision,
        execution=execution,
        embedded=embedded,
    )
    width, half = contextualizer.width, precision == "bf16-mixed"
    past = scores_past(objective, n_items)
    block: float = BACKWARD_WIDE + BACKWARD_PRODUCTS
    if half:
        block = BACKWARD_WIDE + (BACKWARD_PRODUCTS + 1) * HALF / FLOAT
    freed = contextualizer_saves(contextualizer, context, precision)
    freed += past_saves(width, context, precision) if past else 0
    tile = min(max(block_bytes, FLOAT * local.candidates), FLOAT * local.scored * local.candidates)
    moments: list[float] = [
        (TILES_HALF if half else TILES) * tile,
        local.grid * context * (PAST_PAIR + (HALF if half else 0)) if past else 0,
        FLOAT * local.grid * width * block,
    ]
    if not vectors_are_frozen(embedder, stage) and embedder.depth:
        rows = embedded * (1 if embedder.kind == "mlp" else tokens)
        moments.append(FLOAT * (rows * embedder.width * block - local.grid * freed))
    matrix = FLOAT * MLP_RATIO * max(width, 0 if stage == 2 else embedder.width) ** 2
    evaluation = evaluation_memory(
        embedder,
        contextualizer,
        stage=stage,
        context=context,
        tokens=tokens,
        n_items=n_items,
        precision=precision,
        execution=execution,
        device=device,
    )
    return Peak(training, round(max(moments)) + matrix, evaluation)


def evaluation_memory(
    embedder: EmbedderSpec,
    contextualizer: ContextualizerSpec,
    *,
    stage: int,
    context: int,
    tokens: int,
    n_items: int,
    precision: Precision = "fp32",
    execution: Execution = SINGLE,
    device: Literal["cpu", "cuda"] = "cuda",
) -> Memory:
    """Bytes of evaluation and of probes on each device: always float32, the catalogue whole.

    Args:
        embedder: the embedder's spec.
        contextualizer: the contextualizer's spec.
        stage: 1 or 2.
        context: L.
        tokens: T.
        n_items: V.
        precision: of training, whose weights stay.
        execution: devices and what they share; under fsdp a copy of the whole model comes to it.
        device: says how many scores are held at once.

    Returns:
        In `items` the vectors of the whole catalogue, in `activations` the larger of a block of
        items and a block of windows, in `candidates` scores and, of a small catalogue, its copy.
    """
    width = contextualizer.width
    weights = weights_memory(embedder, contextualizer, n_items, stage, precision, execution)
    inputs = catalogue_inputs(embedder, width, tokens, n_items, stage)
    if execution.strategy == "fsdp":
        parameters = embedder_parameters(embedder, width)
        weights += FLOAT * (parameters + contextualizer_parameters(contextualizer))
        inputs += n_items * embedder_inputs(embedder, tokens)
    length, stretch = token_row(tokens)
    in_rows = length / stretch
    block = min(CATALOGUE_BLOCK, n_items) * embedder.width
    if embedder.depth and embedder.kind != "mlp":
        block = round(block * tokens * (FORWARD_FLAT + FORWARD_ROWS * in_rows))
        block += round(min(CATALOGUE_BLOCK, n_items) * tokens * length * in_rows)
    else:
        block *= BACKWARD_WIDE + BACKWARD_PRODUCTS
    windows = WINDOW_ROWS * context * ((FORWARD_FLAT + FORWARD_ROWS) * width + 2 * context)
    made = 0 if stage == 2 else n_items * FLOAT * width
    scores = SCORE_BUFFERS * max(SCORES[device], SCORE_ROWS * min(n_items, WIDEST))
    copied = 2 * n_items * width if n_items <= WIDEST else 0
    return Memory(
        weights=weights,
        items=inputs + made + n_items * GROUP_BYTES,
        activations=FLOAT * max(block, windows),
        candidates=FLOAT * (scores + copied),
    )
