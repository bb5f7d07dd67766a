"""The peak of a whole step against what tensors hold in one, and evaluation's likewise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from behavior_scaling.evaluate import scoring
from behavior_scaling.model import two_part
from behavior_scaling.model.logit_tiles import TILE_BYTES
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.step import BatchTensors, step_loss
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec
from behavior_scaling.sizes import memory_peak
from behavior_scaling.sizes.execution import Execution
from behavior_scaling.sizes.memory import step_items
from behavior_scaling.sizes.memory_peak import Peak, evaluation_memory, peak_memory
from behavior_scaling.train.flat_parameters import FlatParameters

from .fake_parts import Precision
from .live_bytes import LiveBytes


@dataclass(frozen=True)
class Case:
    """A run's shape; every item of a batch is another."""

    embedder: EmbedderSpec
    width: int
    layers: int
    batch: int
    context: int
    tokens: int
    uniform: int = 0
    stage: int = 1
    same: Any = "past"

    @property
    def n_items(self) -> int:
        """V."""
        return max(4_000, 2 * self.uniform)

    @property
    def objective(self) -> ObjectiveSpec:
        """M = 128."""
        return ObjectiveSpec("corrected", 128, self.uniform, self.same)

    @property
    def contextualizer(self) -> ContextualizerSpec:
        """Heads of 16."""
        return ContextualizerSpec("transformer", self.width, self.layers, self.width // 16)

    def sizes(self) -> dict[str, Any]:
        """Of memory's arguments."""
        sizes = {"stage": self.stage, "batch": self.batch, "context": self.context}
        return sizes | {"tokens": self.tokens, "n_items": self.n_items, "documents": self.batch}

    def peak(self, precision: Precision, **other: Any) -> Peak:
        """What the model says."""
        shape = self.embedder, self.contextualizer, self.objective
        sizes = self.sizes() | {"block_bytes": TILE_BYTES["cpu"], "precision": precision} | other
        return peak_memory(*shape, **sizes)


CASES = {
    "deep contextualizer": Case(EmbedderSpec("transformer", 16, 1), 64, 4, 8, 128, 12),
    "wide embedder": Case(EmbedderSpec("transformer", 64, 2), 64, 1, 4, 64, 24),
    "the past": Case(EmbedderSpec("mlp", 8, 0), 32, 1, 8, 256, 24),
    "many candidates": Case(EmbedderSpec("mlp", 16, 1), 64, 2, 8, 128, 12, 20_000),
    "stage 2": Case(EmbedderSpec("transformer", 16, 1), 64, 2, 8, 128, 12, 20_000, 2),
    "no past": Case(EmbedderSpec("mlp", 16, 0), 64, 6, 8, 128, 12, same="mask"),
}


def _model(case: Case) -> TwoPart:
    codes = torch.randint(0, 256, (case.n_items, case.tokens))
    weights = torch.ones(case.n_items, case.tokens)
    return TwoPart(case.embedder, case.contextualizer, codes, weights, 256, seed=0)


@pytest.mark.parametrize("precision", ["fp32", "bf16-mixed"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_step(case: Case, precision: Precision) -> None:
    """Forward and backward on real tensors: never 5% above the model, nor 25% below it."""
    model = _model(case)
    frozen = None
    if case.stage == 2:
        model.embedder.requires_grad_(False)
        frozen = model.catalogue_vectors()
    unigram = torch.full((case.n_items,), 1 / case.n_items, dtype=torch.float64)
    objective = Objective(case.objective, unigram)
    events = torch.randperm(case.n_items)[: case.batch * (case.context + 1)].view(case.batch, -1)
    batch = BatchTensors(
        events[:, :-1].contiguous(),
        events[:, 1:].contiguous(),
        torch.arange(case.batch, dtype=torch.int32)[:, None].repeat(1, case.context),
        torch.ones(case.batch, case.context, dtype=torch.bool),
    )
    FlatParameters([p for p in model.parameters() if p.requires_grad and p.ndim > 1])
    with LiveBytes() as live:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            result = step_loss(model, objective, batch, frozen, 0, 0)
        result.loss.backward()
    if case.stage == 1:
        sizes = {
            name: size for name, size in case.sizes().items() if name not in ("stage", "tokens")
        }
        assert result.n_items_embedded <= step_items(case.objective, **sizes)
    peak = case.peak(precision)
    ours = peak.training.activations + peak.training.candidates + peak.working
    assert 0.95 < ours / live.peak < 1.25, live.where


def test_evaluation_embeds_the_catalogue_in_blocks() -> None:
    """Vectors of all items once, and a block's work: within 15% of what tensors hold."""
    case = Case(EmbedderSpec("transformer", 32, 1), 64, 1, 4, 32, 24, uniform=6_000)
    model = _model(case)
    with LiveBytes() as live:
        model.catalogue_vectors()
    ours = evaluation_memory(
        case.embedder, case.contextualizer, stage=1, context=32, tokens=24, n_items=case.n_items
    )
    vectors = 4 * case.n_items * case.width
    assert (ours.activations + vectors) / live.peak == pytest.approx(1, abs=0.15)


def test_the_catalogue_is_held_once_in_either_stage() -> None:
    """4 V d bytes of evaluation's peak: evaluation's own, or in stage 2 the frozen cache."""
    case = CASES["stage 2"]
    one, two = (
        evaluation_memory(
            case.embedder, case.contextualizer, stage=stage, context=64, tokens=12, n_items=10**6
        )
        for stage in (1, 2)
    )
    assert two.items == one.items
    assert one.items - 10**6 * (12 * 12 + 32) == 4 * 64 * 10**6


def test_devices_and_parts_share_the_batch() -> None:
    """Activations fall with both; with devices nothing else does, unless it is spread."""
    case = CASES["stage 2"]
    alone = case.peak("fp32").training
    for shared in (Execution("ddp", 4), Execution("single", accumulate=4)):
        found = case.peak("fp32", execution=shared).training
        assert found.activations == pytest.approx(alone.activations / 4, rel=0.01)
        assert (found.weights, found.items) == (alone.weights, alone.items)


def test_candidates_are_spread() -> None:
    """A quarter of the candidates' vectors each, and the queries of all four devices."""
    case = CASES["many candidates"]
    whole = case.peak("fp32", execution=Execution("ddp", 4)).training
    spread = case.peak("fp32", execution=Execution("ddp", 4, shard_candidates=True)).training
    assert spread.candidates < 0.5 * whole.candidates
    assert spread.activations < 0.5 * whole.activations, "own candidates only are embedded"


def test_weights_are_spread() -> None:
    """fsdp: 16 bytes a parameter over the devices, and one block whole with its gradient."""
    case = CASES["deep contextualizer"]
    alone = case.peak("fp32").training
    spread = case.peak("fp32", execution=Execution("fsdp", 4)).training
    assert spread.weights == alone.weights / 4 + 2 * 4 * 12 * 64**2
    evaluated = case.peak("fp32", execution=Execution("fsdp", 4)).evaluation
    assert evaluated.weights == spread.weights + alone.weights / 4, "all parameters come together"


def test_a_part_embeds_candidates_of_other_parts() -> None:
    """In-batch candidates are the whole step's: a part's own positions do not name them."""
    objective = ObjectiveSpec("corrected", 100, 50, "mask")
    sizes: dict[str, Any] = {"batch": 8, "context": 16, "documents": 8, "n_items": 10_000}
    assert step_items(objective, **sizes) == 8 * 16 + 8 + 50
    cut = Execution("ddp", 2, accumulate=2)
    assert step_items(objective, **sizes, execution=cut) == 2 * 16 + 2 + 150
    spread = replace(cut, shard_candidates=True)
    assert step_items(objective, **sizes, execution=spread) == 2 * 16 + 2 + 75


def test_deepspeed_keeps_the_weights_whole() -> None:
    """Weights, in bf16 where products are; the float32 copy, gradients and moments are shared."""
    case = CASES["deep contextualizer"]
    trained = case.peak("fp32").training.weights / 16
    found = case.peak("fp32", execution=Execution("deepspeed", 4)).training.weights
    assert found == 4 * trained + 16 * trained / 4


def test_mixed_precision_keeps_weights_and_halves_what_products_take() -> None:
    """Copies of one matrix a part come to the weights; activations lie between half and whole."""
    case = CASES["deep contextualizer"]
    full, mixed = case.peak("fp32").training, case.peak("bf16-mixed").training
    assert mixed.weights - full.weights == 2 * (4 * 64**2 + 16 * 64)
    assert 0.5 < mixed.activations / full.activations < 0.7
    assert mixed.items == full.items


def test_the_sizes_of_blocks_are_those_of_the_code() -> None:
    assert scoring.BLOCK == memory_peak.SCORES
    assert (scoring.FEWEST_ROWS, scoring.WIDEST) == (memory_peak.SCORE_ROWS, memory_peak.WIDEST)
    assert two_part.CATALOGUE_BLOCK == memory_peak.CATALOGUE_BLOCK
