"""Memory of the loss: what it takes above its inputs does not grow with the candidates."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from behavior_scaling.model.cross_entropy import Terms, cross_entropy
from behavior_scaling.model.logit_tiles import Exclusions
from behavior_scaling.train.machine import PeakMemory

MIB = 2**20
needs_linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak memory of a call is read from /proc"
)


def _inputs(positions: int, candidates: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(positions, width, generator=generator).requires_grad_()
    vectors = torch.randn(candidates, width, generator=generator) / width**0.5
    return queries, vectors, torch.randint(0, candidates, (positions,), generator=generator)


def _added(queries: Tensor, own: Tensor, vectors: Tensor, terms: Terms) -> float:
    """MiB above the inputs, gradients included."""
    cross_entropy(queries[:8], own[:8], vectors[:8], Terms(torch.ones(8))).backward()
    memory = PeakMemory()
    before = memory.bytes()
    cross_entropy(queries, own, vectors, terms).backward()
    return (memory.bytes() - before) / MIB


@needs_linux
def test_the_meter_sees_a_matrix_of_logits() -> None:
    """The plain loss holds at least the logits and their gradient: 2 x 128 MiB here."""
    queries, vectors, targets = _inputs(2048, 16_384, 8)
    memory = PeakMemory()
    before = memory.bytes()
    functional.cross_entropy(queries @ vectors.t(), targets).backward()
    assert memory.bytes() - before > 256 * MIB


@needs_linux
def test_trained_candidates_within_64_mib() -> None:
    """K = 65,536, 4,096 positions, d = 64: the logits alone would be 1 GiB; 16 MiB are output."""
    queries, vectors, targets = _inputs(4096, 65_536, 64)
    own = vectors[targets]
    assert _added(queries, own, vectors.requires_grad_(), Terms(torch.zeros(4096))) < 64 + 16


@needs_linux
@pytest.mark.parametrize("candidates", [50_000, 400_000])
def test_frozen_candidates_add_nothing_by_their_number(candidates: int) -> None:
    """With correction and own-sequence mask, gathered from a table: 16 MiB at any K."""
    queries, vectors, targets = _inputs(512, candidates, 16)
    sequence = torch.arange(512) // 32
    terms = Terms(
        torch.ones(512),
        torch.zeros(512),
        torch.zeros(candidates),
        Exclusions(sequence, sequence, targets, 16),
        rows=torch.arange(candidates),
    )
    assert _added(queries, vectors[targets], vectors, terms) < 16
