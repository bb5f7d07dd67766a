"""Bytes that a run's training step needs at its peak, by part: whether a run fits a device.

Choices: float32 throughout (bf16-mixed keeps float32 weights and needs somewhat less for
activations); what autograd saves is counted tensor by tensor and checked in the tests against
what torch saves; logits are counted by the block of positions that is held at once, not by the
number of positions. The interpreter, the allocator's slack and memory-mapped data are not
counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec
from behavior_scaling.sizes.flops import (
    candidates_drawn,
    scores_past,
    takes_everything,
    vectors_are_frozen,
)
from behavior_scaling.sizes.parameters import (
    MLP_RATIO,
    contextualizer_parameters,
    embedder_parameters,
    table_parameters,
)
from behavior_scaling.user_class import is_user_class, stated_saved_floats

FLOAT = 4  # bytes
ROW_STEP = 16  # tokens; attention over other lengths falls to a slow path on a CPU
INDEX = 8

# What autograd saves in a pre-norm half block, in widths per position: the half's normed input;
# queries, keys, values and attention's output; the MLP's hidden layer before and after GELU.
SAVED_BY_ATTENTION = 1 + 4
SAVED_BY_MLP = 1 + 2 * MLP_RATIO
# In a transformer embedder: flat, the normed input, queries, keys, values and what attention gave,
# and the same four again in rows (model/token_rows.py); once, the tokens' share of their mean.
SAVED_BY_FLAT_ATTENTION = 1 + 4
SAVED_BY_MIXING = 3 + 2 * MLP_RATIO  # mean and numbers side by side, hidden, the normed sum


@dataclass(frozen=True)
class Memory:
    """Bytes by part."""

    weights: int  # parameters, their gradients, Adam's two moments
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
) -> Memory:
    """Bytes of one training step.

    Args:
        embedder: the embedder's spec.
        contextualizer: the contextualizer's spec.
        objective: candidates of a step.
        stage: 1 or 2.
        batch: B.
        context: L.
        tokens: T.
        n_items: V.
        documents: sequences in a batch (B or more where short ones are packed).
        block_bytes: bytes of logits held at once (model.cross_entropy.BLOCK_BYTES).

    Raises:
        ValueError: a stage other than 1 or 2, or an embedder that cannot be built.
    """
    frozen = vectors_are_frozen(embedder, stage)
    width = contextualizer.width
    grid = batch * context
    n_emb, n_ctx = embedder_parameters(embedder, width), contextualizer_parameters(contextualizer)
    n_emb += table_parameters(embedder, width, n_items)  # its gradient is dense: it counts as any
    trained = n_ctx + (0 if stage == 2 else n_emb)
    candidates = min(n_items, candidates_drawn(objective, n_items))
    everything = takes_everything(objective, n_items)
    embedded = n_items if everything else min(n_items, 2 * grid + objective.uniform)
    cache = n_items * width * FLOAT if stage == 2 else 0
    rows = min(grid, max(1, block_bytes // (FLOAT * candidates)))
    vectors = (embedded + 2 * grid + candidates) * width * FLOAT
    mask = 0 if everything else documents * (candidates + 1) * FLOAT
    past = past_saves(width, context) if scores_past(objective, n_items) else 0
    return Memory(
        weights=FLOAT * (n_emb + n_ctx + 3 * trained),
        items=n_items * embedder_inputs(embedder, tokens) + cache,
        activations=round(FLOAT * grid * (contextualizer_saves(contextualizer, context) + past))
        + (0 if frozen else FLOAT * embedded * embedder_saves(embedder, width, tokens)),
        candidates=2 * vectors + mask + rows * candidates * FLOAT,
    )


def contextualizer_saves(contextualizer: ContextualizerSpec, context: int) -> int:
    """Floats that autograd saves at one position: layers, final norm, mask row, event features."""
    layer = SAVED_BY_ATTENTION + SAVED_BY_MLP
    blocks = (contextualizer.layers * layer + 1) * contextualizer.width
    return blocks + context + contextualizer.event_width


def past_saves(width: int, context: int) -> float:
    """Floats that autograd saves at one position where it is scored against its own past.

    Its query and its vector, its row of scores, the row's sum, and a mask of bytes.
    """
    return 2 * width + context + 1 + context / FLOAT


def embedder_saves(embedder: EmbedderSpec, width: int, tokens: int) -> int:
    """Floats that autograd saves for one item: its blocks, and its mean before and after norm.

    Raises:
        ValueError: a user's class that does not state them.
    """
    if embedder.kind in ("fixed", "table"):
        return 0
    if is_user_class(embedder.kind):
        return stated_saved_floats(embedder.kind, embedder.width, embedder.depth, width, tokens)
    mixing = SAVED_BY_MIXING * embedder.width if embedder.kind == "tabtransformer" else 0
    if embedder.depth == 0:
        return mixing or embedder.width
    if embedder.kind == "mlp":
        return (embedder.depth * SAVED_BY_MLP + 1) * embedder.width
    length, stretch = token_row(tokens)
    flat = (SAVED_BY_FLAT_ATTENTION + SAVED_BY_MLP) * embedder.width
    in_rows = 4 * embedder.width * length / stretch
    once = embedder.width + length**2 / stretch  # the share of the mean, and a row of the mask
    of_tokens = tokens * (embedder.depth * (flat + in_rows) + once)
    return round(of_tokens) + embedder.width + mixing


def token_row(longest: int) -> tuple[int, int]:
    """Length R of the rows that attention over items of up to `longest` tokens sees.

    Returns:
        R, and the flat positions whose items a row takes (model/token_rows.py).
    """
    length = ROW_STEP * math.ceil((longest + ROW_STEP - 1) / ROW_STEP)
    return length, length - longest + 1


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
