"""Sizes of the tabtransformer and the table: counts, FLOPs, shares, memory, against torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from behavior_scaling.config_parts import ContextualizerConfig, EmbedderConfig
from behavior_scaling.model.embedder import make_embedder
from behavior_scaling.model.embedder_base import Columns, ItemEmbedder, Items
from behavior_scaling.model.seeding import seeded
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec
from behavior_scaling.sizes.flops import flops_cache, item_flops, nominal, vectors_are_frozen
from behavior_scaling.sizes.memory import embedder_inputs, memory
from behavior_scaling.sizes.parameters import embedder_parameters, table_parameters
from behavior_scaling.sizes.saved import embedder_saves, token_row
from behavior_scaling.sizes.shapes import catalogue, realise

from .saved_floats import saved_floats

T, V, D = 32, 96, 16
TAB = [EmbedderSpec("tabtransformer", 8, depth) for depth in (0, 1, 2)]
each_tab = pytest.mark.parametrize("spec", TAB, ids=lambda spec: f"tab{spec.depth}")


def _embedder(spec: EmbedderSpec) -> ItemEmbedder:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 4096, (V, T), generator=generator)
    numbers = torch.randn(V, 3, generator=generator)
    columns = Columns(codes % 5, numbers, torch.arange(6).view(3, 2))
    return make_embedder(spec, D, Items(codes, torch.ones(V, T), columns), 4096, seeded("sizes"))


def _flops(run: Callable[[], object]) -> float:
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    total: float = counter.get_total_flops()
    return total


def test_counts_by_hand() -> None:
    """12 e^2 a block, 12 e^2 for the mixing MLP (2 e to 4 e to e), e d; a table outside N_emb."""
    assert embedder_parameters(EmbedderSpec("tabtransformer", 8, 0), 16) == 12 * 64 + 128
    assert embedder_parameters(EmbedderSpec("tabtransformer", 8, 2), 16) == 3 * 12 * 64 + 128
    table = EmbedderSpec("table", 16, 0)
    assert embedder_parameters(table, 16) == 0
    assert table_parameters(table, 16, 1000) == 16_000
    assert table_parameters(TAB[1], 16, 1000) == 0


@pytest.mark.parametrize("spec", [*TAB, EmbedderSpec("table", D, 0)], ids=lambda s: s.kind)
def test_counts_equal_the_models(spec: EmbedderSpec) -> None:
    """And a state_dict holds them alone."""
    embedder = _embedder(spec)
    held = sum(p.numel() for p in embedder.parameters() if p.requires_grad)
    assert held == embedder_parameters(spec, D) + table_parameters(spec, D, V)
    assert held == sum(value.numel() for value in embedder.state_dict().values())


@each_tab
def test_flops_agree_with_the_counter(spec: EmbedderSpec) -> None:
    """What ran, within 1%; nominally, attention sees an item's own pairs and no packed rows."""
    embedder = _embedder(spec)
    items = torch.arange(V)
    length, stretch = token_row(T)
    packed = spec.width * spec.depth * (math.ceil(V * T / stretch) * length**2 - V * T**2)
    counted = _flops(lambda: embedder(items).square().sum().backward())
    assert counted == pytest.approx(embedder.training_flops(items), rel=0.01)
    assert counted == pytest.approx(V * item_flops(spec, D, T) + 12 * packed, rel=0.01)
    with torch.no_grad():
        once = _flops(lambda: embedder(items))
    assert once == pytest.approx(flops_cache(spec, D, T, V) + 4 * packed, rel=0.01)


def test_first_matrices_save_a_third() -> None:
    """Depth 0: 4 FLOPs for the 2 e x 4 e matrix on fixed inputs; depth 1: for the first QKV."""
    assert item_flops(TAB[0], D, T) == 4 * 8 * 64 + 6 * 4 * 64 + 6 * 8 * D
    blocks = T * (4 * 3 * 64 + 6 * 9 * 64 + 12 * T * 8)
    assert item_flops(TAB[1], D, T) == blocks + 6 * 12 * 64 + 6 * 8 * D


def test_a_table_costs_no_matmul_but_its_vectors_take_a_gradient() -> None:
    """So the contextualizer and the logits are at full training cost."""
    table = EmbedderSpec("table", D, 0)
    assert item_flops(table, D, T) == flops_cache(table, D, T, V) == 0
    assert not vectors_are_frozen(table, 1)
    assert vectors_are_frozen(table, 2)
    shape = ContextualizerSpec("transformer", D, 1, 1)
    objective = ObjectiveSpec("corrected", 24, 16, "mask")
    sizes: dict[str, Any] = {"stage": 1, "batch": 4, "context": 16, "tokens": T, "n_items": V}
    cost = nominal(table, shape, objective, **sizes)
    assert cost.embedder == 0
    assert cost.contextualizer == 6 * 12 * D**2
    assert cost.logits == 6 * 40 * D


def test_shares_are_realised() -> None:
    """The nearest pair to N and s, within what the sweep accepts, at laptop sizes."""
    config = EmbedderConfig(kind="tabtransformer")
    for parameters, share in [(30_000, 0.1), (100_000, 0.3), (300_000, 0.5)]:
        shape = realise(config, ContextualizerConfig(), parameters, share)
        assert shape.embedder.kind == "tabtransformer"
        assert shape.parameters == pytest.approx(parameters, rel=0.25)
        assert shape.share == pytest.approx(share, rel=0.25)


def test_a_table_has_the_contextualizers_width_and_share_zero() -> None:
    """One shape a contextualizer, chosen by N alone."""
    ladder = ContextualizerConfig()
    shapes = list(catalogue(EmbedderConfig(kind="table"), ladder))
    assert [(s.embedder.width, s.embedder.depth) for s in shapes] == [
        (width, 0) for width, _ in ladder.ladder
    ]
    assert {shape.share for shape in shapes} == {0.0}
    found = realise(EmbedderConfig(kind="table"), ladder, 12 * 32**2, 0.0)
    assert (found.embedder, found.n_ctx) == (EmbedderSpec("table", 32, 0), 12 * 32**2 + 1)


@each_tab
def test_activations(spec: EmbedderSpec) -> None:
    """Within 10% of the tensors that torch saves."""
    embedder = _embedder(spec)
    items = torch.arange(V)
    found = saved_floats(embedder, lambda: embedder(items))
    assert found / V == pytest.approx(embedder_saves(spec, D, T), rel=0.1)


def test_memory_of_a_table() -> None:
    """Rows, their dense gradient and two moments; no code, nothing saved but the ids."""
    table = EmbedderSpec("table", D, 0)
    shape = ContextualizerSpec("transformer", D, 1, 1)
    objective = ObjectiveSpec("corrected", 24, 16, "mask")
    sizes: dict[str, Any] = {"batch": 2, "context": 8, "tokens": T, "documents": 3}
    n_ctx = 12 * D**2 + 1
    for stage, copies, cache in [(1, 4, 0), (2, 1, 1)]:
        found = memory(
            table, shape, objective, stage=stage, n_items=1000, block_bytes=1 << 20, **sizes
        )
        assert found.weights == 4 * (4 * n_ctx + copies * 1000 * D)
        assert found.items == cache * 4 * 1000 * D
    assert embedder_saves(table, D, T) == embedder_inputs(table, T) == 0
