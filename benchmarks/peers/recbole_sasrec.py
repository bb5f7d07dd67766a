"""RecBole's SASRec, trained by RecBole's own Trainer.

RecBole turns every prefix of a user's history into a sequence with one target (its 'data
augmentation'), so a batch of n sequences bears n targets. The training split is all the
exported events; the published defaults stand, but for the shape. Its `optimizer.step` is the one
place that its loop passes at every step, so that is where the clock is told.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from contextlib import suppress
from typing import Any

import torch
from clock import Clock
from contestant import Data, Histories, coding, to_catalogue, translate
from export import RECBOLE
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.dataloader import TrainDataLoader
from recbole.data.interaction import Interaction
from recbole.model.sequential_recommender import SASRec
from recbole.trainer import Trainer
from recbole.utils import init_seed
from settings import LENGTH, RECBOLE_BATCH, Shape
from torch import Tensor

EPOCHS = 10**6  # the clock ends the run


class _TimeUpError(Exception):
    """The clock said stop."""


class RecBoleSASRec:
    """Contestant."""

    trains_every_position = False

    def __init__(self, shape: Shape, data: Data, lr_factor: float, seed: int, targets: int):
        folder = data.folder.resolve()
        self._work = tempfile.TemporaryDirectory()
        os.chdir(self._work.name)  # RecBole writes logs where it stands
        warnings.filterwarnings("ignore", category=FutureWarning)  # of pandas and torch, many
        config = Config(
            model="SASRec",
            dataset=RECBOLE,
            config_dict={
                "data_path": str(folder),
                "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
                "MAX_ITEM_LIST_LENGTH": LENGTH,
                "eval_args": {"split": {"RS": [1, 0, 0]}, "group_by": None, "order": "TO"},
                "train_neg_sample_args": None,  # its cross-entropy takes all items
                "train_batch_size": RECBOLE_BATCH,
                "hidden_size": shape.width,
                "inner_size": 4 * shape.width,  # 64 and 256 by default
                "n_layers": shape.layers,
                "n_heads": shape.heads,
                "epochs": EPOCHS,
                "use_gpu": False,
                "seed": seed,
                "reproducibility": True,
                "show_progress": False,
            },
        )
        config["learning_rate"] *= lr_factor
        init_seed(seed, True)
        dataset = create_dataset(config)
        train = dataset.build()[0]
        self._loader = TrainDataLoader(config, train, None, shuffle=config["shuffle"])
        self._model = SASRec(config, train)
        self._trainer = Trainer(config, self._model)
        known = sorted(set(data.items.tolist()))
        numbers = dataset.token2id("item_id", [str(item) for item in known])
        self._code = coding(known, numbers, data.n_items)

    def train(self, clock: Clock) -> None:
        optimizer = self._trainer.optimizer
        loss, step = self._model.calculate_loss, optimizer.step
        batch = 0

        def counted_loss(interaction: Interaction) -> Tensor:
            nonlocal batch
            batch = len(interaction)
            return loss(interaction)

        def timed_step(*args: Any, **kwargs: Any) -> None:
            step(*args, **kwargs)
            if clock.step(batch):
                raise _TimeUpError

        self._model.calculate_loss, optimizer.step = counted_loss, timed_step
        clock.start()
        with suppress(_TimeUpError):
            self._trainer.fit(self._loader, verbose=False, saved=False, show_progress=False)

    def scores(self, histories: Histories) -> Tensor:
        coded = translate(histories, self._code, right=False)
        self._model.eval()
        scores = self._model.full_sort_predict(
            {
                self._model.ITEM_SEQ: torch.from_numpy(coded.items),
                # A history of unknown items only is read as one padding item.
                self._model.ITEM_SEQ_LEN: torch.from_numpy(coded.lengths.clip(1)),
            }
        )
        self._model.train()
        return to_catalogue(scores, self._code)

    def parameters(self) -> int:
        return sum(p.numel() for p in self._model.parameters())
