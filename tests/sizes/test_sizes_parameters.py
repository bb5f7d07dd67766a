"""Parameter counts against a hand count and against the model itself."""

from __future__ import annotations

import itertools

import pytest
import torch

from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec
from behavior_scaling.sizes.parameters import contextualizer_parameters, embedder_parameters


def test_counts_by_hand() -> None:
    """e = 8, d = 16: a block is 3 + 1 + 4 + 4 squares of 8, the last matrix 8 x 16."""
    assert embedder_parameters(EmbedderSpec("transformer", 8, 0), 16) == 128
    assert embedder_parameters(EmbedderSpec("transformer", 8, 2), 16) == 2 * 12 * 64 + 128
    assert embedder_parameters(EmbedderSpec("mlp", 8, 2), 16) == 2 * 8 * 64 + 128
    assert embedder_parameters(EmbedderSpec("fixed", 16, 0), 16) == 0
    assert contextualizer_parameters(ContextualizerSpec("transformer", 16, 2, 1)) == 6145


@pytest.mark.parametrize(
    ("kind", "width", "depth", "d", "layers"),
    [
        *itertools.product(["transformer", "mlp"], [4, 6, 24], [0, 1, 2], [8, 20, 48], [1, 2]),
        ("fixed", 16, 0, 16, 1),
        ("fixed", 48, 0, 48, 2),
    ],
)
def test_counts_equal_the_models(kind: str, width: int, depth: int, d: int, layers: int) -> None:
    """Every trainable parameter of both parts is counted, and no other."""
    embedder = EmbedderSpec(kind, width, depth)
    contextualizer = ContextualizerSpec("transformer", d, layers, max(1, d // 16))
    codes = torch.arange(6).view(3, 2)
    model = TwoPart(embedder, contextualizer, codes, torch.ones(3, 2), 256, seed=0)

    def trainable(module: torch.nn.Module) -> int:
        return sum(p.numel() for p in module.parameters() if p.requires_grad)

    assert trainable(model.embedder) == embedder_parameters(embedder, d)
    assert trainable(model.contextualizer) == contextualizer_parameters(contextualizer)
    assert trainable(model) == trainable(model.embedder) + trainable(model.contextualizer)
    saved = sum(tensor.numel() for tensor in model.state_dict().values())
    assert saved == trainable(model), "a checkpoint holds the parameters only"


@pytest.mark.parametrize(
    ("embedder", "message"),
    [
        (EmbedderSpec("fixed", 8, 0), "needs width 16"),
        (EmbedderSpec("fixed", 16, 1), "depth 0"),
        (
            EmbedderSpec("table", 8, 0),
            "table embedder gives its rows as item vectors: it needs width",
        ),
        (EmbedderSpec("tabel", 8, 0), "'tabel': known are transformer, mlp, tabtransformer, table"),
    ],
)
def test_impossible_embedders_are_refused(embedder: EmbedderSpec, message: str) -> None:
    """The message says what was wanted."""
    with pytest.raises(ValueError, match=message):
        embedder_parameters(embedder, 16)
