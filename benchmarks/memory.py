"""Predicted bytes of a training step against the memory that a process takes for it.

    python benchmarks/memory.py [--results results]

Every shape has a process of its own: two steps (forward, backward, clipping, AdamW on the flat
parameters as in training) on data in which every item of a batch is another. Measured is the peak
of resident memory during the steps above what stood before the model was made, when a step of a
tiny model had run; the C library is told to give freed memory back at once, so that its gaps are
not counted. Predicted is sizes/memory_peak.py's peak of training. Then the records of the store:
their peak is of the whole process, and what the smallest prediction of a data set leaves
unexplained is taken as the interpreter's. Prints two tables and writes results/bench/memory.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch

from behavior_scaling.files import write_text
from behavior_scaling.model.logit_tiles import TILE_BYTES
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.step import BatchTensors, step_loss
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.record import Record, RecordError
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec
from behavior_scaling.sizes.memory_peak import Peak, peak_memory
from behavior_scaling.sizes.saved import Precision
from behavior_scaling.train.flat_parameters import FlatParameters
from behavior_scaling.train.machine import PeakMemory

MIB = 2**20
RETURNING = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
IN_BATCH, CODEBOOK, STEPS = 1024, 4096, 2


@dataclass(frozen=True)
class Case:
    """A shape; heads of 64 where the width allows."""

    name: str
    embedder: tuple[str, int, int]  # kind, e, depth
    width: int
    layers: int
    batch: int
    context: int
    tokens: int
    n_items: int
    uniform: int = 0
    stage: int = 1
    precision: Precision = "fp32"

    def specs(self) -> tuple[EmbedderSpec, ContextualizerSpec, ObjectiveSpec]:
        """The run's parts."""
        heads = max(1, self.width // 64)
        return (
            EmbedderSpec(*self.embedder),
            ContextualizerSpec("transformer", self.width, self.layers, heads),
            ObjectiveSpec("corrected", IN_BATCH, self.uniform, "past"),
        )

    def predicted(self) -> Peak:
        """What the model says."""
        return peak_memory(
            *self.specs(),
            stage=self.stage,
            batch=self.batch,
            context=self.context,
            tokens=self.tokens,
            n_items=self.n_items,
            documents=self.batch,
            block_bytes=TILE_BYTES["cpu"],
            precision=self.precision,
            device="cpu",
        )


TINY = Case("tiny", ("transformer", 16, 1), 64, 1, 2, 64, 12, 1_000)
CASES = [
    Case("deep", ("transformer", 16, 1), 256, 4, 16, 128, 12, 20_000),
    Case("deep", ("transformer", 16, 1), 256, 4, 16, 128, 12, 20_000, precision="bf16-mixed"),
    Case("wide", ("mlp", 64, 1), 512, 4, 8, 256, 24, 20_000),
    Case("embedder", ("transformer", 64, 2), 128, 2, 8, 128, 24, 20_000),
    Case("embedder", ("transformer", 64, 2), 128, 2, 8, 128, 24, 20_000, precision="bf16-mixed"),
    Case("K = 100k", ("mlp", 64, 1), 128, 4, 16, 128, 24, 400_000, 100_000),
    Case("K = 100k, stage 2", ("mlp", 64, 1), 128, 4, 16, 128, 24, 400_000, 100_000, 2),
]


def train(case: Case) -> int:
    """A few steps, on data that are made here; their peak, of the whole process."""
    generator = torch.Generator().manual_seed(0)
    embedder, contextualizer, objective = case.specs()
    codes = torch.randint(0, CODEBOOK, (case.n_items, case.tokens), generator=generator)
    weights = torch.ones(case.n_items, case.tokens)
    model = TwoPart(embedder, contextualizer, codes, weights, CODEBOOK, seed=0)
    del codes, weights
    frozen = None
    if case.stage == 2:
        model.embedder.requires_grad_(False)
        frozen = model.catalogue_vectors()
    unigram = torch.full((case.n_items,), 1 / case.n_items, dtype=torch.float64)
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = FlatParameters([p for p in trained if p.ndim > 1])
    parameters = [matrices.flat, *(p for p in trained if p.ndim <= 1)]
    optimizer = torch.optim.AdamW(parameters, fused=True)
    drawn = torch.randperm(case.n_items, generator=generator)[: case.batch * (case.context + 1)]
    events = drawn.view(case.batch, -1)
    document = torch.arange(case.batch, dtype=torch.int32)[:, None].repeat(1, case.context)
    batch = BatchTensors(
        events[:, :-1].contiguous(),
        events[:, 1:].contiguous(),
        document,
        torch.ones_like(document, dtype=torch.bool),
    )
    scored = Objective(objective, unigram)
    memory = PeakMemory()
    for step in range(STEPS):
        with torch.autocast("cpu", torch.bfloat16, enabled=case.precision == "bf16-mixed"):
            loss = step_loss(model, scored, batch, frozen, 0, step).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        matrices.zero_grad()
    return memory.bytes()


def measure(case: Case) -> int:
    """Bytes at the peak above what stood before."""
    torch.set_num_threads(1)
    train(TINY)
    before = PeakMemory().bytes()
    return train(case) - before


def shapes() -> list[dict[str, Any]]:
    """Every case, measured in a process of its own."""
    rows = []
    for case in CASES:
        command = [sys.executable, __file__, "--one", json.dumps(asdict(case))]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=RETURNING)
        peak = case.predicted()
        predicted = peak.training.total + peak.working
        parts = asdict(peak.training) | {"working": peak.working}
        row = asdict(case) | {"predicted": predicted, "measured": int(done.stdout), **parts}
        row["ratio"] = row["predicted"] / row["measured"]
        rows.append(row)
        text = " ".join(f"{parts[name] / MIB:>8.0f}" for name in parts)
        print(
            f"{case.name:>18} {case.precision:>10} {text} {predicted / MIB:>10.0f} "
            f"{row['measured'] / MIB:>9.0f} {row['ratio']:>6.2f}",
            flush=True,
        )
    return rows


