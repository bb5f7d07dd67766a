"""Bytes that a run's training step needs at its peak, by part: whether a run fits a device.

Choices: float32 throughout (bf16-mixed keeps float32 weights and needs somewhat less for
activations); what autograd saves is counted tensor by tensor and checked in the tests against
what torch saves; logits are counted by the block of positions that is held at once, not by the
number of positions. The interpreter, the allocator's slack and memory-mapped data are not
counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec
from behavior_scaling.sizes.flops import candidates_drawn, takes_everything, vectors_are_frozen
from behavior_scaling.sizes.parameters import (
    MLP_RATIO,
    contextualizer_parameters,
    embedder_parameters,
)

FLOAT = 4  # bytes
INDEX = 8

# What autograd saves in a pre-norm half block, in widths per position: the half's input (shared
# with the norm) and its normed copy; queries, keys, values and attention's output; the MLP's
# hidden layer before and after GELU.
SAVED_BY_ATTENTION = 2 + 4
SAVED_BY_MLP = 2 + 2 * MLP_RATIO


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
    trained = n_ctx + (0 if stage == 2 else n_emb)
    candidates = min(n_items, candidates_drawn(objective, n_items))
    everything = takes_everything(objective, n_items)
    embedded = n_items if everything else min(n_items, 2 * grid + objective.uniform)
    by_token = embedder.kind == "transformer" and embedder.depth > 0
    inputs = tokens * (FLOAT + INDEX) if by_token else embedder.width * FLOAT
    cache = n_items * width * FLOAT if stage == 2 else 0
    rows = min(grid, max(1, block_bytes // (FLOAT * candidates)))
    vectors = (embedded + 2 * grid + candidates) * width * FLOAT
    mask = 0 if everything else documents * (candidates + 1) * FLOAT
    return Memory(
        weights=FLOAT * (n_emb + n_ctx + 3 * trained),
        items=n_items * inputs + cache,
        activations=FLOAT * grid * contextualizer_saves(contextualizer, context)
        + (0 if frozen else FLOAT * embedded * embedder_saves(embedder, tokens)),
        candidates=2 * vectors + mask + rows * candidates * FLOAT,
    )


def contextualizer_saves(contextualizer: ContextualizerSpec, context: int) -> int:
    """Floats that autograd saves at one position: layers, final norm, and its row of the mask."""
    layer = SAVED_BY_ATTENTION + SAVED_BY_MLP
    return (contextualizer.layers * layer + 1) * contextualizer.width + context


def embedder_saves(embedder: EmbedderSpec, tokens: int) -> int:
    """Floats that autograd saves for one item: its blocks, and its mean before and after norm."""
    if embedder.kind == "fixed":
        return 0
    if embedder.depth == 0:
        return embedder.width
    per_block = SAVED_BY_MLP * embedder.width
    if embedder.kind == "transformer":
        per_block = tokens * (SAVED_BY_ATTENTION + SAVED_BY_MLP) * embedder.width
    return embedder.depth * per_block + 2 * embedder.width
