"""Planted worlds: tables of runs under L = H + A N^-alpha + B D_eff^-beta, C = 6 N D."""

from __future__ import annotations

import numpy as np
import pandas as pd

from behavior_scaling.laws.floors import LOSS
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.repetition import effective
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.worlds import World

BUDGETS = (1e11, 3e11, 1e12)
ALPHA = BETA = 0.3  # then the best loss of a budget falls as C^-0.15


def runs(
    entropy: float, *, unique: float = 1e9, worth: float = 15.0, noise: float = 0.0,
    power: float = ALPHA, budgets: tuple[float, ...] = BUDGETS, source: str = "world-middle",
) -> pd.DataFrame:  # fmt: skip
    """Five sizes a budget around the best; `power` is alpha and beta."""
    rng = np.random.default_rng(0)
    rows = []
    for c in budgets:
        best = (c / 6) ** 0.5
        for step in (-2, -1, 0, 1, 2):
            n = best * 2.0**step
            d = c / 6 / n
            d_eff = float(effective(np.array([d]), np.array([unique]), worth)[0])
            rest = 9 * (n**-power + d_eff**-power) + noise * rng.standard_normal()
            row = {"id": f"{c:g}-{step}", "axis": "allocation", "arm": "", "budget": c, "seed": 0}
            row |= {"stage": 1, "outcome": "done", "control": False, "source": source, "n_total": n}
            row |= {"n_emb": round(n / 4), "n_ctx": round(3 * n / 4), "positions": round(d)}
            row |= {"unique_positions": unique, "epochs": d / unique, LOSS: entropy + rest}
            rows.append(row)
    return pd.DataFrame(rows)


def world(
    entropy: float, table: pd.DataFrame, name: str = "", *, shift: float = 0.0, seed: int = 0
) -> World:
    """`shift`: how far the oracle on the positions lies from H_L."""
    oracle = {
        "cross_entropy": entropy + shift,
        "standard_error": 0.007,
        "H": entropy,
        "H_se": 0.002,
    }
    none = nothing("not identified", "planted")
    return World(
        study=name or f"world {entropy}",
        seed=seed,
        runs=table,
        floors={"validation": {"all": {"oracle": oracle}}},
        surface={
            "E": Estimate(entropy + 0.1, entropy - 0.1, entropy + 0.3, "converged"),
            "R*": none,
        },
        size=Estimate(0.5, 0.45, 0.55, "converged"),
    )