def records(store: Path) -> list[dict[str, Any]]:
    """Finished runs of a store by their data: predicted, and the process's peak."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for path in sorted(store.glob("*/record.json")):
        try:
            record = Record.from_json(path.read_text(), str(path))
        except RecordError:
            continue  # of an earlier version of the package
        spec, measured = record.spec, record.timings.get("peak_memory_bytes")
        if record.outcome != "done" or measured is None or spec.embedder.kind == "table":
            continue
        peak = peak_memory(
            spec.embedder,
            spec.contextualizer,
            spec.objective,
            stage=spec.stage,
            batch=spec.batch,
            context=spec.data.context,
            tokens=spec.data.tokens,
            n_items=int(record.counts["n_items"]),
            documents=spec.batch,
            block_bytes=TILE_BYTES["cpu"],
            precision=spec.precision,
            device="cpu",
        )
        found[spec.data.source].append((peak.total, int(measured)))
    rows = []
    for source, pairs in found.items():
        low, high = min(pairs), max(pairs)
        base = low[1] - low[0]
        rows.append({"source": source, "runs": len(pairs), "base": base,
                     "predicted": high[0], "measured": high[1] - base})  # fmt: skip
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--one", help="a case as JSON, measured in this process")
    args = parser.parse_args()
    if args.one:
        case = json.loads(args.one)
        print(measure(Case(**case | {"embedder": tuple(case["embedder"])})))
        return
    parts = " ".join(f"{name[:8]:>8}" for name in ("weights", "items", "activations", "candidates"))
    print(f"{'MiB':>18} {'precision':>10} {parts} {'working':>8} {'predicted':>10} measured  ratio")
    rows = shapes()
    kept = records(args.results / "store")
    for r in kept:
        print(
            f"{r['source']}: {r['runs']} runs; the largest predicted at {r['predicted'] / MIB:.0f} "
            f"MiB took {r['measured'] / MIB:.0f} above {r['base'] / MIB:.0f} of the interpreter"
        )
    text = json.dumps({"shapes": rows, "records": kept}, indent=1) + "\n"
    write_text(args.results / "bench" / "memory.json", text)


if __name__ == "__main__":
    main()
