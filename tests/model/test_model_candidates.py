"""Drawing candidates: sets, sizes, frequencies, no state."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from behavior_scaling.model.candidates import Candidates, draw, log_inclusion
from behavior_scaling.records.spec import ObjectiveSpec


def _zipf(n_items: int) -> Tensor:
    weight = 1 / torch.arange(1, n_items + 1, dtype=torch.float64)
    return weight / weight.sum()


def _spec(in_batch: int, uniform: int) -> ObjectiveSpec:
    return ObjectiveSpec("corrected", in_batch, uniform, "mask")


@pytest.mark.parametrize(("in_batch", "uniform"), [(20, 0), (0, 12), (16, 8)])
def test_inclusion_probability_is_the_frequency(in_batch: int, uniform: int) -> None:
    """6,000 draws, each from a fresh batch of targets: within 5 standard errors an item."""
    p, spec, steps = _zipf(40), _spec(in_batch, uniform), 6_000
    generator = torch.Generator().manual_seed(0)
    batches = torch.multinomial(p, steps * 64, True, generator=generator).view(steps, 64)
    seen = torch.zeros(40, dtype=torch.float64)
    for step in range(steps):
        seen[draw(spec, batches[step], 40, seed=1, step=step).items] += 1
    pi = log_inclusion(spec, p).exp()
    error = (pi * (1 - pi) / steps).sqrt()
    assert ((seen / steps - pi).abs() <= 5 * error + 1e-12).all()


def test_inclusion_probability_by_hand() -> None:
    """p = 1/2, M = 3, K = 1 of V = 2; and certainty for K = V and for `full`."""
    p = torch.tensor([0.5, 0.5], dtype=torch.float64)
    pi = log_inclusion(_spec(3, 1), p).exp()
    assert torch.allclose(pi, torch.full((2,), 1 - 0.125 * 0.5, dtype=torch.float64), rtol=1e-14)
    assert torch.equal(log_inclusion(_spec(3, 2), p), torch.zeros(2, dtype=torch.float64))
    full = ObjectiveSpec("full", 3, 0, "mask")
    assert torch.equal(log_inclusion(full, p), torch.zeros(2, dtype=torch.float64))


def test_rare_items_keep_their_precision() -> None:
    """p = 1e-12: pi = M p to ten digits, where 1 - (1 - p)^M taken literally has four."""
    p = torch.tensor([1 - 1e-12, 1e-12], dtype=torch.float64)
    assert float(log_inclusion(_spec(8, 0), p)[1].exp()) == pytest.approx(8e-12, rel=1e-10)


def test_candidates_are_a_set_of_targets_and_uniform_items() -> None:
    """In-batch candidates are targets, K uniform ones are distinct, duplicates are merged."""
    targets = torch.tensor([3, 3, 3, 11, 11, 3])
    popular = draw(_spec(500, 0), targets, 50, seed=0, step=0)
    assert popular.items.tolist() == [3, 11]
    for step in range(20):
        assert len(set(draw(_spec(0, 17), targets, 50, 0, step).items.tolist())) == 17
    mixed = draw(_spec(500, 17), targets, 50, seed=0, step=0).items
    assert {3, 11} <= set(mixed.tolist())
    assert mixed.tolist() == sorted(set(mixed.tolist()))
    assert 17 <= mixed.numel() <= 19


def test_everything() -> None:
    """`full` and K = V take all items in order, whatever the batch."""
    targets = torch.tensor([3, 3])
    for spec in (ObjectiveSpec("full", 8, 0, "mask"), _spec(0, 9)):
        candidates = draw(spec, targets, 9, 0, 0)
        assert candidates.everything
        assert candidates.items.tolist() == list(range(9))


def test_drawing_has_no_state() -> None:
    """Step 7 is the same whether or not other steps, or torch's global generator, came before."""
    targets, spec = torch.arange(100), _spec(10, 10)
    first = draw(spec, targets, 1000, seed=5, step=7).items
    torch.manual_seed(123)
    draw(spec, targets, 1000, seed=5, step=6)
    assert torch.equal(first, draw(spec, targets, 1000, seed=5, step=7).items)
    assert not torch.equal(first, draw(spec, targets, 1000, seed=5, step=8).items)
    assert not torch.equal(first, draw(spec, targets, 1000, seed=6, step=7).items)


def test_large_catalogues_are_drawn_uniformly_too() -> None:
    """Above the permutation limit: K distinct items, uniform over ten bands (5 errors)."""
    n_items, count, steps = 20_000, 500, 200
    bands = torch.zeros(10)
    for step in range(steps):
        items = draw(_spec(0, count), torch.zeros(1, dtype=torch.long), n_items, 0, step).items
        assert len(set(items.tolist())) == count
        bands += torch.bincount(items // 2000, minlength=10)
    expected = steps * count / 10
    assert (bands - expected).abs().max() < 5 * expected**0.5


def test_columns() -> None:
    """Where each item stands in the set; n for those outside, below, between and above."""
    candidates = Candidates(torch.tensor([2, 5, 9]), everything=False)
    found = candidates.columns(torch.tensor([[0, 2, 3], [5, 9, 10]]))
    assert found.tolist() == [[3, 0, 3], [1, 2, 3]]


@pytest.mark.parametrize(
    ("spec", "unigram", "message"),
    [
        (_spec(0, 0), [0.5, 0.5], "M = K = 0"),
        (_spec(4, 3), [0.5, 0.5], "K = 3 exceeds the catalogue of 2"),
        (_spec(4, 0), [1.0, 0.0], "positive everywhere"),
        (_spec(4, 0), [0.5, 0.4], "sum to 1"),
    ],
)
def test_impossible_objectives_are_refused(
    spec: ObjectiveSpec, unigram: list[float], message: str
) -> None:
    """The message says what is wrong."""
    with pytest.raises(ValueError, match=message):
        log_inclusion(spec, torch.tensor(unigram, dtype=torch.float64))
    with pytest.raises(ValueError, match="float64"):
        log_inclusion(_spec(4, 0), torch.tensor([0.5, 0.5]))
