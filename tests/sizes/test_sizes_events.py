"""Sizes of a contextualizer that sees event features, against the model and torch's counter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from behavior_scaling.config_parts import ContextualizerConfig, EmbedderConfig
from behavior_scaling.model.event_input import EventTables
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.step import BatchTensors, StepResult, step_loss
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec
from behavior_scaling.sizes.flops import (
    attention_flops,
    executed,
    forward_position_flops,
    nominal,
    position_flops,
    vectors_are_frozen,
)
from behavior_scaling.sizes.memory import memory
from behavior_scaling.sizes.parameters import contextualizer_parameters
from behavior_scaling.sizes.saved import contextualizer_saves
from behavior_scaling.sizes.shapes import catalogue, controls

from .saved_floats import saved_floats

B, L, T, V, D, W, S = 4, 16, 6, 150, 16, 24, 40
PLAIN = ContextualizerSpec("transformer", D, 2, 2)
SPEC = replace(PLAIN, event_features=("gap", "calendar", "type"), event_width=W)
EMBEDDERS = [EmbedderSpec("mlp", 8, 1), EmbedderSpec("fixed", D, 0)]


def _model(embedder: EmbedderSpec, spec: ContextualizerSpec = SPEC) -> TwoPart:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 256, (V, T), generator=generator)
    tables = EventTables(torch.randint(0, 256, (S, 2), generator=generator), torch.ones(S, 2))
    return TwoPart(embedder, spec, codes, torch.ones(V, T), 256, seed=0, events=tables)


def _batch() -> BatchTensors:
    """All inputs distinct, the targets the same items, no padding."""
    inputs = torch.arange(B * L).view(B, L)
    targets = inputs.view(-1).roll(-1).view(B, L)
    document = torch.arange(B)[:, None].expand(B, L).contiguous()
    rows = torch.randint(0, S, (B, L, 3), generator=torch.Generator().manual_seed(1))
    return BatchTensors(inputs, targets, document, torch.ones(B, L, dtype=torch.bool), rows)


@pytest.mark.parametrize("width", [1, 8, 24])
def test_the_matrix_is_the_contextualizers(width: int) -> None:
    """N_ctx grows by event_width x d, and the model's own parameters agree."""
    spec = replace(SPEC, event_width=width)
    model = _model(EMBEDDERS[0], spec)
    found = sum(p.numel() for p in model.contextualizer.parameters())
    assert found == contextualizer_parameters(spec) == contextualizer_parameters(PLAIN) + width * D
    assert sum(t.numel() for t in model.contextualizer.state_dict().values()) == found


def test_position_flops_by_hand() -> None:
    """The matrix at 4 a parameter; the first QKV at 6, frozen vectors or not."""
    stage1 = 6 * 24 * D**2
    assert position_flops(SPEC, frozen=False) == stage1 + 4 * W * D
    assert position_flops(SPEC, frozen=True) == stage1 + 4 * W * D
    assert position_flops(PLAIN, frozen=True) == stage1 - 2 * 3 * D**2
    forward = 2 * 24 * D**2 + 2 * W * D + 4 * 2 * L * D
    assert forward_position_flops(SPEC, L) == forward
    assert forward_position_flops(PLAIN, L) == forward - 2 * W * D
    assert attention_flops(SPEC, L) == attention_flops(PLAIN, L)


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("embedder", EMBEDDERS, ids=lambda spec: spec.kind)
@pytest.mark.parametrize("objective", ["corrected", "full"])
def test_flops_agree_with_the_counter(embedder: EmbedderSpec, stage: int, objective: str) -> None:
    """Executed and, where nothing is shared, nominal: the events' part within 1% of itself."""
    asked = ObjectiveSpec(objective, B * L, 0, "keep")  # type: ignore[arg-type]
    results: list[StepResult] = []

    def counted(spec: ContextualizerSpec) -> float:
        model = _model(embedder, spec)
        batch = _batch()
        if not spec.event_features:
            batch = replace(batch, events=None)
        frozen = model.catalogue_vectors() if stage == 2 else None
        if stage == 2:
            model.embedder.requires_grad_(False)
        scored = Objective(asked, torch.full((V,), 1 / V, dtype=torch.float64))
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            results.append(step_loss(model, scored, batch, frozen, 0, 0))
            torch.autograd.backward(results[-1].loss)
        total: float = counter.get_total_flops()
        return total

    def ours(spec: ContextualizerSpec) -> float:
        ran = results[-1]
        return executed(
            spec,
            embedder=ran.embedder_flops,
            frozen=vectors_are_frozen(embedder, stage),
            grid=B * L,
            context=L,
            positions=ran.n_positions,
            candidates=ran.n_candidates,
            past=False,
        ).total

    seeing, wanted = counted(SPEC), ours(SPEC)
    blind, wanted_blind = counted(PLAIN), ours(PLAIN)
    assert seeing == pytest.approx(wanted, rel=0.01)
    assert blind == pytest.approx(wanted_blind, rel=0.01)
    assert seeing - blind == pytest.approx(wanted - wanted_blind, rel=0.01)
    sizes: dict[str, Any] = {"stage": stage, "batch": B, "context": L, "tokens": T, "n_items": V}
    if objective == "corrected":
        assert seeing == pytest.approx(B * L * nominal(embedder, SPEC, asked, **sizes).total, 0.01)


