"""A planted study: a runs table whose laws are known, and helpers to draw noisy curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from behavior_scaling.laws.curve import CurveData, curve_data
from behavior_scaling.laws.noise import NoiseLevel

RESTORED = "validation/restored/all"
BUDGETS = (1e10, 1e11, 1e12)


@dataclass(frozen=True)
class Truth:
    """What the planted study was made from."""

    n_exponent: float = 0.5
    n_at_1e11: float = 9000.0
    share: float = 0.03
    knee: float = 40.0
    candidates: float = 400.0
    sd: float = 0.004


Curves = Callable[..., CurveData]


@pytest.fixture
def noisy_curve() -> Curves:
    """Draw replicated cells around a curve: values [cells], sd of a run, seeds a cell."""

    def draw(
        rng: np.random.Generator,
        x: npt.ArrayLike,
        truth: npt.ArrayLike,
        sd: float,
        seeds: int = 2,
        budget: float = 1e11,
        **columns: npt.ArrayLike,
    ) -> CurveData:
        runs = np.asarray(truth) + sd * rng.standard_normal((seeds, np.size(x)))
        mean = runs.mean(axis=0)
        within, df = float(np.sum((runs - mean) ** 2)), np.size(x) * (seeds - 1)
        noise = NoiseLevel(within / df, df) if df else NoiseLevel(None, 0.0, "no replicates")
        return curve_data(
            budget,
            x,
            mean,
            noise=noise,
            repeats=np.full(np.size(x), seeds),
            within=within,
            columns=columns,
        )

    return draw


def _row(axis: str, arm: str, budget: float, seed: int, **values: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "axis": axis,
        "arm": arm,
        "budget": budget,
        "seed": seed,
        "stage": 2 if axis == "negatives" else 1,
        "outcome": "done",
        "control": False,
        "n_total": 9000.0,
        "share": 0.03,
        "batch": 16,
        "context": 64,
        "in_batch": 1024,
        "uniform": 0,
        "n_cand_distinct": 900.0,
        "n_items": 4000,
        "positions": 1e6,
        "unique_positions": 6e5,
    }
    row.update(values)
    row["epochs"] = row["positions"] / row["unique_positions"]
    row["steps"] = row["positions"] / (row["batch"] * 60.0)
    row["steps_after_warmup"] = 0.95 * row["steps"]
    row["n_emb"] = round(row["share"] * row["n_total"])
    row["n_ctx"] = row["n_total"] - row["n_emb"]
    return row


def _rows(truth: Truth, seeds: int) -> list[dict[str, Any]]:
    rows = []
    for budget in BUDGETS:
        base = 7.0 - 0.3 * np.log10(budget / 1e10)
        best = truth.n_at_1e11 * (budget / 1e11) ** truth.n_exponent
        for seed in range(seeds):
            for n in best * 2.0 ** np.arange(-3, 4):
                loss = base + 0.03 * np.log(n / best) ** 2
                d = budget / (6 * n) / 10
                rows.append(_row("allocation", "", budget, seed, n_total=n, positions=d, loss=loss))
            for s in np.geomspace(0.004, 0.4, 8):
                u = s / truth.share
                loss = base + 0.05 * (u / 1.0 + u**-0.6 / 0.6)
                rows.append(_row("share", "", budget, seed, share=s, loss=loss))
            rows.append(_row("share", "", budget, seed, share=0.0, loss=base + 1, control=True))
            for b in 2.0 ** np.arange(0, 9):
                loss = base + 0.5 * ((1 + b / truth.knee) ** 0.3 - 1) / 0.3
                rows.append(
                    _row("batch", "clean", budget, seed, batch=b, positions=8e6, loss=loss,
                         unique_positions=1e7)
                )  # fmt: skip
            for k in np.geomspace(40, 3500, 8):
                u = k / truth.candidates
                loss = base + 0.04 * (u**0.8 / 0.8 + u**-0.9 / 0.9)
                rows.append(
                    _row("negatives", "uniform", budget, seed, uniform=int(k),
                         n_cand_distinct=k, loss=loss)
                )  # fmt: skip
    return rows


@pytest.fixture
def planted() -> Callable[..., tuple[pd.DataFrame, Truth]]:
    """A study of four axes and three budgets; recall etc. fall exactly as the loss rises."""

    def make(seeds: int = 2, seed: int = 0) -> tuple[pd.DataFrame, Truth]:
        truth = Truth()
        frame = pd.DataFrame(_rows(truth, seeds))
        rng = np.random.default_rng(seed)
        loss = frame.pop("loss") + truth.sd * rng.standard_normal(len(frame))
        frame.insert(0, "id", [f"run{i:04d}" for i in range(len(frame))])
        frame[f"{RESTORED}/cross_entropy"] = loss
        frame["validation/raw/all/cross_entropy"] = loss + 0.3
        frame["train_loss"] = loss - 0.5
        frame[f"{RESTORED}/recall@10"] = 1 / (1 + np.exp(loss - 5))
        frame[f"{RESTORED}/ndcg@10"] = 1 - np.exp((loss - 9) / 10)
        frame[f"{RESTORED}/mrr@10"] = 1 - np.exp((loss - 9) / 12)
        return frame, truth

    return make


@pytest.fixture
def central_difference() -> Callable[..., npt.NDArray[np.float64]]:
    """Jacobian [n, p] of a vector function by central differences."""

    def jacobian(
        function: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
        at: npt.ArrayLike,
    ) -> npt.NDArray[np.float64]:
        theta = np.asarray(at, dtype=np.float64)
        columns = []
        for i in range(theta.size):
            step = np.zeros_like(theta)
            step[i] = 1e-6 * max(abs(theta[i]), 1.0)
            columns.append((function(theta + step) - function(theta - step)) / (2 * step[i]))
        return np.stack(columns, axis=1)

    return jacobian
