"""TwoPart: item embedder and contextualizer behind one small surface.

Choices: items are embedded from ids alone (their codes are fixed inputs held by the embedder);
the score is exp(log temperature) * <h, v> / sqrt(d), the log temperature clamped to +-ln 100;
both parts draw their weights from generators of their own, seeded by (seed, part), so that a
stage-2 contextualizer does not depend on the embedder's shape.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from behavior_scaling.data.item_vectors import ItemVectors
from behavior_scaling.model.contextualizer import Contextualizer
from behavior_scaling.model.embedder import make_embedder
from behavior_scaling.model.embedder_base import Columns, Items
from behavior_scaling.model.event_input import EventInput, EventTables
from behavior_scaling.model.seeding import seeded
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec

LOG_TEMPERATURE_BOUND = math.log(100.0)
CATALOGUE_BLOCK = 8192  # items embedded at once by catalogue_vectors


class TwoPart(nn.Module):
    """A model of the next event over a catalogue of V items described by T weighted codes.

    Args:
        embedder: shape of the item embedder.
        contextualizer: shape of the contextualizer; its width d is that of item vectors.
        codes: int [V, T], codes below `codebook_rows` or, above, of the items' vectors
            (embedder_base.Items); padding is any code of weight 0.
        weights: float [V, T], multiplicities, at least one positive an item.
        codebook_rows: rows of the fixed codebook.
        seed: of the initial weights.
        columns: of the codes, which a tabtransformer needs and a user's class may read.
        events: levels of the data's event features, for a contextualizer that sees some of them.
        vectors: precomputed ones of the items.

    Raises:
        ValueError: shapes that do not fit, codes outside the codebook, weights that are negative
            or not finite, an item without a token, an embedder that cannot be built, event
            features without their levels.
    """

    def __init__(
        self,
        embedder: EmbedderSpec,
        contextualizer: ContextualizerSpec,
        codes: Tensor,
        weights: Tensor,
        codebook_rows: int,
        seed: int,
        columns: Columns | None = None,
        events: EventTables | None = None,
        vectors: tuple[ItemVectors, ...] = (),
    ):
        super().__init__()
        items = Items(codes, weights, columns, vectors)
        self.embedder = make_embedder(
            embedder, contextualizer.width, items, codebook_rows, seeded("embedder", seed)
        )
        seen = None
        if contextualizer.event_features:
            seen = EventInput(contextualizer, events, codebook_rows, seeded("events", seed))
        self.contextualizer = Contextualizer(contextualizer, seeded("contextualizer", seed), seen)
        self.event_features = contextualizer.event_features
        self.n_items = int(codes.shape[0])
        self.width = contextualizer.width

    def item_vectors(self, item_ids: Tensor) -> Tensor:
        """Item ids [n] -> vectors [n, d]."""
        vectors: Tensor = self.embedder(item_ids)
        return vectors

    @torch.no_grad()
    def catalogue_vectors(self) -> Tensor:
        """Vectors of all items [V, d] in float32, without gradient, computed in blocks."""
        device = self.contextualizer.log_temperature.device
        vectors = torch.empty(self.n_items, self.width, device=device)  # torch.cat would hold two
        for start in range(0, self.n_items, CATALOGUE_BLOCK):
            stop = min(start + CATALOGUE_BLOCK, self.n_items)
            vectors[start:stop] = self.item_vectors(torch.arange(start, stop, device=device))
        return vectors

    def states(self, vectors: Tensor, document: Tensor, events: Tensor | None = None) -> Tensor:
        """Contextual states of unit RMS.

        Args:
            vectors: [B, L, d], the past item of every position.
            document: int [B, L]; a position sees earlier positions of its own document only.
            events: int64 [B, L, F'], rows of the past events' features by name in
                `event_features`; None where it is empty.

        Returns:
            [B, L, d]; rows of padding are finite and mean nothing.

        Raises:
            ValueError: events that are missing, or that this model does not see.
        """
        states: Tensor = self.contextualizer(vectors, document, events)
        return states

    def scale(self) -> Tensor:
        """The scalar that turns <h, v> into a score: exp(clamped log temperature) / sqrt(d)."""
        scale: Tensor = _Scale.apply(self.contextualizer.log_temperature, self.width)  # type: ignore[no-untyped-call]
        return scale


class _Scale(torch.autograd.Function):
    """exp(clamped log temperature) / sqrt(width); the gradient does not see the clamp.

    So a parameter beyond a bound can come back.
    """

    @staticmethod
    def forward(ctx: Any, log_temperature: Tensor, width: int) -> Tensor:
        clamped = log_temperature.clamp(-LOG_TEMPERATURE_BOUND, LOG_TEMPERATURE_BOUND)
        scale = clamped.exp_().mul_(1 / math.sqrt(width))
        ctx.save_for_backward(scale)
        return scale

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (scale,) = ctx.saved_tensors
        return grad_outputs[0] * scale, None
