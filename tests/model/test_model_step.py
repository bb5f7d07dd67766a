"""A training step against a plain one: loops over positions, no gathering, no blocks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from behavior_scaling.model.candidates import draw
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.step import BatchTensors, StepResult, step_loss
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec

V, T, L = 30, 4, 8
DOCUMENT = torch.tensor(
    [[0, 0, 0, 0, 0, 1, 1, 1], [2, 2, 2, 2, 2, 2, -1, -1], [3, 3, 4, 4, 4, 4, 5, -1]]
)


def _batch() -> BatchTensors:
    """Packed documents, repeated items, padding, two losses cut."""
    generator = torch.Generator().manual_seed(2)
    inputs, targets = torch.randint(0, 12, (2, *DOCUMENT.shape), generator=generator)
    valid = DOCUMENT >= 0
    valid[2, 4:6] = False
    return BatchTensors(inputs, targets, DOCUMENT.int(), valid)


def _model(embedder: EmbedderSpec | None = None) -> TwoPart:
    generator = torch.Generator().manual_seed(3)
    codes = torch.randint(0, 256, (V, T), generator=generator)
    weights = torch.randint(0, 3, (V, T), generator=generator).float()
    weights[:, 0] += 1
    spec = embedder or EmbedderSpec("transformer", 6, 1)
    model = TwoPart(spec, ContextualizerSpec("transformer", 8, 2, 2), codes, weights, 256, 0)
    with torch.no_grad():
        model.contextualizer.log_temperature.fill_(0.7)
    return model


def _unigram() -> Tensor:
    weight = torch.linspace(1, 4, V, dtype=torch.float64)
    return weight / weight.sum()


def _spec(kind: str, in_batch: int, uniform: int, same: str) -> ObjectiveSpec:
    return ObjectiveSpec(kind, in_batch, uniform, same)  # type: ignore[arg-type]


def _plain_loss(model: TwoPart, spec: ObjectiveSpec, batch: BatchTensors, step: int) -> Tensor:
    """As definitions say it, position by position."""
    everything = model.item_vectors(torch.arange(V))
    states = model.states(everything[batch.inputs], batch.document)
    scale = math.exp(0.7) / math.sqrt(8) * torch.exp(model.contextualizer.log_temperature - 0.7)
    absent = (1 - _unigram()) ** spec.in_batch * (1 - spec.uniform / V)
    certain = spec.kind == "full" or spec.uniform == V
    log_pi = torch.zeros(V) if certain else (1 - absent).log().float()
    if spec.kind == "as_paper":
        log_pi = torch.zeros(V)
    drawn = set(draw(spec, batch.targets[batch.valid], V, 11, step).items.tolist())
    losses = []
    for row, column in batch.valid.nonzero().tolist():
        document, target = batch.document[row, column], int(batch.targets[row, column])
        own = set(batch.inputs[batch.document == document].tolist())
        own |= set(batch.targets[(batch.document == document) & batch.valid].tolist())
        others = drawn - {target}
        past: set[int] = set()
        if spec.same_sequence != "keep" and not certain:
            others -= own
        if spec.same_sequence == "past" and not certain:
            before = batch.document[row, : column + 1] == document
            past = set(batch.inputs[row, : column + 1][before].tolist())
            others |= past - {target}
        chosen = torch.tensor([target, *sorted(others)])
        correction = torch.tensor([0.0 if int(i) in past else float(log_pi[i]) for i in chosen])
        scores = scale * (everything[chosen] @ states[row, column]) - correction
        losses.append(scores.logsumexp(0) - scores[0])
    return torch.stack(losses).mean()


def _gradients(model: TwoPart, loss: Tensor) -> dict[str, Tensor]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


@pytest.mark.parametrize(
    ("kind", "in_batch", "uniform", "same"),
    [
        (kind, in_batch, uniform, same)
        for kind, in_batch, uniform in (
            ("corrected", 9, 0),
            ("corrected", 9, 7),
            ("as_paper", 40, 0),
            ("corrected", 0, V),
            ("full", 9, 0),
        )
        for same in ("past", "mask", "keep")
        if (kind, same) != ("as_paper", "past")
    ],
)
def test_loss_and_gradients(kind: str, in_batch: int, uniform: int, same: str) -> None:
    """Value to 1e-5 and every parameter's gradient to 1e-4 of its largest entry."""
    model, batch, spec = _model(), _batch(), _spec(kind, in_batch, uniform, same)
    result = step_loss(model, Objective(spec, _unigram()), batch, None, seed=11, step=5)
    plain = _plain_loss(model, spec, batch, step=5)
    assert float(result.loss.detach()) == pytest.approx(float(plain.detach()), rel=1e-5)
    found, expected = _gradients(model, result.loss), _gradients(model, plain)
    for name, wanted in expected.items():
        assert torch.allclose(found[name], wanted, atol=1e-4 * float(wanted.abs().max())), name


