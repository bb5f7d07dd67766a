"""Cross-entropy of a target against candidates in memory that does not grow with them.

Choices: loss and gradients are computed together in the forward pass, tile by tile
(logit_tiles.py), with an online log-sum-exp. Three ways through the tiles:
- one chunk holds all candidates: a block's weights are final at once, so everything is done while
  its scores are in cache;
- several chunks, candidates without a gradient (stage 2): the queries' gradient is rescaled as the
  maximum moves (as in FlashAttention, arXiv 2205.14135), so no score is computed twice;
- several chunks and a gradient for the candidates: the log-sum-exp first, then every score again.
The last one, and the second after its sums, serve candidates that are spread over devices: each
holds a part, and only maxima, sums and the queries' gradient travel.
torch 2.13 has torch.nn.functional.linear_cross_entropy, which agrees and gives no warning, but
serves neither case: its default path keeps the matrix and takes as long as cross_entropy, its
chunked path took longer still, and neither takes the mask and the correction that sampled
candidates need.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from behavior_scaling.model.logit_tiles import LOG2_E, Exclusions, Tiles
from behavior_scaling.model.shards import Shards


@dataclass(frozen=True)
class Terms:
    """What a cross-entropy adds to plain dot products."""

    target_apart: Tensor  # float [P], 0 where the target remains a candidate (counts once), else 1
    target_correction: Tensor | None = None  # float [P] added to the target's score, nats
    correction: Tensor | None = None  # float [n] added to a candidate's scores, nats
    exclusions: Exclusions | None = None
    rows: Tensor | None = None  # int64 [n], candidates are these rows of a frozen table
    shards: Shards | None = None  # the processes that hold the other candidates
    besides: Tensor | None = None  # float [P], log of a sum that enters each position's own, nats


def cross_entropy(
    queries: Tensor, target_vectors: Tensor, candidate_vectors: Tensor, terms: Terms
) -> Tensor:
    """Mean over positions of log(sum of exp scores) - score of the target, in nats.

    The sum runs over the candidates and, where `target_apart` is 1, over the target besides; what
    `besides` holds is added to it, and takes a gradient.

    Args:
        queries: [P, d], scaled so that a score is a plain dot product.
        target_vectors: [P, d].
        candidate_vectors: [n, d]; n may be 0. With `rows` a table [V, d] without gradient. With
            shards this process' candidates, while positions are the same in every process.
        terms: corrections, exclusions, shards.

    Returns:
        A scalar, differentiable once in queries, target_vectors and candidate_vectors.
    """
    loss: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
        queries, target_vectors, candidate_vectors, terms.besides, terms
    )
    return loss


@dataclass
class _Sums:
    """Of every position: the greatest score so far, and the sum of exp2 above it [P, 1]."""

    top: Tensor
    total: Tensor


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        target_vectors: Tensor,
        candidate_vectors: Tensor,
        besides: Tensor | None,
        terms: Terms,
    ) -> Tensor:
        device = queries.device.type
        wide = torch.float64 if queries.dtype == torch.float64 else torch.float32
        autocast = torch.is_autocast_enabled(device)
        kind = torch.get_autocast_dtype(device) if autocast else wide
        with torch.autocast(device, enabled=False) if autocast else nullcontext():
            query, target = queries.to(wide), target_vectors.to(wide)
            own = (query * target).sum(1, keepdim=True)
            if terms.target_correction is not None:
                own += terms.target_correction[:, None]
            own *= LOG2_E
            more = None if besides is None else besides.to(wide)[:, None] * LOG2_E
            tiles = Tiles(
                query, candidate_vectors, terms.rows, terms.correction, terms.exclusions, kind
            )
            work = _Work(tiles, query, own, more, terms)
            work.run(ctx.needs_input_grad[0], ctx.needs_input_grad[2])
            mean = 1 / query.shape[0]
            weight = own.sub(work.sums.top).exp2_().mul_(terms.target_apart[:, None])
            pull = weight.div_(work.sums.total).sub_(1).mul_(mean)  # d loss / d target score
            grads: list[Tensor | None] = [None, None, None, None]
            if more is not None:
                weight = more.sub(work.sums.top).exp2_().div_(work.sums.total)
                grads[3] = weight.mul_(mean).view(-1)
            if work.grad_queries is not None:
                grads[0] = work.grad_queries.mul_(mean).addcmul_(pull, target)
            if ctx.needs_input_grad[1]:
                grads[1] = query * pull
            if work.grad_candidates is not None:
                grads[2] = work.grad_candidates.mul_(mean).t()
            ctx.save_for_backward(*grads)
            ctx.kinds = queries.dtype, target_vectors.dtype, candidate_vectors.dtype, wide
            nats = work.sums.total.log2().add_(work.sums.top).sub_(own).mul_(math.log(2))
            return nats.mean()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        unit = float(grad) == 1  # the rule; another factor costs a copy of the gradients
        parts = [
            None if part is None else (part if unit else part * grad).to(kind)
            for part, kind in zip(ctx.saved_tensors, ctx.kinds, strict=True)
        ]
        return (*parts, None)


class _Work:
    """One pass over the tiles: sums of every position, and the gradients that are wanted.

    Attributes:
        sums: over all candidates and the targets apart.
        grad_queries: [P, d] sum over candidates of weight x vector, weights summing to at most 1.
        grad_candidates: [d, n] sum over positions of weight x query.
    """

    def __init__(self, tiles: Tiles, query: Tensor, own: Tensor, more: Tensor | None, terms: Terms):
        self._tiles = tiles
        self._query = query
        self._own = own
        self._more = more
        self._apart = terms.target_apart[:, None]
        self._shards = terms.shards
        self.sums = _Sums(torch.full_like(own, -math.inf), torch.zeros_like(own))
        self.grad_queries: Tensor | None = None
        self.grad_candidates: Tensor | None = None

    def run(self, wants_queries: bool, wants_candidates: bool) -> None:
        """Fill in the sums and the gradients."""
        n = self._tiles.n
        if wants_queries:
            self.grad_queries = torch.zeros_like(self._query)
        if wants_candidates:
            self.grad_candidates = self._query.new_zeros(self._query.shape[1], n)
        if n <= self._tiles.columns and self._shards is None:
            self._at_once()
        elif wants_candidates:
            self._add_up(None)
            self._finish_sums()
            self._weigh()
        else:
            self._add_up(self.grad_queries)
            local = self.sums.top.clone()
            self._finish_sums()
            if self.grad_queries is not None:
                self.grad_queries *= local.sub_(self.sums.top).exp2_().div_(self.sums.total)
        if self._shards is not None and self.grad_queries is not None:
            self._shards.add(self.grad_queries)

    def _at_once(self) -> None:
        """All candidates in one chunk: sums and gradients of a block from the same scores."""
        for chunk in self._tiles.chunks():
            for block in self._tiles.blocks():
                scores, own = self._tiles.scores(block, chunk), self._own[block]
                top = torch.maximum(scores.amax(1, keepdim=True), own)
                if self._more is not None:
                    top = torch.maximum(top, self._more[block])
                weights = scores.sub_(top).exp2_()
                total = weights.sum(1, keepdim=True)
                total.addcmul_(own.sub(top).exp2_(), self._apart[block])
                if self._more is not None:
                    total += self._more[block].sub(top).exp2_()
                self.sums.top[block], self.sums.total[block] = top, total
                share = total.reciprocal()
                narrow = weights.to(self._tiles.kind)
                if self.grad_queries is not None:
                    pushed = chunk.narrow @ narrow.t()  # [d, block]
                    torch.mul(pushed.t(), share, out=self.grad_queries[block])
                if self.grad_candidates is not None:
                    weighted = (self._query[block] * share).to(self._tiles.kind)
                    self.grad_candidates += weighted.t() @ narrow
        if self._tiles.n == 0:
            self._finish_sums()

    def _add_up(self, pushed: Tensor | None) -> None:
        """Online sums; with `pushed` [P, d], the sum of exp2 score x vector on their scale."""
        for chunk in self._tiles.chunks():
            for block in self._tiles.blocks():
                scores = self._tiles.scores(block, chunk)
                top, total = self.sums.top[block], self.sums.total[block]
                higher = torch.maximum(scores.amax(1, keepdim=True), top)
                # Where nothing but excluded candidates was seen, the top is still -inf.
                base = higher.clamp(min=torch.finfo(higher.dtype).min)
                shrink = top.sub(base).exp2_()
                weights = scores.sub_(base).exp2_()
                total.mul_(shrink).add_(weights.sum(1, keepdim=True))
                top.copy_(higher)
                if pushed is not None:
                    weights = weights.to(self._tiles.kind)
                    pushed[block].mul_(shrink).add_((chunk.narrow @ weights.t()).t())

    def _finish_sums(self) -> None:
        """From the candidates of this process to those of all, and the targets apart."""
        if self._shards is not None:
            self._shards.merge(self.sums.top, self.sums.total)
        top = torch.maximum(self.sums.top, self._own)
        if self._more is not None:
            top = torch.maximum(top, self._more)
        self.sums.total *= self.sums.top.sub(top).exp2_()
        self.sums.total += self._own.sub(top).exp2_().mul_(self._apart)
        if self._more is not None:
            self.sums.total += self._more.sub(top).exp2_()
        self.sums.top = top

    def _weigh(self) -> None:
        """Gradients from final weights, every score computed again."""
        below = self.sums.total.log2().add_(self.sums.top)  # log-sum-exp in units of log 2
        for chunk in self._tiles.chunks():
            for block in self._tiles.blocks():
                weights = self._tiles.scores(block, chunk).sub_(below[block]).exp2_()
                weights = weights.to(self._tiles.kind)
                if self.grad_queries is not None:
                    self.grad_queries[block] += (chunk.narrow @ weights.t()).t()
                if self.grad_candidates is not None:
                    query = self._query[block].to(self._tiles.kind)
                    self.grad_candidates[:, chunk.start : chunk.stop] += query.t() @ weights
