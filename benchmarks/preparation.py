"""Preparation from Parquet to the memory-mapped data set: events a second, memory, linearity.

    python benchmarks/preparation.py [--largest 1e8] [--results results]

Prepares synthetic events (events_file.py) of 1M, 3M, 10M, 30M and 100M lines, each in a process of
its own (its peak resident memory is the whole process's, maps included). Writes
results/bench/preparation.json and preparation.png: seconds and memory against events, with the
line of slope 1 through the smallest size.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from events_file import write_events

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.engine import parquet
from behavior_scaling.data.prepare import prepare_tables
from behavior_scaling.data.tables import FeatureSchema, Query, Tables
from behavior_scaling.files import write_text

SIZES = (1e6, 3e6, 1e7, 3e7, 1e8)
LIMIT_GIB = 4.0


def measure(file: Path, out: Path) -> dict[str, float]:
    """Prepare once, in this process."""
    begin = time.perf_counter()
    tables = Tables(Query(f"SELECT * FROM {parquet([file])}", (file,)), None, FeatureSchema(()))
    dataset = prepare_tables(tables, DataConfig(source="synthetic"), out)
    spent = time.perf_counter() - begin
    return {
        "events": dataset.n_events,
        "items": dataset.n_items,
        "seconds": spent,
        "events_a_second": dataset.n_events / spent,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def draw(found: list[dict[str, float]], path: Path) -> None:
    """Seconds and memory against events."""
    import matplotlib.pyplot as plt

    events = [row["events"] for row in found]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    left.loglog(events, [row["seconds"] for row in found], "o-", label="measured")
    slope = [found[0]["seconds"] * count / events[0] for count in events]
    left.loglog(events, slope, "--", color="grey", label="linear from the smallest")
    left.set(xlabel="events", ylabel="seconds", title="Time on two cores")
    left.legend(frameon=False)
    right.semilogx(events, [row["peak_gib"] for row in found], "o-")
    right.axhline(LIMIT_GIB, linestyle="--", color="grey")
    right.text(events[0], LIMIT_GIB, "target: at most 4 GiB", va="bottom")
    right.set(xlabel="events", ylabel="GiB", ylim=(0, 4.6), title="Peak resident memory")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure every size, print a line each, write the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=float, default=SIZES[-1])
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one, args.one.with_suffix(".prepared"))))
        return
    found = []
    for size in (size for size in SIZES if size <= args.largest):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "events.parquet"
            write_events(file, int(size))
            command = [sys.executable, __file__, "--one", str(file)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found.append(json.loads(done.stdout))
        row = found[-1]
        print(
            f"{row['events']:>11,} events: {row['seconds']:6.1f} s, "
            f"{row['events_a_second'] / 1e6:.2f}M events/s, {row['peak_gib']:.2f} GiB"
        )
    bench = args.results / "bench"
    write_text(bench / "preparation.json", json.dumps(found, indent=1) + "\n")
    draw(found, bench / "preparation.png")


if __name__ == "__main__":
    main()