@torch.no_grad()
def test_forward_flops_agree_with_the_counter() -> None:
    model, batch = _model(EMBEDDERS[0]), _batch()
    vectors = model.catalogue_vectors()[batch.inputs]
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.states(vectors, batch.document, batch.events)
    found = counter.get_total_flops()
    assert found == pytest.approx(B * L * forward_position_flops(SPEC, L), rel=0.01)


@pytest.mark.parametrize("spec", [replace(SPEC, layers=1, event_width=w) for w in (8, 64, 256)])
def test_activations_are_what_torch_saves(spec: ContextualizerSpec) -> None:
    """The levels' sum is kept for the matrix's gradient."""
    model, batch = _model(EMBEDDERS[0], spec), _batch()
    vectors: Tensor = torch.randn(B, L, D, requires_grad=True)
    module = model.contextualizer
    found = saved_floats(module, lambda: module(vectors, batch.document, batch.events))
    assert found / (B * L) == pytest.approx(contextualizer_saves(spec, L), rel=0.1)


def test_memory_grows_by_the_matrix_and_the_sum_it_keeps() -> None:
    sizes: dict[str, Any] = {
        "batch": B, "context": L, "tokens": T, "n_items": V, "documents": B, "block_bytes": 1 << 20,
    }  # fmt: skip
    objective = ObjectiveSpec("corrected", 24, 16, "mask")
    seeing = memory(EMBEDDERS[0], SPEC, objective, stage=1, **sizes)
    blind = memory(EMBEDDERS[0], PLAIN, objective, stage=1, **sizes)
    assert seeing.weights - blind.weights == 4 * 4 * W * D
    assert seeing.activations - blind.activations == 4 * B * L * W
    assert (seeing.items, seeing.candidates) == (blind.items, blind.candidates)


def test_the_ladder_carries_the_studys_event_features() -> None:
    """Width 0 where there are none, so that such a spec does not name what it does not use."""
    config = ContextualizerConfig(event_features=("gap", "calendar"), event_width=4)
    shapes = [*catalogue(EmbedderConfig(), config), *controls(config)]
    assert {(s.contextualizer.event_features, s.contextualizer.event_width) for s in shapes} == {
        (("gap", "calendar"), 4)
    }
    assert all(s.n_ctx == contextualizer_parameters(s.contextualizer) for s in shapes)
    for shape in controls(ContextualizerConfig()):
        found = shape.contextualizer
        assert (found.event_features, found.event_width) == ((), 0)


def test_a_feature_is_named_once() -> None:
    with pytest.raises(ValueError, match="'gap' stands twice"):
        ContextualizerConfig(event_features=("gap", "calendar", "gap"))
