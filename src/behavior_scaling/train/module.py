"""The LightningModule of a run: loss, optimizer, learning rate by position, and the run's tally.

Choices: AdamW, fused, over all matrices as one tensor (flat_parameters.py); weight decay on
matrices only, not on the log temperature; a loss that is not finite ends the run before it reaches
the weights. Candidates are drawn from (seed, step) and batches from (seed, epoch), so nothing draws
from torch's global generator; its state travels with the checkpoint all the same, for an embedder
of the user's own that might.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from behavior_scaling.model.objective import Objective
from behavior_scaling.model.step import BatchTensors, StepResult, step_loss
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.sizes import flops
from behavior_scaling.train.datamodule import Step
from behavior_scaling.train.flat_parameters import FlatParameters
from behavior_scaling.train.schedule import learning_rate
from behavior_scaling.train.tally import Tally


class DivergedError(ArithmeticError):
    """The training loss is NaN or infinite."""


class RunModule(LightningModule):
    """Training of one run.

    Args:
        spec: the run.
        model: its two parts; in stage 2 the embedder takes no gradient.
        objective: candidates and loss, on the model's device.
        frozen: item vectors [V, d] of stage 2, None in stage 1.
    """

    def __init__(self, spec: RunSpec, model: TwoPart, objective: Objective, frozen: Tensor | None):
        super().__init__()
        self.spec = spec
        self.model = model
        self.objective = objective
        self.tally = Tally(spec.positions)
        self.began: float | None = None  # time.monotonic() when this process began to train
        self.frozen = frozen

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over the parameters that take a gradient."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self._matrices = FlatParameters([p for p in trained if p.ndim > 1])
        self._others = [p for p in trained if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": [self._matrices.flat]},
            {"params": self._others, "weight_decay": 0.0},
        ]
        asked = self.spec.optimizer
        return torch.optim.AdamW(
            groups,
            lr=asked.lr,
            betas=(asked.beta1, asked.beta2),
            weight_decay=asked.weight_decay,
            fused=True,
        )

    def training_step(self, batch: Step, batch_idx: int) -> Tensor:
        """Loss of one batch; sets the learning rate of the step that follows.

        Raises:
            DivergedError: the loss is not finite.
        """
        if batch.tensors is None:
            raise RuntimeError(f"step {batch.number} reached the model before its device")
        result = step_loss(
            self.model, self.objective, batch.tensors, self.frozen, self.spec.seed, batch.number
        )
        loss = float(result.loss.detach())
        if not math.isfinite(loss):
            raise DivergedError(f"the loss is {loss} at step {batch.number}")
        middle = batch.consumed + result.n_positions / 2
        lr = learning_rate(self.spec.optimizer, middle, self.spec.positions)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = lr
        self.tally.add(loss, lr, result.n_positions)
        self.tally.candidates += result.n_candidates
        self.tally.items_embedded += result.n_items_embedded
        self.tally.steps_after_warmup += middle >= self.spec.optimizer.warmup * self.spec.positions
        self.tally.flops += self.executed_flops(batch.tensors, result)
        return result.loss

    def step_beside(self, batch: BatchTensors, seed: int, step: int) -> StepResult:
        """One step outside of the trainer, in the run's precision; arguments as of step_loss."""
        half = self.spec.precision == "bf16-mixed"
        device = batch.inputs.device.type
        with torch.enable_grad(), torch.autocast(device, torch.bfloat16, enabled=half):
            return step_loss(self.model, self.objective, batch, self.frozen, seed, step)

    def executed_flops(self, batch: BatchTensors, result: StepResult) -> float:
        """FLOPs of a step forward and backward, from what ran."""
        return flops.executed(
            self.spec.contextualizer,
            embedder=result.embedder_flops,
            frozen=flops.vectors_are_frozen(self.spec.embedder, self.spec.stage),
            grid=batch.inputs.numel(),
            context=self.spec.data.context,
            positions=result.n_positions,
            candidates=result.n_candidates,
            past=self.objective.scores_past,
        ).total

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm over all parameters (Lightning's own way refuses fused optimizers)."""
        torch.nn.utils.clip_grad_norm_(
            [self._matrices.flat, *self._others], self.spec.optimizer.clip
        )

    def optimizer_zero_grad(
        self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer
    ) -> None:
        """Zero the matrices' gradients in place: they are views of one tensor."""
        self._matrices.zero_grad()
        for parameter in self._others:
            parameter.grad = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the tally and the generators' states."""
        checkpoint["tally"] = self.tally.state_dict()
        checkpoint["rng"] = torch.get_rng_state()
        if torch.cuda.is_available():
            checkpoint["rng_cuda"] = torch.cuda.get_rng_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the tally and the generators' states."""
        self.tally = Tally.from_state(checkpoint["tally"])
        torch.set_rng_state(checkpoint["rng"].cpu())
        if "rng_cuda" in checkpoint and torch.cuda.is_available():
            torch.cuda.set_rng_state(checkpoint["rng_cuda"].cpu())
