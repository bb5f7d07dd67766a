"""Plant the archive of a study that nobody trained: whole records of a known law.

Every run of the study's plan gets a record as training writes it (640 metrics, 50 points of the
curve, its probes) and its sums over 64 groups of users, so that what reads an archive finds as many
bytes, columns and budgets as in a real one. The law is a sum of power laws in what the axes vary,
with noise from seeds and from users.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from behavior_scaling.config import load_study
from behavior_scaling.data import sources
from behavior_scaling.layout import Layout
from behavior_scaling.records.archive import write_archive
from behavior_scaling.records.columns import USER_COLUMNS
from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import RunSpec, data_spec
from behavior_scaling.records.store import USERS, Store
from behavior_scaling.sizes.counts import sizes_of
from behavior_scaling.sweep.cells import resolve, unique
from behavior_scaling.sweep.plan import make_plan

GROUPS, UNIQUE = 64, 600_000
SPLITS = ("validation", "test")
SUMMED = {"all": 80_000, "session_start": 3_000}  # slices with sums over users: positions
COUNTED = {
    "in_session": 77_000, "seen_user": 68_000, "unseen_user": 12_000, "cold_item": 5_000,
    "popular_head": 30_000, "popular_tail": 45_000,
}  # fmt: skip
SCORES = {"restored": 0.0, "raw": 0.2}
CUTOFFS = (1, 5, 10, 20, 50)
CURVE = 50
FLOORS = {"unigram": 0.0, "recency": None, "markov": -0.4, "item_knn": None}


def loss(spec: RunSpec, positions: float) -> float:
    """The planted law, nats an event, after that many positions; the knee of B is 40 sequences."""
    sizes = sizes_of(spec, spec.positions)
    used = min(positions, UNIQUE) + 0.5 * max(positions - UNIQUE, 0.0)
    data = 20 * (used / (1 + spec.batch / 40)) ** -0.35
    sampling = 0.4 * (_candidates(spec) / 100) ** -0.6
    return float(
        4.5 + 2 * max(sizes["n_emb"], 30) ** -0.25 + 6 * sizes["n_ctx"] ** -0.3 + data + sampling
    )


def _candidates(spec: RunSpec) -> float:
    return max(spec.objective.in_batch + spec.objective.uniform, 1) * 0.8


def plant(study_file: Path, results: Path, seed: int = 0) -> int:
    """Write the archive of a study to results/archive/<study>; returns its number of records."""
    study = load_study(study_file)
    n_items = sources.get(study.data).info.n_items
    if n_items is None:
        raise ValueError(f"{study_file}: {study.data.name} does not state its number of items")
    data = data_spec(study.data, identity="0" * 64)
    specs = [resolve(cell, study, data) for cell in unique(list(make_plan(study, n_items).cells))]
    parents = {spec.parent for spec in specs}
    store, rng = Store(results / "store"), np.random.default_rng(seed)
    people = _People(rng)
    for spec in specs:
        folder = store.work_dir(spec.id)
        sums, metrics = people.evaluated(loss(spec, spec.positions), rng)
        sums.to_parquet(folder / USERS, index=False)
        if spec.id in parents:
            (folder / "embedder.safetensors").write_bytes(rng.bytes(40_000))
        store.commit(_record(spec, n_items, metrics, rng), folder)
    world = study.data.source.startswith("world-")
    folder = Layout(results, study).archive
    return write_archive(folder, store, [spec.id for spec in specs], data, _floors(world)).held


class _People:
    """Groups of users: how many positions each has and how hard they are."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.shares = rng.dirichlet(np.full(GROUPS, 20.0))
        self.level = 0.3 * rng.standard_normal(GROUPS)

    def evaluated(
        self, level: float, rng: np.random.Generator
    ) -> tuple[pd.DataFrame, dict[str, float | int | None]]:
        """User sums and metrics of a run whose loss is `level`."""
        metrics: dict[str, float | int | None] = {}
        frames = []
        noisy = level + 0.004 * rng.standard_normal()
        for split in SPLITS:
            for score, shift in SCORES.items():
                for part, positions in (SUMMED | COUNTED).items():
                    place = f"{split}/{score}/{part}"
                    n = np.maximum((positions * self.shares).astype(int), 1)
                    own = noisy + shift + self.level + 0.02 * rng.standard_normal(GROUPS)
                    values = {"cross_entropy": own, **_rankings(own)}
                    metrics |= {
                        f"{place}/{name}": float(np.average(value, weights=n))
                        for name, value in values.items()
                    }
                    metrics |= {f"{place}/n_positions": int(n.sum()), f"{place}/n_users": 1_000}
                    if part in SUMMED:
                        frame = pd.DataFrame({k: v * n for k, v in values.items()})
                        frame["n_positions"], frame["group"] = n, np.arange(GROUPS)
                        frame["split"], frame["slice"], frame["score"] = split, part, score
                        frames.append(frame[list(USER_COLUMNS)])
        metrics["train_loss"] = noisy - 0.4
        return pd.concat(frames, ignore_index=True), metrics


