"""What both transformers are made of: norm, matrices, MLP.

Choices: RMSNorm without parameters and matrices without biases, so that every trainable
parameter is a matmul parameter and FLOP counts are exact; GELU in its exact form (the
tanh form takes 1.6 times as long on a CPU); matrices start
with standard deviation gain / sqrt(fan in), which keeps a unit-RMS input at unit RMS.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from behavior_scaling.model.fused import add_mlp
from behavior_scaling.sizes.parameters import MLP_RATIO


class Matrix(nn.Module):
    """A matrix without bias, drawn from N(0, gain^2 / fan_in) by `generator`."""

    def __init__(self, fan_in: int, fan_out: int, generator: torch.Generator, gain: float = 1.0):
        super().__init__()
        drawn = torch.randn(fan_out, fan_in, generator=generator)
        self.weight = nn.Parameter(drawn * (gain / math.sqrt(fan_in)))

    def forward(self, x: Tensor) -> Tensor:
        """[..., fan_in] -> [..., fan_out]."""
        return functional.linear(x, self.weight)


class Mlp(nn.Module):
    """x + MLP(norm x), the hidden layer 4 widths and GELU; `gain` scales the last matrix."""

    def __init__(self, width: int, generator: torch.Generator, gain: float):
        super().__init__()
        self.up = Matrix(width, MLP_RATIO * width, generator)
        self.down = Matrix(MLP_RATIO * width, width, generator, gain)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., width]."""
        return add_mlp(x, self.up.weight, self.down.weight)
