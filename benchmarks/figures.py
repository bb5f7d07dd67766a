"""What `make figures` takes of a shipped study: from its archive to the paper.

Plants the archive of a study and of its parts in a temporary folder (figures_planted.py), runs
Snakemake there as `make figures` does, and then every step by hand. Wall seconds tell only on an
idle machine; seconds of processor time (of a step and all that it starts) tell on a busy one, too:
two cores need at least half of their sum.

    OMP_NUM_THREADS=1 python benchmarks/figures.py [--study config/pilot.yaml] [--cores 2]
        [--out results/bench/figures.json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from figures_planted import plant

from behavior_scaling.config import load_parts, load_study
from behavior_scaling.report.names import FIGURES

ROOT = Path(__file__).parents[1]
READ = ("Snakefile", "workflow", "config", "paper", "envs", "profiles")  # by Snakemake
PYTHON = (sys.executable, "-m", "behavior_scaling")


def main() -> None:
    """Plant, time, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=ROOT / "config" / "pilot.yaml")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/bench/figures.json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in READ:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)
        study, results = load_study(args.study), folder / "results"
        parts = load_parts(args.study, study)
        runs = {file.stem: plant(file, results) for file in (args.study, *parts)}
        print(f"{sum(runs.values())} runs planted: {runs}")
        config = args.study.resolve()
        whole = (
            sys.executable, "-m", "snakemake", "--cores", str(args.cores), "--config",
            f"study={config}", "runs=archive", "--quiet", "all", "--", "figures",
        )  # fmt: skip
        rows = [timed("make figures", whole, folder)]
        rows += [timed("nothing to do", whole, folder)]
        rows += [
            timed(step, command, folder)
            for step, command in steps(config, study.name, list(parts), results).items()
        ]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    found = {"runs": runs, "cores": args.cores, "load": os.getloadavg()[0], "steps": rows}
    args.out.write_text(json.dumps(found, indent=1) + "\n")


def steps(config: Path, name: str, parts: list[Path], results: Path) -> dict[str, tuple[str, ...]]:
    """The steps of the DAG, as its rules call them."""
    folder = results / name
    tables = [f"--{table}={folder / table}.parquet" for table in ("users", "probes")]
    floors, study = f"--floors={folder}/floors.json", f"--config={config}"
    runs, shown = f"{folder}/runs.parquet", f"--results={folder}"
    collect = (study, f"--archive={results}/archive/{name}", f"--out={runs}", *tables, floors)
    template = (f"--template={ROOT}/paper/paper.md", f"--out={folder}/paper.pdf")
    commands: dict[str, tuple[str, ...]] = {
        "collect": ("collect", *collect),
        "fit": ("fit", f"--runs={runs}", *tables, floors, f"--out={folder}/laws"),
        **{f"part {file.stem}": ("part", f"--config={file.resolve()}") for file in parts},
        "figures": ("figure", *FIGURES, shown, floors),
        "tables": ("tables", shown, floors),
        "claims": ("claims", shown),
        "numbers": ("numbers", study, shown, floors),
        "paper": ("paper", shown, *template),
    }
    return {step: (*PYTHON, *command) for step, command in commands.items()}


def timed(step: str, command: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Wall and processor seconds of a command and all that it starts."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        logs = "".join(path.read_text() for path in sorted(folder.glob("results/logs/*.log")))
        raise SystemExit(f"{step}: {done.stdout}{done.stderr}{logs}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{step:24} {wall:7.1f} s {spent:7.1f} processor s")
    return {"step": step, "seconds": round(wall, 2), "processor_seconds": round(spent, 2)}


if __name__ == "__main__":
    main()
