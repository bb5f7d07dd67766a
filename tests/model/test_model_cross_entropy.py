"""The tiled loss against the whole matrix of logits, by value and by gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from behavior_scaling.model import logit_tiles
from behavior_scaling.model.cross_entropy import Terms, cross_entropy
from behavior_scaling.model.logit_tiles import Exclusions

P, N, D, SEQUENCES = 37, 23, 12, 5

# Bytes of a tile and its fewest rows: one tile; blocks of positions with a remainder; positions
# one by one; tiles of positions and candidates, remainders in both; single cells.
TILINGS = {
    "whole": (1 << 20, 1),
    "blocks": (4 * N * 10, 1),
    "rows": (4 * N, 1),
    "tiles": (4 * 7 * 20, 10),
    "cells": (4, 128),
}


@dataclass(frozen=True)
class Case:
    """Vectors and terms, and the same terms as plain matrices."""

    leaves: tuple[Tensor, Tensor, Tensor]
    terms: Terms
    bias: Tensor  # [P, N]
    own: Tensor  # [P]

    def loss(self) -> Tensor:
        """The tiled loss."""
        return cross_entropy(*self.leaves, self.terms)

    def expected(self, leaves: tuple[Tensor, ...]) -> Tensor:
        """Logits in full, the target as one more column."""
        queries, targets, candidates = leaves
        target = (queries * targets).sum(1) + self.own.to(queries)
        logits = queries @ candidates.t() + self.bias.to(queries)
        column = target + self.terms.target_apart.to(queries).log()
        return (torch.cat([logits, column[:, None]], 1).logsumexp(1) - target).mean()


def _case(scale: float, dtype: torch.dtype, n: int = N) -> Case:
    """Duplicated candidates, corrections, masks, targets in and out; one position sees nothing."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    leaves = draw(P, D) * scale, draw(P, D), draw(n, D)
    if n > 1:
        leaves[2][1] = leaves[2][0]
    excluded = torch.rand(SEQUENCES, n, generator=generator) < 0.3
    excluded[2] = True
    of_position = torch.randint(0, SEQUENCES, (P,), generator=generator)
    correction, own = draw(n), draw(P)
    apart = (torch.rand(P, generator=generator) < 0.6).to(dtype)
    apart[excluded.all(1)[of_position]] = 1  # or nothing would be left to sum
    sequence, column = excluded.nonzero(as_tuple=True)
    terms = Terms(apart, own, correction, Exclusions(of_position, sequence, column, SEQUENCES))
    bias = correction.masked_fill(excluded, -math.inf)[of_position]
    queries, targets, candidates = (leaf.requires_grad_() for leaf in leaves)
    return Case((queries, targets, candidates), terms, bias, own)


def _set_tiling(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    size, rows = TILINGS[name]
    monkeypatch.setitem(logit_tiles.TILE_BYTES, "cpu", size)
    monkeypatch.setattr(logit_tiles, "FEWEST_ROWS", rows)


def _agree(case: Case, tolerance: float) -> None:
    double = tuple(x.detach().double().requires_grad_() for x in case.leaves)
    loss, expected = case.loss(), case.expected(double)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=tolerance)
    found = torch.autograd.grad(loss, case.leaves)
    for one, wanted in zip(found, torch.autograd.grad(expected, double), strict=True):
        largest = float(wanted.abs().max()) if wanted.numel() else 0.0
        assert torch.allclose(one.double(), wanted, rtol=0, atol=5 * tolerance * largest)


