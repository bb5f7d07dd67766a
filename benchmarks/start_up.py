"""One job of short runs, in a process of its own: what starting costs.

    python benchmarks/start_up.py RUNS [--config config/quick.yaml] [--results results]

Trains RUNS runs of the study's plan, each cut to 2,000 loss positions, in a store of its own that
is thrown away, and prints one line of JSON: seconds from the start of the process to the first
training step, and the start-up of the whole job (import_seconds and start_seconds of its records,
train/timings.py) over its runs.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from behavior_scaling.config import load_study
from behavior_scaling.data.store import Dataset
from behavior_scaling.layout import Layout
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import Store
from behavior_scaling.sweep.cells import resolve, unique
from behavior_scaling.sweep.plan import make_plan
from behavior_scaling.train.bundle import train_bundle
from behavior_scaling.train.job_clock import process_began

POSITIONS = 2_000


def short_runs(config: Path, dataset: Dataset, runs: int) -> list[RunSpec]:
    """The plan's first stage-1 runs, cut short."""
    study = load_study(config)
    cells = unique(list(make_plan(study, dataset.n_items).cells))
    specs = [resolve(cell, study, dataset.data_spec()) for cell in cells if cell.stage == 1]
    return [replace(spec, positions=POSITIONS) for spec in specs[:runs]]


def main() -> None:
    """Train, add up, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=int)
    parser.add_argument("--config", type=Path, default=Path("config/quick.yaml"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    args = parser.parse_args()
    dataset = Dataset.open(Layout(args.results, load_study(args.config)).data, verify=True)
    specs = short_runs(args.config, dataset, args.runs)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        train_bundle(specs, dataset, store, 1e9, lambda line: None, process_began())
        timings = [store.load(spec.id).timings for spec in specs]
    start = [one["import_seconds"] + one["start_seconds"] for one in timings]
    found = {
        "runs": len(specs),
        "to_first_step_seconds": start[0],
        "start_up_seconds_a_run": sum(start) / len(specs),
        "rate_seconds_a_run": sum(one["rate_seconds"] for one in timings) / len(specs),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