def _rankings(own: Any) -> dict[str, Any]:
    """Every ranking metric as a falling function of the loss."""
    out = {"accuracy": 0.2 / (1 + np.exp(own - 4))}  # np.float64 is a float to JSON
    for k in CUTOFFS:
        hit = 1 / (1 + np.exp(0.8 * (own - 3 - 0.5 * math.log(k))))
        out |= {f"recall@{k}": hit, f"ndcg@{k}": 0.55 * hit, f"mrr@{k}": 0.4 * hit}
    return out


def _record(
    spec: RunSpec, n_items: int, metrics: dict[str, float | int | None], rng: np.random.Generator
) -> Record:
    steps = max(spec.positions // (spec.batch * spec.data.context), 2)
    counts = {
        "n_items": n_items,
        "n_cand_distinct": min(_candidates(spec), float(n_items)),
        "unique_positions": UNIQUE,
        "steps": steps,
        "steps_after_warmup": int(0.95 * steps),
        "flops_nominal": spec.budget,
        "flops_executed": 0.8 * spec.budget,
        "flops_probe": 0.05 * spec.budget,
        "flops_cache": 0.0,
    }
    done = [spec.positions * (i + 1) // CURVE for i in range(CURVE)]
    curve = [
        {"positions": p, "lr": spec.optimizer.lr, "train_loss": loss(spec, p) - 0.4} for p in done
    ]
    seconds = spec.budget / 2e10
    timings = {"seconds": seconds, "train_seconds": 0.8 * seconds, "events_per_second": 2e4}
    return Record(spec, "done", None, counts, metrics, curve, _probes(spec, steps, rng), timings)


def _probes(spec: RunSpec, steps: int, rng: np.random.Generator) -> list[dict[str, float | None]]:
    at = np.unique(np.geomspace(max(1, steps // 20), steps, max(spec.probes, 1)).astype(int))
    return [
        {
            "step": int(step),
            "positions": int(spec.positions * step / steps),
            "validation_cross_entropy": loss(spec, spec.positions * step / steps)
            + 0.002 * rng.standard_normal(),
            "gradient_noise": 1.5 * (1 + 0.1 * rng.standard_normal()),
            "gradient_signal": 0.01 * (1 + 0.3 * rng.standard_normal()),
        }
        for step in (at if spec.probes else ())
    ]


def _floors(world: bool) -> dict[str, Any]:
    values: dict[str, Any] = {
        floor: {"cross_entropy": None if shift is None else 7.0 + shift}
        | _rankings(np.float64(7.0))
        for floor, shift in FLOORS.items()
    }
    if world:
        known = {"cross_entropy": 4.5, "standard_error": 0.005, "H": 4.5, "H_se": 0.002}
        values["oracle"] = known | _rankings(np.float64(4.5))
    return {split: dict.fromkeys((*SUMMED, *COUNTED), values) for split in SPLITS}
