"""An embedder of the user's own class, held to what the class states about itself.

Choices: parameters are compared exactly and FLOPs within 1% of torch's counter on a small batch
before anything is trained, because both enter every law; torch's global generator is seeded while
the class is constructed, so that torch's own layers start the same way in every process.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from behavior_scaling.model.embedder_base import ItemEmbedder, Items, used_tokens
from behavior_scaling.records.spec import EmbedderSpec
from behavior_scaling.sizes.flops import item_flops
from behavior_scaling.sizes.parameters import embedder_parameters
from behavior_scaling.user_class import load_class

CHECKED_ITEMS = 32
FLOP_TOLERANCE = 0.01


class UserEmbedder(ItemEmbedder):
    """The user's module `own`, built and checked; arguments as of make_embedder.

    Raises:
        ValueError: the class cannot be built, is no torch module, saves more than its parameters,
            gives no [n, d], leaves a parameter without gradient, or is not what it states.
    """

    def __init__(
        self,
        spec: EmbedderSpec,
        width: int,
        items: Items,
        codebook_rows: int,
        generator: torch.Generator,
    ):
        tokens = used_tokens(items, codebook_rows, spec.width)
        super().__init__(spec, width, tokens.index.shape[1])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator.initial_seed())
            own = load_class(spec.kind)(
                width=spec.width, depth=spec.depth, d=width, items=tokens, generator=generator
            )
            if not isinstance(own, nn.Module):
                raise self._refused("is no torch.nn.Module")
            self.own = own
            self.distinguishes_items = bool(getattr(own, "distinguishes_items", True))
            self._check_parameters()
            self._check_pass(torch.arange(min(CHECKED_ITEMS, len(items.codes))))

    def forward(self, item_ids: Tensor) -> Tensor:
        """Item ids int [n] -> vectors [n, d]."""
        vectors: Tensor = self.own(item_ids)
        return vectors

    def _check_parameters(self) -> None:
        named = dict(self.own.named_parameters())
        saved_besides = self.own.state_dict().keys() - named.keys()
        if saved_besides:
            raise self._refused(
                f"saves {sorted(saved_besides)} besides its parameters: register what is made "
                f"from the data with persistent=False"
            )
        held = sum(p.numel() for p in named.values() if p.requires_grad)
        stated = embedder_parameters(self.spec, self.width)
        if held != stated or not all(p.requires_grad for p in named.values()):
            raise self._refused(
                f"holds {held} trainable parameters, parameters_of() states {stated}; what is not "
                f"trained belongs in a buffer"
            )

    def _check_pass(self, item_ids: Tensor) -> None:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            vectors = self.own(item_ids)
            if vectors.shape != (len(item_ids), self.width):
                raise self._refused(
                    f"gives {tuple(vectors.shape)} for {len(item_ids)} items, not [n, d] with "
                    f"d = {self.width}"
                )
            parameters = dict(self.own.named_parameters())
            grads = torch.autograd.grad(
                vectors.square().sum(), list(parameters.values()), allow_unused=True
            )
        for name, grad in zip(parameters, grads, strict=True):
            if grad is None:
                raise self._refused(f"has a parameter {name} that no item vector depends on")
        counted = counter.get_total_flops()
        stated = len(item_ids) * item_flops(self.spec, self.width, self.tokens)
        if abs(counted - stated) > FLOP_TOLERANCE * stated:
            raise self._refused(
                f"ran {counted:,} FLOPs forward and backward on {len(item_ids)} items of "
                f"{self.tokens} tokens, training_flops_per_item() states {stated:,.0f}: mind that "
                f"fixed inputs take no gradient, and count attention with all pairs"
            )

    def _refused(self, reason: str) -> ValueError:
        return ValueError(f"embedder.kind {self.spec.kind}: the class {reason}")
