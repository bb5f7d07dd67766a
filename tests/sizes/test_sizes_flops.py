"""FLOPs against PyTorch's own counter, and against a hand count.

The counter sees nothing of fused attention on a CPU, so everything is counted under the math
backend, and attention's share is asserted apart: only attention multiplies in batches (bmm).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from behavior_scaling.model.candidates import Candidates
from behavior_scaling.model.objective import Objective, Sequences
from behavior_scaling.model.step import BatchTensors, StepResult, step_loss
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec
from behavior_scaling.sizes.flops import (
    Flops,
    executed,
    flops_6dnt,
    flops_6nd,
    flops_cache,
    logit_flops,
    nominal,
    positions_for_budget,
    vectors_are_frozen,
)
from behavior_scaling.sizes.saved import token_row

B, L, T, V, M, K = 4, 16, 6, 150, 24, 16
CONTEXTUALIZER = ContextualizerSpec("transformer", 16, 2, 2)
EMBEDDERS = [
    *(EmbedderSpec("transformer", 8, depth) for depth in (0, 1, 2)),
    *(EmbedderSpec("mlp", 8, depth) for depth in (0, 1, 2)),
    EmbedderSpec("fixed", 16, 0),
]
OBJECTIVES = [
    ObjectiveSpec("corrected", M, K, "mask"),
    ObjectiveSpec("corrected", M, K, "past"),
    ObjectiveSpec("as_paper", M, 0, "keep"),
    ObjectiveSpec("full", M, K, "mask"),
]


class _Everyone(Objective):
    """Draws candidates that share nothing: M different targets, K items not in the batch."""

    def draw(self, targets_valid: Tensor, seed: int, step: int) -> Candidates:
        if self.spec.kind == "full":
            return super().draw(targets_valid, seed, step)
        absent = torch.arange(B * L, B * L + self.spec.uniform)
        return Candidates(torch.cat([targets_valid[:M].sort().values, absent]), everything=False)


Tensor = torch.Tensor


def _model(embedder: EmbedderSpec) -> TwoPart:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 256, (V, T), generator=generator)
    return TwoPart(embedder, CONTEXTUALIZER, codes, torch.ones(V, T), 256, seed=0)


def _unigram() -> Tensor:
    return torch.full((V,), 1 / V, dtype=torch.float64)


def _nothing_shared() -> BatchTensors:
    """B L distinct inputs; the targets are the same items in another order; no padding."""
    inputs = torch.arange(B * L).view(B, L)
    document = torch.arange(B)[:, None].expand(B, L).contiguous()
    targets = inputs.view(-1).roll(-1).view(B, L)
    return BatchTensors(inputs, targets, document, torch.ones(B, L, dtype=torch.bool))


def _much_shared() -> BatchTensors:
    """Repeated items, two documents in the first row, padding in the last, losses cut."""
    generator = torch.Generator().manual_seed(1)
    document = torch.arange(B)[:, None].repeat(1, L)
    document[0, 7:] = B
    document[-1, -3:] = -1
    valid = document >= 0
    valid[2, 5:] = False
    inputs, targets = torch.randint(0, 40, (2, B, L), generator=generator)
    return BatchTensors(inputs, targets, document, valid)


def _counted(step: Callable[[], Tensor]) -> tuple[float, float]:
    """FLOPs of a step forward and backward: all, and those of batched products."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        torch.autograd.backward(step())
    counts: dict[Any, int] = counter.get_flop_counts()["Global"]
    return counter.get_total_flops(), counts[torch.ops.aten.bmm]


def _attention_width(embedder: EmbedderSpec) -> int:
    """e times the blocks with attention over tokens."""
    return embedder.width * embedder.depth if embedder.kind == "transformer" else 0


def _pairs(items: int) -> int:
    """Pairs of tokens that attention computes over items of T tokens, packed in rows of R."""
    length, stretch = token_row(T)
    return math.ceil(items * T / stretch) * length**2


