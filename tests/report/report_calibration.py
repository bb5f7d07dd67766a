"""Planted runs of a calibration: a known rule, a group at its bound, settings of known effect."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

LOSS = "validation/restored/all/cross_entropy"
RECALL = "validation/restored/all/recall@10"
RULE = {"base": 0.012, "width": -0.7, "batch": 0.4, "budget": -0.1}
POINTS = (  # budget, d, batch
    (1e11, 32, 8), (1e11, 64, 8), (1e11, 64, 32), (1e12, 48, 8), (1e12, 96, 8), (1e12, 96, 32),
)  # fmt: skip
BEND = 0.12  # nats per squared unit of log lr
MIDDLE = {"budget": 3e11, "d_model": 64, "batch": 8}
EFFECTS = {"wider=true": -0.20, "warmup=0.15": 0.001, "kind=full": 0.30}  # nats


def best_rate(budget: float, width: float, batch: float) -> float:
    scales = {"width": width / 32, "batch": batch / 16, "budget": budget / 1e11}
    return RULE["base"] * math.prod(x ** RULE[name] for name, x in scales.items())


def row(name: str, **given: Any) -> dict[str, Any]:
    loss = given.pop("loss")
    body = {
        "id": name, "axis": "variation", "control": False, "stage": 1, "outcome": "done",
        "seed": 100, "n_total": 100.0 * given["d_model"], "reference": None,
        "lr_rule_base": 0.01, "lr_rule_width": -0.5, "lr_rule_batch": 0.5, "lr_rule_budget": 0.0,
        "warmup": 0.05, "weight_decay": 0.0, "objective": "corrected", "layers": 1,
        LOSS: loss, RECALL: 1 / (1 + math.exp(1.6 * (loss - 5.5))),
    } | given  # fmt: skip
    return body


def rate_rows(
    points: Any = POINTS, noise: float = 0.0, shift: float = 1.0,
    factors: Any = (0.25, 0.5, 1, 2, 4), name: str = "lr",
) -> list[dict[str, Any]]:  # fmt: skip
    """A parabola in log lr at every point; the grid's middle lies `shift` times below lr*."""
    rng = np.random.default_rng(3)
    rows = []
    for number, (budget, width, batch) in enumerate(points):
        best = best_rate(budget, width, batch)
        for factor in factors:
            rate = best * factor / shift
            loss = 6.0 + BEND * math.log(rate / best) ** 2 + noise * rng.standard_normal()
            rows.append(
                row(
                    f"{name}{number}-{factor}", arm="lr", budget=budget, d_model=width, batch=batch,
                    lr=rate, loss=loss, cell=f"base={rate:g} N={100 * width:g} s=0.25 depth=1",
                )
            )  # fmt: skip
    return rows


def setting_rows(effects: dict[str, float] = EFFECTS, seeds: tuple[int, ...] = (100, 101, 102),
                 sd: float = 0.01) -> list[dict[str, Any]]:  # fmt: skip
    """One run a setting with seed 100 beside references of three seeds, apart by exactly `sd`."""
    point = " N=6400 s=0.25 depth=1"
    rows = [
        row(f"own{seed}", arm="seed", cell=f"batch=8{point}", seed=seed, lr=0.01, **MIDDLE,
            loss=6.0 + sd * (index - 1), reference=f"own{seed}")
        for index, seed in enumerate(seeds)
    ]  # fmt: skip
    for number, (setting, effect) in enumerate(effects.items()):
        key = {"layers": 2 + number}
        rows.append(
            row(f"set{number}", arm=setting.partition("=")[0], cell=setting + point, lr=0.01,
                **MIDDLE, loss=rows[0][LOSS] + effect, reference=f"own{seeds[0]}", **key)
        )  # fmt: skip
    return rows


def make_runs() -> pd.DataFrame:
    """All of it; one group's best is the highest rate tried."""
    at_bound = rate_rows([(3e11, 64, 4)], shift=8.0, name="bound")
    return pd.DataFrame([*rate_rows(noise=0.002), *at_bound, *setting_rows()])
