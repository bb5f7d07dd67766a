"""The objective over a catalogue of tens of thousands, tiles of their natural size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from behavior_scaling.model.candidates import Candidates
from behavior_scaling.model.logit_tiles import tile_shape
from behavior_scaling.model.objective import Objective, Sequences
from behavior_scaling.records.spec import ObjectiveSpec

V, P, D, LENGTH = 20_000, 300, 8, 30
GENERATOR = torch.Generator().manual_seed(0)
WEIGHT = torch.arange(1, V + 1, dtype=torch.float64) ** -0.8
UNIGRAM = WEIGHT / WEIGHT.sum()
VECTORS = torch.randn(V, D, generator=GENERATOR, dtype=torch.float64)
QUERIES = torch.randn(P, D, generator=GENERATOR, dtype=torch.float64) / D**0.5
TARGETS = torch.multinomial(UNIGRAM, P, replacement=True, generator=GENERATOR)
DOCUMENT = torch.arange(P) // LENGTH
SEQUENCES = Sequences(DOCUMENT, DOCUMENT, TARGETS, P // LENGTH)


def _loss(objective: Objective, queries: Tensor, candidates: Candidates) -> Tensor:
    items = candidates.items
    return objective.loss(queries, TARGETS, VECTORS[TARGETS], candidates, VECTORS[items], SEQUENCES)


def _plain(objective: Objective, queries: Tensor, candidates: Candidates) -> Tensor:
    """As definitions say it, over the whole matrix [P, V] of scores."""
    scores = queries @ VECTORS.t()
    if objective.spec.kind == "corrected":
        scores = scores - objective.log_pi.double()
    allowed = torch.zeros(P, V, dtype=torch.bool)
    allowed[:, candidates.items] = True
    for document in range(P // LENGTH):
        mine = (document == DOCUMENT).nonzero()
        allowed[mine, TARGETS[document == DOCUMENT]] = False
    allowed[torch.arange(P), TARGETS] = True
    own = scores[torch.arange(P), TARGETS]
    return (scores.masked_fill(~allowed, -torch.inf).logsumexp(1) - own).mean()


@pytest.mark.parametrize("kind", ["corrected", "as_paper"])
def test_tiles_equal_the_matrix(kind: str) -> None:
    """Popular and uniform candidates merged, own sequence masked, several chunks: to 1e-10."""
    objective = Objective(ObjectiveSpec(kind, 256, 6_000, "mask"), UNIGRAM)  # type: ignore[arg-type]
    candidates = objective.draw(TARGETS, seed=0, step=0)
    n = len(candidates.items)
    assert 6_000 < n < 6_256
    assert tile_shape(P, n, "cpu")[1] < n, "more than one chunk"
    queries = QUERIES.clone().requires_grad_()
    loss, plain = (f(objective, queries, candidates) for f in (_loss, _plain))
    assert float(loss.detach()) == pytest.approx(float(plain.detach()), rel=1e-10)
    (found,) = torch.autograd.grad(loss, queries)
    (expected,) = torch.autograd.grad(plain, queries)
    assert torch.allclose(found, expected, rtol=0, atol=1e-10 * float(expected.abs().max()))


def test_all_items_drawn_is_the_full_softmax() -> None:
    """K = V takes every item with certainty: the full cross-entropy, nothing masked."""
    drawn = Objective(ObjectiveSpec("corrected", 256, V, "mask"), UNIGRAM)
    expected = torch.nn.functional.cross_entropy(QUERIES @ VECTORS.t(), TARGETS)
    loss = _loss(drawn, QUERIES, drawn.draw(TARGETS, seed=0, step=0))
    assert float(loss) == pytest.approx(float(expected), rel=1e-10)


def test_the_corrected_partition_is_unbiased() -> None:
    """Over 60 draws of 2,256 candidates the mean estimate of sum e^s is right within 4 errors."""
    objective = Objective(ObjectiveSpec("corrected", 256, 2_000, "keep"), UNIGRAM)
    others = torch.multinomial(UNIGRAM, 60 * P, replacement=True, generator=GENERATOR)
    scores = (VECTORS @ QUERIES[0]).exp()
    estimates = []
    for step, targets in enumerate(others.split(P)):
        items = objective.draw(targets, seed=1, step=step).items
        estimates.append((scores[items] / objective.log_pi.double().exp()[items]).sum())
    found = torch.stack(estimates)
    error = float(found.std()) / len(found) ** 0.5
    assert abs(float(found.mean()) - float(scores.sum())) < 4 * error
    assert error < 0.01 * float(scores.sum())
