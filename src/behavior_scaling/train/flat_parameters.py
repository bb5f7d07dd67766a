"""Parameters and their gradients in one stretch of memory each.

Choices: clipping, zeroing and AdamW work on a list of tensors one by one, some ten small operations
a matrix; on one flat tensor they are one operation each, which saves small models 5 to 10% of a
step. The matrices stay what they are to the model, to checkpoints and to autograd: views of the
flat tensor, whose gradients autograd adds to in place.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class FlatParameters:
    """Some parameters as views of one.

    Args:
        parameters: at least one, all of one type and device; each becomes a view of `flat`.

    Attributes:
        flat: [sum of sizes], for the optimizer.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]):
        self.flat = nn.Parameter(torch.cat([p.detach().reshape(-1) for p in parameters]))
        self._parameters = list(parameters)
        self._grad = torch.zeros_like(self.flat)
        sizes = [p.numel() for p in parameters]
        shaped = zip(parameters, torch.split(self.flat.detach(), sizes), strict=True)
        for parameter, value in shaped:
            parameter.data = value.view(parameter.shape)
        self._grads = [
            part.view(parameter.shape)
            for parameter, part in zip(parameters, torch.split(self._grad, sizes), strict=True)
        ]
        self.zero_grad()

    def zero_grad(self) -> None:
        """Set every gradient to zero, and in its place: Lightning takes gradients away at times."""
        self._grad.zero_()
        self.flat.grad = self._grad
        for parameter, grad in zip(self._parameters, self._grads, strict=True):
            parameter.grad = grad
