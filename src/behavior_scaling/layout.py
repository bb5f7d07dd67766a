"""Where files go under results/: one place for the paths that the DAG and the commands share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from behavior_scaling.config import Study
from behavior_scaling.records.archive import PREDICTION
from behavior_scaling.records.spec import canonical_json

FETCHED = {"source", "variant", "clones", "world", "context"}  # what a source's file depends on


@dataclass(frozen=True)
class Layout:
    """Paths of one study below the results folder."""

    results: Path
    study: Study

    @property
    def raw(self) -> Path:
        """What was fetched: a small JSON file that names the raw file and its SHA-256."""
        keys = self.study.data.model_dump(mode="json", include=FETCHED)
        return self.results / "raw" / f"{self.study.data.name}-{_digest(keys)}.json"

    @property
    def data(self) -> Path:
        """The prepared data set; its name changes with any key that changes its content."""
        keys = self.study.data.model_dump(mode="json", exclude={"mirror"})
        return self.results / "data" / f"{self.study.data.name}-{_digest(keys)}"

    @property
    def floors(self) -> Path:
        """Trivial rules on the evaluation positions, beside the data they were measured on."""
        return self.data.with_name(self.data.name + "-floors.json")

    @property
    def floors_read(self) -> Path:
        """The floors that laws and report read: those beside the data, or a shipped study's."""
        return self.floors if self.study.runs == "train" else self.folder / "floors.json"

    @property
    def card(self) -> Path:
        """The data card, beside the data it describes."""
        return self.data.with_name(self.data.name + "-card")

    @property
    def truth(self) -> Path:
        """What no model can beat on a synthetic world's positions, beside the world's data."""
        return self.data.with_name(self.data.name + "-truth.json")

    @property
    def store(self) -> Path:
        """Records of all studies."""
        return self.results / "store"

    @property
    def archive(self) -> Path:
        """Shipped records of this study."""
        return self.results / "archive" / self.study.name

    @property
    def shipped(self) -> Path | None:
        """The archive of a study that reads its records from there."""
        return self.archive if self.study.runs == "archive" else None

    @property
    def prediction(self) -> Path:
        """What `predict` wrote before the largest budget was run."""
        return self.archive / PREDICTION

    @property
    def folder(self) -> Path:
        """Everything that is made from this study's records."""
        return self.results / self.study.name

    @property
    def bundles(self) -> Path:
        """One small file a finished job: ids, outcomes, hashes."""
        return self.folder / "bundles"

    @property
    def runs(self) -> Path:
        """The table of runs."""
        return self.folder / "runs.parquet"

    @property
    def users(self) -> Path:
        """Sums of metrics over groups of users, of every run."""
        return self.folder / "users.parquet"

    @property
    def probes(self) -> Path:
        """What runs measured on their way."""
        return self.folder / "probes.parquet"


def _digest(keys: Any) -> str:
    """Eight letters that change with any of the keys."""
    return hashlib.sha256(canonical_json(keys).encode()).hexdigest()[:8]
