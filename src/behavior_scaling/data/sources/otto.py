"""OTTO: clicks, carts and orders in the sessions of a web shop's users.

Choices: what the publisher calls a session is all that one user did in the period, so it is the
user here, and sessions are found by the study's gap of silence. Articles have no feature but their
id. The sessions of the test file are other users in the week that follows.
"""

from __future__ import annotations

from pathlib import Path

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.engine import parquet
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.sources.placed import find_placed
from behavior_scaling.data.sources.staging import json_lines, required, stage
from behavior_scaling.data.tables import FeatureSchema, Query, Tables

TRAIN, TEST = "otto-recsys-train.jsonl", "otto-recsys-test.jsonl"
VARIANTS = {"train": (TRAIN,), "full": (TRAIN, TEST)}
COLUMNS = {"session": "VARCHAR", "events": "STRUCT(aid VARCHAR, ts VARCHAR, type VARCHAR)[]"}


class Otto:
    """Events of four weeks (train), and of the week after them (full)."""

    info = SourceInfo(
        name="otto",
        version="variants train (default), full",
        origin="https://www.kaggle.com/datasets/otto/recsys-dataset",
        licence="CC BY 4.0",
        citation=(
            "P. Normann, S. Baumeister and T. Wilm (2022). OTTO Recommender Systems Dataset: A "
            "real-world e-commerce dataset for session-based recommender systems research"
        ),
        verified="format tested",
        schema="https://github.com/otto-de/recsys-dataset, 'Data Format'",
        manual=(
            "Download the files from kaggle.com/datasets/otto/recsys-dataset with your Kaggle "
            "account."
        ),
    )

    def __init__(self, config: DataConfig) -> None:
        variant = config.variant or "train"
        if variant not in VARIANTS:
            raise DataError(f"otto: no variant {variant!r}; there are {', '.join(VARIANTS)}")
        self._files = VARIANTS[variant]

    def fetch(self, cache: Path, mirror: Path | None) -> Path:
        """Find the files; see Source.fetch."""
        return find_placed(self.info, [(name,) for name in self._files], cache, mirror)

    def load(self, raw: Path, work: Path) -> Tables:
        """Read the files; see Source.load."""
        parts = tuple(_stage(raw / name, work) for name in self._files)
        return Tables(
            Query(f"SELECT * FROM {parquet(parts)}", parts),
            None,
            FeatureSchema((("item_id", "categorical"),), (("event_type", "categorical"),)),
        )


def _stage(file: Path, work: Path) -> Path:
    """One row an event; events of a session are in order of time."""
    return stage(
        file,
        f"""
        SELECT {required("session", "session", "BIGINT")} AS user_id,
            {required("event.aid", "aid", "BIGINT")} AS item_id,
            {required("event.ts", "ts", "BIGINT")} // 1000 AS timestamp,
            {required("event.type", "type")} AS event_type
        FROM (
            SELECT row, session,
                unnest({required("events", "events")}) AS event
            FROM {json_lines(file, COLUMNS)}
        )
        """,
        work,
        file.stem,
    )
