"""What follows from a run's spec alone: sizes, shares and the FLOPs of other conventions.

The record and the table of runs both state these, by the same column names.
"""

from __future__ import annotations

from behavior_scaling.records.spec import RunSpec
from behavior_scaling.sizes.flops import flops_6dnt, flops_6nd, vectors_are_frozen
from behavior_scaling.sizes.parameters import (
    contextualizer_parameters,
    embedder_parameters,
    table_parameters,
)


def sizes_of(spec: RunSpec, positions: int) -> dict[str, int | float]:
    """Parameters, realised share, D/N and comparison FLOPs.

    Args:
        spec: the run.
        positions: loss positions: D, or fewer where a run ended early.
    """
    n_emb = embedder_parameters(spec.embedder, spec.contextualizer.width)
    n_ctx = contextualizer_parameters(spec.contextualizer)
    frozen = vectors_are_frozen(spec.embedder, spec.stage)
    return {
        "n_emb": n_emb,
        "n_ctx": n_ctx,
        "n_total": n_emb + n_ctx,
        "share": n_emb / (n_emb + n_ctx),
        "n_trainable": n_ctx if frozen else n_emb + n_ctx,
        "positions": positions,
        "d_over_n": positions / (n_emb + n_ctx),
        "flops_6nd": flops_6nd(n_emb, n_ctx, positions),
        "flops_6dnt": flops_6dnt(n_emb, n_ctx, positions, spec.data.tokens),
    }


def table_counts(spec: RunSpec, n_items: int) -> dict[str, int]:
    """n_table of a run that trains an id table over V items, by its column; else nothing."""
    n_table = table_parameters(spec.embedder, spec.contextualizer.width, n_items)
    return {"n_table": n_table} if n_table else {}