@pytest.mark.parametrize("tiling", TILINGS)
@pytest.mark.parametrize("scale", [0.3, 8.0])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-6)], ids=["f64", "f32"]
)
def test_value_and_gradients(
    tiling: str,
    scale: float,
    dtype: torch.dtype,
    tolerance: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every way through the tiles gives what the whole matrix gives."""
    _set_tiling(monkeypatch, tiling)
    _agree(_case(scale, dtype), tolerance)


@pytest.mark.parametrize("tiling", ["whole", "cells"])
@pytest.mark.parametrize("n", [0, 1])
def test_one_candidate_and_none(n: int, tiling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no negative at all the loss of a target apart is 0."""
    _set_tiling(monkeypatch, tiling)
    case = _case(1.0, torch.float64, n)
    if n == 0:
        case = replace(case, terms=replace(case.terms, target_apart=torch.ones(P).double()))
        assert float(case.loss().detach()) == 0
    _agree(case, 1e-11)


@pytest.mark.parametrize("tiling", TILINGS)
def test_frozen_candidates_by_rows_of_a_table(tiling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a frozen table, gathered by chunk, give the queries' gradient of the rows copied."""
    _set_tiling(monkeypatch, tiling)
    case = _case(1.0, torch.float64)
    queries, targets, candidates = case.leaves
    frozen = candidates.detach()
    order = torch.randperm(N + 9, generator=torch.Generator().manual_seed(5))[:N]
    table = torch.full((N + 9, D), math.nan, dtype=torch.float64)
    table[order] = frozen
    looked_up = cross_entropy(queries, targets, table, replace(case.terms, rows=order))
    copied = case.loss()
    assert float(looked_up.detach()) == pytest.approx(float(copied.detach()), rel=1e-12)
    found = torch.autograd.grad(looked_up, (queries, targets))
    for one, wanted in zip(found, torch.autograd.grad(copied, (queries, targets)), strict=True):
        assert torch.allclose(one, wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize("tiling", ["whole", "tiles"])
def test_bf16_products(tiling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Autocast rounds the products' factors to 8 bits: loss and gradients to 2%."""
    _set_tiling(monkeypatch, tiling)
    case = _case(1.0, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss = case.loss()
    expected = case.loss()
    assert loss.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=0.01)
    assert float(loss.detach()) != float(expected.detach())
    found = torch.autograd.grad(loss, case.leaves)
    for one, wanted in zip(found, torch.autograd.grad(expected, case.leaves), strict=True):
        assert float((one - wanted).norm()) < 0.02 * float(wanted.norm())


def test_a_factor_on_the_loss_reaches_the_gradients_once() -> None:
    """backward of 3 x loss, twice: three times the gradient each time."""
    case = _case(1.0, torch.float64)
    loss = case.loss()
    (once,) = torch.autograd.grad(loss, case.leaves[:1], retain_graph=True)
    for _ in range(2):
        (thrice,) = torch.autograd.grad(3 * loss, case.leaves[:1], retain_graph=True)
        assert torch.allclose(thrice, 3 * once, rtol=1e-12)


def test_full_softmax_equals_torch() -> None:
    """Targets among the candidates, no bias: torch's linear_cross_entropy."""
    queries, _, candidates = (x.detach() for x in _case(1.0, torch.float32).leaves)
    at = torch.randint(0, N, (P,), generator=torch.Generator().manual_seed(2))
    expected = torch.nn.functional.linear_cross_entropy(queries, candidates, at)
    found = cross_entropy(queries, candidates[at], candidates, Terms(torch.zeros(P)))
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("tiling", ["whole", "cells"])
def test_large_scores_do_not_overflow(tiling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores in the thousands: the loss is the gap to the best candidate, the rest rounds away."""
    _set_tiling(monkeypatch, tiling)
    queries, targets, candidates = (x.detach() for x in _case(1000.0, torch.float32).leaves)
    found = cross_entropy(queries, targets, candidates, Terms(torch.ones(P)))
    scores = queries.double() @ candidates.double().t()
    own = (queries.double() * targets.double()).sum(1)
    expected = (torch.maximum(scores.amax(1), own) - own).mean()
    assert float(found) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("tiling", ["whole", "tiles"])
def test_no_gradient_is_made_where_none_is_wanted(
    tiling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen candidates: their gradient is absent, the queries' is unchanged."""
    _set_tiling(monkeypatch, tiling)
    case = _case(1.0, torch.float64)
    queries = case.leaves[0]
    frozen = (queries, *(x.detach() for x in case.leaves[1:]))
    (alone,) = torch.autograd.grad(cross_entropy(*frozen, case.terms), (queries,))  # type: ignore[arg-type]
    both = torch.autograd.grad(case.loss(), case.leaves)
    assert torch.allclose(alone, both[0], rtol=1e-12)


@pytest.mark.parametrize("tiling", ["whole", "tiles"])
def test_a_score_that_is_not_finite_shows_in_the_loss(
    tiling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A diverged model must not look fine."""
    _set_tiling(monkeypatch, tiling)
    queries, targets, candidates = (x.detach() for x in _case(1.0, torch.float32).leaves)
    queries[3, 0] = math.nan
    assert math.isnan(float(cross_entropy(queries, targets, candidates, Terms(torch.ones(P)))))
