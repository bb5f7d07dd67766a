"""The loss by number of candidates: time and peak memory against losses that keep the logits.

    python benchmarks/loss.py [--results results]

Contestants: `ours` (model/cross_entropy.py), `masked` (with correction and own-sequence mask),
`naive` (torch's cross_entropy over the matrix of logits) and torch's linear_cross_entropy. Every
measurement has a process of its own: three calls, forward and backward, the median of their wall
times, and the peak of resident memory above what stood before the first call; a gradient of the
candidates is part of it, its size is printed beside. One thread. Prints one table and writes
results/bench/loss.json. Fused losses for GPUs (cut-cross-entropy, liger-kernel) need triton and
cannot be imported on a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from timing import seconds
from torch import Tensor
from torch.nn import functional

from behavior_scaling.files import write_text
from behavior_scaling.model.cross_entropy import Terms, cross_entropy
from behavior_scaling.model.logit_tiles import Exclusions
from behavior_scaling.train.machine import PeakMemory

POSITIONS = 4096
LENGTH = 64  # positions of a sequence, all of whose items are excluded in `masked`
MATRIX_LIMIT = 2 << 30  # bytes of logits above which a loss that keeps three of them is not tried


@dataclass(frozen=True)
class Case:
    """One measurement."""

    contestant: str
    candidates: int  # K
    width: int  # d
    frozen: bool


CASES = [
    Case(contestant, candidates, 64, frozen)
    for frozen in (False, True)
    for candidates in (1_024, 8_192, 65_536, 262_144)
    for contestant in ("ours", "masked", "naive", "linear_cross_entropy")
    if contestant in ("ours", "masked") or 4 * POSITIONS * candidates <= MATRIX_LIMIT
] + [Case("ours", 2_000_000, 256, True)]


def measure(case: Case) -> dict[str, float]:
    """Seconds a call, and MiB above the inputs."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    vectors = torch.empty(case.candidates, case.width).normal_(generator=generator)
    vectors.mul_(case.width**-0.5).requires_grad_(not case.frozen)
    queries = torch.randn(POSITIONS, case.width, generator=generator).requires_grad_()
    targets = torch.randint(0, case.candidates, (POSITIONS,), generator=generator)
    own = vectors.detach()[targets].requires_grad_(not case.frozen)
    sequence = torch.arange(POSITIONS) // LENGTH
    terms = Terms(torch.zeros(POSITIONS))
    if case.contestant == "masked":
        zeros = torch.zeros(POSITIONS), torch.zeros(case.candidates)
        terms = Terms(
            torch.ones(POSITIONS),
            *zeros,
            Exclusions(sequence, sequence, targets, int(sequence[-1]) + 1),
        )
    leaves = [x for x in (queries, own, vectors) if x.requires_grad]
    if case.contestant not in ("ours", "masked"):
        leaves = [x for x in (queries, vectors) if x.requires_grad]

    def loss() -> Tensor:
        if case.contestant == "naive":
            return functional.cross_entropy(queries @ vectors.t(), targets)
        if case.contestant == "linear_cross_entropy":
            return functional.linear_cross_entropy(queries, vectors, targets)
        return cross_entropy(queries, own, vectors, terms)

    repeats = 1 if case.candidates > 1_000_000 else 3
    memory = PeakMemory()
    before = memory.bytes()
    took = seconds(lambda: torch.autograd.grad(loss(), leaves), repeats)
    return {"seconds": took, "peak_mib": (memory.bytes() - before) / 2**20}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--one", help="a case as JSON, measured in this process")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(Case(**json.loads(args.one)))))
        return
    rows = []
    print(f"{POSITIONS} positions, forward and backward, one thread")
    print(f"{'candidates':>10} {'d':>4} {'stage':>7} {'loss':>22} {'seconds':>9} {'MiB above':>10}")
    for case in CASES:
        command = [sys.executable, __file__, "--one", json.dumps(asdict(case))]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        row = asdict(case) | json.loads(done.stdout)
        rows.append(row)
        stage = "frozen" if case.frozen else "trained"
        print(
            f"{case.candidates:>10,} {case.width:>4} {stage:>7} {case.contestant:>22} "
            f"{row['seconds']:>9.3f} {row['peak_mib']:>10.0f}",
            flush=True,
        )
    write_text(args.results / "bench" / "loss.json", json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
