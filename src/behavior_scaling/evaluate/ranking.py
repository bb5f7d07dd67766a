"""Evaluation of a model: every position of both splits ranked over the full catalogue.

Choices: always in fp32, whatever the run trained in; the catalogue is embedded once; states come
from windows of the training context; 5,000 positions evenly spread over a split's targets give
the lists of coverage@10, the same for every run on the data. Scores that are not finite stop the
evaluation: a comparison with NaN is false, and would put every target at rank 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from behavior_scaling.data.store import Dataset
from behavior_scaling.data.windows import EvalBatch, eval_windows
from behavior_scaling.evaluate.baskets import basket_rows
from behavior_scaling.evaluate.ranks import (
    SPLITS,
    Metrics,
    RankTable,
    Score,
    Split,
    metrics_from_ranks,
)
from behavior_scaling.evaluate.scoring import (
    Catalogue,
    Kinds,
    block_rows,
    count,
    count_pairs,
    log_partition,
    recommended,
    scored_states,
)
from behavior_scaling.evaluate.slices import popularity_head
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.two_part import TwoPart

LISTS = 5_000
LIST_LENGTH = 10

Columns = dict[str, npt.NDArray[Any]]


class NonFiniteScoresError(ArithmeticError):
    """The model gives a score that is NaN or infinite."""


@dataclass(frozen=True)
class Evaluation:
    """What evaluation found: the ranks file's content, and coverage by metric name."""

    ranks: RankTable
    coverage: dict[str, float]

    def metrics(self) -> Metrics:
        """Every metric by its name '{split}/{score}/{slice}/{metric}'."""
        return metrics_from_ranks(self.ranks) | self.coverage


def evaluate(model: TwoPart, objective: Objective, dataset: Dataset) -> Evaluation:
    """Rank every evaluation position of both splits, validation first.

    Args:
        model: the trained model, on any device.
        objective: gives the restored score (on the model's device).
        dataset: the data that the model was trained on.

    Raises:
        NonFiniteScoresError: a score is NaN or infinite.
    """
    with torch.inference_mode():
        catalogue = Catalogue(Kinds(dataset), model.catalogue_vectors())
        passes = [_SplitPass(model, objective, dataset, catalogue, split) for split in SPLITS]
        tables = [one.run() for one in passes]
    coverage: dict[str, float] = {}
    for one in passes:
        coverage |= one.coverage()
    return Evaluation(RankTable.concatenate(tables), coverage)


class _SplitPass:
    """One pass over a split's windows."""

    def __init__(
        self,
        model: TwoPart,
        objective: Objective,
        dataset: Dataset,
        catalogue: Catalogue,
        split: Split,
    ):
        self._model = model
        self._objective = objective
        self._dataset = dataset
        self._catalogue = catalogue
        self._device = catalogue.vectors.device
        self._split = split
        self._listed = np.zeros(dataset.n_events, dtype=bool)
        self._listed[listed_events(dataset.eval_events(split))] = True
        self._head = popularity_head(dataset.train_counts)
        self._covered: dict[Score, Tensor] = {}
        self._parts: list[Columns] = []

    def run(self) -> RankTable:
        """Score all windows; rows in the order of (basket, state, event)."""
        for batch in eval_windows(self._dataset, self._split, self._dataset.meta.spec.context):
            self._batch(batch)
        merged = {k: np.concatenate([part[k] for part in self._parts]) for k in self._parts[0]}
        order = np.lexsort((merged["event"], merged["state"], merged["basket"]))
        return RankTable(**{name: values[order] for name, values in merged.items()})

    def coverage(self) -> dict[str, float]:
        """Distinct items in the lists over V, by metric name."""
        return {
            f"{self._split}/{score}/all/coverage@{LIST_LENGTH}": int(covered.sum()) / len(covered)
            for score, covered in self._covered.items()
        }

    def _batch(self, batch: EvalBatch) -> None:
        states = scored_states(self._model, self._catalogue, batch)
        size = block_rows(self._dataset.n_items)
        event, user = batch.event[batch.valid], batch.user[batch.valid]
        start = batch.session_start[batch.valid]
        for first in range(0, len(event), size):
            part = slice(first, first + size)
            self._block(states[part], event[part], user[part], start[part])

    def _block(
        self,
        states: Tensor,
        event: npt.NDArray[np.int64],
        user: npt.NDArray[np.int32],
        start: npt.NDArray[np.bool_],
    ) -> None:
        """Rank one block of P states and the baskets that open in it."""
        opening = np.flatnonzero(start)
        baskets = basket_rows(self._dataset, event[opening])
        rows = np.concatenate([np.arange(len(event)), opening[baskets.opening]])  # [P + R]
        scored = np.concatenate([event, baskets.event])
        item = self._dataset.items[scored].astype(np.int64)
        columns: Columns = {
            "split": np.full(len(rows), SPLITS[self._split], np.uint8),
            "user": user[rows],
            "event": scored,
            "state": event[rows],
            "basket": np.arange(len(rows)) >= len(event),
            "session_start": start[rows],
            "seen_user": self._dataset.user_in_train[user[rows]],
            "cold": self._dataset.train_counts[item] == 0,
            "head": self._head[item],
        }
        raw = self._catalogue.scores(states)
        columns |= self._score("raw", raw, event, rows, item)
        restored = self._objective.restored(raw)
        if restored is raw:
            self._covered["restored"] = self._covered["raw"]
            columns |= {f"{k}_restored": columns[f"{k}_raw"] for k in ("higher", "equal", "logp")}
        else:
            columns |= self._score("restored", restored, event, rows, item)
        self._parts.append(columns)

    def _score(
        self,
        score: Score,
        scores: Tensor,
        event: npt.NDArray[np.int64],
        rows: npt.NDArray[np.int64],
        item: npt.NDArray[np.int64],
    ) -> Columns:
        partition = log_partition(scores)
        if not bool(partition.isfinite().all()):
            raise NonFiniteScoresError(f"{self._split}: the {score} scores are not all finite")
        listed = torch.from_numpy(self._listed[event]).to(self._device)
        covered = recommended(scores[listed], LIST_LENGTH)
        self._covered[score] = covered | self._covered.get(score, torch.zeros_like(covered))
        targets = torch.from_numpy(item).to(self._device)
        where, n = torch.from_numpy(rows).to(self._device), len(event)
        parts = [
            count(scores, partition, targets[:n]),
            count_pairs(scores, partition, where[n:], targets[n:]),
        ]
        return {
            f"{name}_{score}": np.concatenate([getattr(part, name).cpu().numpy() for part in parts])
            for name in ("higher", "equal", "logp")
        }


def listed_events(targets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The targets whose lists give coverage: all, or LISTS of them evenly spread."""
    if len(targets) <= LISTS:
        return targets
    return targets[np.arange(LISTS) * len(targets) // LISTS]
