"""Nominal FLOPs a loss position, and executed FLOPs a step.

Conventions (docs: definitions): a multiply-add is 2 FLOPs; a matmul costs 6 FLOPs a parameter
and application (2 forward, 2 for the gradient of its input, 2 for that of its matrix), 4 where
its input needs no gradient. These are exact, because norms have no parameters and there are no
biases. Attention is counted with the full L^2 (12 L d a position and layer) although half of it
is masked; logits with M + K candidates, before duplicates merge. Norms, activations, softmax,
gathers, the weighted mean of codes and the optimizer are not counted (nor are they by PyTorch's
counter). Where a position is scored against its own past, the full L counts, as in attention.

What needs no gradient: the fixed codes, so the first QKV of a transformer embedder, the first
MLP matrix of an 'mlp' one or of a 'tabtransformer' of depth 0, the e x d matrix of the others at
depth 0, and the matrix of event features; and frozen item vectors (stage 2, or a 'fixed' embedder),
so the candidates' side of logits and, without event features, the first QKV of the contextualizer.
With them that QKV's input is a sum that the matrix of event features has its gradient from.

In a transformer embedder the blocks cost per token and the e x d matrix per item (as does the
mixing MLP of a 'tabtransformer'); in the other kinds everything is per item. A 'table' is a gather
and costs nothing, but its vectors take a gradient. A user's class states its training FLOPs; its
forward pass is taken as a third of them. Nominal C embeds an item for every position, for every
uniform candidate, and for `full` the whole catalogue every step; executed FLOPs count the distinct
items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec
from behavior_scaling.sizes.parameters import (
    MLP_RATIO,
    check_embedder,
    contextualizer_parameters,
)
from behavior_scaling.user_class import is_user_class, stated_training_flops

FORWARD = 2  # FLOPs a matmul parameter
NO_INPUT_GRADIENT = 4
TRAINING = 6


@dataclass(frozen=True)
class Flops:
    """FLOPs by part: a loss position's (nominal) or a step's (executed)."""

    embedder: float  # its attention included
    contextualizer: float  # matmul parameters only
    attention: float  # of the contextualizer
    logits: float

    @property
    def total(self) -> float:
        """All parts."""
        return self.embedder + self.contextualizer + self.attention + self.logits


def nominal(
    embedder: EmbedderSpec,
    contextualizer: ContextualizerSpec,
    objective: ObjectiveSpec,
    *,
    stage: int,
    batch: int,
    context: int,
    tokens: int,
    n_items: int,
) -> Flops:
    """FLOPs of one loss position: the unit of C.

    Args:
        embedder: the embedder's spec; in stage 2 its vectors are cached and cost nothing.
        contextualizer: the contextualizer's spec.
        objective: gives n_cand: M + K, or V for `full`.
        stage: 1 or 2.
        batch: B, sequences a step (items embedded once a step are shared by B L positions).
        context: L, positions a sequence.
        tokens: T, feature tokens an item.
        n_items: V.

    Raises:
        ValueError: a stage other than 1 or 2, or an embedder that cannot be built.
    """
    frozen = vectors_are_frozen(embedder, stage)
    width = contextualizer.width
    extra = n_items if objective.kind == "full" else objective.uniform
    items = 0.0 if frozen else 1 + extra / (batch * context)
    candidates = candidates_drawn(objective, n_items)
    past = context if scores_past(objective, n_items) else 0
    return Flops(
        embedder=items * item_flops(embedder, width, tokens),
        contextualizer=position_flops(contextualizer, frozen=frozen),
        attention=attention_flops(contextualizer, context),
        logits=logit_flops(width, candidates + past, frozen=frozen),
    )


def executed(
    contextualizer: ContextualizerSpec,
    *,
    embedder: float,
    frozen: bool,
    grid: int,
    context: int,
    positions: int,
    candidates: int,
    past: bool,
) -> Flops:
    """FLOPs of one step, from what ran.

    Args:
        contextualizer: the contextualizer's spec.
        embedder: FLOPs of the embedder, which knows what it ran on.
        frozen: whether item vectors take no gradient (vectors_are_frozen).
        grid: B L, padding included: what the contextualizer runs on.
        context: L.
        positions: positions scored.
        candidates: distinct candidates in the step (the target's own score is not a matmul).
        past: whether every place of the grid was scored against its row (scores_past).
    """
    return Flops(
        embedder=embedder,
        contextualizer=grid * position_flops(contextualizer, frozen=frozen),
        attention=grid * attention_flops(contextualizer, context),
        logits=positions * logit_flops(contextualizer.width, candidates, frozen=frozen)
        + (grid * logit_flops(contextualizer.width, context, frozen=frozen) if past else 0),
    )


def positions_for_budget(budget: float, cost: Flops) -> int:
    """D: the loss positions that a nominal budget pays for, floor(C / cost).

    Raises:
        ValueError: the budget does not pay for one position.
    """
    positions = math.floor(budget / cost.total)
    if positions < 1:
        raise ValueError(
            f"a budget of {budget:g} FLOPs pays for no position at {cost.total:g} FLOPs each"
        )
    return positions


def flops_cache(embedder: EmbedderSpec, width: int, tokens: int, n_items: int) -> float:
    """FLOPs of embedding the catalogue once, forward only (reported, outside C)."""
    check_embedder(embedder, width)
    if embedder.kind in ("fixed", "table"):
        return 0.0
    if is_user_class(embedder.kind):
        return n_items * item_flops(embedder, width, tokens) * FORWARD / TRAINING
    return float(n_items * _forward_item_flops(embedder, width, tokens))


def flops_6nd(n_emb: int, n_ctx: int, positions: int) -> float:
    """6 N D: the convention of language models, for comparison only."""
    return 6.0 * (n_emb + n_ctx) * positions


def flops_6dnt(n_emb: int, n_ctx: int, positions: int, tokens: int) -> float:
    """6 D (N_ctx + T N_emb): a reader's inference of the paper's formula, for comparison only."""
    return 6.0 * positions * (n_ctx + tokens * n_emb)


def vectors_are_frozen(embedder: EmbedderSpec, stage: int) -> bool:
    """Whether item vectors take no gradient: in stage 2, and from a 'fixed' embedder.

    Raises:
        ValueError: a stage other than 1 or 2.
    """
    if stage not in (1, 2):
        raise ValueError(f"stage {stage}: there are stages 1 and 2")
    return stage == 2 or embedder.kind == "fixed"


def takes_everything(objective: ObjectiveSpec, n_items: int) -> bool:
    """Whether every item is a candidate with certainty: `full`, or K = V."""
    return objective.kind == "full" or objective.uniform == n_items


def scores_past(objective: ObjectiveSpec, n_items: int) -> bool:
    """Whether a position is scored against its own past besides the step's candidates."""
    return objective.same_sequence == "past" and not takes_everything(objective, n_items)


def candidates_drawn(objective: ObjectiveSpec, n_items: int) -> int:
    """n_cand: M + K before duplicates merge, V for `full`."""
    if objective.kind == "full":
        return n_items
    return objective.in_batch + objective.uniform


def item_flops(embedder: EmbedderSpec, width: int, tokens: int) -> float:
    """Training FLOPs of embedding one item of `tokens` tokens into `width` dimensions.

    Raises:
        ValueError: an embedder that cannot be built.
    """
    check_embedder(embedder, width)
    if embedder.kind in ("fixed", "table"):
        return 0.0
    if is_user_class(embedder.kind):
        return stated_training_flops(embedder.kind, embedder.width, embedder.depth, width, tokens)
    square = embedder.width**2
    saved = TRAINING - NO_INPUT_GRADIENT
    if embedder.kind == "tabtransformer":
        if embedder.depth == 0:
            out = TRAINING * embedder.width * width
            return mixing_flops(embedder) + out - saved * 2 * MLP_RATIO * square
        return packed_items_flops(embedder, width, 1, tokens, tokens**2) + mixing_flops(embedder)
    if embedder.depth == 0:
        return float(NO_INPUT_GRADIENT * embedder.width * width)
    if embedder.kind == "mlp":
        forward = _forward_item_flops(embedder, width, tokens)
        return float(3 * forward - saved * MLP_RATIO * square)
    return packed_items_flops(embedder, width, 1, tokens, tokens**2)


def mixing_flops(embedder: EmbedderSpec) -> float:
    """Training FLOPs an item of the MLP (2 e to 4 e to e) that mixes a tabtransformer's numbers."""
    return float(TRAINING * (2 + 1) * MLP_RATIO * embedder.width**2)


def packed_items_flops(
    embedder: EmbedderSpec, width: int, items: int, tokens: int, pairs: int
) -> float:
    """Training FLOPs of a transformer embedder over items whose tokens lie packed.

    Args:
        embedder: of kind transformer or tabtransformer (its blocks), depth at least 1.
        width: d.
        items: how many.
        tokens: of all of them.
        pairs: of tokens that attention computes, padding included.
    """
    square = embedder.width**2
    matrices = (TRAINING * (4 + 2 * MLP_RATIO) * embedder.depth - 2 * 3) * square
    attention = 2 * TRAINING * pairs * embedder.width * embedder.depth
    return float(tokens * matrices + attention + TRAINING * items * embedder.width * width)


def position_flops(contextualizer: ContextualizerSpec, *, frozen: bool) -> float:
    """Training FLOPs of the contextualizer's matrices at one position."""
    square = contextualizer.width**2
    full = TRAINING * contextualizer.layers * (4 + 2 * MLP_RATIO) * square
    events = NO_INPUT_GRADIENT * contextualizer.event_width * contextualizer.width
    saved = (TRAINING - NO_INPUT_GRADIENT) * 3 * square if frozen and not events else 0
    return float(full + events - saved)


def forward_position_flops(contextualizer: ContextualizerSpec, context: int) -> float:
    """FLOPs of the contextualizer at one position forward, its attention included."""
    matrices = contextualizer_parameters(contextualizer) - 1  # but the log temperature
    attention = attention_flops(contextualizer, context) * FORWARD / TRAINING
    return FORWARD * matrices + attention


def attention_flops(contextualizer: ContextualizerSpec, context: int) -> float:
    """Training FLOPs of the contextualizer's attention at one position: 12 L d a layer."""
    return float(2 * TRAINING * contextualizer.layers * context * contextualizer.width)


def logit_flops(width: int, candidates: int, *, frozen: bool) -> float:
    """Training FLOPs of one position's dot products with its candidates."""
    return float((NO_INPUT_GRADIENT if frozen else TRAINING) * candidates * width)


def _forward_item_flops(embedder: EmbedderSpec, width: int, tokens: int) -> int:
    """Forward FLOPs of one item (training costs three times as much, less what needs none)."""
    square = embedder.width**2
    out = FORWARD * embedder.width * width
    if embedder.kind == "mlp":
        return embedder.depth * FORWARD * 2 * MLP_RATIO * square + out
    matrices = FORWARD * (4 + 2 * MLP_RATIO) * square
    attention = 2 * FORWARD * tokens * embedder.width
    mixing = FORWARD * 3 * MLP_RATIO * square if embedder.kind == "tabtransformer" else 0
    return embedder.depth * tokens * (matrices + attention) + mixing + out
