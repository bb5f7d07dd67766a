"""Share of the machine by shape: a run's executed FLOP/s over the rate of its products alone.

    python benchmarks/shapes.py [--config config/quick.yaml] [--results results]

Each shape is trained by the package's own loop (Lightning, feeding, clipping, optimizer; no probes)
for STEPS steps; every matrix product of a step is then timed alone at its shape (train/matmul_rate)
and the share is the ratio of the two rates, as in every record. `operations` is what torch
dispatches in one step: at small widths their number times some microseconds is the step. One
thread; REPEATS runs a shape, the shapes in turn, medians. Prints one table and writes
results/bench/shapes.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

from behavior_scaling.config import load_study
from behavior_scaling.config_parts import ContextualizerConfig
from behavior_scaling.data.store import Dataset
from behavior_scaling.files import write_text
from behavior_scaling.layout import Layout
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, RunSpec
from behavior_scaling.sweep.cells import resolve
from behavior_scaling.sweep.plan import make_plan
from behavior_scaling.train.lightning_import import import_lightning

import_lightning()

from torch.utils._python_dispatch import TorchDispatchMode

from behavior_scaling.train.fit import build, fit
from behavior_scaling.train.matmul_rate import first_batch, rate_of_run, step_products

SHAPES = (  # d, e, layers, B
    (8, 6, 1, 4),
    (20, 14, 1, 4),
    (44, 32, 1, 4),
    (64, 48, 2, 4),
    (96, 64, 2, 4),
    (128, 96, 2, 4),
    (96, 64, 2, 16),
    (128, 96, 2, 16),
    (256, 128, 4, 16),
)
STEPS, REPEATS = 60, 3


class Operations(TorchDispatchMode):
    """Counts what torch dispatches."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count and run."""
        self.count += 1
        return func(*args, **(kwargs or {}))


def spec_of(base: RunSpec, shape: tuple[int, int, int, int]) -> RunSpec:
    """A stage-1 run of one shape, STEPS steps long."""
    d, e, layers, batch = shape
    heads = ContextualizerConfig().heads(d)
    return replace(
        base,
        embedder=EmbedderSpec("transformer", e, 1),
        contextualizer=ContextualizerSpec("transformer", d, layers, heads),
        batch=batch,
        positions=STEPS * batch * base.data.context * 99 // 100,
        probes=0,
    )


def measure(spec: RunSpec, dataset: Dataset) -> dict[str, float]:
    """Rates of one run."""
    module = build(spec, dataset, None)
    with tempfile.TemporaryDirectory() as folder:
        fit(module, dataset, Path(folder) / "checkpoint", 1e9, lambda line: None, lambda: False)
    tally, rate = module.tally, rate_of_run(module, dataset)
    if rate is None:
        raise RuntimeError("a step without a matrix product has no share")
    return {
        "ms_a_step": 1e3 * tally.seconds / tally.steps,
        "events_a_second": tally.events_per_second,
        "executed_gflops": tally.executed_gflops,
        "matmul_gflops": rate.gflops,
        "share": tally.executed_gflops / rate.gflops,
    }


def operations(spec: RunSpec, dataset: Dataset) -> int:
    """What one step dispatches, forward and backward."""
    module = build(spec, dataset, None)
    batch = first_batch(module, dataset)
    with Operations() as counted:
        step_products(module, batch)
    return counted.count


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("config/quick.yaml"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    args = parser.parse_args()
    study = load_study(args.config)
    dataset = Dataset.open(Layout(args.results, study).data)
    cells = [cell for cell in make_plan(study, dataset.n_items).cells if cell.stage == 1]
    base = resolve(cells[0], study, dataset.data_spec())
    specs = {shape: spec_of(base, shape) for shape in SHAPES}
    runs = [(shape, measure(specs[shape], dataset)) for _ in range(REPEATS) for shape in SHAPES]
    rows = []
    print(" d   e layers  B | ms a step  events/s | executed  products alone  share | operations")
    for shape in SHAPES:
        found = [run for named, run in runs if named == shape]
        row = {key: statistics.median(run[key] for run in found) for key in found[0]}
        row["operations"] = operations(specs[shape], dataset)
        d, e, layers, batch = shape
        rows.append({"d": d, "e": e, "layers": layers, "batch": batch, **row})
        print(
            f"{d:>3} {e:>3} {layers:>4} {batch:>4} | {row['ms_a_step']:>9.2f} "
            f"{row['events_a_second']:>9,.0f} | {row['executed_gflops']:>8.1f} "
            f"{row['matmul_gflops']:>15.1f} {row['share']:>6.0%} | {row['operations']:>6}"
        )
    write_text(args.results / "bench" / "shapes.json", json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
