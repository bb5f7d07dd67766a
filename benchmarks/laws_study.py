"""Refit every law of a synthetic study: 600 runs, redrawn users, 1,000 resamples.

Prints the median seconds over repetitions of `fit_study` as a whole and of its parts, on this
machine. The planted study follows a joint law L(N_emb, N_ctx, D_eff, n_cand), with five budgets
on each of the four axes and 64 user groups, so that every fit has something to find.

    OMP_NUM_THREADS=1 python benchmarks/laws_study.py [--repeats 3] [--resamples 1000] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from behavior_scaling.laws.study import fit_study

BUDGETS = 10.0 ** np.arange(13.0, 15.5, 0.5)
GROUPS, POSITIONS = 64, 200_000
UNIQUE, CONTEXT, ITEMS = 4e8, 64, 20_000
METRICS = ("cross_entropy", "recall@10", "ndcg@10", "mrr@10")
SLICES = {"all": 1.0, "session_start": 0.1}
FLOORS = {"validation": {"all": {"markov": {"cross_entropy": 6.5}}}}


def loss(n_emb: float, n_ctx: float, d: float, candidates: float, batch: float) -> float:
    """The planted law, nats an event; the knee of the batch is 150 sequences."""
    used = min(d, UNIQUE) + max(d - UNIQUE, 0.0) * 0.5
    effective = used / (1 + batch / 150)
    sampling = 0.4 * (candidates / 1000) ** -0.6
    return 3.0 + 6 * n_emb**-0.25 + 30 * n_ctx**-0.30 + 300 * effective**-0.35 + sampling


def cells() -> Iterator[dict[str, Any]]:
    """One dictionary a run."""
    for budget in BUDGETS:
        n0 = 3e4 * (budget / 1e13) ** 0.5

        def run(axis: str, seed: int, budget: float = budget, n0: float = n0, **at: Any) -> Any:
            row = {"axis": axis, "arm": "", "budget": budget, "seed": seed, "n_total": n0}
            row |= {"share": 0.08, "batch": 16, "in_batch": 1024, "uniform": 512, "stage": 1}
            row |= at
            row["n_cand"] = float(row["in_batch"] + row["uniform"])
            row["positions"] = budget / (6 * row["n_total"] + 0.6 * row["n_cand"] * n0**0.5)
            return row

        for seed in range(3):
            for n in n0 * 2.0 ** np.arange(-4, 5):
                yield run("allocation", seed, n_total=n)
            for share in np.geomspace(0.005, 0.5, 9):
                yield run("share", seed, share=share)
        for seed in range(2):
            for b in (int(b) for b in 2 ** np.arange(2, 9)):
                yield run("batch", seed, arm="clean", batch=b)
                yield run("batch", seed, arm="as_paper", batch=b, in_batch=16 * b, uniform=0)
            for k in (int(k) for k in np.geomspace(64, 16000, 9)):
                yield run("negatives", seed, arm="popular", stage=2, in_batch=k, uniform=0)
                yield run("negatives", seed, arm="uniform", stage=2, in_batch=64, uniform=k)
            yield run("share", seed, share=0.0, control=True)


def study(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Runs, sums by user group and probes of the synthetic study."""
    runs = pd.DataFrame(list(cells()))
    rng = np.random.default_rng(seed)
    runs.insert(0, "id", [f"{i:016x}" for i in range(len(runs))])
    runs["control"] = runs["control"].fillna(False).astype(bool)
    runs["outcome"], runs["context"] = "done", CONTEXT
    runs["n_emb"] = (runs["share"] * runs["n_total"]).round()
    runs["n_ctx"] = runs["n_total"] - runs["n_emb"]
    runs["n_cand_distinct"], runs["n_items"] = runs["n_cand"], ITEMS
    runs["unique_positions"], runs["epochs"] = UNIQUE, runs["positions"] / UNIQUE
    runs["steps"] = runs["positions"] / (runs["batch"] * 60.0)
    runs["steps_after_warmup"] = 0.95 * runs["steps"]
    runs["flops_nominal"] = runs["flops_executed"] = runs["budget"]
    runs["flops_6nd"] = 6 * runs["n_total"] * runs["positions"]
    runs["tokens"] = 8
    runs["flops_6dnt"] = 6 * runs["positions"] * (runs["n_ctx"] + 8 * runs["n_emb"])
    columns = ("n_emb", "n_ctx", "positions", "n_cand", "batch")
    true = np.array([loss(*(max(v, 1.0) for v in row)) for row in runs[list(columns)].to_numpy()])
    noisy = true + 0.004 * rng.standard_normal(len(runs))
    runs["train_loss"] = noisy - 0.4
    users = _users(runs["id"].to_numpy(), noisy, rng)
    for (split, part, score), rows in users.groupby(["split", "slice", "score"]):
        sums = rows.groupby("id")[[*METRICS, "n_positions"]].sum().loc[runs["id"]]
        for metric in METRICS:
            runs[f"{split}/{score}/{part}/{metric}"] = (sums[metric] / sums["n_positions"]).values
        runs[f"{split}/{score}/{part}/n_positions"] = sums["n_positions"].to_numpy()
        runs[f"{split}/{score}/{part}/n_users"] = 5000
    return runs, users, _probes(runs, rng)


