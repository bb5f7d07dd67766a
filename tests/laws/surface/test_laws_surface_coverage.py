"""Slow proofs over replicates: 95% intervals of parameters and optima, 90% ones of predictions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.laws.backtest import backtest
from behavior_scaling.laws.surface_data import surface_data
from behavior_scaling.laws.surface_fit import fit_surface, redraw
from behavior_scaling.laws.surface_optima import optima
from behavior_scaling.laws.surface_parameters import parameters

LOSS = "validation/restored/all/cross_entropy"
REPLICATES = 200
Make = Callable[..., tuple[pd.DataFrame, Any]]


@pytest.mark.slow
def test_intervals_of_parameters_and_optima_cover(planted_surface: Make) -> None:
    design = {"budgets": (1e15, 1e16, 1e17, 1e18), "shares": 5, "seeds": 1}
    exact, _ = planted_surface(sd=0.0, **design)
    true = fit_surface(surface_data(exact, LOSS))
    at_truth, _ = optima(true, np.zeros((0, true.parameters.size)), exact, ["nominal"])
    best = {(o.axis, o.arm, o.budget): o.optimum for o in at_truth}
    values = {name: e.value for name, e in parameters(true, np.zeros((0, 14))).items()}
    hits: dict[Any, list[bool]] = defaultdict(list)
    unknown: dict[Any, int] = defaultdict(int)
    assert 60 <= len(exact) <= 100
    for seed in range(REPLICATES):
        runs, _ = planted_surface(seed, sd=0.01, **design)
        surface = fit_surface(surface_data(runs, LOSS), seed=seed)
        draws = redraw(surface, 300, seed)
        for name, e in parameters(surface, draws).items():
            if e.value is None or e.low is None or e.high is None:
                unknown[name] += 1
            else:
                hits[name].append(e.low <= (values[name] or np.nan) <= e.high)
        for o in optima(surface, draws, runs, ["nominal"])[0]:
            key, e = (o.axis, o.arm, o.budget), o.optimum
            if e.status != "converged" or e.low is None or e.high is None:
                unknown[key] += 1
            elif best[key].status == "converged":
                hits[key].append(e.low <= (best[key].value or np.nan) <= e.high)
    covered = {key: float(np.mean(h)) for key, h in hits.items() if len(h) >= 0.8 * REPLICATES}
    assert len(covered) >= 20, (covered, unknown)
    assert {"E", "a_e", "a_c", "g", "k", "B_crit"} <= set(covered)
    assert min(covered.values()) >= 0.89, (covered, unknown)
    assert 0.93 <= np.mean(list(covered.values())) <= 0.98, covered


@pytest.mark.slow
def test_predictions_of_a_hidden_budget_cover(planted_surface: Make) -> None:
    shares, beats = [], []
    for seed in range(30):
        runs, _ = planted_surface(seed)
        stage1 = runs[runs["axis"].isin(["allocation", "share"])]
        for row in backtest(stage1, [LOSS], seed=seed, resamples=150):
            assert row["status"] == "converged"
            shares.append(row["scores"]["surface"]["coverage"])
            beats.append(row["scores"]["surface"]["crps"] < row["scores"]["last"]["crps"])
    assert 0.82 <= np.mean(shares) <= 0.97, np.mean(shares)
    assert all(beats)
