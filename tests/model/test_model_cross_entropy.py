"""The blocked loss against torch's own, in float64, by value and by gradient."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from behavior_scaling.model import cross_entropy as module
from behavior_scaling.model.cross_entropy import cross_entropy

P, N, D = 37, 23, 12


def _inputs(scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(P, D, generator=generator) * scale,
        torch.randn(P, D, generator=generator),
        torch.randn(N, D, generator=generator),
    )


def _gradients(loss: Tensor, leaves: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, leaves)


def _reference(
    leaves: tuple[Tensor, ...], bias: Tensor, rows: Tensor, own: Tensor, apart: Tensor
) -> Tensor:
    """Logits in full, the target as a further column, in float64."""
    queries, targets, candidates = leaves
    target = (queries * targets).sum(1) + own
    logits = queries @ candidates.t() + bias[rows]
    column = target + apart.log()
    return (torch.cat([logits, column[:, None]], 1).logsumexp(1) - target).mean()


@pytest.mark.parametrize("block_bytes", [4 * N, 4 * N * 10, 1 << 20])
@pytest.mark.parametrize("scale", [0.3, 8.0])
def test_value_and_gradients(
    block_bytes: int, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of one position, of ten with a remainder, and of all; masks; targets in and out."""
    monkeypatch.setitem(module.BLOCK_BYTES, "cpu", block_bytes)
    generator = torch.Generator().manual_seed(1)
    bias = torch.randn(5, N, generator=generator)
    bias[torch.rand(5, N, generator=generator) < 0.3] = -math.inf
    rows = torch.randint(0, 5, (P,), generator=generator)
    own = torch.randn(P, generator=generator)
    apart = (torch.rand(P, generator=generator) < 0.6).float()
    leaves = tuple(x.requires_grad_() for x in _inputs(scale))
    queries, targets, candidates = leaves
    loss = cross_entropy(queries, targets, candidates, bias, rows, own, apart)
    double = tuple(x.detach().double().requires_grad_() for x in leaves)
    expected = _reference(double, bias.double(), rows, own.double(), apart.double())
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=2e-6)
    for found, wanted in zip(_gradients(loss, leaves), _gradients(expected, double), strict=True):
        assert torch.allclose(found.double(), wanted, atol=1e-6 * float(wanted.abs().max()) * 10)


def test_full_softmax_equals_torch() -> None:
    """Targets among the candidates, no bias: torch's linear_cross_entropy."""
    queries, _, candidates = _inputs()
    at = torch.randint(0, N, (P,), generator=torch.Generator().manual_seed(2))
    expected = torch.nn.functional.linear_cross_entropy(queries, candidates, at)
    found = cross_entropy(queries, candidates[at], candidates, None, None, None, torch.zeros(P))
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_large_scores_do_not_overflow() -> None:
    """Scores in the thousands: the loss is the gap to the best candidate, the rest rounds away."""
    queries, targets, candidates = _inputs(1000.0)
    found = cross_entropy(queries, targets, candidates, None, None, None, torch.ones(P))
    scores = queries.double() @ candidates.double().t()
    own = (queries.double() * targets.double()).sum(1)
    expected = (torch.maximum(scores.amax(1), own) - own).mean()
    assert float(found) == pytest.approx(float(expected), rel=1e-4)


def test_no_gradient_is_made_where_none_is_wanted() -> None:
    """Frozen candidates: their gradient is absent, the queries' is unchanged."""
    queries, targets, candidates = _inputs()
    queries.requires_grad_()
    apart = torch.ones(P)
    (alone,) = _gradients(
        cross_entropy(queries, targets, candidates, None, None, None, apart), (queries,)
    )
    leaves = queries, targets.requires_grad_(), candidates.requires_grad_()
    both = _gradients(cross_entropy(*leaves, None, None, None, apart), leaves)
    assert torch.equal(alone, both[0])


def test_a_score_that_is_not_finite_shows_in_the_loss() -> None:
    """A diverged model must not look fine."""
    queries, targets, candidates = _inputs()
    queries[3, 0] = math.nan
    loss = cross_entropy(queries, targets, candidates, None, None, None, torch.ones(P))
    assert math.isnan(float(loss))
