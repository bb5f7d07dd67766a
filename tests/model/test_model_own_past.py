"""A position's own past as certain candidates: by hand, and what the objective then learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from behavior_scaling.model.objective import Objective, Sequences
from behavior_scaling.model.own_past import own_past
from behavior_scaling.records.spec import ObjectiveSpec

V = 6
REPEAT = 0.5  # chance that the next item is the last one again; else any item alike


def test_the_past_by_hand() -> None:
    """Two documents in a row: distinct items so far, the target left out, no other document."""
    inputs = torch.tensor([[3, 1, 3, 2, 2, 0]])
    targets = torch.tensor([[1, 3, 5, 0, 2, 0]])
    document = torch.tensor([[0, 0, 0, 1, 1, -1]])
    vectors = torch.eye(V)[inputs]
    queries = torch.arange(6 * V, dtype=torch.float32).view(1, 6, V) / 10
    found = own_past(queries, vectors, inputs, targets, document, torch.arange(5))

    counted = [{3}, {1}, {1, 3}, {2}, set()]  # of 3, 3 1, 3 1 3, 2, 2 2, less the targets
    for place, items in enumerate(counted):
        scores = [float(queries[0, place, i]) for i in sorted(items)]
        wanted = torch.tensor(scores).logsumexp(0) if scores else torch.tensor(-1e30)
        assert float(found.log_sum[place]) == pytest.approx(float(wanted), rel=1e-6)
    assert found.holds_target.tolist() == [False, True, False, False, True]


def test_nothing_in_the_past_gives_no_gradient_that_is_not_finite() -> None:
    queries = torch.randn(1, 1, 4, requires_grad=True)
    one = torch.zeros(1, 1, dtype=torch.int64)
    found = own_past(queries, torch.randn(1, 1, 4), one, one, one, torch.tensor([0]))
    (slope,) = torch.autograd.grad(found.log_sum.exp().sum(), queries)

    assert float(found.log_sum.detach().exp()) == 0
    assert slope.abs().max() == 0


def learned(same: str) -> Tensor:
    """log p(y | x) that a table of scores [V, V] learns from pairs x, y under an objective."""
    spec = ObjectiveSpec("corrected", 24, 0, same)  # type: ignore[arg-type]
    objective = Objective(spec, torch.full((V,), 1 / V, dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    table = torch.zeros(V, V, requires_grad=True)
    optimizer = torch.optim.Adam([table], lr=0.05)
    one_hot = torch.eye(V)
    for step in range(600):
        x = torch.randint(V, (256, 1), generator=generator)
        fresh = torch.randint(V, (256, 1), generator=generator)
        again = torch.rand(256, 1, generator=generator) < REPEAT
        y = torch.where(again, x, fresh)
        document = torch.arange(256)[:, None]
        scored = torch.arange(256)
        targets = y.view(-1)
        candidates = objective.draw(targets, 0, step)
        queries = table[x.view(-1)]
        past = None
        if objective.scores_past:
            past = own_past(queries[:, None], one_hot[x], x, y, document, scored)
        sequences = Sequences(scored, scored.repeat(2), torch.cat([x.view(-1), targets]), 256)
        loss = objective.loss(
            queries, targets, one_hot[targets], candidates, one_hot[candidates.items], sequences,
            past=past,
        )  # fmt: skip
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return table.detach().log_softmax(1)


def test_repeats_are_learnt_as_often_as_they_come() -> None:
    """p(x | x) = REPEAT + (1 - REPEAT) / V; masked, the past is never a negative and runs away."""
    truth = REPEAT + (1 - REPEAT) / V

    assert float(learned("past").diagonal().exp().mean()) == pytest.approx(truth, abs=0.03)
    assert float(learned("mask").diagonal().exp().mean()) > truth + 0.2


def test_as_paper_has_no_past() -> None:
    with pytest.raises(ValueError, match="as_paper corrects nothing"):
        Objective(ObjectiveSpec("as_paper", 4, 0, "past"), torch.full((4,), 0.25).double())
