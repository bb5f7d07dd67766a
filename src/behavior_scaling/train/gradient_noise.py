"""Size of the gradient and of its noise, from a few independent batches.

With g_1 .. g_n gradients of the mean loss over n independent batches of B sequences, E[g_i] = G
and tr cov(g_i) = tr Sigma / B. The mean of g_i . g_j over pairs i != j is then unbiased for
|G|^2 ('signal'), and B (mean |g_i|^2 - signal) for tr Sigma ('noise'), per sequence. This is the
estimate of McCandlish et al., arXiv 1812.06162, appendix A.1, with products of pairs in place of
two batch sizes. Their ratio is the simple noise scale in sequences; it is formed from averages
over probes and runs, never here, because the signal of four batches may well be negative.

Choices: gradients are those of training (over all parameters that take one, before clipping, in
the run's precision, with candidates drawn in the same way), from batches drawn beside the run;
what the draw of candidates adds to their variance is part of the noise.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from behavior_scaling.data.store import Dataset
from behavior_scaling.model.seeding import seeded
from behavior_scaling.model.step import BatchTensors
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.train.datamodule import sampler, tensors
from behavior_scaling.train.module import RunModule

BATCHES = 4
PIECE = 1 << 24  # numbers of a gradient that are held in double precision at once


def noise_and_signal(gradients: Tensor, batch: int) -> tuple[float, float]:
    """Unbiased estimates of tr Sigma (a sequence) and of |G|^2; the latter may be negative.

    Args:
        gradients: of independent batches [n, N], n at least 2.
        batch: B, sequences of each.
    """
    n = len(gradients)
    products = torch.zeros(n, n, dtype=torch.float64, device=gradients.device)
    for piece in torch.split(gradients, PIECE, dim=1):
        wide = piece.double()
        products += wide @ wide.T
    squares = float(products.trace())
    signal = (float(products.sum()) - squares) / (n * (n - 1))
    return batch * (squares / n - signal), signal


class FreshGradients:
    """Gradients of batches drawn beside a run.

    Args:
        spec: the run.
        dataset: its data.
    """

    def __init__(self, spec: RunSpec, dataset: Dataset):
        self._seed = seeded("probe", spec.seed).initial_seed()
        self._sampler = sampler(dataset, spec, self._seed)

    def draw(self, module: RunModule, step: int) -> tuple[Tensor, float]:
        """Gradients [BATCHES, N] at the present weights, and the FLOPs they took.

        Nothing of the run changes: no parameter's `grad`, no generator's state.

        Args:
            module: the run.
            step: number of the optimizer step; with the run's seed it determines the batches.
        """
        trained = [p for p in module.model.parameters() if p.requires_grad]
        device = trained[0].device
        gradients, spent = [], 0.0
        for batch in self._sampler.draws(step, BATCHES):
            arrays = tensors(batch, device)
            gradient, executed = self._of_batch(module, arrays, batch.step, trained)
            gradients.append(gradient)
            spent += executed
        return torch.stack(gradients), spent

    def _of_batch(
        self, module: RunModule, batch: BatchTensors, step: int, trained: list[nn.Parameter]
    ) -> tuple[Tensor, float]:
        """One batch's gradient [N] and FLOPs, in parts no larger than those of training."""
        positions, spent = int(batch.valid.sum()), 0.0
        sums = torch.zeros((), device=batch.inputs.device)
        for part in module.share.alone().parts(batch, module.objective, self._seed, step):
            result = module.step_beside(part, self._seed, step)
            loss = result.loss * (result.n_positions / positions)
            grads = torch.autograd.grad(loss, trained)
            sums = sums + torch.cat([grad.reshape(-1) for grad in grads])
            spent += module.executed_flops(part, result)
        return sums, spent
