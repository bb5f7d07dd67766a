"""Training of behavior-scaling against its peers: one command from nothing to the table.

    python benchmarks/peers/run.py [--quick] [--fresh] [--results results] [--venv DIR]
                                   [--clock wall|cpu]

Makes the peers' environment, exports the quick study's data, runs every job that has no result
yet (two side by side, one thread each, contestants alternating), prints the table and writes
results/bench/peers.json. README.md beside this file defines the numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clock import SOURCES
from environment import HERE, peers_python
from export import export
from plan import Job, quality_jobs, throughput_jobs
from settings import CONTESTANTS, FULL, QUICK
from table import curves_csv, render, summary

from behavior_scaling.config import load_study
from behavior_scaling.files import write_text
from behavior_scaling.layout import Layout

ROOT = HERE.parents[1]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
SIDE_BY_SIDE = 2

Result = dict[str, Any]


class Runner:
    """Runs jobs that have no result yet.

    Args:
        folder: where results lie, one JSON a job.
        peers: interpreter of the peers' environment.

    Attributes:
        failed: the last line of what each failed job said.
    """

    def __init__(self, folder: Path, peers: Path):
        self._folder = folder
        self._peers = peers
        self.failed: dict[str, str] = {}

    def run(self, jobs: dict[str, Job]) -> dict[str, Result]:
        """Results by the jobs' names, in order; jobs that fail are left out and named."""
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            found = list(pool.map(self._one, jobs, jobs.values()))
        return {name: result for name, result in zip(jobs, found, strict=True) if result}

    def _one(self, name: str, job: Job) -> Result | None:
        file = self._folder / f"{name}.json"
        if file.is_file():
            found: Result = json.loads(file.read_text())
            if found["job"] == json.loads(json.dumps(asdict(job))):
                return found
        python = self._peers if CONTESTANTS[job.contestant][2] else Path(sys.executable)
        # The peers read a few numpy-only modules of the package, which they have not installed.
        own = dict.fromkeys(THREADS, "1") | {"PYTHONPATH": str(ROOT / "src")}
        command = [str(python), str(HERE / "job.py"), json.dumps(asdict(job)), str(file)]
        log = file.with_suffix(".log")
        with log.open("w") as output:
            ended = subprocess.run(command, env=os.environ | own, stdout=output, stderr=output)
        if ended.returncode:
            self.failed[name] = f"{log}: {(log.read_text().splitlines() or ['no word'])[-1]}"
            print(f"{name}: FAILED, {self.failed[name]}", flush=True)
            return None
        found = json.loads(file.read_text())
        print(f"{name}: {found['targets_per_second']:,.0f} targets/s", flush=True)
        return found


def main() -> None:
    """Make the environment, run what is missing, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="minutes; for a look, not for quoting")
    parser.add_argument("--fresh", action="store_true", help="forget the results of earlier calls")
    parser.add_argument("--clock", choices=SOURCES, default="wall", help="cpu: on a busy machine")
    parser.add_argument("--config", type=Path, default=ROOT / "config" / "quick.yaml")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--venv", type=Path, default=HERE / ".venv")
    args = parser.parse_args()
    bench = args.results / "bench"
    folder = bench / ("peers-quick" if args.quick else "peers")
    if args.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    peers = peers_python(args.venv)
    data = folder / "data"
    export(Layout(args.results, load_study(args.config)).data, data)
    durations = QUICK if args.quick else FULL
    runner = Runner(folder, peers.absolute())
    name = str(data.resolve())
    throughput = list(runner.run(throughput_jobs(name, durations, args.clock)).values())
    quality = list(runner.run(quality_jobs(name, durations, args.clock, throughput)).values())
    found = summary(throughput, quality) | {"failed": runner.failed}
    write_text(bench / f"{folder.name}.json", json.dumps(found, indent=1) + "\n")
    write_text(bench / f"{folder.name}-curves.csv", curves_csv(quality))
    print(render(found))
    if runner.failed:
        raise SystemExit("some jobs failed: the table lacks them")


if __name__ == "__main__":
    main()
