"""What the objectives estimate: by enumeration, by drawing, and by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from behavior_scaling.model.candidates import Candidates
from behavior_scaling.model.objective import Objective, Sequences
from behavior_scaling.records.spec import ObjectiveSpec

P = torch.tensor([0.4, 0.25, 0.2, 0.1, 0.05], dtype=torch.float64)
V = len(P)
TARGETS = torch.arange(V)


def _objective(kind: str, in_batch: int, uniform: int, same: str = "keep") -> Objective:
    spec = ObjectiveSpec(kind, in_batch, uniform, same)  # type: ignore[arg-type]
    return Objective(spec, P)


def _apart() -> Sequences:
    """Every target in a sequence of its own, which holds nothing else."""
    return Sequences(TARGETS, TARGETS, TARGETS, V)


def _loss(objective: Objective, scores: Tensor, items: Tensor) -> Tensor:
    """Mean over the targets 0..V-1 of the loss of [V, V] scores against a candidate set."""
    one_hot = torch.eye(V)
    candidates = Candidates(items, everything=len(items) == V and objective.spec.kind == "full")
    return objective.loss(scores, TARGETS, one_hot, candidates, one_hot[items], _apart())


def _gradient(
    objective: Objective, scores: Tensor, weight: dict[tuple[int, ...], Tensor]
) -> Tensor:
    """Gradient [V] of the expected loss; weight[set][y] = P(target y, candidates set)."""
    total = torch.zeros(V, dtype=torch.float64)
    for items, of_target in weight.items():
        rows = scores.float().repeat(V, 1).requires_grad_()
        (slope,) = torch.autograd.grad(_loss(objective, rows, torch.tensor(items)), rows)
        total += (of_target[:, None] * slope.double() * V).sum(0)
    return total


def _independent(objective: Objective) -> dict[tuple[int, ...], Tensor]:
    """Every set of items, each item included with its pi, apart from the target."""
    pi = objective.log_pi.double().exp()
    return {
        items: P * math.prod(pi[i] if i in items else 1 - pi[i] for i in range(V))
        for size in range(1, V + 1)
        for items in itertools.combinations(range(V), size)
    }


@pytest.mark.parametrize("same", ["keep", "mask"])
@pytest.mark.parametrize("uniform", [0, 1, 3, 4])
def test_minimiser_by_enumeration(uniform: int, same: str) -> None:
    """corrected: log p at any K. as_paper: log p - log pi, restored to log p. Both convex."""
    log_p = P.log()
    corrected = _objective("corrected", 3, uniform, same)
    assert _gradient(corrected, log_p, _independent(corrected)).abs().max() < 1e-6
    as_paper = _objective("as_paper", 3, uniform, same)
    learned = log_p - as_paper.log_pi.double()
    assert _gradient(as_paper, learned, _independent(as_paper)).abs().max() < 1e-6
    assert _gradient(as_paper, log_p, _independent(as_paper)).abs().max() > 5e-3
    assert torch.allclose(as_paper.restored(learned), log_p, atol=1e-12)
    assert torch.equal(corrected.restored(log_p), log_p)


@pytest.mark.parametrize(("in_batch", "uniform"), [(4, 0), (3, 1), (0, 2)])
def test_minimiser_under_the_real_drawing(in_batch: int, uniform: int) -> None:
    """4,000 batches of 32 targets, drawn as in training, where inclusions are not independent.

    Stated tolerance: the minimiser's probabilities are within 0.02 of p; without correction the
    popular arms are off by more than 0.06 (the uniform one needs no correction).
    """
    objective = _objective("corrected", in_batch, uniform)
    generator = torch.Generator().manual_seed(0)
    batches = torch.multinomial(P, 4_000 * 32, True, generator=generator).view(4_000, 32)
    joint: dict[tuple[int, ...], Tensor] = {}
    for step, targets in enumerate(batches):
        items = tuple(objective.draw(targets, 0, step).items.tolist())
        counts = torch.bincount(targets, minlength=V).double() / batches.numel()
        joint[items] = joint.get(items, torch.zeros(V, dtype=torch.float64)) + counts

    def minimiser(fitted: Objective) -> Tensor:
        scores = torch.zeros(V, dtype=torch.float64)
        for _ in range(60):
            scores -= _gradient(fitted, scores, joint) / P
        return torch.softmax(scores, 0)

    assert (minimiser(objective) - P).abs().max() < 0.02
    plain = (minimiser(_objective("as_paper", in_batch, uniform)) - P).abs().max()
    assert plain > 0.06 if in_batch else plain < 0.02


def _partition(objective: Objective, scores: Tensor, target: int, items: Tensor) -> float:
    """e^(s_y) + sum of e^(s_i) / pi_i over the other candidates, read off the loss."""
    n_items = len(scores)
    one_hot = torch.eye(n_items)
    at = torch.tensor([target])
    zero = torch.tensor([0])
    loss = objective.loss(
        scores[None],
        at,
        one_hot[at],
        Candidates(items, everything=False),
        one_hot[items],
        Sequences(zero, zero, at, 1),
    )
    score, log_pi = float(scores[target]), float(objective.log_pi[target])
    return math.exp(float(loss) + score - log_pi) - math.exp(score - log_pi) + math.exp(score)


@pytest.mark.parametrize("uniform", [0, 2])
def test_partition_function_is_unbiased(uniform: int) -> None:
    """Over all candidate sets, exactly (float32), for every target."""
    objective = _objective("corrected", 3, uniform)
    scores = torch.tensor([0.3, -1.0, 2.0, 0.5, -0.2])
    pi = objective.log_pi.double().exp()
    for target in range(V):
        mean = float((1 - pi).prod()) * math.exp(float(scores[target]))  # the empty set
        for items, weight in _independent(objective).items():
            chance = float(weight[target] / P[target])
            mean += chance * _partition(objective, scores, target, torch.tensor(items))
        assert mean == pytest.approx(float(scores.double().exp().sum()), rel=1e-5)


def test_log_partition_is_biased_by_order_one_over_k() -> None:
    """E log(estimate) - log Z = -(1 - K/V) cv^2 / (2 K) to first order, cv that of e^s.

    Drawn as in training, 8,000 times each. Stated tolerance: 4 standard errors and a tenth (the
    next order) of the prediction; so twice the K is half of the bias.
    """
    n_items, draws = 400, 8_000
    scores = torch.randn(n_items, generator=torch.Generator().manual_seed(1))
    mass = scores.double().exp()
    squared = float(mass.var(correction=0) / mass.mean() ** 2)
    even = torch.full((n_items,), 1 / n_items, dtype=torch.float64)
    target = torch.tensor([7])
    for uniform in (15, 30, 60):
        objective = Objective(ObjectiveSpec("corrected", 0, uniform, "keep"), even)
        logs = torch.empty(draws, dtype=torch.float64)
        for step in range(draws):
            items = objective.draw(target, 0, step).items
            others = items[items != 7]
            logs[step] = torch.log(mass[7] + mass[others].sum() * (n_items / uniform))
        assert math.exp(float(logs[-1])) == pytest.approx(
            _partition(objective, scores, 7, items), rel=1e-4
        ), "the loss holds the very estimate that is averaged here"
        bias = float(logs.mean() - mass.sum().log())
        predicted = -(1 - uniform / n_items) * squared / (2 * uniform)
        error = float(logs.std()) / draws**0.5
        assert abs(bias - predicted) < 4 * error + 0.1 * abs(predicted)
        assert bias < -4 * error


def _hand(same: str, kind: str = "as_paper") -> float:
    """Two positions. Sequence 0 holds 0, 1, 2; sequence 1 holds 3. Candidates 1, 3, 4.

    e^s is 1, 2, 3, 4, 5 for items 0..4; the targets are 2 (sequence 0) and 3 (sequence 1).
    """
    one_hot = torch.eye(V)
    items, targets = torch.tensor([1, 3, 4]), torch.tensor([2, 3])
    sequences = Sequences(
        of_position=torch.tensor([0, 1]),
        sequence=torch.tensor([0, 0, 0, 1, 1]),
        item=torch.tensor([0, 1, 2, 3, 3]),
        count=2,
    )
    loss = _objective(kind, 3, 1, same).loss(
        torch.arange(1.0, V + 1).log().repeat(2, 1),
        targets,
        one_hot[targets],
        Candidates(items, everything=False),
        one_hot[items],
        sequences,
    )
    return float(loss)


def test_own_sequence_by_hand() -> None:
    """mask: (3 + 4 + 5) / 3 and (4 + 2 + 5) / 4. keep: item 1 counts for the first one too."""
    assert _hand("mask") == pytest.approx((math.log(12 / 3) + math.log(11 / 4)) / 2, rel=1e-6)
    assert _hand("keep") == pytest.approx((math.log(14 / 3) + math.log(11 / 4)) / 2, rel=1e-6)


def test_correction_by_hand() -> None:
    """The same, each e^s divided by pi = 1 - (1 - p)^3 (1 - 1/5), the targets' too."""
    weight = [(i + 1) / (1 - (1 - float(P[i])) ** 3 * 0.8) for i in range(V)]
    first = math.log((weight[2] + weight[3] + weight[4]) / weight[2])
    second = math.log((weight[3] + weight[1] + weight[4]) / weight[3])
    assert _hand("mask", "corrected") == pytest.approx((first + second) / 2, rel=1e-6)


def test_unknown_words_are_refused() -> None:
    """The message lists the known ones."""
    with pytest.raises(ValueError, match="known are corrected, as_paper, full"):
        _objective("logq", 3, 0)
    with pytest.raises(ValueError, match="mask or keep"):
        _objective("corrected", 3, 0, "drop")
