"""A run whose loss is not finite: kept, counted, shown, and in no fit.

The rule (laws/table.py): only runs whose outcome is 'done' enter a fit, whatever numbers the
others hold; each law says how many were left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from behavior_scaling.laws import study
from behavior_scaling.laws.study import fit_study
from behavior_scaling.laws.surface_data import admitted
from behavior_scaling.model.step import step_loss
from behavior_scaling.train import module

from ..laws.conftest import planted

__all__ = ["planted"]

LOSS = "validation/restored/all/cross_entropy"
FLOORS: dict[str, Any] = {"validation": {"all": {"markov": {"cross_entropy": 6.6}}}}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_not_finite_ends_the_run_and_is_kept(
    bundle, spec, store, monkeypatch, value: float
) -> None:
    def poisoned(*arguments):  # type: ignore[no-untyped-def]
        result = step_loss(*arguments)
        if arguments[-1] == 8:
            result.loss.data.copy_(torch.tensor(value))
        return result

    monkeypatch.setattr(module, "step_loss", poisoned)
    bundle(spec)
    record = store.load(spec.id)
    assert record.outcome == "diverged"
    assert record.error is not None
    assert "the loss is" in record.error
    assert record.metrics == {}
    assert "diverged already" in bundle(spec)[0]  # it is not tried again by itself


def spoilt(runs: pd.DataFrame, outcome: str, numbers: float) -> pd.DataFrame:
    """A further seed of every second cell that ended otherwise, with `numbers` for its metrics."""
    more = runs[(runs["seed"] == 0) & (np.arange(len(runs)) % 2 == 0)].copy()
    more["id"] = [f"lost{row}" for row in range(len(more))]
    more["seed"], more["outcome"] = 9, outcome
    metrics = [name for name in runs if "/" in name or name == "train_loss"]
    more[metrics] = numbers
    return pd.concat([runs, more], ignore_index=True)


def without_notes(laws: Any) -> Any:
    if isinstance(laws, dict):
        return {key: without_notes(value) for key, value in laws.items() if key != "notes"}
    if isinstance(laws, list | tuple):
        return [without_notes(value) for value in laws]
    return laws


@pytest.mark.parametrize(
    ("outcome", "numbers"),
    [("diverged", np.nan), ("diverged", 0.01), ("failed", np.nan), ("missing", np.nan)],
)
def test_runs_that_did_not_end_well_change_no_fit(
    planted, monkeypatch, outcome: str, numbers: float
) -> None:
    """Not even where a diverged run holds a loss that would win every comparison."""
    monkeypatch.setattr(study, "surface_fits", lambda *_, **__: [])
    monkeypatch.setattr(study, "backtest", lambda *_, **__: [])
    runs, _ = planted()
    runs = runs[runs["budget"] < 1e12][[c for c in runs if "/" not in c or c == LOSS]]
    runs = runs.reset_index(drop=True)
    clean = fit_study(runs, FLOORS, resamples=50)
    laws = fit_study(spoilt(runs, outcome, numbers), FLOORS, resamples=50)
    assert without_notes(laws) == without_notes(clean)
    for axis in ("allocation", "share", "batch", "negatives"):
        for fit in laws[axis]["fits"]:
            assert any(f"runs {outcome}: left out" in note for note in fit["notes"])


def test_runs_that_did_not_end_well_are_no_rows_of_the_joint_surface(planted) -> None:
    runs, _ = planted()
    clean, _ = admitted(runs)
    found, _ = admitted(spoilt(runs, "diverged", 0.01))
    assert list(found["id"]) == list(clean["id"])