def _frozen(model: TwoPart, stage: int) -> Tensor | None:
    return model.catalogue_vectors() if stage == 2 else None


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize(
    "objective", OBJECTIVES, ids=lambda spec: f"{spec.kind}-{spec.same_sequence}"
)
@pytest.mark.parametrize("embedder", EMBEDDERS, ids=lambda spec: f"{spec.kind}{spec.depth}")
def test_executed_agrees_with_the_counter(
    embedder: EmbedderSpec, objective: ObjectiveSpec, stage: int
) -> None:
    """Repeats, packing, padding and cut losses: within 1% of what ran."""
    model, batch = _model(embedder), _much_shared()
    results: list[StepResult] = []

    frozen = _frozen(model, stage)

    def step() -> Tensor:
        scored = Objective(objective, _unigram())
        results.append(step_loss(model, scored, batch, frozen, 0, 0))
        return results[0].loss

    total, batched = _counted(step)
    ran = results[0]
    assert ran.n_positions == int(batch.valid.sum())
    assert 0 < ran.n_candidates <= (V if objective.kind == "full" else M + objective.uniform)
    ours = executed(
        CONTEXTUALIZER,
        embedder=ran.embedder_flops,
        frozen=vectors_are_frozen(embedder, stage),
        grid=B * L,
        context=L,
        positions=ran.n_positions,
        candidates=ran.n_candidates,
        past=objective.same_sequence == "past",
    )
    assert total == pytest.approx(ours.total, rel=0.01)
    of_items = 0.0
    if stage == 1:
        of_items = 12 * _attention_width(embedder) * _pairs(ran.n_items_embedded)
    assert ours.attention > 0.01 * ours.total
    of_past = 0.0
    if objective.same_sequence == "past":
        frozen_side = vectors_are_frozen(embedder, stage)
        of_past = B * L * logit_flops(CONTEXTUALIZER.width, L, frozen=frozen_side)
    assert batched == pytest.approx(ours.attention + of_items + of_past, rel=0.01)


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize(
    "objective", OBJECTIVES, ids=lambda spec: f"{spec.kind}-{spec.same_sequence}"
)
@pytest.mark.parametrize("embedder", EMBEDDERS, ids=lambda spec: f"{spec.kind}{spec.depth}")
def test_nominal_agrees_with_the_counter_where_nothing_is_shared(
    embedder: EmbedderSpec, objective: ObjectiveSpec, stage: int
) -> None:
    """All items distinct, no padding: nominal FLOPs are what runs, within 1%.

    Nominally attention sees the pairs of an item's tokens; what runs sees those of packed rows.
    """
    model, batch = _model(embedder), _nothing_shared()
    frozen = _frozen(model, stage)
    scored = _Everyone(objective, _unigram())

    def sampled() -> Tensor:
        return step_loss(model, scored, batch, frozen, 0, 0).loss

    def full() -> Tensor:
        """As step_loss, but with an item embedded for every position besides the catalogue."""
        everyone = torch.arange(V)
        past = model.item_vectors(batch.inputs.view(-1)) if frozen is None else frozen[: B * L]
        vectors = model.item_vectors(everyone) if frozen is None else frozen
        states = model.states(past.view(B, L, -1), batch.document).view(B * L, -1)
        targets = batch.targets.view(-1)
        sequences = Sequences(targets, targets, targets, V)
        candidates = Candidates(everyone, everything=True)
        queries = states * model.scale()
        return scored.loss(queries, targets, vectors[targets], candidates, vectors, sequences)

    total, _ = _counted(full if objective.kind == "full" else sampled)
    ours = nominal(
        embedder,
        CONTEXTUALIZER,
        objective,
        stage=stage,
        batch=B,
        context=L,
        tokens=T,
        n_items=V,
    )
    calls = [B * L, V] if objective.kind == "full" else [B * L + objective.uniform]
    packed = 0 if stage == 2 else sum(_pairs(items) - items * T**2 for items in calls)
    packing = 12 * _attention_width(embedder) * packed
    assert total == pytest.approx(B * L * ours.total + packing, rel=0.01)


