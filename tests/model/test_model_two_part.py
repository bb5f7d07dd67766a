"""The two parts together: seeds, scores at the start, temperature, catalogue, learning."""

from __future__ import annotations

import math

import pytest
import torch

from behavior_scaling.model import two_part
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.step import BatchTensors, step_loss
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec

V = 300


def _model(
    kind: str = "transformer", e: int = 8, depth: int = 1, d: int = 16, seed: int = 0
) -> TwoPart:
    codes = torch.randint(0, 4096, (V, 6), generator=torch.Generator().manual_seed(9))
    spec = EmbedderSpec(kind, e, depth)  # type: ignore[arg-type]
    contextualizer = ContextualizerSpec("transformer", d, 2, max(1, d // 16))
    return TwoPart(spec, contextualizer, codes, torch.ones(V, 6), 4096, seed)


def test_weights_follow_the_seed() -> None:
    """Same seed, same weights; the contextualizer's don't depend on the embedder's shape."""
    one, same, other = _model(seed=1), _model(seed=1), _model(seed=2)
    for (name, a), b, c in zip(
        one.named_parameters(), same.parameters(), other.parameters(), strict=True
    ):
        assert torch.equal(a, b), name
        assert name.endswith("log_temperature") or not torch.equal(a, c), name
    wider = _model(e=12, depth=0, seed=1).contextualizer.state_dict()
    assert all(torch.equal(wider[k], v) for k, v in one.contextualizer.state_dict().items())


def test_torch_global_generator_is_left_alone() -> None:
    """Building a model draws nothing from it."""
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    _model()
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("kind", "e", "depth", "d"),
    [
        ("transformer", 4, 0, 64),
        ("transformer", 8, 1, 64),
        ("transformer", 64, 2, 8),
        ("mlp", 8, 2, 128),
        ("mlp", 32, 0, 32),
        ("fixed", 32, 0, 32),
    ],
)
@torch.no_grad()
def test_scores_are_of_order_one_at_the_start(kind: str, e: int, depth: int, d: int) -> None:
    """Whatever the widths: root mean square within 0.3 .. 1.3 for items not in the sequence.

    Near 1, and less where item vectors have rank e < d; so no softmax starts saturated.
    """
    model = _model(kind, e, depth, d)
    vectors = model.catalogue_vectors()
    document = torch.zeros(4, 20, dtype=torch.int32)
    states = model.states(vectors[:80].view(4, 20, d), document)
    scores = (states @ vectors[80:].t()) * model.scale()
    assert 0.3 < float(scores.square().mean().sqrt()) < 1.3


@torch.no_grad()
def test_catalogue_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """All items in order, in blocks with a remainder, float32, equal to embedding them at once."""
    monkeypatch.setattr(two_part, "CATALOGUE_BLOCK", 77)
    model = _model()
    found = model.catalogue_vectors()
    assert found.dtype == torch.float32
    assert torch.allclose(found, model.item_vectors(torch.arange(V)), atol=1e-6)
    some = torch.tensor([250, 3, 250])
    assert torch.allclose(found[some], model.item_vectors(some), atol=1e-6)


def test_temperature_is_clamped_but_comes_back() -> None:
    """exp(t) stays within 1/100 .. 100; beyond a bound the gradient still reaches t."""
    model = _model(d=16)
    for value, expected in ((0.0, 1.0), (1.0, math.e), (7.0, 100.0), (-7.0, 0.01)):
        with torch.no_grad():
            model.contextualizer.log_temperature.fill_(value)
        scale = model.scale()
        assert float(scale.detach()) == pytest.approx(expected / 4, rel=1e-5)
        (slope,) = torch.autograd.grad(scale, model.contextualizer.log_temperature)
        assert float(slope) == pytest.approx(float(scale.detach()))


@pytest.mark.parametrize("kind", ["corrected", "full"])
def test_a_deterministic_successor_is_learnt(kind: str) -> None:
    """Item i is followed by i + 1: cross-entropy over the catalogue falls from 5.7 below 1.5."""
    model = _model("mlp", 16, 1, 16)
    objective = Objective(
        ObjectiveSpec(kind, 64, 16, "mask"),  # type: ignore[arg-type]
        torch.full((V,), 1 / V, dtype=torch.float64),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    generator = torch.Generator().manual_seed(0)
    document = torch.arange(32)[:, None].expand(32, 4).contiguous()
    valid = torch.ones(32, 4, dtype=torch.bool)
    for step in range(150):
        start = torch.randint(0, V, (32, 1), generator=generator)
        path = (start + torch.arange(5)) % V
        batch = BatchTensors(path[:, :-1].contiguous(), path[:, 1:].contiguous(), document, valid)
        optimizer.zero_grad()
        torch.autograd.backward(step_loss(model, objective, batch, None, 0, step).loss)
        optimizer.step()
    with torch.no_grad():
        vectors = model.catalogue_vectors()
        states = model.states(vectors[batch.inputs], document)
        scores = (states @ vectors.t()).view(-1, V) * model.scale()
        loss = torch.nn.functional.cross_entropy(scores, batch.targets.view(-1))
    assert float(loss) < 1.5
