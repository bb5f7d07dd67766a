"""The contextualizer: past item vectors to the state that scores the next item.

Choices: pre-norm causal transformer; rotary positions counted along the row, which is the same
as along the document because only differences of positions matter; rows may hold several
documents, kept apart by one additive mask a batch that all layers share; what is known of an
event besides its item is added to the item's vector before the first block.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from behavior_scaling.model.attention import Block, as_products, rotation
from behavior_scaling.model.event_input import EventInput
from behavior_scaling.model.fused import rms_norm
from behavior_scaling.records.spec import ContextualizerSpec


class Contextualizer(nn.Module):
    """[B, L, d] item vectors -> [B, L, d] states; also holds the score's log temperature.

    Args:
        spec: width, layers, heads, temperature at the start.
        generator: draws the initial weights of the blocks.
        events: turns event features into vectors; None where it sees items alone.

    Raises:
        ValueError: heads that do not cut the width into an even number of dimensions each.
    """

    def __init__(
        self,
        spec: ContextualizerSpec,
        generator: torch.Generator,
        events: EventInput | None = None,
    ):
        super().__init__()
        if spec.width % spec.heads or (spec.width // spec.heads) % 2:
            raise ValueError(
                f"contextualizer: {spec.heads} heads cannot share a width of {spec.width} in even "
                f"parts (rotary positions need pairs)"
            )
        gain = 1 / math.sqrt(2 * spec.layers)
        self.heads = spec.heads
        self.head_width = spec.width // spec.heads
        self.blocks = nn.ModuleList(
            Block(spec.width, spec.heads, generator, gain) for _ in range(spec.layers)
        )
        self.events = events
        self.log_temperature = nn.Parameter(torch.tensor(math.log(spec.temperature)))
        self.turn: Tensor
        self.register_buffer("turn", rotation(0, self.heads, self.head_width), persistent=False)

    def forward(self, vectors: Tensor, document: Tensor, events: Tensor | None = None) -> Tensor:
        """Contextual states of unit RMS, [B, L, d]; arguments as of TwoPart.states."""
        if (events is None) != (self.events is None):
            has = "no event features" if events is None else "event features"
            raise ValueError(f"contextualizer: the batch carries {has}, the model wants the other")
        length = vectors.shape[1]
        if self.turn.shape[0] < length:
            self.turn = rotation(length, self.heads, self.head_width).to(vectors.device)
        mask = as_products(attention_mask(document))
        x = vectors if vectors.dtype == torch.float64 else vectors.float()  # the residual
        if self.events is not None:
            x = x + self.events(events)
        for block in self.blocks:
            x = block(x, mask, self.turn[:length])
        return rms_norm(x)


def attention_mask(document: Tensor) -> Tensor:
    """Document ids [B, L] -> additive float mask [B, 1, L, L]: 0 where seen, else -inf.

    A position sees itself and earlier positions of its own document; padding sees padding, so
    that no row is empty.
    """
    length = document.shape[1]
    same = document[:, :, None] == document[:, None, :]
    unseen = ~same.tril_()
    mask = torch.zeros(unseen.shape, device=document.device)
    return mask.masked_fill_(unseen, -math.inf).view(-1, 1, length, length)
