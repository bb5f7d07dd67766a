"""Trainable parameters of the two parts, from their specs.

Choices: no biases and parameter-free RMSNorm, so every trainable parameter is an entry of a
matmul matrix, apart from the one log temperature of the score, which is counted in N_ctx, and
from a trained id table, which does no matmul and is counted apart (n_table), outside N_emb.
The fixed codebook is not trained and not counted. The optimizer may freeze a part (stage 2);
the counts here are of the part, frozen or not. A user's class states its own count.
"""

from __future__ import annotations

from behavior_scaling.records.spec import EMBEDDER_KINDS, ContextualizerSpec, EmbedderSpec
from behavior_scaling.user_class import is_user_class, stated_parameters

MLP_RATIO = 4  # hidden width of every MLP over the width of its block


def embedder_parameters(embedder: EmbedderSpec, width: int) -> int:
    """N_emb for item vectors of `width` (d): 0 for 'fixed' and 'table', else blocks plus e x d.

    A 'tabtransformer' has one block more than its depth: the MLP that mixes in the numbers.

    Raises:
        ValueError: what check_embedder refuses, or a user's class that does not state its count.
    """
    check_embedder(embedder, width)
    if embedder.kind in ("fixed", "table"):
        return 0
    if is_user_class(embedder.kind):
        return stated_parameters(embedder.kind, embedder.width, embedder.depth, width)
    blocks = embedder.depth + (embedder.kind == "tabtransformer")
    return blocks * embedder_block_parameters(embedder) + embedder.width * width


def table_parameters(embedder: EmbedderSpec, width: int, n_items: int) -> int:
    """n_table: entries V d of a trained id table, counted apart from N_emb; 0 for other kinds."""
    return n_items * width if embedder.kind == "table" else 0


def embedder_block_parameters(embedder: EmbedderSpec) -> int:
    """Parameters of one block of width e: 12 e^2 with attention, 8 e^2 without.

    The MLP that mixes numbers in goes from 2 e to 4 e to e, 12 e^2 as well.
    """
    mlp = 2 * MLP_RATIO * embedder.width**2
    return mlp if embedder.kind == "mlp" else mlp + 4 * embedder.width**2


def contextualizer_parameters(contextualizer: ContextualizerSpec) -> int:
    """N_ctx: 12 d^2 a layer, the matrix of event features, the log temperature of the score."""
    blocks = contextualizer.layers * (4 + 2 * MLP_RATIO) * contextualizer.width**2
    return blocks + contextualizer.event_width * contextualizer.width + 1


def check_embedder(embedder: EmbedderSpec, width: int) -> None:
    """Refuse an embedder that no model can be built from.

    Raises:
        ValueError: unknown kind, or a 'fixed' or 'table' embedder of a width other than `width`
            or of a depth other than 0.
    """
    if embedder.kind not in EMBEDDER_KINDS and not is_user_class(embedder.kind):
        known = ", ".join(EMBEDDER_KINDS)
        raise ValueError(f"embedder.kind {embedder.kind!r}: known are {known}, and module:Class")
    whole = embedder.kind in ("fixed", "table")
    if whole and (embedder.width != width or embedder.depth != 0):
        raise ValueError(
            f"a {embedder.kind} embedder gives its rows as item vectors: it needs width {width} "
            f"(that of the contextualizer) and depth 0, not {embedder.width} and {embedder.depth}"
        )
