"""Where the time of a short run goes: start-up, feeding, steps by shape, evaluation, planning.

    python benchmarks/throughput.py [--results results]

Prints one table and writes results/bench/throughput.json. One thread, medians over repeats; the
machine's other load is in the numbers, so compare ratios and medians of one call only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from timing import processor_seconds, seconds

from behavior_scaling.config import load_study, parse_study
from behavior_scaling.config_parts import ContextualizerConfig
from behavior_scaling.data.packing import packed_rows
from behavior_scaling.data.store import Dataset
from behavior_scaling.data.windows import TrainSampler
from behavior_scaling.evaluate.ranking import evaluate
from behavior_scaling.files import write_text
from behavior_scaling.layout import Layout
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.step import BatchTensors, step_loss
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec
from behavior_scaling.sizes.flops import nominal
from behavior_scaling.sweep.plan import make_plan

SHAPES = ((8, 6, 1), (20, 14, 1), (44, 32, 1), (64, 48, 2), (128, 96, 2))  # d, e, layers
BATCH, STEPS, WARM = 4, 40, 5


def specs(d: int, e: int, layers: int) -> tuple[EmbedderSpec, ContextualizerSpec]:
    """The two parts of one shape."""
    heads = ContextualizerConfig().heads(d)
    return EmbedderSpec("transformer", e, 1), ContextualizerSpec("transformer", d, layers, heads)


def build(dataset: Dataset, d: int, e: int, layers: int) -> tuple[TwoPart, Objective]:
    """A two-part model and its objective, as a run builds them."""
    model = TwoPart(
        *specs(d, e, layers),
        torch.tensor(dataset.codes),
        torch.tensor(dataset.weights),
        dataset.data_spec().codebook,
        0,
    )
    spec = ObjectiveSpec("corrected", 128, 0, "mask")
    return model, Objective(spec, torch.tensor(dataset.unigram))


def step_seconds(dataset: Dataset, model: TwoPart, objective: Objective) -> float:
    """Median seconds of forward, backward and optimizer at B = 4."""
    context = dataset.data_spec().context
    sampler = iter(TrainSampler(dataset, context, BATCH, 10**6, 0))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    times = []
    for number in range(STEPS + WARM):
        raw = next(sampler)
        batch = BatchTensors(
            *(torch.from_numpy(a) for a in (raw.inputs, raw.targets, raw.document, raw.valid))
        )
        start = time.perf_counter()
        optimizer.zero_grad()
        step_loss(model, objective, batch, None, 0, number).loss.backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM:])


def training(dataset: Dataset) -> list[dict[str, float]]:
    """Milliseconds a step and nominal GFLOP/s by shape."""
    rows = []
    spec = dataset.data_spec()
    for d, e, layers in SHAPES:
        model, objective = build(dataset, d, e, layers)
        took = step_seconds(dataset, model, objective)
        cost = nominal(
            *specs(d, e, layers),
            objective.spec,
            stage=1, batch=BATCH, context=spec.context, tokens=spec.tokens,
            n_items=dataset.n_items,
        ).total  # fmt: skip
        events = BATCH * spec.context / took
        rows.append({"d": d, "e": e, "layers": layers, "ms_a_step": took * 1e3,
                     "events_a_second": events, "nominal_gflops": events * cost / 1e9})  # fmt: skip
    return rows


def planning(study_file: Path, n_items: int) -> dict[str, float]:
    """Seconds to plan a study of more than 600 runs (many seeds of the given one)."""
    raw = json.loads(load_study(study_file).model_dump_json(exclude_none=True))
    for axis in raw["axes"].values():
        axis["seeds"] = list(range(10))
    study = parse_study(raw, "benchmark")
    plan = make_plan(study, n_items)
    runs = sum(len(bundle.cells) for bundle in plan.bundles)
    return {"runs": runs, "seconds": seconds(lambda: make_plan(study, n_items), 3)}


def start_up() -> dict[str, float]:
    """Seconds of a fresh process that imports what a step needs."""
    modules = {
        "laws": "behavior_scaling.laws.study",
        "command line": "behavior_scaling.cli",
        "training": "behavior_scaling.train.fit",
    }

    def start(module: str) -> None:
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)

    return {name: seconds(partial(start, module), 3) for name, module in modules.items()}


def jobs(config: Path, results: Path) -> list[dict[str, float]]:
    """Start-up of a job of one short run and of a job of twenty (start_up.py), each a process."""
    script = Path(__file__).with_name("start_up.py")
    places = ["--config", str(config), "--results", str(results)]
    found = []
    for runs in (1, 20):
        command = [sys.executable, str(script), str(runs), *places]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    return found


def feeding(dataset: Dataset) -> dict[str, float]:
    """Packing of a million windows, the plan of an epoch, and one batch, single-threaded."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 65, 1_000_000)
    starts = np.cumsum(lengths)
    context = dataset.data_spec().context
    sampler = TrainSampler(dataset, context, BATCH, 10**9, 0)
    plan = sampler.epoch_plan(0)
    batches = iter(sampler)
    return {
        "million_windows_seconds": processor_seconds(lambda: packed_rows(starts, lengths, 64), 3),
        "epoch_plan_seconds": processor_seconds(lambda: sampler.epoch_plan(1), 9),
        "batch_seconds": seconds(lambda: next(batches), 200),
        "padding": 1 - plan.positions / (len(plan) * context),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("config/quick.yaml"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    dataset = Dataset.open(Layout(args.results, load_study(args.config)).data)
    model, objective = build(dataset, 20, 14, 1)
    found = {
        "start_up_seconds": start_up(),
        "jobs": jobs(args.config, args.results),
        "feeding": feeding(dataset),
        "training": training(dataset),
        "evaluation_seconds": seconds(lambda: evaluate(model, objective, dataset), 3),
        "planning": planning(args.config, dataset.n_items),
    }
    text = json.dumps(found, indent=1) + "\n"
    write_text(args.results / "bench" / "throughput.json", text)
    print(text)


if __name__ == "__main__":
    main()
