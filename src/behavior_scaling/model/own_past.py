"""A position's own past as candidates that enter with certainty.

Items that a position has already met are more probable than their popularity says wherever events
repeat, and they enter the in-batch candidates because they are there. Left out (same_sequence =
mask) they are only ever targets, never negatives: their scores rise without bound, and the full
softmax gives them probability that other items have. Here the items of the past are scored for
every position, each once and with inclusion probability 1, and what else the sequence holds (its
future, whose presence depends on the target) stays masked. Which items these are depends on the
history alone, so the population minimiser is log p(y | h) for histories with repeats too.

Choices: an item of the past counts where it first stands in its document, and never where it is
the target, which counts by itself; all L x L scores of a row are computed, as in attention.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

NEVER = -1e30  # a score whose exponential is 0; -inf would give NaN where a row has nothing else


@dataclass(frozen=True)
class OwnPast:
    """Of P scored positions, what their past adds to the loss."""

    log_sum: Tensor  # float [P], log of the sum of exp scores over the past, nats
    holds_target: Tensor  # bool [P], the target is an item of the past


def own_past(
    queries: Tensor, past: Tensor, inputs: Tensor, targets: Tensor, document: Tensor, scored: Tensor
) -> OwnPast:
    """Score every position against the distinct items of its past, itself included.

    Args:
        queries: [B, L, d], scaled so that a score is a plain dot product.
        past: [B, L, d] vectors of the inputs.
        inputs: int64 [B, L].
        targets: int64 [B, L]; read at scored positions.
        document: int [B, L].
        scored: int64 [P], which of the B L positions bear a loss.
    """
    seen = document[:, :, None] == document[:, None, :]
    seen.tril_()  # [B, L, L]: position, and what it has met in its document
    same = inputs[:, :, None] == inputs[:, None, :]
    first = ~(same & seen).tril(-1).any(2)  # [B, L] no earlier one in its document
    is_target = targets[:, :, None] == inputs[:, None, :]
    scores = queries @ past.transpose(1, 2)
    counted = seen & first[:, None, :] & ~is_target
    log_sum = scores.float().masked_fill(~counted, NEVER).logsumexp(2)
    holds = (is_target & seen).any(2)
    return OwnPast(log_sum.view(-1).index_select(0, scored), holds.view(-1).index_select(0, scored))
