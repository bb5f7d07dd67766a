"""One job: one contestant trained once, on one thread, its result written as JSON.

    python benchmarks/peers/job.py '{"contestant": ..., "shape": ..., ...}' RESULT.json

The runner starts it, in the environment that the contestant needs. Without moments speed alone
is measured.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import torch
from clock import Clock
from contestant import Contestant, Data
from plan import Job
from quality import ndcg
from settings import CONTESTANTS, SHAPES

from behavior_scaling.files import write_text


def run(job: Job, out: Path) -> None:
    """Train and write."""
    began = time.perf_counter()
    torch.set_num_threads(1)
    module, name, _ = CONTESTANTS[job.contestant]
    data = Data.open(Path(job.data))
    contestant: Contestant = getattr(import_module(module), name)(
        SHAPES[job.shape], data, job.lr_factor, job.seed, job.targets
    )
    quality = (lambda: ndcg(contestant, data)) if job.moments else None
    clock = Clock(job.seconds, job.warm, job.moments, quality, job.clock)
    contestant.train(clock)
    clock.finish()
    found = {
        "job": asdict(job),
        "contestant": job.contestant,
        "shape": job.shape,
        "trains_every_position": contestant.trains_every_position,
        "parameters": contestant.parameters(),
        "targets_per_second": clock.rate,
        "seconds": clock.seconds,
        "targets": clock.targets,
        "steps": clock.steps,
        "curve": clock.curve,
        "whole_seconds": time.perf_counter() - began,
        "torch": torch.__version__,
    }
    write_text(out, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    # RecBole reads sys.argv too: what is ours is taken out before it is imported.
    asked, result = sys.argv[1:]
    del sys.argv[1:]
    run(Job(**json.loads(asked)), Path(result).resolve())
