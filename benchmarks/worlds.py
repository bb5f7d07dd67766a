"""Synthetic worlds: events a second drawn and filtered, and the entropy H_L of each.

    python benchmarks/worlds.py [--context 64] [--results results]

One thread. `drawn` and `filtered` are events a second of processor time, each the median over
five blocks of 16,384 users; H_L is the mean of -log p over at least 10^6 fresh positions, more
until its standard error (clustered by user) is at most .002 nats, by what the filter is given.
Prints one table and writes results/bench/worlds.json.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from timing import processor_seconds

from behavior_scaling.data.worlds.filter import Information, forward, refusal
from behavior_scaling.data.worlds.generate import block
from behavior_scaling.data.worlds.named import WORLDS, named
from behavior_scaling.data.worlds.oracle import fresh
from behavior_scaling.files import write_text

REPEATS = 5
GIVEN: tuple[Information, ...] = ("items", "events")


def measure(name: str, context: int) -> list[dict[str, object]]:
    """One row for each kind of information that has an exact filter."""
    world = named(name)
    numbers = iter(range(REPEATS + 1))
    histories = block(world, 0, context, next(numbers))
    events = int(histories.lengths.sum())
    drawn = events / processor_seconds(lambda: block(world, 0, context, next(numbers)), REPEATS)
    rows: list[dict[str, object]] = []
    for information in GIVEN:
        if refusal(world, information) is not None:
            continue
        took = processor_seconds(
            lambda given=information: forward(world, histories, given), REPEATS
        )
        entropy, fraud = fresh(world, 0, context, information)
        rows.append(
            {
                "world": name,
                "given": information,
                "drawn": drawn,
                "filtered": events / took,
                **asdict(entropy),
                **({"auc": fraud.auc, "ap": fraud.average_precision} if fraud else {}),
            }
        )
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--context", type=int, default=64, help="L")
    parser.add_argument("--results", type=Path, default=Path("results"))
    args = parser.parse_args()
    rows = []
    print("| world | given | drawn, events/s | filtered, events/s | H_L, nats | s.e. | positions |")
    print("|---|---|---|---|---|---|---|")
    for name in WORLDS:
        for row in measure(name, args.context):
            rows.append(row)
            print(
                f"| {row['world']} | {row['given']} | {row['drawn']:,.0f} | {row['filtered']:,.0f} "
                f"| {row['mean']:.4f} | {row['standard_error']:.4f} | {row['n_positions']:,} |"
                + (f" AUC {row['auc']:.3f}, AP {row['ap']:.3f}" if "auc" in row else ""),
                flush=True,
            )
    write_text(args.results / "bench" / "worlds.json", json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
