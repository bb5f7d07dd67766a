"""The item embedder of a spec: fixed, weighted codes of an item to its vector.

Choices: every trainable parameter is a matmul parameter (the codebook is fixed), so the
embedder's share of N is the share of what learns, at any size. One module a kind; depth 0 of the
transformer is the weighted mean of codes through one matrix, as that of the MLP. A trained id
table is an option whose parameters are counted apart.
"""

from __future__ import annotations

import torch

from behavior_scaling.model.embedder_base import ItemEmbedder, Items, check_items
from behavior_scaling.model.embedder_means import MeanEmbedder
from behavior_scaling.model.embedder_tab import TabTransformerEmbedder
from behavior_scaling.model.embedder_table import TableEmbedder
from behavior_scaling.model.embedder_transformer import TransformerEmbedder
from behavior_scaling.model.embedder_user import UserEmbedder
from behavior_scaling.records.spec import EmbedderSpec
from behavior_scaling.sizes.parameters import check_embedder
from behavior_scaling.user_class import is_user_class


def make_embedder(
    spec: EmbedderSpec,
    width: int,
    items: Items,
    codebook_rows: int,
    generator: torch.Generator,
) -> ItemEmbedder:
    """The untrained embedder.

    Args:
        spec: kind, width e and depth.
        width: d, of the item vectors.
        items: the catalogue's fixed inputs.
        codebook_rows: rows of the fixed codebook.
        generator: draws the initial weights.

    Raises:
        ValueError: items or a spec that no embedder can be built from; see TwoPart.
    """
    check_embedder(spec, width)
    if spec.kind == "table":
        return TableEmbedder(spec, width, len(items.codes), generator)
    check_items(items, codebook_rows)
    made: type[MeanEmbedder | TabTransformerEmbedder | TransformerEmbedder | UserEmbedder]
    if is_user_class(spec.kind):
        made = UserEmbedder
    elif spec.kind == "tabtransformer":
        made = TabTransformerEmbedder
    elif spec.kind == "transformer" and spec.depth > 0:
        made = TransformerEmbedder
    else:
        made = MeanEmbedder
    return made(spec, width, items, codebook_rows, generator)
