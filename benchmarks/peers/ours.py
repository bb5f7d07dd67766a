"""behavior-scaling, trained by the package's own loop (`train.fit`), in two variants.

`features`: the transformer over feature tokens of the quick study; `table`: a trained vector for
every item, as the peers have. Objective and learning-rate rule are the quick study's
(config/quick.yaml); a run decays its rate over the targets it will see, so a run of each length
is a run of its own.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from clock import Clock
from contestant import Data, Histories
from settings import BATCH, LENGTH, Shape
from torch import Tensor

from behavior_scaling.config import load_study
from behavior_scaling.data.store import Dataset
from behavior_scaling.records.spec import (
    ContextualizerSpec,
    EmbedderSpec,
    ObjectiveSpec,
    RunSpec,
)
from behavior_scaling.sizes.flops import nominal
from behavior_scaling.sweep.cells import resolve_optimizer
from behavior_scaling.train.fit import build, fit

STUDY = Path(__file__).parents[2] / "config" / "quick.yaml"
NEVER = 1e9  # seconds between checkpoints


class Ours:
    """Contestant; the variants say what embeds an item."""

    trains_every_position = True

    def __init__(
        self, embedder: EmbedderSpec, shape: Shape, data: Data, lr_factor: float, seed: int, d: int
    ):
        """The run of D = `d` targets."""
        self._dataset = Dataset.open(data.prepared)
        spec = _spec(self._dataset, embedder, shape, lr_factor, seed, d)
        self._module = build(spec, self._dataset, None)

    def train(self, clock: Clock) -> None:
        module = self._module

        # Lightning calls a module's hooks by name, so two of this instance's are enough.
        def report(*_: Any) -> None:
            module.trainer.should_stop = clock.step(module.tally.consumed - clock.targets)

        module.on_train_start, module.on_train_batch_end = clock.start, report
        with tempfile.TemporaryDirectory() as folder:
            fit(module, self._dataset, Path(folder) / "none", NEVER, _silent, lambda: False)

    def scores(self, histories: Histories) -> Tensor:
        model = self._module.model
        rows, columns = len(histories.lengths), torch.arange(LENGTH)
        lengths = torch.from_numpy(histories.lengths)
        document = torch.where(columns < lengths[:, None], torch.arange(rows)[:, None], -1)
        catalogue = model.catalogue_vectors()
        states = model.states(catalogue[torch.from_numpy(histories.items)], document.int())
        return (states[torch.arange(rows), lengths - 1] * model.scale()) @ catalogue.T

    def parameters(self) -> int:
        return sum(p.numel() for p in self._module.model.parameters())


class OursFeatures(Ours):
    """Items from their feature tokens."""

    def __init__(self, shape: Shape, data: Data, lr_factor: float, seed: int, targets: int):
        embedder = EmbedderSpec("transformer", shape.embedder, 1)
        super().__init__(embedder, shape, data, lr_factor, seed, targets)


class OursTable(Ours):
    """A trained vector for every item."""

    def __init__(self, shape: Shape, data: Data, lr_factor: float, seed: int, targets: int):
        embedder = EmbedderSpec("table", shape.width, 0)
        super().__init__(embedder, shape, data, lr_factor, seed, targets)


def _spec(
    dataset: Dataset, embedder: EmbedderSpec, shape: Shape, lr_factor: float, seed: int, d: int
) -> RunSpec:
    """The quick study's run of this shape and D."""
    study, data = load_study(STUDY), dataset.data_spec()
    contextualizer = ContextualizerSpec("transformer", shape.width, shape.layers, shape.heads)
    asked = study.objective
    own = asked.own_items(asked.kind)
    objective = ObjectiveSpec(asked.kind, asked.in_batch, asked.uniform, own)
    cost = nominal(
        embedder, contextualizer, objective, stage=1, batch=BATCH,
        context=data.context, tokens=data.tokens, n_items=dataset.n_items,
    )  # fmt: skip
    budget = cost.total * d
    rule = study.optimizer.lr
    scaled = rule.model_copy(update={"base": rule.base * lr_factor})
    return RunSpec(
        stage=1,
        budget=budget,
        positions=d,
        batch=BATCH,
        seed=seed,
        data=data,
        embedder=embedder,
        contextualizer=contextualizer,
        objective=objective,
        optimizer=resolve_optimizer(
            study.optimizer.model_copy(update={"lr": scaled}),
            width=shape.width,
            batch=BATCH,
            budget=budget,
            context=data.context,
        ),
        probes=0,
        precision="fp32",
        threads=1,
        parent=None,
    )


def _silent(line: str) -> None:
    """No lines of progress."""
