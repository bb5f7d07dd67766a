"""Optima of planted surfaces under every cost convention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.surface import surface_fits
from behavior_scaling.laws.surface_data import surface_data
from behavior_scaling.laws.surface_fit import fit_surface, redraw
from behavior_scaling.laws.surface_optima import compared, exponents, optima

LOSS = "validation/restored/all/cross_entropy"
TOKENS = 24
Make = Callable[..., tuple[pd.DataFrame, Any]]


def _cost(convention: str, n_emb: Any, n_ctx: Any, drawn: float) -> Any:
    """The planted cost of a stage-1 position, and the formulas, written out again."""
    if convention == "6ND":
        return 6 * (n_emb + n_ctx)
    if convention.startswith("6D("):
        return 6 * (n_ctx + TOKENS * n_emb)
    d = np.sqrt(n_ctx / 24)
    nominal = 6 * n_ctx + 6 * TOKENS * n_emb + 24 * 256 * d + 6 * drawn * d
    return nominal if convention == "nominal" else 0.85 * nominal


def _planted_optimum(truth: Any, convention: str, axis: str, level: float) -> float:
    """By brute force over the planted law."""
    x = (
        np.geomspace(2e4, 2e8, 400_001)
        if axis == "allocation"
        else np.geomspace(4e-3, 0.49, 40_001)
    )
    if axis == "allocation":
        n, share = x, np.full_like(x, 0.03)
        d = level / _cost(convention, share * n, (1 - share) * n, 1024)
    else:
        share, n = x, np.full_like(x, 1e6)
        for _ in range(200):  # D / N = 60
            cost = _cost(convention, share * n, (1 - share) * n, 1024)
            n = np.sqrt(n * level / (60 * cost))
        d = 60 * n
    frame = pd.DataFrame(
        {
            "n_emb": share * n, "n_ctx": (1 - share) * n, "positions": d, "batch": 128,
            "unique_positions": truth.unique, "n_cand_distinct": 800.0, "uniform": 0,
            "n_items": 100_000, "stage": 1, "budget": 1e16,
        }
    )  # fmt: skip
    return float(x[np.argmin(truth.value(frame))])


def test_optima_are_those_of_the_planted_law(planted_surface: Make) -> None:
    runs, truth = planted_surface(sd=1e-6)
    row = surface_fits(runs, None, [LOSS], resamples=40)[0]
    found = {
        (o["convention"], o["axis"], o["budget"]): o
        for o in row["optima"]
        if o["axis"] in ("allocation", "share")
    }
    for (convention, axis, budget), optimum in found.items():
        if axis == "allocation" and budget not in (1e15, 1e17):
            continue
        best = _planted_optimum(truth, convention, axis, optimum["cost"])
        assert optimum["optimum"]["status"] == "converged"
        assert optimum["optimum"]["value"] == pytest.approx(best, rel=3e-3)
        if convention == "nominal":
            assert optimum["cost"] == pytest.approx(budget, rel=1e-4)
    at = found["6ND", "allocation", 1e16]
    n, d = at["optimum"]["value"], at["derived"]["D"]["value"]
    assert 6 * n * d == pytest.approx(at["cost"], rel=1e-9)
    assert at["derived"]["D_over_N"]["value"] == pytest.approx(d / n, rel=1e-9)


def test_exponents_of_n_and_d_add_up_where_cost_is_6nd(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    surface = fit_surface(surface_data(runs, LOSS))
    found, _ = optima(surface, redraw(surface, 100, 0), runs, ["6ND"])
    said = {e["of"]: e["exponent"] for e in exponents(found) if e["axis"] == "allocation"}
    assert said["optimum"]["status"] == "converged"
    assert said["optimum"]["value"] + said["D"]["value"] == pytest.approx(1.0, abs=1e-6)
    assert said["optimum"]["low"] < said["optimum"]["value"] < said["optimum"]["high"]


def _single(runs: pd.DataFrame, resamples: int) -> list[Any]:
    """Optima under the nominal convention alone."""
    surface = fit_surface(surface_data(runs, LOSS))
    return optima(surface, redraw(surface, resamples, 0), runs, ["nominal"])[0]


def test_candidates_at_the_smallest_budget_are_at_bound(planted_surface: Make) -> None:
    runs, _ = planted_surface(candidates=(0.002, 0.9))
    found = _single(runs, 60)
    first = next(o for o in found if (o.arm, o.budget) == ("uniform", 1e15))
    assert first.optimum.status in ("at bound", "not identified")
    assert first.optimum.low is None


def test_few_budgets_give_no_exponent(planted_surface: Make) -> None:
    runs, _ = planted_surface(budgets=(1e15, 1e17))
    rows = exponents(_single(runs, 20))
    assert {e["exponent"]["status"] for e in rows} == {"too few points"}
    assert all(e["exponent"]["value"] is None for e in rows)


def test_optima_past_four_epochs_are_data_limited(planted_surface: Make) -> None:
    runs, _ = planted_surface(unique=1e9)
    found = [o for o in _single(runs, 20) if o.axis == "allocation" and o.optimum.value]
    told = []
    for optimum in found:
        epochs = (optimum.derived["D"].value or 0.0) / 1e9
        said = f"data-limited: {epochs:.1f} epochs at the optimum"
        told.append(said in optimum.notes)
        assert told[-1] == (epochs > 4)
    assert any(told)
    assert not all(told)


def test_an_optimum_that_another_scale_moves_is_noted(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    found = [o for o in _single(runs, 40) if o.axis == "allocation"]
    value = found[0].optimum.value
    assert value is not None
    moved = replace(found[0], optimum=replace(found[0].optimum, value=3 * value))
    lost = replace(found[0], optimum=nothing("not identified", ""))
    unmoved, away, gone = compared([found[0]] * 3, [found[0], moved, lost])
    assert not unmoved.notes
    assert away.notes == (f"transform-dependent: {3 * value:.4g} from the untransformed metric",)
    assert gone.notes == ("transform-dependent: none from the untransformed metric",)
