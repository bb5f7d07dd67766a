"""Probes: what is measured on the way through a run, without touching the run.

Choices: the points lie log-spaced between 5% and 100% of D, each at the end of the step that
reaches it; a step that reaches several is probed once. A probe leaves training bit for bit as it
was: batches and candidates are named by seeds of their own, torch's generators are put back,
gradients never reach a parameter's `grad`. Its FLOPs and seconds are counted apart. What is not
finite is noted as null: only training itself says that a run has diverged. Of several processes one
measures; the others note where it did, so that all agree on what is due.
"""

from __future__ import annotations

import math
import time

import numpy as np
import torch

from behavior_scaling.data.store import Dataset
from behavior_scaling.evaluate.kinds import kinds_of
from behavior_scaling.evaluate.sample import sample_cross_entropy, validation_sample
from behavior_scaling.evaluate.scoring import Catalogue
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.sizes import flops
from behavior_scaling.train.gradient_noise import FreshGradients, noise_and_signal
from behavior_scaling.train.module import RunModule
from behavior_scaling.train.tally import Tally

FIRST_SHARE = 0.05  # of D


def probe_points(positions: int, probes: int) -> list[float]:
    """Loss positions at which a run of D is probed, ascending; the last one is D.

    Args:
        positions: D.
        probes: how many; 0 for none, 1 for the end alone.
    """
    if probes == 1:
        return [float(positions)]
    shares = np.geomspace(FIRST_SHARE, 1.0, probes)
    return [float(share * positions) for share in shares]


def is_due(tally: Tally, points: list[float]) -> bool:
    """Whether a point lies between the last probe and where the run stands now."""
    last = tally.probes[-1]["positions"] if tally.probes else 0
    return any((last or 0) < point <= tally.consumed for point in points)


class Prober:
    """Measures one run; nothing is prepared for a run without probes.

    Args:
        spec: the run.
        dataset: its data.
    """

    def __init__(self, spec: RunSpec, dataset: Dataset):
        self._points = probe_points(spec.positions, spec.probes)
        if not self._points:
            return
        self._gradients = FreshGradients(spec, dataset)
        self._sample = validation_sample(dataset, spec.contextualizer.event_features)
        self._dataset = dataset

    def __call__(self, module: RunModule) -> None:
        """After a step: add a probe to the run's tally if one is due."""
        tally = module.tally
        if not is_due(tally, self._points):
            return
        began = time.monotonic()
        probe: dict[str, float | None] = {"step": tally.steps, "positions": tally.consumed}
        with module.whole() as here:
            if here:
                probe |= self._measured(module)
        tally.probes.append(probe)
        tally.probe_seconds += time.monotonic() - began

    def _measured(self, module: RunModule) -> dict[str, float | None]:
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices):
            vectors = module.model.catalogue_vectors() if module.frozen is None else module.frozen
            catalogue = Catalogue(kinds_of(self._dataset, module.model), vectors)
            loss = sample_cross_entropy(module.model, module.objective, catalogue, self._sample)
            gradients, spent = self._gradients.draw(module, module.tally.steps)
        noise, signal = noise_and_signal(gradients, module.spec.batch)
        module.tally.probe_flops += spent + self._flops_of_sample(module, catalogue.products)
        return {
            "validation_cross_entropy": _finite(loss),
            "gradient_noise": _finite(noise),
            "gradient_signal": _finite(signal),
        }

    def _flops_of_sample(self, module: RunModule, products: int) -> float:
        """Forward FLOPs.

        Args:
            module: the run.
            products: with item vectors, of each scored state.
        """
        spec = module.spec
        width, context = spec.contextualizer.width, spec.data.context
        position = flops.forward_position_flops(spec.contextualizer, context)
        grid, scored = self._sample.valid.size, int(self._sample.valid.sum())
        forward = grid * position + scored * flops.FORWARD * products * width
        if spec.stage == 1:
            items = torch.arange(module.model.n_items, device=module.device)
            forward += module.model.embedder.forward_flops(items)
        return forward


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