def test_nominal_by_hand() -> None:
    """e = 8, d = 16, one block, T = 6, L = 16, M = 24, K = 16, B = 4, written out in full."""
    shape = EmbedderSpec("transformer", 8, 1), ContextualizerSpec("transformer", 16, 1, 1)
    objective = ObjectiveSpec("corrected", 24, 16, "mask")
    sizes: dict[str, Any] = {"batch": 4, "context": 16, "tokens": 6, "n_items": 150}
    per_item = 6 * (4 * 192 + 6 * 64 + 6 * 512 + 12 * 6 * 8) + 6 * 8 * 16
    first = nominal(*shape, objective, stage=1, **sizes)
    assert first == Flops(
        embedder=per_item * (1 + 16 / 64),
        contextualizer=6 * (3 + 1 + 8) * 256,
        attention=12 * 16 * 16,
        logits=6 * 40 * 16,
    )
    second = nominal(*shape, objective, stage=2, **sizes)
    assert second == Flops(0.0, 4 * 3 * 256 + 6 * 9 * 256, 12 * 16 * 16, 4 * 40 * 16)
    full = nominal(*shape, ObjectiveSpec("full", 24, 0, "mask"), stage=1, **sizes)
    assert full.embedder == per_item * (1 + 150 / 64)
    assert full.logits == 6 * 150 * 16


def test_first_matrices_save_a_third() -> None:
    """Depth 0: 4 e d an item, not 6; MLP: 4 for the first matrix; fixed: nothing."""
    objective = ObjectiveSpec("corrected", 24, 0, "mask")
    sizes: dict[str, Any] = {"stage": 1, "batch": 4, "context": 16, "tokens": 6, "n_items": 150}

    def cost(embedder: EmbedderSpec) -> float:
        return nominal(embedder, CONTEXTUALIZER, objective, **sizes).embedder

    assert cost(EmbedderSpec("mlp", 8, 0)) == 4 * 8 * 16
    assert cost(EmbedderSpec("mlp", 8, 2)) == (4 + 6 + 6 + 6) * 4 * 64 + 6 * 8 * 16
    assert cost(EmbedderSpec("fixed", 16, 0)) == 0


@pytest.mark.parametrize("embedder", EMBEDDERS, ids=lambda spec: f"{spec.kind}{spec.depth}")
def test_catalogue_pass_agrees_with_the_counter(embedder: EmbedderSpec) -> None:
    """One forward pass over all items, nominally of their own pairs of tokens."""
    model = _model(embedder)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.catalogue_vectors()
    ours = flops_cache(embedder, CONTEXTUALIZER.width, T, V)
    packing = 4 * _attention_width(embedder) * (_pairs(V) - V * T**2)
    assert counter.get_total_flops() == pytest.approx(ours + packing, rel=0.01)


def test_other_conventions() -> None:
    """6 N D and 6 D (N_ctx + T N_emb), by hand."""
    assert flops_6nd(100, 900, 50) == 300_000
    assert flops_6dnt(100, 900, 50, tokens=24) == 6 * 50 * 3_300


def test_budget_pays_for_whole_positions() -> None:
    """floor(C / cost), and an error below one position."""
    cost = Flops(1.0, 2.0, 3.0, 4.0)
    assert positions_for_budget(99.0, cost) == 9
    assert positions_for_budget(100.0, cost) == 10
    with pytest.raises(ValueError, match="pays for no position"):
        positions_for_budget(9.0, cost)


def test_unknown_stage_is_refused() -> None:
    """There are two."""
    with pytest.raises(ValueError, match="stages 1 and 2"):
        nominal(
            EMBEDDERS[0],
            CONTEXTUALIZER,
            OBJECTIVES[0],
            stage=3,
            batch=B,
            context=L,
            tokens=T,
            n_items=V,
        )