def _users(ids: Any, losses: Any, rng: np.random.Generator) -> pd.DataFrame:
    parts = []
    counts = rng.multinomial(POSITIONS, rng.dirichlet(np.full(GROUPS, 20.0)))
    level = 0.3 * rng.standard_normal(GROUPS)
    for part, size in SLICES.items():
        n = np.maximum((counts * size).astype(int), 1)
        for score, shift in (("restored", 0.0), ("raw", 0.3)):
            own = losses[:, None] + shift + level + 0.02 * rng.standard_normal((len(ids), GROUPS))
            own -= np.average(level, weights=n)
            values = {
                "cross_entropy": own,
                "recall@10": 1 / (1 + np.exp(0.8 * (own - 4))),
                "ndcg@10": 0.5 / (1 + np.exp(0.9 * (own - 4))),
                "mrr@10": 0.4 / (1 + np.exp(own - 4)),
            }
            frame = {
                "id": np.repeat(ids, GROUPS),
                "split": "validation",
                "slice": part,
                "score": score,
                "group": np.tile(np.arange(GROUPS), len(ids)),
                "n_positions": np.tile(n, len(ids)),
            }
            frame |= {name: (value * n).ravel() for name, value in values.items()}
            parts.append(pd.DataFrame(frame))
    return pd.concat(parts, ignore_index=True)


def _probes(runs: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    parts = []
    for run in runs[(runs["axis"] == "batch") & (runs["arm"] == "clean")].itertuples():
        step = np.unique(np.geomspace(10, run.steps, 30).astype(int))
        done = step * run.batch * 60.0
        value = [loss(run.n_emb, run.n_ctx, d, run.n_cand, run.batch) for d in done]
        parts.append(
            pd.DataFrame(
                {
                    "id": run.id,
                    "step": step,
                    "positions": done,
                    "validation_cross_entropy": value + 0.002 * rng.standard_normal(step.size),
                    "gradient_noise": 1.5 * (1 + 0.1 * rng.standard_normal(step.size)),
                    "gradient_signal": 0.01 * (1 + 0.3 * rng.standard_normal(step.size)),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    """Print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--profile", action="store_true", help="where the time goes, one process")
    args = parser.parse_args()
    runs, users, probes = study()
    print(f"{len(runs)} runs, {len(users)} user rows, {args.resamples} resamples")

    def fit(workers: int) -> None:
        fit_study(
            runs, FLOORS, users=users, probes=probes, resamples=args.resamples, workers=workers
        )

    if args.profile:
        with cProfile.Profile() as profile:
            fit(1)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)
        return
    seconds = []
    for _ in range(args.repeats):
        start = time.perf_counter()
        fit(args.workers)
        seconds.append(time.perf_counter() - start)
    print(f"fit_study: median {statistics.median(seconds):.1f} s of {args.repeats}")


if __name__ == "__main__":
    main()
