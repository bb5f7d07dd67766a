"""Which runs enter the joint surface, and with which weight."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.surface_data import PRIOR_DF, surface_data
from behavior_scaling.laws.transforms import transform_for

LOSS = "validation/restored/all/cross_entropy"
RECALL = "validation/restored/all/recall@10"
Make = Callable[..., tuple[pd.DataFrame, object]]


def test_every_run_once_whichever_axes_it_serves(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    twice = runs[runs["axis"] == "allocation"].assign(axis="share")
    alone, both = surface_data(runs, LOSS), surface_data(pd.concat([runs, twice]), LOSS)
    assert len(both.frame) == len(alone.frame) == len(runs)
    np.testing.assert_array_equal(both.y, alone.y)
    assert alone.repeats.sum() == len(runs)
    assert alone.cells == len(runs) // 2


def test_controls_failures_and_a_minority_objective_stay_out(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    runs.loc[0, "control"], runs.loc[1, "outcome"] = True, "diverged"
    runs.loc[2, "objective"] = "as_paper"
    data = surface_data(runs, LOSS)
    assert not {"run0000", "run0001", "run0002"} & set(data.frame["id"])
    assert any("1 runs with an objective other than corrected" in note for note in data.notes)


def test_a_control_that_is_no_control_on_another_axis_enters(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    row = runs[runs["arm"] == "popular"].iloc[[0]]
    as_control = row.assign(arm="uniform", control=True)
    data = surface_data(pd.concat([as_control, runs]), LOSS)
    assert row["id"].iloc[0] in set(data.frame["id"])


def test_inadmissible_batches_stay_out_unless_another_axis_has_them(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    first, second = runs.index[runs["axis"] == "batch"][:2]
    runs.loc[[first, second], "steps_after_warmup"] = 10
    shared = runs.loc[[second]].assign(axis="share", arm="")
    data = surface_data(pd.concat([runs, shared]), LOSS)
    assert runs.loc[first, "id"] not in set(data.frame["id"])
    assert runs.loc[second, "id"] in set(data.frame["id"])
    assert any("1 runs of the batch axis not admissible" in note for note in data.notes)


def test_candidates_of_the_own_sequence_only_stay_out(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    first, second = runs.index[runs["axis"] == "allocation"][:2]
    runs.loc[first, "batch"], runs.loc[second, "batch"] = 3, 4
    data = surface_data(runs, LOSS)
    assert runs.loc[first, "id"] not in set(data.frame["id"])
    assert runs.loc[second, "id"] in set(data.frame["id"])
    assert any("1 runs of fewer than 4 sequences a step left out" in note for note in data.notes)


def test_uniform_share_from_counts(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    row = runs.index[runs["arm"] == "uniform"][0]
    same = runs["budget"].eq(runs.loc[row, "budget"]) & runs["uniform"].eq(runs.loc[row, "uniform"])
    # 100 in batch and 50 uniform of 1,000: 100 + 50 * 0.9 = 145 distinct, 45 of them uniform only
    runs.loc[same, ["uniform", "n_items", "n_cand_distinct"]] = [50, 1000, 145.0]
    data = surface_data(runs, LOSS)
    cell = data.cell[np.flatnonzero(data.frame["id"] == runs.loc[row, "id"])[0]]
    assert data.inputs["uniform_share"][cell] == pytest.approx(45 / 145)
    popular = data.frame["uniform"].to_numpy() == 0
    assert np.all(data.inputs["uniform_share"][data.cell[popular]] == 0)


def test_weights_are_inverse_variances_of_cell_means(planted_surface: Make) -> None:
    runs, _ = planted_surface(seeds=6, sd=0.01)
    data = surface_data(runs, LOSS)
    np.testing.assert_allclose(data.weight * 0.01**2 / 6, 1.0, rtol=0.35)
    assert data.noise.variance == pytest.approx(1.0, rel=0.1)
    assert data.noise.df == 5 * data.cells
    recall = surface_data(runs, RECALL)
    slope = transform_for(RECALL).derivative(recall.values) ** 2
    per_cell = recall.repeats / recall.weight / slope
    for budget in np.unique(recall.inputs["budget"]):  # one variance a stage and budget, own unit
        same = (recall.inputs["budget"] == budget) & (recall.inputs["stage2"] == 0)
        assert np.ptp(np.log(per_cell[same])) < 1e-9


def test_a_budget_with_few_replicates_leans_on_the_others(planted_surface: Make) -> None:
    runs, _ = planted_surface(seeds=2, budgets=(1e16, 1e17), sizes=6)
    first = (runs["budget"] == 1e16) & (runs["seed"] == 1)
    keep = runs[~first | (runs.index == runs.index[first][0])].copy()  # one replicate: df = 1
    pair = keep[keep["budget"] == 1e16].iloc[:2].index
    keep.loc[pair, LOSS] = keep.loc[pair[0], LOSS] + np.array([0.0, 1e-6])
    data = surface_data(keep[keep["stage"] == 1], LOSS)
    at = {c: data.inputs["budget"] == c for c in (1e16, 1e17)}
    run = data.repeats / data.weight
    other, df = run[at[1e17]][0], len(keep[(keep["budget"] == 1e17) & (keep["stage"] == 1)]) / 2
    ratio = run[at[1e16]][0] / other
    assert ratio == pytest.approx(PRIOR_DF / (PRIOR_DF + 1), rel=0.15)
    assert df > 5


def test_noise_is_borrowed_and_said_where_a_stage_has_none(planted_surface: Make) -> None:
    runs, _ = planted_surface()
    runs = runs[(runs["stage"] == 1) | (runs["seed"] == 0)]
    data = surface_data(runs, LOSS)
    assert sum("seed noise taken from the other budgets" in note for note in data.notes) == 4
    assert np.all(data.weight > 0)


def test_no_replicates_at_all_leave_the_noise_unknown(planted_surface: Make) -> None:
    runs, _ = planted_surface(seeds=1)
    data = surface_data(runs, LOSS)
    assert data.noise.variance is None
    np.testing.assert_array_equal(data.weight, 1.0)


@pytest.mark.parametrize(("column", "value"), [("n_emb", 0), ("positions", -1), ("batch", np.nan)])
def test_impossible_inputs_are_named(planted_surface: Make, column: str, value: float) -> None:
    runs, _ = planted_surface()
    runs[column] = runs[column].astype(float)
    runs.loc[3, column] = value
    with pytest.raises(LawsError, match=rf"{column}.*run0003"):
        surface_data(runs, LOSS)
