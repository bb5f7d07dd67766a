"""RecTools' SASRec, trained by RecTools' own fit (which is Lightning's).

The published defaults stand (softmax over all items at every position, dropout 0.2, Adam at
1e-3), but for the shape. RecTools keeps the last L + 1 events of a user; windows that stand in
for users (contestant.Data.windows) let it train on every event.
"""

from __future__ import annotations

import logging
import warnings
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from clock import Clock
from contestant import Data, Histories, coding, to_catalogue, translate
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from settings import BATCH, LENGTH, Shape
from torch import Tensor

RATE = 1e-3  # RecTools' default
EPOCHS = 10**6  # the clock ends the run


class _Reporter(Callback):
    """Tells the clock of every step."""

    def __init__(self, contestant: RecToolsSASRec):
        self._contestant = contestant

    def __deepcopy__(self, memo: dict[int, Any]) -> _Reporter:
        """RecTools copies its trainer before it fits; the clock is to stay the one it is."""
        return self

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._contestant.clock.start()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
    ) -> None:
        trainer.should_stop = self._contestant.clock.step(int((batch["y"] != 0).sum()))


class RecToolsSASRec:
    """Contestant."""

    trains_every_position = True

    def __init__(self, shape: Shape, data: Data, lr_factor: float, seed: int, targets: int):
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        warnings.filterwarnings("ignore", module="pytorch_lightning|rectools|pydantic")
        seed_everything(seed, verbose=False)
        windows = data.windows()
        self._items = np.concatenate(windows)
        self._n_items = data.n_items
        frame = pd.DataFrame(
            {
                "user_id": np.repeat(np.arange(len(windows)), [len(w) for w in windows]),
                "item_id": self._items,
                "weight": 1.0,
                "datetime": pd.to_datetime(np.arange(len(self._items)), unit="s"),
            }
        )
        self._dataset = Dataset.construct(frame)
        self.clock = Clock(0.0)  # train() brings the one that counts
        self._model = SASRecModel(
            n_blocks=shape.layers,
            n_heads=shape.heads,
            n_factors=shape.width,
            session_max_len=LENGTH,
            batch_size=BATCH,
            lr=RATE * lr_factor,
            get_trainer_func=self._trainer,
        )

    def _trainer(self) -> Trainer:
        return Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=EPOCHS,
            callbacks=[_Reporter(self)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    def train(self, clock: Clock) -> None:
        self.clock = clock
        self._model.fit(self._dataset)

    @cached_property
    def _code(self) -> NDArray[np.int64]:
        """RecTools' number of every item; known once it has begun to fit."""
        known = np.unique(self._items)
        numbers = self._model.data_preparator.item_id_map.convert_to_internal(known)
        return coding(known, numbers, self._n_items)

    def scores(self, histories: Histories) -> Tensor:
        coded = translate(histories, self._code, right=True)
        network = self._model.lightning_model.torch_model
        network.eval()
        vectors = network.item_model.get_all_embeddings()
        batch = {"x": torch.from_numpy(coded.items)}
        states = network.encode_sessions(batch, vectors)[:, -1]
        network.train()
        return to_catalogue(states @ vectors.T, self._code)

    def parameters(self) -> int:
        return sum(p.numel() for p in self._model.lightning_model.torch_model.parameters())
