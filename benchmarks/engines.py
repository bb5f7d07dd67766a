"""The engine of preparation, chosen by measurement: DuckDB against Polars' streaming engine.

    python benchmarks/engines.py [--events 2e7] [--results results]

Both read the same Parquet file, join the catalogue's index and sort by (user, time, line), each
in a process of its own with two threads, and hand out or write the sorted rows. Prints seconds
and peak resident memory; writes results/bench/engines.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from events_file import write_events

from behavior_scaling.data.engine import engine, parquet
from behavior_scaling.files import write_text


def duckdb(file: Path) -> None:
    """Sorted batches, read and thrown away."""
    with engine(file.parent, threads=2) as connection:
        source = parquet([file])
        connection.execute(
            f"CREATE TABLE catalogue AS SELECT item_id, row_number() OVER (ORDER BY item_id) AS i "
            f"FROM (SELECT DISTINCT item_id FROM {source})"
        )
        rows = connection.sql(
            f"SELECT user_id, i, timestamp, line FROM {source} JOIN catalogue USING (item_id) "
            f"ORDER BY user_id, timestamp, line"
        ).to_arrow_reader(1_000_000)
        for _ in rows:
            pass


def polars(file: Path) -> None:
    """A sorted file: the streaming engine's own sink."""
    import polars as pl

    events = pl.scan_parquet(file, row_index_name="line")
    catalogue = events.select(pl.col("item_id").unique().sort()).with_row_index("i")
    events.join(catalogue, on="item_id").select("user_id", "i", "timestamp", "line").sort(
        "user_id", "timestamp", "line"
    ).sink_parquet(file.with_suffix(".sorted"), engine="streaming")


CONTESTANTS: dict[str, Callable[[Path], None]] = {"duckdb": duckdb, "polars": polars}


def main() -> None:
    """Each contestant three times, in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=float, default=2e7)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        begin = time.perf_counter()
        CONTESTANTS[args.one[0]](Path(args.one[1]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"seconds": time.perf_counter() - begin, "peak_gib": peak}))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events.parquet"
        write_events(file, int(args.events))
        for _ in range(3):
            for name, runs in found.items():
                command = [sys.executable, __file__, "--one", name, str(file)]
                threads = os.environ | {"POLARS_MAX_THREADS": "2"}
                done = subprocess.run(
                    command, check=True, capture_output=True, text=True, env=threads
                )
                runs.append(json.loads(done.stdout))
    for name, runs in found.items():
        seconds = sorted(run["seconds"] for run in runs)[1]
        peak = max(run["peak_gib"] for run in runs)
        print(f"{name}: {seconds:.1f} s (median), {peak:.2f} GiB for {args.events:,.0f} events")
    write_text(args.results / "bench" / "engines.json", json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
