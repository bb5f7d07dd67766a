"""gSASRec, re-implemented from its paper: it is not on PyPI.

Petrov and Macdonald, "gSASRec: Reducing Overconfidence in Sequential Recommendation Trained with
Negative Sampling", RecSys 2023 (arXiv 2308.07192): SASRec, k uniform negatives for every
position, and gBCE, a binary cross-entropy whose positive probability is raised to the power
beta = alpha (t (1 - 1/alpha) + 1/alpha), alpha = k / (V - 1). k = 256 and t = 0.75 are the
paper's; dropout is SASRec's (0.2 on MovieLens), blocks as SASRec's authors wrote them.

Faster than the authors' code where that changes no result: the scores of targets and negatives
are read from one product with the whole catalogue, which for 1,682 items is 3.5 times faster than
gathering k + 1 vectors a position (and would not be for millions); log sigma(s)^beta is beta
times logsigmoid(s), in single precision; attention is PyTorch's; a batch is one gather of a tensor.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from clock import Clock
from contestant import Data, Histories, translate
from settings import BATCH, LENGTH, Shape
from torch import Tensor, nn

NEGATIVES = 256  # k
CALIBRATION = 0.75  # t
DROPOUT = 0.2
RATE = 1e-3  # PyTorch's default for Adam, as the authors leave it


class Block(nn.Module):
    """Causal self-attention (queries normed, keys and values not) and a ReLU network of width d."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.norm_network = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.network = nn.Sequential(
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(width, width),
            nn.Dropout(DROPOUT),
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Sequences [B, L, d], attention mask [B, 1, L, L] -> [B, L, d]."""
        queries = self.norm_attention(x)
        shape = (*x.shape[:2], self.heads, -1)
        query = self.query(queries).view(shape).transpose(1, 2)  # [B, H, L, d / H]
        key, value = (
            part.view(shape).transpose(1, 2) for part in self.key_value(x).chunk(2, dim=-1)
        )
        dropout = DROPOUT if self.training else 0.0
        read = F.scaled_dot_product_attention(query, key, value, mask, dropout)
        x = self.norm_network(queries + read.transpose(1, 2).reshape(x.shape))
        out: Tensor = x + self.network(x)
        return out


class Network(nn.Module):
    """Item numbers [B, L], 0 = padding on the left -> states [B, L, d]."""

    def __init__(self, n_items: int, shape: Shape):
        super().__init__()
        self.items = nn.Embedding(n_items + 1, shape.width, padding_idx=0)
        self.positions = nn.Parameter(torch.empty(LENGTH, shape.width))
        nn.init.xavier_normal_(self.items.weight)
        nn.init.xavier_normal_(self.positions)
        self.dropout = nn.Dropout(DROPOUT)
        self.blocks = nn.ModuleList(Block(shape.width, shape.heads) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        causal = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
        self.register_buffer("causal", causal, persistent=False)
        self.register_buffer("diagonal", torch.eye(LENGTH, dtype=torch.bool), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        present = inputs != 0
        # Padding sees itself, so that no row of the softmax is empty.
        mask = (self.causal & present[:, None, None, :]) | self.diagonal
        keep = present[:, :, None]
        x = self.dropout(self.items(inputs) + self.positions) * keep
        for block in self.blocks:
            x = block(x, mask) * keep
        out: Tensor = self.norm(x)
        return out


def gbce(positive: Tensor, negative: Tensor, n_items: int) -> Tensor:
    """gBCE of every position [P], from scores [P] and [P, k]; the mean over k + 1 items."""
    k = negative.shape[1]
    alpha = k / (n_items - 1)
    beta = alpha * (CALIBRATION * (1 - 1 / alpha) + 1 / alpha)
    loss = -beta * F.logsigmoid(positive) - F.logsigmoid(-negative).sum(1)
    return loss / (k + 1)


class GSASRec:
    """Contestant."""

    trains_every_position = True

    def __init__(self, shape: Shape, data: Data, lr_factor: float, seed: int, targets: int):
        torch.manual_seed(seed)
        self._n_items = data.n_items
        self._code = np.arange(1, data.n_items + 1)
        windows = data.windows()
        rows = np.zeros((len(windows), LENGTH + 1), dtype=np.int64)
        for row, window in zip(rows, windows, strict=True):
            row[-len(window) :] = self._code[window]
        self._rows = torch.from_numpy(rows)
        self._network = Network(data.n_items, shape)
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=RATE * lr_factor)

    def train(self, clock: Clock) -> None:
        clock.start()
        while True:
            for chosen in torch.randperm(len(self._rows)).split(BATCH):
                if clock.step(self._step(self._rows[chosen])):
                    return

    def _step(self, rows: Tensor) -> int:
        scored = rows[:, 1:] != 0
        scored &= rows[:, :-1] != 0
        states = self._network(rows[:, :-1])[scored]  # [P, d]
        targets = rows[:, 1:][scored]
        negatives = torch.randint(1, self._n_items + 1, (len(targets), NEGATIVES))
        everything = states @ self._network.items.weight.T  # [P, 1 + V]
        scores = everything.gather(1, torch.cat([targets[:, None], negatives], dim=1))
        loss = gbce(scores[:, 0], scores[:, 1:], self._n_items).mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return len(targets)

    def scores(self, histories: Histories) -> Tensor:
        coded = translate(histories, self._code, right=True)
        self._network.eval()
        states = self._network(torch.from_numpy(coded.items))[:, -1]
        self._network.train()
        return states @ self._network.items.weight[1:].T

    def parameters(self) -> int:
        return sum(p.numel() for p in self._network.parameters())
