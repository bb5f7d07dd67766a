"""Exact full-catalogue ranking: time and memory by catalogue size, and against libraries.

    python benchmarks/ranking.py [--results results] [--skip-large]

Libraries: ranx (from plain arrays, and from the Run of dictionaries that its guide shows) and
torchmetrics, each from the best 50 of every position (torch.topk, in their time), which is all
that their metrics need. Ours is timed twice: the same metrics alone, and all that evaluation
keeps (log-probabilities and coverage besides). One thread, processor seconds, medians. A library
that is not installed is named as missing. Memory is what ranking adds to a process that holds the
item vectors, each size in a process of its own. Prints tables, writes
results/bench/ranking.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import torch
from ranking_peers import PEERS, Metrics
from throughput import build
from timing import processor_seconds
from torch import Tensor

from behavior_scaling.config import load_study
from behavior_scaling.data.store import Dataset
from behavior_scaling.evaluate.counting import Counts, Own, Partition
from behavior_scaling.evaluate.kinds import Kinds
from behavior_scaling.evaluate.lists import Coverage, Lists
from behavior_scaling.evaluate.metrics import rank_metrics
from behavior_scaling.evaluate.ranking import evaluate
from behavior_scaling.evaluate.scoring import Catalogue, Reader
from behavior_scaling.files import write_text
from behavior_scaling.layout import Layout

POSITIONS, WIDTH = 10_000, 64
PEER_ITEMS = (1_682, 50_000)
SIZES = (
    (1_682, 10_000),
    (50_000, 10_000),
    (262_144, 10_000),
    (1_000_000, 10_000),
    (9_400_000, 1_000),
)  # fmt: skip  items, positions
SMALL = 1_000_000  # the sizes up to here are measured by --skip-large


def world(n_items: int, positions: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scaled states, item vectors, targets."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(positions, WIDTH, generator=generator) / 4
    items = torch.randn(n_items, WIDTH, generator=generator)
    return states, items, torch.randint(n_items, (positions,), generator=generator)


class Ours:
    """Counts of all positions, then every metric; `alone` without log-probabilities and lists."""

    def __init__(self, items: Tensor):
        every = np.zeros((len(items), 0), np.int32)
        stub: Any = SimpleNamespace(codes=every, weights=every, n_items=len(items))
        self.kinds = Kinds(stub, distinct=True)
        self.items = items

    def ranked(self, states: Tensor, targets: Tensor, alone: bool = False) -> Metrics:
        """From states."""
        catalogue = Catalogue(self.kinds, self.items)
        readers = self._readers(catalogue, targets, alone)
        catalogue.read(states.split(catalogue.rows()), readers)
        return self._metrics(readers)

    def from_scores(self, scores: Tensor, targets: Tensor, alone: bool = False) -> Metrics:
        """From a matrix of scores."""
        catalogue = Catalogue(self.kinds, self.items[:, :0])
        readers = self._readers(catalogue, targets, alone)
        for block, theirs in zip(scores.split(catalogue.rows()), readers, strict=True):
            for reader in theirs:
                reader.first(block, 0)
            for reader in theirs:
                reader.second(block, 0)
        return self._metrics(readers)

    def _readers(self, catalogue: Catalogue, targets: Tensor, alone: bool) -> list[list[Reader]]:
        kinds, scratch = self.kinds, catalogue.scratch
        coverage = Coverage(kinds, 10, targets.device)
        blocks = []
        for some in targets.split(catalogue.rows()):
            rows = torch.arange(len(some))
            own = Own(kinds, rows, some)
            readers: list[Reader] = [own, Counts(own, kinds, scratch)]
            if not alone:
                partition = Partition(len(some), kinds, scratch, targets.device)
                readers += [partition, Lists(coverage, rows)]
            blocks.append(readers)
        return blocks

    def _metrics(self, readers: list[list[Reader]]) -> Metrics:
        counts = [one for theirs in readers for one in theirs if isinstance(one, Counts)]
        higher = torch.cat([one.higher() for one in counts]).numpy()
        equal = torch.cat([one.equal() for one in counts]).numpy()
        return {name: float(value.mean()) for name, value in rank_metrics(higher, equal).items()}


def against_peers(n_items: int) -> dict[str, Any]:
    """Seconds from scores to metrics, and with the matrix product, ours and theirs."""
    states, items, targets = world(n_items, POSITIONS)
    ours = Ours(items)
    expected = ours.ranked(states, targets)
    scores = states @ items.T
    product = processor_seconds(lambda: torch.mm(states, items.T, out=scores), 3)
    row: dict[str, Any] = {"items": n_items, "positions": POSITIONS, "product": product}
    for name, alone in (("alone", True), ("all", False)):
        call = partial(ours.from_scores, scores, targets, alone)
        whole = partial(ours.ranked, states, targets, alone)
        row[f"ours, {name}"] = {
            "seconds": processor_seconds(call, 5), "with_product": processor_seconds(whole, 5)
        }  # fmt: skip
    for name, peer in PEERS.items():
        try:
            with warnings.catch_warnings(action="ignore"):
                stages, found = peer(scores, targets)
        except ImportError:
            row[name] = None
            continue
        for metric, value in found.items():
            if abs(value - expected[metric]) > 1e-5:
                raise ValueError(f"{name} {metric}: {value}, ours {expected[metric]}")
        theirs = sum(stages.values())
        row[name] = {**stages, "seconds": theirs, "with_product": theirs + product}
    return row


def one_size(n_items: int, positions: int) -> dict[str, float]:
    """Seconds and added memory of ranking in this process, which should be a fresh one."""
    Ours(world(2_000, 1)[1]).ranked(*world(2_000, 64)[::2])
    states, items, targets = world(n_items, positions)
    ours = Ours(items)
    before = peak_bytes()
    took = processor_seconds(lambda: ours.ranked(states, targets), 1)
    added = peak_bytes() - before
    return {"items": n_items, "positions": positions, "seconds": took, "added_bytes": added,
            "ns_a_score": took / n_items / positions * 1e9,
            "seconds_10k_positions": took * POSITIONS / positions,
            "projected": positions != POSITIONS}  # fmt: skip


def peak_bytes() -> int:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def by_size(largest: int) -> list[dict[str, float]]:
    """One process for each size."""
    rows = []
    for n_items, positions in SIZES:
        if n_items > largest:
            continue
        command = [sys.executable, __file__, "--size", str(n_items), str(positions)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout))
    return rows


def table(found: dict[str, Any]) -> str:
    """What was found, to read."""
    lines = [f"evaluate() of the study's data: {found['evaluate_seconds']:.3f} s",
             "", "items      positions  s/10k pos.  ns/score  added MiB"]  # fmt: skip
    for row in found["by_size"]:
        projected = " projected" if row["projected"] else ""
        lines.append(f"{row['items']:<10,} {row['positions']:<10,} "
                     f"{row['seconds_10k_positions']:<11.2f} {row['ns_a_score']:<9.2f} "
                     f"{row['added_bytes'] / 2**20:.0f}{projected}")  # fmt: skip
    lines += ["", "seconds for 10,000 positions, and their ratios to ours: the metrics alone, all",
              f"{'items':<8} {'':<14} {'from scores':<12} {'alone':<7} {'all':<7} "
              f"{'with product':<13} {'alone':<7} all"]  # fmt: skip
    for row in found["peers"]:
        for name in ("ours, alone", "ours, all", *PEERS):
            one = row[name]
            start = f"{row['items']:<8,} {name:<14} "
            if one is None:
                lines.append(f"{start}not installed")
                continue
            text = start
            for key, wide in (("seconds", 12), ("with_product", 13)):
                text += f"{one[key]:<{wide}.3f} "
                for base in ("ours, alone", "ours, all"):
                    text += f"{one[key] / row[base][key]:<7.1f} "
            lines.append(text.rstrip())
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("config/quick.yaml"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--skip-large", action="store_true", help="no catalogue above a million")
    parser.add_argument("--size", type=int, nargs=2, help="items, positions: that size alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        if args.size:
            print(json.dumps(one_size(*args.size)))
            return
        dataset = Dataset.open(Layout(args.results, load_study(args.config)).data)
        model, objective = build(dataset, 20, 14, 1)
        evaluate(model, objective, dataset)
        found = {
            "evaluate_seconds": processor_seconds(lambda: evaluate(model, objective, dataset), 5),
            "by_size": by_size(SMALL if args.skip_large else SIZES[-1][0]),
            "peers": [against_peers(n_items) for n_items in PEER_ITEMS],
        }
    write_text(args.results / "bench" / "ranking.json", json.dumps(found, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