def test_counts_are_of_what_ran() -> None:
    """Positions, distinct items (inputs, targets, candidates), distinct candidates."""
    batch, spec = _batch(), _spec("corrected", 9, 7, "mask")
    objective = Objective(spec, _unigram())
    result = step_loss(_model(), objective, batch, None, 11, 5)
    targets = batch.targets[batch.valid]
    drawn = set(objective.draw(targets, 11, 5).items.tolist())
    distinct = drawn | set(batch.inputs.view(-1).tolist()) | set(targets.tolist())
    assert result.n_positions == len(targets) == int(batch.valid.sum())
    assert result.n_candidates == len(drawn) < 16
    assert result.n_items_embedded == len(distinct)
    full = Objective(_spec("full", 9, 0, "mask"), _unigram())
    whole = step_loss(_model(), full, batch, None, 11, 5)
    assert (whole.n_items_embedded, whole.n_candidates) == (V, V)


@pytest.mark.parametrize("kind", ["corrected", "as_paper"])
@pytest.mark.parametrize("same", ["mask", "keep"])
def test_k_equal_to_v_is_full(kind: str, same: str) -> None:
    """Loss and gradients, whatever the batch: nothing is masked or corrected."""
    model, batch = _model(), _batch()

    def run(spec: ObjectiveSpec) -> StepResult:
        return step_loss(model, Objective(spec, _unigram()), batch, None, 0, 3)

    all_of_them, full = run(_spec(kind, 9, V, same)), run(_spec("full", 9, 0, "mask"))
    assert torch.equal(all_of_them.loss, full.loss)
    found, expected = _gradients(model, all_of_them.loss), _gradients(model, full.loss)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@torch.no_grad()
def test_padding_has_no_effect() -> None:
    """Items under padding, and targets that bear no loss, may be anything."""
    model, batch = _model(), _batch()
    objective = Objective(_spec("corrected", 9, 7, "mask"), _unigram())
    inputs, targets = batch.inputs.clone(), batch.targets.clone()
    inputs[DOCUMENT < 0] = 29
    targets[~batch.valid] = 28
    other = BatchTensors(inputs, targets, batch.document, batch.valid)
    before = step_loss(model, objective, batch, None, 0, 0).loss
    after = step_loss(model, objective, other, None, 0, 0).loss
    assert float(before) == pytest.approx(float(after), abs=1e-6)


def test_frozen_vectors_take_no_gradient() -> None:
    """Stage 2: same loss as stage 1 from the same vectors; only the contextualizer learns."""
    model, batch = _model(), _batch()
    objective = Objective(_spec("corrected", 9, 7, "mask"), _unigram())
    first = step_loss(model, objective, batch, None, 0, 0)
    catalogue = model.catalogue_vectors()
    second = step_loss(model, objective, batch, catalogue, 0, 0)
    assert float(second.loss.detach()) == pytest.approx(float(first.loss.detach()), rel=1e-6)
    assert second.n_items_embedded == 0
    expected = _gradients(model, first.loss)
    torch.autograd.backward(second.loss)
    assert catalogue.grad is None
    assert all(parameter.grad is None for parameter in model.embedder.parameters())
    for name, parameter in model.contextualizer.named_parameters():
        assert parameter.grad is not None
        wanted = expected[f"contextualizer.{name}"]
        assert torch.allclose(parameter.grad, wanted, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize(
    "embedder",
    [EmbedderSpec("transformer", 6, 1), EmbedderSpec("mlp", 6, 1), EmbedderSpec("fixed", 8, 0)],
    ids=lambda spec: spec.kind,
)
@pytest.mark.parametrize("kind", ["corrected", "full"])
def test_bf16_agrees_with_fp32(embedder: EmbedderSpec, kind: str) -> None:
    """Under autocast. Stated tolerance: loss within 2%, gradient within 10 degrees."""
    model, batch = _model(embedder), _batch()
    objective = Objective(_spec(kind, 9, 7, "mask"), _unigram())

    def run() -> tuple[float, Tensor]:
        loss = step_loss(model, objective, batch, None, 0, 0).loss
        assert loss.dtype == torch.float32
        gradients = _gradients(model, loss).values()
        return float(loss.detach()), torch.cat([g.reshape(-1) for g in gradients])

    precise, slope = run()
    with torch.autocast("cpu", torch.bfloat16):
        rough, rough_slope = run()
    assert rough == pytest.approx(precise, rel=0.02)
    assert rough != precise, "autocast must reach the model"
    cosine = torch.nn.functional.cosine_similarity(slope, rough_slope, dim=0)
    assert cosine > math.cos(math.radians(10))


def test_a_batch_without_losses_is_refused() -> None:
    """The message names the step."""
    batch = _batch()
    empty = BatchTensors(batch.inputs, batch.targets, batch.document, batch.valid & False)
    objective = Objective(_spec("corrected", 9, 0, "mask"), _unigram())
    with pytest.raises(ValueError, match="step 4: no position"):
        step_loss(_model(), objective, empty, None, 0, 4)
