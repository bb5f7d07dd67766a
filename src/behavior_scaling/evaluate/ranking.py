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

from behavior_scaling.data.baskets import basket_rows
from behavior_scaling.data.ragged import evenly
from behavior_scaling.data.slices import popularity_head
from behavior_scaling.data.store import Dataset
from behavior_scaling.data.windows import EvalBatch, eval_windows
from behavior_scaling.evaluate.kinds import Groups, kinds_of
from behavior_scaling.evaluate.lists import Coverage
from behavior_scaling.evaluate.ranks import (
    SCORES,
    SPLITS,
    Metrics,
    RankTable,
    Score,
    Split,
    metrics_from_ranks,
)
from behavior_scaling.evaluate.scoring import (
    Catalogue,
    Reader,
    Restored,
    Restoring,
    restored_of,
    scored_states,
)
from behavior_scaling.evaluate.tally import Asked, Counted, NonFiniteScoresError, Tally
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.two_part import TwoPart

__all__ = ["Evaluation", "NonFiniteScoresError", "evaluate", "listed_events"]

LISTS = 5_000
LIST_LENGTH = 10
COUNTED = ("higher", "equal", "logp")

Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Evaluation:
    """What evaluation found: the ranks file's content, and coverage by metric name."""

    ranks: RankTable
    coverage: dict[str, float]

    def metrics(self) -> Metrics:
        """Every metric by its name '{split}/{score}/{slice}/{metric}'."""
        return metrics_from_ranks(self.ranks) | self.coverage


def evaluate(
    model: TwoPart, objective: Objective, dataset: Dataset, vectors: Tensor | None = None
) -> Evaluation:
    """Rank every evaluation position of both splits, validation first.

    Args:
        model: the trained model, on any device.
        objective: gives the restored score (on the model's device).
        dataset: the data that the model was trained on.
        vectors: of all items [V, d], where they are at hand (stage 2); else they are made.

    Raises:
        NonFiniteScoresError: a score is NaN or infinite.
    """
    with torch.inference_mode():
        held = model.catalogue_vectors() if vectors is None else vectors
        catalogue = Catalogue(kinds_of(dataset, model), held)
        restored = restored_of(objective, catalogue)
        passes = [_SplitPass(model, dataset, catalogue, restored, split) for split in SPLITS]
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
        dataset: Dataset,
        catalogue: Catalogue,
        restored: Restored | None,
        split: Split,
    ):
        self._model = model
        self._dataset = dataset
        self._catalogue = catalogue
        self._restored = restored
        self._device = catalogue.vectors.device
        self._split = split
        self._listed = np.zeros(dataset.n_events, dtype=bool)
        self._listed[listed_events(dataset.eval_events(split))] = True
        self._head = popularity_head(dataset.train_counts)
        groups: dict[Score, Groups] = {"raw": catalogue.kinds}
        if restored is not None:
            groups["restored"] = restored.groups
        self._covered: dict[Score, Coverage] = {
            score: Coverage(group, LIST_LENGTH, self._device) for score, group in groups.items()
        }
        self._parts: list[Columns] = []

    def run(self) -> RankTable:
        """Score all windows; rows in the order of (basket, state, event)."""
        context, features = self._dataset.meta.spec.context, self._model.event_features
        windows = eval_windows(self._dataset, self._split, context, event_features=features)
        for batch in windows:
            self._batch(batch)
        merged = {k: np.concatenate([part[k] for part in self._parts]) for k in self._parts[0]}
        order = np.lexsort((merged["event"], merged["state"], merged["basket"]))
        columns = {name: values[order] for name, values in merged.items()}
        if self._restored is None:
            columns |= {f"{name}_restored": columns[f"{name}_raw"] for name in COUNTED}
        return RankTable(**columns)

    def coverage(self) -> dict[str, float]:
        """Distinct items in the lists over V, by metric name."""
        shares = {score: covered.share() for score, covered in self._covered.items()}
        return {
            f"{self._split}/{score}/all/coverage@{LIST_LENGTH}": shares.get(score, shares["raw"])
            for score in SCORES
        }

    def _batch(self, batch: EvalBatch) -> None:
        """Rank P positions and the items of the baskets that open at some of them."""
        states = scored_states(self._model, self._catalogue, batch)
        event, user = batch.event[batch.valid], batch.user[batch.valid]
        start = batch.session_start[batch.valid]
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
        # A basket opens with its position's own target, which is counted once.
        again = (scored == event[rows]) & columns["basket"]
        place = np.where(again, rows, np.cumsum(~again) - 1)
        found = self._counted(states, rows[~again], item[~again], self._listed[event])
        for score, counted in found.items():
            columns |= {f"{name}_{score}": getattr(counted, name)[place] for name in COUNTED}
        self._parts.append(columns)

    def _counted(
        self,
        states: Tensor,
        rows: npt.NDArray[np.int64],
        item: npt.NDArray[np.int64],
        listed: npt.NDArray[np.bool_],
    ) -> dict[Score, Counted]:
        """Counts of n (state, item) pairs by score; the first P pairs are one a state."""
        count, size = len(states), self._catalogue.rows()
        blocks = [slice(at, min(at + size, count)) for at in range(0, count, size)]
        pairs = [
            np.concatenate(
                [
                    np.arange(block.start, block.stop),
                    count + np.arange(*np.searchsorted(rows[count:], [block.start, block.stop])),
                ]
            )
            for block in blocks
        ]
        tallies: dict[Score, list[Tally]] = {score: [] for score in self._covered}
        readers: list[list[Reader]] = []
        for block, pair in zip(blocks, pairs, strict=True):
            asked = Asked(
                torch.from_numpy(rows[pair] - block.start).to(self._device),
                torch.from_numpy(item[pair]).to(self._device),
                torch.from_numpy(np.flatnonzero(listed[block])).to(self._device),
            )
            for score, covered in self._covered.items():
                scratch = self._catalogue.scratch
                length = block.stop - block.start
                tallies[score].append(Tally(asked, length, covered.groups, scratch, covered))
            readers.append(list(tallies["raw"][-1].readers))
            if self._restored is not None:
                readers[-1].append(Restoring(self._restored, tallies["restored"][-1].readers))
        self._catalogue.read([states[block] for block in blocks], readers)
        back = np.argsort(np.concatenate(pairs))
        return {
            score: Counted.concatenate(
                [tally.counted(f"{self._split}: the {score}") for tally in parts]
            ).take(back)
            for score, parts in tallies.items()
        }


def listed_events(targets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The targets whose lists give coverage: all, or LISTS of them evenly spread."""
    return evenly(targets, LISTS)
