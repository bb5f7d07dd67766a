"""The objective: a position's candidates, their correction, and the loss over them.

Choices (docs: definitions): `corrected` scores s - log pi for every candidate, the target
included, so that its population minimiser is log p(y | h) at any M and K; `as_paper` does not
correct, so that it learns log p - log pi; `full` takes all V items. The target counts exactly
once. Under same_sequence = past or mask the other items of a position's own sequence (its document
in the batch) are none of its sampled candidates: they entered because they are there, not by
popularity. Under past those of its history are candidates with certainty (own_past.py), without
which the minimiser is not log p where events repeat; as_paper, which corrects nothing, has no past.
Nothing is masked or corrected where every item enters with certainty (`full`, K = V).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from behavior_scaling.model.candidates import Candidates, draw, log_inclusion
from behavior_scaling.model.cross_entropy import Terms, cross_entropy
from behavior_scaling.model.logit_tiles import Exclusions
from behavior_scaling.model.own_past import OwnPast
from behavior_scaling.model.shards import Shards
from behavior_scaling.records.spec import ObjectiveSpec
from behavior_scaling.sizes.flops import scores_past


@dataclass(frozen=True)
class Sequences:
    """Which items each sequence of the batch holds, as pairs of a sequence and an item."""

    of_position: Tensor  # int64 [P], the sequence of every scored position, in 0..count-1
    sequence: Tensor  # int64 [S]
    item: Tensor  # int64 [S]
    count: int


class Objective:
    """Candidates and loss of one spec over one catalogue.

    Args:
        spec: kind, M, K, and what becomes of a sequence's own items.
        unigram: p, float64 [V]: the smoothed unigram distribution of the training targets.

    Attributes:
        spec: as given.
        n_items: V.
        log_pi: float32 [V], log inclusion probabilities (0 for `full` and K = V).
        scores_past: whether `loss` asks for the positions' own past.

    Raises:
        ValueError: an unknown kind, or what candidates.log_inclusion refuses.
    """

    def __init__(self, spec: ObjectiveSpec, unigram: Tensor):
        if spec.kind not in ("corrected", "as_paper", "full"):
            raise ValueError(f"objective.kind {spec.kind!r}: known are corrected, as_paper, full")
        if spec.same_sequence not in ("past", "mask", "keep"):
            raise ValueError(f"objective.same_sequence {spec.same_sequence!r}: past, mask or keep")
        if spec.kind == "as_paper" and spec.same_sequence == "past":
            raise ValueError("objective.same_sequence: as_paper corrects nothing: mask or keep")
        self.spec = spec
        self.n_items = unigram.shape[0]
        self.log_pi = log_inclusion(spec, unigram).float()
        self.scores_past = scores_past(spec, self.n_items)

    def to(self, device: torch.device) -> Objective:
        """Move log pi to a device; returns self."""
        self.log_pi = self.log_pi.to(device)
        return self

    def draw(self, targets_valid: Tensor, seed: int, step: int) -> Candidates:
        """Candidates of a step, from the targets int64 [P] of its scored positions.

        Stateless: the same (targets, seed, step) give the same set.
        """
        return draw(self.spec, targets_valid, self.n_items, seed, step)

    def restored(self, scores: Tensor) -> Tensor:
        """Raw scores [..., V] to restored ones: + log pi for as_paper, else unchanged."""
        return scores + self.log_pi if self.spec.kind == "as_paper" else scores

    def loss(
        self,
        queries: Tensor,
        targets: Tensor,
        target_vectors: Tensor,
        candidates: Candidates,
        candidate_vectors: Tensor,
        sequences: Sequences,
        *,
        past: OwnPast | None = None,
        table: bool = False,
        shards: Shards | None = None,
    ) -> Tensor:
        """Mean loss over positions, nats.

        Args:
            queries: [P, d], scaled so that a score is a plain dot product.
            targets: int64 [P].
            target_vectors: [P, d].
            candidates: the step's set, n items; with shards, those that this process holds.
            candidate_vectors: [n, d], in the order of `candidates.items`.
            sequences: which items each sequence holds; read under same_sequence = past or mask.
            past: what the positions' own past adds; where `scores_past`.
            table: `candidate_vectors` is the frozen catalogue [V, d], from which the candidates
                are taken without copying them all.
            shards: the processes among which the set is cut; positions are the same in all.
        """
        rows = candidates.items if table else None
        if candidates.everything:
            apart = torch.zeros(targets.shape[0], device=queries.device)
            terms = Terms(apart, rows=rows, shards=shards)
            return cross_entropy(queries, target_vectors, candidate_vectors, terms)
        correction, target_correction = None, None
        if self.spec.kind == "corrected":
            correction = -self.log_pi[candidates.items]
            target_correction = -self.log_pi[targets]
        besides = None
        if past is not None and target_correction is not None:
            besides = past.log_sum
            target_correction = target_correction.masked_fill(past.holds_target, 0.0)
        exclusions = None
        if self.spec.same_sequence != "keep":
            exclusions = Exclusions(
                sequences.of_position,
                sequences.sequence,
                candidates.columns(sequences.item),
                sequences.count,
            )
            apart = torch.ones(targets.shape[0], device=queries.device)
        else:
            found = candidates.columns(targets) < candidates.items.shape[0]
            apart = 1 - (found.float() if shards is None else shards.anywhere(found.float()))
        terms = Terms(apart, target_correction, correction, exclusions, rows, shards, besides)
        return cross_entropy(queries, target_vectors, candidate_vectors, terms)
