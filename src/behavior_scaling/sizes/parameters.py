"""Trainable parameters of the two parts, from their specs.

Choices: no biases and parameter-free RMSNorm, so every trainable parameter is an entry of a
matmul matrix, apart from the one log temperature of the score, which is counted in N_ctx.
The fixed codebook is not trained and not counted. The optimizer may freeze a part (stage 2);
the counts here are of the part, frozen or not.
"""

from __future__ import annotations

from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec

MLP_RATIO = 4  # hidden width of every MLP over the width of its block


def embedder_parameters(embedder: EmbedderSpec, width: int) -> int:
    """N_emb for item vectors of `width` (d): 0 for 'fixed', else blocks plus one e x d matrix.

    Raises:
        ValueError: unknown kind, or a 'fixed' embedder whose width is not d.
    """
    check_embedder(embedder, width)
    if embedder.kind == "fixed":
        return 0
    return embedder.depth * embedder_block_parameters(embedder) + embedder.width * width


def embedder_block_parameters(embedder: EmbedderSpec) -> int:
    """Parameters of one block of width e: 12 e^2 with attention, 8 e^2 without."""
    mlp = 2 * MLP_RATIO * embedder.width**2
    return mlp if embedder.kind == "mlp" else mlp + 4 * embedder.width**2


def contextualizer_parameters(contextualizer: ContextualizerSpec) -> int:
    """N_ctx: 12 d^2 a layer, and the log temperature of the score."""
    return contextualizer.layers * (4 + 2 * MLP_RATIO) * contextualizer.width**2 + 1


def check_embedder(embedder: EmbedderSpec, width: int) -> None:
    """Refuse an embedder that no model can be built from.

    Raises:
        ValueError: unknown kind, or a 'fixed' embedder of a width other than `width` or of a
            depth other than 0.
    """
    if embedder.kind not in ("transformer", "mlp", "fixed"):
        raise ValueError(f"embedder.kind {embedder.kind!r}: known are transformer, mlp, fixed")
    if embedder.kind == "fixed" and (embedder.width != width or embedder.depth != 0):
        raise ValueError(
            f"a fixed embedder gives its codes as item vectors: it needs width {width} (that of "
            f"the contextualizer) and depth 0, not {embedder.width} and {embedder.depth}"
        )
