"""The law solver beside scipy: starts, bootstrap, time per start, import.

    python benchmarks/laws_solver.py [--results results] [--known FOLDER]

Fits approach 3 (Huber delta 1e-3 on log losses) to the 240 Chinchilla points where
FOLDER/chinchilla_points.csv is there (default: known_answers beside BEHAVIOR_SCALING_MIRROR), else
to a synthetic table of the same shape. Prints one table and writes results/bench/laws_solver.json.
Medians over repeats, scipy in the same run; the machine's other load is in the numbers.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import numpy.typing as npt
from scipy import optimize
from timing import seconds

from behavior_scaling.files import write_text
from behavior_scaling.laws.many import minimise_many
from behavior_scaling.laws.parametric import DELTA, fit_parametric, hoffmann_grid
from behavior_scaling.laws.term_problem import Asked, Input, Problem, checked

Array = npt.NDArray[np.float64]
Table = tuple[Array, Array, Array]  # loss, N, D

STARTS = 100
WHOLE = "ours, 4500 starts at once"
MODULE = "behavior_scaling.laws.parametric"


def chinchilla(path: Path) -> Table:
    """240 of the 245 points: the five largest losses dropped."""
    names = ("loss", "Model Size", "Training FLOP")
    with path.open() as file:
        rows = [[float(row[name]) for name in names] for row in csv.DictReader(file)]
    loss, n, c = np.array(rows).T
    keep = loss < np.sort(loss)[-5]
    return loss[keep], n[keep], (c / (6 * n))[keep]


def synthetic() -> Table:
    """240 points on nine budgets, noise of a per cent."""
    rng = np.random.default_rng(0)
    n = 10 ** rng.uniform(7.6, 10.2, 240)
    d = rng.choice(10 ** np.linspace(18, 21.5, 9), 240) / (6 * n)
    clean = 1.8172 + 477.8 * n**-0.3473 + 2143.0 * d**-0.3672
    return clean * np.exp(0.01 * rng.standard_normal(240)), n, d


def objective(table: Table) -> tuple[Callable[[Array], float], Callable[[Array], Array]]:
    """The sum of Huber(r) over points and its gradient, in log E, log A, alpha, log B, beta."""
    log_y, log_n, log_d = (np.log(column) for column in table)

    def parts(t: Array) -> tuple[Array, Array]:
        logs = np.stack([t[0] + 0 * log_n, t[1] - t[2] * log_n, t[3] - t[4] * log_d])
        total = np.logaddexp.reduce(logs)
        return total - log_y, np.exp(logs - total)

    def value(t: Array) -> float:
        size = np.abs(parts(t)[0])
        return float(np.sum(np.where(size <= DELTA, size**2 / 2, DELTA * (size - DELTA / 2))))

    def gradient(t: Array) -> Array:
        residual, share = parts(t)
        e, a, b = share * np.clip(residual, -DELTA, DELTA)
        return np.array([e.sum(), a.sum(), -(a @ log_n), b.sum(), -(b @ log_d)])

    return value, gradient


def scipy_starts(table: Table, starts: Array, *, analytic: bool) -> Array:
    """Objectives that L-BFGS-B reaches from each start, the objective over delta as is usual."""
    value, gradient = objective(table)
    found = []
    for start in starts:
        result = optimize.minimize(
            lambda t: value(t) / DELTA,
            start,
            jac=(lambda t: gradient(t) / DELTA) if analytic else None,
            method="L-BFGS-B",
        )
        found.append(result.fun * DELTA)
    return np.array(found)


def our_problem(table: Table) -> Problem:
    """The table as the shared solver sees it."""
    loss, n, d = table
    inputs = [Input("A", "alpha", n), Input("B", "beta", d)]
    return checked(loss, inputs, Asked("log", DELTA, 0, 0), floor=True)


def solved(table: Table, starts: Array) -> Array:
    """The least objective, once for each start that reached it; infinite for the others."""
    problem = our_problem(table)
    found = problem.solve(problem.centred(starts))
    out = np.full(len(starts), np.inf)
    out[: round(found.best_share * len(starts))] = found.objective
    return out


def unmerged(table: Table, starts: Array) -> Array:
    """Objectives that the shared solver reaches from each start, no two of them merged."""
    problem = our_problem(table)
    model, y, bounds = problem.model(), problem.observed, problem.bounds()
    theta = problem.centred(starts)
    near = minimise_many(model, y, theta, *bounds, newton=False, tolerance=1e-8, max_iterations=60)
    return minimise_many(model, y, near.parameters, *bounds, delta=DELTA).objective


def per_start(table: Table, repeats: int) -> dict[str, dict[str, float]]:
    """Seconds a start, and what the starts reach, of each way on the same starts."""
    grid = hoffmann_grid()
    starts = grid[np.random.default_rng(0).choice(len(grid), STARTS, replace=False)]
    count = {WHOLE: len(grid)}
    ways: dict[str, Callable[[], Array]] = {
        WHOLE: lambda: solved(table, grid),
        "ours": lambda: solved(table, starts),
        "ours, none merged": lambda: unmerged(table, starts),
        "scipy, analytic gradients": lambda: scipy_starts(table, starts, analytic=True),
        "scipy, numeric gradients": lambda: scipy_starts(table, starts, analytic=False),
    }
    reached = {name: way() for name, way in ways.items()}
    best = min(float(np.min(found)) for found in reached.values())
    return {
        name: {
            "seconds": seconds(way, repeats) / count.get(name, STARTS),
            "least": float(np.min(reached[name])),
            "at_the_best": float(np.mean(reached[name] <= best * (1 + 1e-6))),
        }
        for name, way in ways.items()
    }


def import_module() -> None:
    """A fresh process that imports the law and ends."""
    subprocess.run([sys.executable, "-c", f"import {MODULE}"], check=True)


def measure(table: Table, repeats: int) -> dict[str, float]:
    """Seconds of the whole calls."""
    return {
        f"{len(hoffmann_grid())} starts of Hoffmann's grid (target 3)": seconds(
            lambda: fit_parametric(*table, starts=hoffmann_grid(), bootstrap=0), repeats
        ),
        "4000 resamples with re-fit (target 30)": seconds(
            lambda: fit_parametric(*table, bootstrap=4000), repeats
        ),
        f"import {MODULE} (target 0.7)": seconds(import_module, repeats),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    mirror = Path(os.environ.get("BEHAVIOR_SCALING_MIRROR", "mirror"))
    parser.add_argument("--known", type=Path, default=mirror.parent / "known_answers")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    path = args.known / "chinchilla_points.csv"
    table = chinchilla(path) if path.is_file() else synthetic()
    data = "the 240 Chinchilla points" if path.is_file() else "240 synthetic points"
    calls, starts = measure(table, args.repeats), per_start(table, args.repeats)
    numeric = starts["scipy, numeric gradients"]["seconds"]
    print(f"{data}; medians of {args.repeats}\n")
    for name, took in calls.items():
        print(f"{took:8.2f} s  {name}")
    print(
        f"\n{STARTS} starts{'':22}ms a start  faster by  least objective  at the best (target 50)"
    )
    for name, row in starts.items():
        print(
            f"{name:30s} {row['seconds'] * 1e3:10.2f} {numeric / row['seconds']:10.1f}"
            f"     {row['least']:.10f}  {row['at_the_best']:10.0%}"
        )
    found = {"data": data, "repeats": args.repeats, "seconds": calls, "starts": starts}
    write_text(args.results / "bench" / "laws_solver.json", json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
