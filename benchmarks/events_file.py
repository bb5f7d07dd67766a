"""Synthetic events of any size in one Parquet file: what preparation and engines are timed on.

Users have 50 events on average, items follow a heavy tail over a million ids, times are uniform
over a year; the lines come in no order, so that sorting has everything to do.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 2_000_000  # of a row group
YEAR = 31_536_000
BEGIN = 1_600_000_000
ITEMS = 1_000_000
SCHEMA = pa.schema([(name, pa.int64()) for name in ("user_id", "item_id", "timestamp")])


def write_events(path: Path, count: int, seed: int = 0) -> None:
    """Write `count` events."""
    rng = np.random.default_rng(seed)
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for first in range(0, count, ROWS):
            rows = min(ROWS, count - first)
            columns = {
                "user_id": rng.integers(max(count // 50, 1), size=rows),
                "item_id": (rng.pareto(1.0, rows) * 10).astype(np.int64) % ITEMS,
                "timestamp": BEGIN + rng.integers(YEAR, size=rows),
            }
            writer.write_table(pa.table(columns, SCHEMA))
