"""The LightningModule of a run: loss, optimizer, learning rate by position, and the run's tally.

Choices: AdamW, fused, over all matrices as one tensor (flat_parameters.py) where weights are whole;
weight decay on matrices only, not on the log temperature; a loss that is not finite ends the run
before it reaches the weights. Optimization is 'manual' in Lightning's words, so that a step's parts
(model/parts.py), the exchange of gradients and clipping stand here in the order in which they
happen; autocast covers the forward pass alone. Candidates are drawn from (seed, step) and batches
from (seed, epoch), so nothing draws from torch's global generator; its state travels with the
checkpoint all the same, for an embedder of the user's own that might.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

from behavior_scaling.model.objective import Objective
from behavior_scaling.model.parts import Share
from behavior_scaling.model.step import BatchTensors, StepResult, step_loss
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.sizes import flops
from behavior_scaling.train.datamodule import Step
from behavior_scaling.train.peers import Peers
from behavior_scaling.train.schedule import learning_rate
from behavior_scaling.train.tally import Tally
from behavior_scaling.train.updates import WholeUpdates

if TYPE_CHECKING:
    from behavior_scaling.sizes.execution import Strategy
    from behavior_scaling.train.updates import Updates


class DivergedError(ArithmeticError):
    """The training loss is NaN or infinite."""


class RunModule(LightningModule):
    """Training of one run.

    Args:
        spec: the run.
        model: its two parts; in stage 2 the embedder takes no gradient.
        objective: candidates and loss, on the model's device.
        frozen: item vectors [V, d] of stage 2, None in stage 1.
        share: what of every batch this process takes.
        strategy: how weights are held.
    """

    def __init__(
        self,
        spec: RunSpec,
        model: TwoPart,
        objective: Objective,
        frozen: Tensor | None,
        share: Share | None = None,
        strategy: Strategy = "single",
    ):
        super().__init__()
        self.automatic_optimization = False
        self.spec = spec
        self.model = model
        self.objective = objective
        self.tally = Tally(spec.positions)
        self.began: float | None = None  # time.monotonic() when this process began to train
        self.frozen = frozen
        self.share = share or Share()
        self.peers = Peers(self.share.rank, self.share.size)
        self.strategy = strategy
        self._updates: Updates | None = None

    @property
    def updates(self) -> Updates:
        """The weights as the optimizer sees them, from the trainer's set-up on.

        Raises:
            RuntimeError: before it.
        """
        if self._updates is None:
            raise RuntimeError("the run's weights are laid out when the trainer sets it up")
        return self._updates

    def configure_model(self) -> None:
        """Spread the weights over the processes, where the strategy wants it."""
        if self.strategy == "fsdp" and self._updates is None:
            from behavior_scaling.train.sharded import ShardedUpdates

            if self.device_mesh is None:
                raise RuntimeError("FSDP's strategy has laid out no processes to spread weights on")
            self._updates = ShardedUpdates(self.model, self.device_mesh["data_parallel"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over the parameters that take a gradient."""
        if self.strategy in ("single", "ddp"):
            self._updates = WholeUpdates(self.model, self.peers)
        elif self.strategy == "deepspeed":
            from behavior_scaling.train.zero import EngineUpdates

            self._updates = EngineUpdates(self.model, self.peers)
        asked = self.spec.optimizer
        return torch.optim.AdamW(
            self.updates.groups(),
            lr=asked.lr,
            betas=(asked.beta1, asked.beta2),
            weight_decay=asked.weight_decay,
            fused=True,
        )

    def training_step(self, batch: Step, batch_idx: int) -> None:
        """One step: the gradient of the whole batch, its learning rate, the update.

        Raises:
            DivergedError: the loss is not finite.
        """
        if batch.tensors is None:
            raise RuntimeError(f"step {batch.number} reached the model before its device")
        positions = int(batch.batch.valid.sum())
        loss, embedded, executed, drawn = 0.0, 0.0, 0.0, 0
        self.updates.zero_grad()
        for part in self.share.parts(batch.tensors, self.objective, self.spec.seed, batch.number):
            result = self.step_beside(part, self.spec.seed, batch.number)
            weight = result.n_positions / positions
            self.manual_backward(result.loss * (weight * self.updates.factor))
            # Positions that all processes score are counted by one of them.
            if self.share.shards is None or self.share.rank == 0:
                loss += float(result.loss.detach()) * weight
            embedded += result.n_items_embedded
            executed += self.executed_flops(part, result)
            drawn = result.n_drawn
        loss, embedded, executed = self.peers.sums(loss, embedded, executed)
        if not math.isfinite(loss):
            raise DivergedError(f"the loss is {loss} at step {batch.number}")
        middle = batch.consumed + positions / 2
        lr = learning_rate(self.spec.optimizer, middle, self.spec.positions)
        self._update(lr)
        self.tally.add(loss, lr, positions)
        self.tally.candidates += drawn
        self.tally.items_embedded += int(embedded)
        self.tally.steps_after_warmup += middle >= self.spec.optimizer.warmup * self.spec.positions
        self.tally.flops += executed

    def _update(self, lr: float) -> None:
        self.updates.add_up()
        self.updates.clip(self.spec.optimizer.clip)
        optimizer = self.optimizers()
        if not isinstance(optimizer, LightningOptimizer):
            raise TypeError(f"a run has one optimizer, not {type(optimizer).__name__}")
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()

    def step_beside(self, batch: BatchTensors, seed: int, step: int) -> StepResult:
        """A step's loss, or a part's, in the run's precision; arguments as of step_loss."""
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

    @contextmanager
    def whole(self) -> Iterator[bool]:
        """Whether this process is rank 0, whose `model` has whole weights meanwhile.

        All processes must enter.
        """
        own = self.model
        if self._updates is None:  # the trainer has not spread them yet
            yield self.share.rank == 0
            return
        with self._updates.gathered(own) as model:
            self.model = own if model is None else model
            try:
                yield model is not None
            finally:
                self.model = own

    def on_train_end(self) -> None:
        """Bring whole weights to rank 0, which evaluates alone."""
        with self.updates.gathered(self.model) as model:
            self.model = self.model if model is None else model

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the tally and the generators' states."""
        checkpoint["layout"] = layout(self.strategy)
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


def layout(strategy: Strategy) -> str:
    """How a checkpoint holds the optimizer's state: another layout's cannot be taken up."""
    return "matrices as one tensor" if strategy in ("single", "ddp") else strategy
