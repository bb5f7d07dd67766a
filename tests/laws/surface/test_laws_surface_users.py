"""Redrawn users in the joint surface's intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.laws.surface import surface_fits, user_shifts
from behavior_scaling.laws.surface_data import surface_data

LOSS = "validation/restored/all/cross_entropy"
Make = Callable[..., tuple[pd.DataFrame, Any]]


class _Shift:
    """Users whose redraws move every run alike."""

    def __init__(self, size: float, replicates: int) -> None:
        self.moves = size * np.random.default_rng(9).standard_normal(replicates)

    def deviations(self, ids: list[str], metric: str, values: Any) -> Any:
        return np.repeat(self.moves[:, None], len(ids), axis=1)


def test_a_shift_that_all_runs_share_moves_the_floor_and_no_optimum(
    planted_surface: Make,
) -> None:
    runs, _ = planted_surface()
    runs = runs[runs["stage"] == 1]
    users: Any = _Shift(0.05, 60)
    alone = surface_fits(runs, None, [LOSS], resamples=200)[0]
    both = surface_fits(runs, None, [LOSS], users=users, resamples=200)[0]
    errors = both["standard_errors"]
    assert errors["E"]["users"] == pytest.approx(float(np.std(users.moves)), rel=0.2)
    assert all(errors[n]["users"] < 1e-6 for n in errors if n != "E")
    assert alone["standard_errors"]["E"]["users"] is None

    def width(row: dict[str, Any], name: str) -> float:
        return float(row["parameters"][name]["high"] - row["parameters"][name]["low"])

    total = np.hypot(1.96 * 0.05, width(alone, "E") / 2)
    assert width(both, "E") / 2 == pytest.approx(total, rel=0.25)
    assert width(both, "a_c") == pytest.approx(width(alone, "a_c"), rel=1e-3)
    for one, other in zip(alone["optima"], both["optima"], strict=True):
        if one["optimum"]["value"] is not None and one["optimum"]["high"] is not None:
            assert other["optimum"]["high"] == pytest.approx(one["optimum"]["high"], rel=1e-3)
    assert "users redrawn" in both["interval"]


def test_why_users_were_not_redrawn_is_said(planted_surface: Make) -> None:
    class Missing:
        def deviations(self, ids: list[str], metric: str, values: Any) -> str:
            return "no user sums of it"

    runs, _ = planted_surface()
    absent: Any = Missing()
    shifts, said = user_shifts(surface_data(runs, LOSS), absent, 10)
    assert shifts is None
    assert said == "users not redrawn: no user sums of it"
