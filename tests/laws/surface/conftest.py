"""A planted study whose metric is a known joint surface of its runs' inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

LOSS = "validation/restored/all/cross_entropy"
RECALL = "validation/restored/all/recall@10"
NDCG = "validation/restored/all/ndcg@10"
ITEMS, TOKENS, CONTEXT = 100_000, 24, 256
SHARE, SIZE = 0.03, 9e5  # base share; base N at 1e16 FLOPs

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Planted:
    """Parameters of the planted surface; amplitudes at the inputs named beside them."""

    floor: float = 3.0
    embedder: tuple[float, float] = (0.35, 0.45)  # at N_emb 1e5
    context: tuple[float, float] = (0.7, 0.4)  # at N_ctx 4e6
    data: tuple[float, float] = (1.3, 0.33)  # at D 1e8
    candidates: tuple[float, float] = (0.08, 0.6)  # at 1,000
    uniform: float = 0.6
    reuse: float = 12.0  # R*
    knee: float = 300.0  # B_crit
    offset: tuple[float, float] = (0.25, -0.03)  # at 1e16, a unit of log C
    budgets: tuple[float, ...] = (1e15, 1e16, 1e17, 1e18, 1e19)
    unique: float = 4e9
    sd: float = 0.004
    seeds: int = 2
    sizes: int = 5
    shares: int = 6

    def value(self, f: pd.DataFrame) -> Array:
        """The planted loss of every run."""
        epochs = f["positions"] / f["unique_positions"]
        seen = np.where(
            epochs > 1,
            f["unique_positions"] * (1 + self.reuse * -np.expm1(-(epochs - 1) / self.reuse)),
            f["positions"],
        )
        drawn = f["n_items"] - f["uniform"]
        inside = (f["n_cand_distinct"] - f["uniform"]) * f["n_items"] / drawn
        w = np.where(f["uniform"] > 0, 1 - inside / f["n_cand_distinct"], 0.0)
        second = f["stage"] == 2
        return np.asarray(
            self.floor
            + self.embedder[0] * (f["n_emb"] / 1e5) ** -self.embedder[1]
            + self.context[0] * (f["n_ctx"] / 4e6) ** -self.context[1]
            + self.data[0] * (seen / (1 + f["batch"] / self.knee) / 1e8) ** -self.data[1]
            + self.candidates[0]
            * np.exp(self.uniform * w)
            * (f["n_cand_distinct"] / 1e3) ** -self.candidates[1]
            + second * (self.offset[0] + self.offset[1] * np.log(f["budget"] / 1e16))
        )


def position_cost(n_emb: float, n_ctx: float, drawn: float, stage: int) -> float:
    """Planted FLOPs a position: of monomials that the cost model knows."""
    d = np.sqrt(n_ctx / 24)
    if stage == 2:
        return float(5.8 * n_ctx + 24 * CONTEXT * d + 4 * drawn * d)
    return float(6 * n_ctx + 6 * TOKENS * n_emb + 24 * CONTEXT * d + 6 * drawn * d)


def _rows(truth: Planted) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []

    def add(
        axis: str,
        arm: str,
        budget: float,
        n: float,
        share: float,
        *,
        batch: float = 128,
        stage: int = 1,
        uniform: int = 0,
        in_batch: int = 1024,
        distinct: float = 800.0,
    ) -> None:
        n_emb, n_ctx = round(share * n), round((1 - share) * n)
        cost = position_cost(n_emb, n_ctx, in_batch + uniform, stage)
        d = round(budget / cost)
        for seed in range(truth.seeds):
            rows.append(
                {
                    "axis": axis, "arm": arm, "budget": budget, "seed": seed, "stage": stage,
                    "outcome": "done", "control": False, "n_emb": n_emb, "n_ctx": n_ctx,
                    "n_total": n_emb + n_ctx, "share": n_emb / (n_emb + n_ctx), "batch": batch,
                    "context": CONTEXT, "tokens": TOKENS, "in_batch": in_batch,
                    "uniform": uniform, "n_cand_distinct": distinct, "n_items": ITEMS,
                    "positions": d, "unique_positions": truth.unique,
                    "epochs": d / truth.unique, "steps": d / (batch * CONTEXT),
                    "steps_after_warmup": 0.95 * d / (batch * CONTEXT), "embedder_depth": 1,
                    "objective": "corrected", "flops_nominal": cost * d,
                    "flops_executed": 0.85 * cost * d, "flops_6nd": 6.0 * (n_emb + n_ctx) * d,
                    "flops_6dnt": 6.0 * d * (n_ctx + TOKENS * n_emb),
                }
            )  # fmt: skip

    for i, budget in enumerate(truth.budgets):
        n = SIZE * (budget / 1e16) ** 0.5
        for factor in 2.0 ** np.linspace(-3, 3, truth.sizes):
            add("allocation", "", budget, n * factor, SHARE)
        last = i == len(truth.budgets) - 1
        for share in [] if last else np.geomspace(0.003, 0.5, truth.shares):
            size = n
            for _ in range(60):  # D / N = 60
                cost = position_cost(share * size, (1 - share) * size, 1024, 1)
                size = float(np.sqrt(size * budget / (60 * cost)))
            add("share", "", budget, size, share)
        for batch in (32, 64, 160, 256, 512, 1024) if i in (1, 3) else ():
            add("batch", "clean", budget, n, SHARE, batch=batch)
        if last:
            continue
        for k in np.geomspace(256, 0.6 * ITEMS, 6).round():
            add(
                "negatives", "uniform", budget, n, SHARE, batch=256, stage=2, uniform=int(k),
                in_batch=512, distinct=400 + k * (1 - 400 / ITEMS),
            )  # fmt: skip
        for m in np.geomspace(128, 16384, 6).round():
            add(
                "negatives", "popular", budget, n, SHARE, batch=256, stage=2, in_batch=int(m),
                distinct=0.8 * m,
            )  # fmt: skip
    return rows


Make = Callable[..., tuple[pd.DataFrame, Planted]]


@pytest.fixture(scope="session")
def planted_surface() -> Make:
    """Draw a study: planted_surface(seed=0, **changes of Planted) -> (runs, truth)."""

    def make(seed: int = 0, **changes: Any) -> tuple[pd.DataFrame, Planted]:
        truth = replace(Planted(), **changes)
        frame = pd.DataFrame(_rows(truth))
        frame.insert(0, "id", [f"run{i:04d}" for i in range(len(frame))])
        noise = np.random.default_rng(seed).standard_normal(len(frame))
        y = truth.value(frame) + truth.sd * noise
        frame[LOSS] = y
        frame[RECALL] = 1 / (1 + np.exp(y - 4))
        frame[NDCG] = np.clip(1 - np.exp((y - 30) / 40), 1e-6, 1)
        return frame, truth

    return make
