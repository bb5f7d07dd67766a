"""The bytes model against what torch holds."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from behavior_scaling.model.contextualizer import Contextualizer
from behavior_scaling.model.own_past import own_past
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec
from behavior_scaling.sizes.memory import Memory, memory
from behavior_scaling.sizes.saved import contextualizer_saves, embedder_saves, past_saves

from .saved_floats import saved_floats

T = 6


@pytest.mark.parametrize(("width", "layers"), [(16, 1), (32, 2), (64, 3)])
def test_contextualizer_activations(width: int, layers: int) -> None:
    """Within 10% of the tensors that torch saves."""
    spec = ContextualizerSpec("transformer", width, layers, width // 16)
    module = Contextualizer(spec, torch.Generator())
    vectors = torch.randn(4, 32, width, requires_grad=True)
    document = torch.zeros(4, 32, dtype=torch.int32)
    found = saved_floats(module, lambda: module(vectors, document))
    assert found / (4 * 32) == pytest.approx(contextualizer_saves(spec, 32), rel=0.1)


@pytest.mark.parametrize(
    "spec",
    [
        *(EmbedderSpec("transformer", 16, depth) for depth in (1, 2)),
        *(EmbedderSpec("mlp", 16, depth) for depth in (0, 1, 2)),
    ],
    ids=lambda spec: f"{spec.kind}{spec.depth}",
)
def test_embedder_activations(spec: EmbedderSpec) -> None:
    """Within 10% of the tensors that torch saves."""
    codes = torch.arange(100 * T).view(100, T)
    contextualizer = ContextualizerSpec("transformer", 8, 1, 1)
    model = TwoPart(spec, contextualizer, codes, torch.ones(100, T), 1024, seed=0)
    items = torch.arange(100)
    found = saved_floats(model, lambda: model.item_vectors(items))
    assert found / 100 == pytest.approx(embedder_saves(spec, 8, T), rel=0.1)


def test_what_scoring_the_past_saves() -> None:
    """Within 10% of the tensors that torch saves."""
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(4, 32, 16, requires_grad=True) * 1
    vectors = torch.randn(4, 32, 16, requires_grad=True) * 1
    inputs, targets = torch.randint(0, 50, (2, 4, 32), generator=generator)
    document = torch.zeros(4, 32, dtype=torch.int32)
    scored = torch.arange(4 * 32)
    found = saved_floats(
        torch.nn.Module(),
        lambda: own_past(queries, vectors, inputs, targets, document, scored).log_sum,
    )
    assert (found - 2 * 4 * 32) / (4 * 32) == pytest.approx(past_saves(16, 32), rel=0.1)


def test_memory_counts_the_past_where_it_is_scored() -> None:
    shape = EmbedderSpec("mlp", 8, 0), ContextualizerSpec("transformer", 16, 1, 1)
    sizes: dict[str, Any] = {"batch": 2, "context": 8, "tokens": T, "n_items": 1000, "documents": 3}
    found = {
        same: memory(*shape, ObjectiveSpec("corrected", 24, 16, same), stage=1, block_bytes=1 << 20,
                     **sizes)
        for same in ("past", "mask")
    }  # fmt: skip
    more = found["past"].activations - found["mask"].activations
    assert more == 4 * 16 * (2 * 16 + 8 + 1 + 2)
    assert found["past"].candidates == found["mask"].candidates


def test_memory_by_hand() -> None:
    """A stage-1 and a stage-2 run written out, and the block that bounds the logits."""
    shape = EmbedderSpec("mlp", 8, 0), ContextualizerSpec("transformer", 16, 1, 1)
    objective = ObjectiveSpec("corrected", 24, 16, "mask")
    sizes: dict[str, Any] = {"batch": 2, "context": 8, "tokens": T, "n_items": 1000, "documents": 3}
    n_emb, n_ctx, grid, candidates = 128, 12 * 256 + 1, 16, 40
    activations = grid * ((14 + 1) * 16 + 8)
    first = memory(*shape, objective, stage=1, block_bytes=4 * 40 * 10, **sizes)
    assert first == Memory(
        weights=4 * 4 * (n_emb + n_ctx),
        items=4 * 1000 * 8,
        activations=4 * (activations + 48 * 8),
        candidates=4 * (2 * (48 + 32 + candidates) * 16 + 3 * 41 + 10 * candidates),
    )
    second = memory(*shape, objective, stage=2, block_bytes=1 << 20, **sizes)
    assert second.weights == 4 * (n_emb + 4 * n_ctx)
    assert second.items == 4 * 1000 * (8 + 16)
    assert second.activations == 4 * activations
    assert second.total == (second.weights + second.items + second.activations + second.candidates)
