"""A run's model, and its training by Lightning.

Choices: everything that a run has no use for switched off; deterministic algorithms,
without their habit of filling fresh memory, which is a debugging aid that costs time; Lightning
is told that its environment is the plain one, so that inside a SLURM job it leaves signals and
requeueing to us, and that precision is plain, because autocast is the module's (module.py).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from zipfile import BadZipFile, ZipFile

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from behavior_scaling.data.store import Dataset
from behavior_scaling.model.embedder_base import Columns
from behavior_scaling.model.event_input import EventTables
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.parts import Share
from behavior_scaling.model.shards import Shards
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.sizes.execution import SINGLE, Execution
from behavior_scaling.train.callbacks import Keeper
from behavior_scaling.train.datamodule import RunData
from behavior_scaling.train.interrupt import InterruptedRunError
from behavior_scaling.train.machine import device
from behavior_scaling.train.module import RunModule, layout
from behavior_scaling.train.probes import Prober
from behavior_scaling.train.strategies import strategy_of
from behavior_scaling.train.weights import load_embedder
from behavior_scaling.user_class import is_user_class


def build(
    spec: RunSpec,
    dataset: Dataset,
    parent_embedder: Path | None,
    execution: Execution = SINGLE,
    rank: int = 0,
) -> RunModule:
    """The untrained run on its device; with a parent, its embedder frozen and catalogue cached.

    Args:
        spec: the run.
        dataset: its data.
        parent_embedder: safetensors file of the parent's embedder, in stage 2 only.
        execution: devices, and how the run is laid out over them.
        rank: of this process among them.

    Raises:
        ValueError: the parent's embedder does not fit the spec, or the embedder reads columns of
            the items that the prepared data do not hold.
    """
    torch.set_num_threads(spec.threads)
    model = TwoPart(
        spec.embedder,
        spec.contextualizer,
        torch.tensor(dataset.codes),
        torch.tensor(dataset.weights),
        spec.data.codebook,
        spec.seed,
        _columns(spec, dataset),
        EventTables.of(dataset.event_columns()) if spec.contextualizer.event_features else None,
        dataset.item_vectors(),
    ).to(device())
    frozen = None
    if parent_embedder is not None:
        load_embedder(model, parent_embedder)
        model.embedder.requires_grad_(False)
        frozen = model.catalogue_vectors()
    objective = Objective(spec.objective, torch.tensor(dataset.unigram, device=device()))
    if execution.compile:
        # Sizes that vary (distinct items, tokens) become symbols once they have; widths stay.
        model.embedder.compile()
        model.contextualizer.compile()
    shards = Shards() if execution.shard_candidates and execution.devices > 1 else None
    share = Share(rank, execution.devices, execution.accumulate, shards)
    return RunModule(spec, model, objective, frozen, share, execution.strategy)


def _columns(spec: RunSpec, dataset: Dataset) -> Columns | None:
    """The columns of the items' tokens, for an embedder that may read them."""
    if spec.embedder.kind == "tabtransformer" or is_user_class(spec.embedder.kind):
        return Columns.of(dataset.item_columns())
    return None


def fit(
    module: RunModule,
    dataset: Dataset,
    checkpoint: Path,
    checkpoint_seconds: float,
    log: Callable[[str], None],
    stopped: Callable[[], bool],
    told: Callable[[dict[str, float]], None] = lambda numbers: None,
) -> None:
    """Train to D loss positions, from the checkpoint if there is one.

    Of several processes all call this; `log` and `told` are for rank 0 to use.

    Raises:
        DivergedError: the loss is not finite.
        InterruptedRunError: `stopped` said so, or SIGTERM came; the checkpoint is written.
    """
    prober = Prober(module.spec, dataset)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    with _quiet_lightning():
        trainer = Trainer(
            accelerator=device().type,
            devices=module.share.size,
            strategy=strategy_of(module),
            precision="32-true",
            max_epochs=1,  # the sampler's own epochs do not concern Lightning
            deterministic=True,
            callbacks=[Keeper(checkpoint, checkpoint_seconds, stopped, log, prober, told)],
            plugins=[LightningEnvironment()],
            default_root_dir=checkpoint.parent,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
        )
        try:
            trainer.fit(
                module,
                datamodule=RunData(dataset, module.spec),
                ckpt_path=_usable(checkpoint, layout(module.strategy), log),
                weights_only=True,
            )
        except SIGTERMException as error:
            raise InterruptedRunError("stopped by SIGTERM") from error
    module.to(device())  # Lightning leaves it on the CPU


def _usable(checkpoint: Path, wanted: str, log: Callable[[str], None]) -> Path | None:
    """The checkpoint, if it is there, whole, and of the wanted layout."""
    if not checkpoint.is_file():
        return None
    try:
        _check_sums(checkpoint)
        found = torch.load(checkpoint, weights_only=True).get("layout", wanted)
    except (RuntimeError, EOFError, UnpicklingError, BadZipFile, OSError) as error:
        log(f"{checkpoint} cannot be read, the run starts anew: {error}")
        return None
    if found != wanted:
        log(
            f"{checkpoint} holds the optimizer's state as {found}, this strategy as {wanted}: the "
            f"run starts anew"
        )
        return None
    log(f"going on from {checkpoint}")
    return checkpoint


def _check_sums(checkpoint: Path) -> None:
    """Compare every part of the file with its checksum: torch.load reads past a wrong one.

    Raises:
        BadZipFile: one does not fit, or this is no file of parts.
    """
    with ZipFile(checkpoint) as file:
        if (part := file.testzip()) is not None:
            raise BadZipFile(f"{part} does not fit its checksum")


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """No banner, and none of the warnings that concern no run.

    They are of a function that torch has renamed, of SLURM's srun, which is not used on purpose,
    and of outputs of spread modules that must not be changed in place (none is).
    """
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            warnings.filterwarnings("ignore", message="The `srun` command is available")
            warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
