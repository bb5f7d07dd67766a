"""What happens beside the steps of a run: probes, checkpoints, progress, stopping on request.

Choices: Lightning writes the checkpoint, into a temporary file that is read back before it takes
the old one's place, so a kill leaves a whole checkpoint or none; none is written after the last
step, where nothing is left to resume; time, not steps, decides, because runs differ by 1000x;
a probe comes before its step's checkpoint, so that no resumed run lacks one or has it twice. Of
several processes rank 0 writes and tells; when to save and when to stop all agree on, step by step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from behavior_scaling.files import replacing
from behavior_scaling.train.interrupt import InterruptedRunError
from behavior_scaling.train.module import RunModule
from behavior_scaling.train.tally import Tally

PROGRESS_SECONDS = 10.0


class Keeper(Callback):
    """Keeps a run's checkpoint and clock, and stops it on request.

    Args:
        path: of the checkpoint.
        every: seconds between checkpoints.
        stopped: whether the run has been asked to stop.
        log: takes a line of progress.
        probe: measures the run after a step, if it is due; its time is not training's.
        told: takes the numbers of progress (progress_numbers) at the start of training and when a
            line of progress is logged.
    """

    def __init__(
        self,
        path: Path,
        every: float,
        stopped: Callable[[], bool],
        log: Callable[[str], None],
        probe: Callable[[RunModule], None],
        told: Callable[[dict[str, float]], None],
    ):
        self._path = path
        self._every = every
        self._stopped = stopped
        self._log = log
        self._probe = probe
        self._told = told
        self._clock = self._saved = self._logged = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; time before this is start-up."""
        self._clock = self._saved = self._logged = time.monotonic()
        _run(pl_module).began = self._clock
        self._told(progress_numbers(_run(pl_module).tally))

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """After every step: add its time, then probe, stop, save or log where it is due.

        Raises:
            InterruptedRunError: the run was asked to stop.
        """
        module = _run(pl_module)
        tally = module.tally
        tally.seconds += time.monotonic() - self._clock
        self._probe(module)
        self._clock = now = time.monotonic()
        if tally.consumed >= tally.positions:
            return
        stop, save = module.peers.anyone(self._stopped(), now - self._saved >= self._every)
        if stop:
            raise InterruptedRunError(f"stopped after step {tally.steps}")
        if save:
            self._save(trainer)
            self._saved = now
        if now - self._logged >= PROGRESS_SECONDS:
            self._log(progress_line(tally))
            self._told(progress_numbers(tally))
            self._logged = now

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Save before leaving, if leaving was asked for (SIGTERM may reach Lightning first)."""
        tally = _run(pl_module).tally
        asked = isinstance(exception, InterruptedRunError | SIGTERMException)
        if asked and 0 < tally.consumed < tally.positions:
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        module = _run(trainer.lightning_module)
        if module.strategy == "deepspeed":
            return  # its checkpoints are folders of many files, which nothing here replaces whole
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self._path)  # brings what rank 0 needs, and waits for it
            return
        with replacing(self._path) as temporary:
            trainer.save_checkpoint(temporary)
            torch.load(temporary, weights_only=True)


def progress_line(tally: Tally) -> str:
    """Step, share of D, mean loss since the last point of the curve, rates, time left."""
    share = tally.consumed / tally.positions
    rate = tally.events_per_second
    left = (tally.positions - tally.consumed) / rate
    return (
        f"step {tally.steps}, {share:.1%} of D, loss {tally.recent_loss:.4f}, "
        f"{rate:,.0f} events/s, {tally.executed_gflops:.1f} GFLOP/s, {left:,.0f} s left"
    )


def progress_numbers(tally: Tally) -> dict[str, float]:
    """How far a run has come; `loss`, as in progress_line, is absent before the first step."""
    numbers: dict[str, float] = {
        "steps": tally.steps,
        "consumed": tally.consumed,
        "positions": tally.positions,
        "seconds": tally.seconds,
        "events_per_second": tally.events_per_second,
    }
    loss = tally.recent_loss
    return numbers if loss is None else numbers | {"loss": loss}


def _run(module: LightningModule) -> RunModule:
    if not isinstance(module, RunModule):
        raise TypeError(f"{type(module).__name__} keeps no tally; expected RunModule")
    return module
