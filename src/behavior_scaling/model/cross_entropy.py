"""Cross-entropy of a target against candidates, without keeping the logits.

Choices: loss and gradients are computed together, a block of positions at a time, so that the
logits of a block stay in cache and memory does not grow with positions x candidates. On one CPU
thread this took 1/4 (d = 8) to 2/3 (d = 64) of the time of cross_entropy over a logit matrix at
1,700 to 4,600 candidates, and about the same at 200. torch 2.13 has
torch.nn.functional.linear_cross_entropy, which agrees and gives no warning, but serves neither
case: its default path keeps the matrix and takes as long as cross_entropy, its chunked path took
longer still, and neither takes the mask and the correction that sampled candidates need. Powers
of 2 are used because torch's exp2 takes a third of the time of exp; products are written with the
narrow dimension first, which small widths need to be fast. Under autocast the products run in its
type, everything else in float32.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

BLOCK_BYTES = {"cpu": 1 << 20, "cuda": 1 << 28}  # of one block's float32 logits
LOG2_E = 1 / math.log(2)


def cross_entropy(
    queries: Tensor,
    target_vectors: Tensor,
    candidate_vectors: Tensor,
    bias: Tensor | None,
    rows: Tensor | None,
    target_bias: Tensor | None,
    target_apart: Tensor,
) -> Tensor:
    """Mean over positions of log(sum of exp scores) - score of the target, in nats.

    The sum runs over the candidates and, where `target_apart` is 1, over the target besides.

    Args:
        queries: [P, d], scaled so that a score is a plain dot product.
        target_vectors: [P, d].
        candidate_vectors: [n, d].
        bias: float32 [G, n] added to the scores (-inf removes a candidate), or None.
        rows: int64 [P], the row of `bias` that a position takes; None with no bias.
        target_bias: float32 [P] added to the target's score, or None.
        target_apart: float32 [P], 0 where the target is one of the candidates that remain, so
            that it counts exactly once, else 1.

    Returns:
        A scalar, differentiable once in queries, target_vectors and candidate_vectors.
    """
    loss: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
        queries, target_vectors, candidate_vectors, bias, rows, target_bias, target_apart
    )
    return loss


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        target_vectors: Tensor,
        candidate_vectors: Tensor,
        bias: Tensor | None,
        rows: Tensor | None,
        target_bias: Tensor | None,
        target_apart: Tensor,
    ) -> Tensor:
        device = queries.device.type
        autocast = torch.is_autocast_enabled(device)
        kind = torch.get_autocast_dtype(device) if autocast else torch.float32
        with torch.autocast(device, enabled=False):
            query, target = queries.float(), target_vectors.float()
            target_score = (query * target).sum(1)
            if target_bias is not None:
                target_score += target_bias
            target_score *= LOG2_E
            narrow = candidate_vectors.to(kind).t()  # [d, n]
            if bias is not None:
                bias = bias * LOG2_E
            positions, candidates = query.shape[0], narrow.shape[1]
            block = max(1, BLOCK_BYTES.get(device, 1 << 20) // (4 * candidates))
            wants_queries, wants_targets, wants_candidates = ctx.needs_input_grad[:3]
            grad_queries = torch.empty_like(query)
            grad_candidates = torch.zeros(narrow.shape, device=query.device)
            pull = torch.empty_like(target_score)  # d loss / d target score
            nats = torch.empty_like(target_score)
            for start in range(0, positions, block):
                part = slice(start, start + block)
                scores = _scores(query[part], narrow, bias, rows, part)
                scores_of_target = target_score[part]
                top = torch.maximum(scores.amax(1), scores_of_target)
                weights = scores.sub_(top[:, None]).exp2_()
                own = (scores_of_target - top).exp2_().mul_(target_apart[part])
                total = weights.sum(1).add_(own)
                nats[part] = total.log2().add_(top).sub_(scores_of_target).mul_(math.log(2))
                share = total.reciprocal_()
                pull[part] = own.mul_(share).sub_(1)
                if wants_queries:
                    pushed = narrow @ weights.to(kind).t()  # [d, block]
                    torch.mul(pushed.t(), share[:, None], out=grad_queries[part])
                if wants_candidates:
                    weighted = query[part] * share[:, None]
                    grad_candidates += weighted.to(kind).t() @ weights.to(kind)
            mean = 1 / positions
            pull *= mean
            ctx.save_for_backward(
                grad_queries.mul_(mean).addcmul_(pull[:, None], target) if wants_queries else None,
                query * pull[:, None] if wants_targets else None,
                grad_candidates.mul_(mean).t() if wants_candidates else None,
            )
            ctx.kinds = queries.dtype, target_vectors.dtype, candidate_vectors.dtype
            return nats.mean()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        parts = [
            None if part is None else (part * grad).to(kind)
            for part, kind in zip(ctx.saved_tensors, ctx.kinds, strict=True)
        ]
        return (*parts, None, None, None, None)


def _scores(
    query: Tensor, narrow: Tensor, bias: Tensor | None, rows: Tensor | None, part: slice
) -> Tensor:
    """Scores of a block's positions in units of log 2, float32 [block, n]."""
    scaled = query * LOG2_E
    if bias is None or rows is None:
        return (scaled.to(narrow.dtype) @ narrow).float()
    start = bias.index_select(0, rows[part])
    if narrow.dtype == torch.float32:
        return torch.addmm(start, scaled, narrow, out=start)  # addmm_ escapes FLOP counters
    return start.add_(scaled.to(narrow.dtype) @ narrow)
