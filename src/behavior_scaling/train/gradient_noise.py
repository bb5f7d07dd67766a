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
from torch import Tensor

from behavior_scaling.data.store import Dataset
from behavior_scaling.model.seeding import seeded
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.train.datamodule import sampler, tensors
from behavior_scaling.train.module import RunModule

BATCHES = 4


def noise_and_signal(gradients: Tensor, batch: int) -> tuple[float, float]:
    """Unbiased estimates of tr Sigma (a sequence) and of |G|^2; the latter may be negative.

    Args:
        gradients: of independent batches [n, N], n at least 2.
        batch: B, sequences of each.
    """
    n = len(gradients)
    wide = gradients.double()
    products = wide @ wide.T  # [n, n]
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
            result = module.step_beside(arrays, self._seed, batch.step)
            parts = torch.autograd.grad(result.loss, trained)
            gradients.append(torch.cat([part.reshape(-1) for part in parts]))
            spent += module.executed_flops(arrays, result)
        return torch.stack(gradients), spent
