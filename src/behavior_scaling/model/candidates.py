"""Which items a step scores, and how probable it was that they would be.

Choices: a step's candidates are the targets of M positions of the batch, no position twice, and K
items of the catalogue drawn uniformly without replacement, merged into a set. Positions are drawn
without replacement because only then are M targets as good as M independent draws from p, which
is what the inclusion probability says; with replacement, M = 1024 draws from 1024 positions hit
647 of them, and rare items would enter 1.6 times less often than popular ones, relative to pi. A
batch of fewer than M positions gives all of its targets (then pi overstates rare items by up to
M / P). Every step has a generator of its own, named by (seed, step), so that drawing has no state
to save or to resume.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from behavior_scaling.model.seeding import seeded
from behavior_scaling.records.spec import ObjectiveSpec
from behavior_scaling.sizes.flops import takes_everything

PERMUTATION_LIMIT = 16_384  # catalogues up to this size are permuted to draw K of them


@dataclass(frozen=True)
class Candidates:
    """The candidate set of a step."""

    items: Tensor  # int64 [n], distinct, ascending
    everything: bool  # all V items, each with certainty: nothing is masked, log pi = 0

    def columns(self, items: Tensor) -> Tensor:
        """Positions of items (any shape) in the set; n where an item is no candidate."""
        size = self.items.shape[0]
        if size == 0:
            return torch.zeros_like(items)
        at = torch.searchsorted(self.items, items)
        found = self.items[at.clamp(max=size - 1)] == items
        return torch.where(found, at, size)


def log_inclusion(spec: ObjectiveSpec, unigram: Tensor) -> Tensor:
    """log pi_i, with pi_i = 1 - (1 - p_i)^M (1 - K / V), float64 [V].

    Args:
        spec: gives M and K.
        unigram: p, float64 [V], smoothed so that no entry is 0.

    Raises:
        ValueError: p that is no distribution or has a zero, K above V, or M = K = 0.
    """
    n_items = unigram.shape[0]
    if unigram.dtype != torch.float64 or unigram.ndim != 1:
        raise ValueError(f"unigram must be float64 [V], not {unigram.dtype} {unigram.ndim}-d")
    if not bool((unigram > 0).all()) or abs(float(unigram.sum()) - 1) > 1e-6:
        raise ValueError("unigram must be positive everywhere and sum to 1: smooth it first")
    if takes_everything(spec, n_items):
        return torch.zeros(n_items, dtype=torch.float64)
    if spec.uniform > n_items:
        raise ValueError(
            f"objective.uniform K = {spec.uniform} exceeds the catalogue of {n_items} items"
        )
    if spec.in_batch + spec.uniform == 0:
        raise ValueError("objective: M = K = 0 leaves a position without negatives")
    absent = torch.log1p(-unigram) * spec.in_batch
    absent += torch.log1p(torch.tensor(-spec.uniform / n_items, dtype=torch.float64))
    return torch.log(-torch.expm1(absent))


def draw(spec: ObjectiveSpec, targets: Tensor, n_items: int, seed: int, step: int) -> Candidates:
    """The candidates of a step.

    Args:
        spec: gives M and K.
        targets: int64 [P], targets of the positions that bear a loss.
        n_items: V.
        seed: of the run.
        step: of the optimizer.
    """
    device = targets.device
    if takes_everything(spec, n_items):
        return Candidates(torch.arange(n_items, device=device), everything=True)
    generator = seeded("candidates", seed, step)
    chosen = torch.randperm(targets.shape[0], generator=generator)[: spec.in_batch]
    uniform = _without_replacement(spec.uniform, n_items, generator)
    drawn = torch.cat([targets[chosen.to(device)], uniform.to(device)])
    return Candidates(torch.unique(drawn), everything=False)


def _without_replacement(count: int, n_items: int, generator: torch.Generator) -> Tensor:
    """`count` distinct items, every set of them equally likely."""
    if n_items > PERMUTATION_LIMIT and count <= n_items // 4:
        # The first `count` distinct of many draws: cheaper than permuting a large catalogue.
        draws = torch.randint(n_items, (2 * count + 64,), generator=generator)
        ordered, at = torch.sort(draws, stable=True)
        fresh = torch.ones_like(ordered, dtype=torch.bool)
        torch.ne(ordered[1:], ordered[:-1], out=fresh[1:])
        first = at[fresh].sort().values[:count]
        if first.shape[0] == count:
            return draws[first]
    return torch.randperm(n_items, generator=generator)[:count]
