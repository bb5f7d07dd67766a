"""Planned tables, and replicates without a table: the cells, means and noise of the real way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.config import Study, parse_study
from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.planted_design import draw_noise, replicate, study_design
from behavior_scaling.laws.planted_fits import LOSS
from behavior_scaling.laws.planted_table import (
    Facts,
    facts_of_runs,
    facts_of_source,
    planned_runs,
)
from behavior_scaling.laws.table import groups, metric_curves, seed_noise
from behavior_scaling.laws.transforms import IDENTITY
from behavior_scaling.sweep.plan import make_plan

V = 1682
FACTS = Facts(V, 79_248, {}, ())


def study_of(seeds: tuple[int, ...] = (0, 1)) -> Study:
    raw: dict[str, Any] = {
        "name": "planted",
        "title": "Planted",
        "data": {"source": "ml-100k", "context": 64, "tokens": 12},
        "objective": {"kind": "corrected", "in_batch": 256},
        "execution": {"batch": 4},
        "base": [
            {"budget": b, "parameters": 5000, "share": 0.35, "depth": 1} for b in (3e10, 1e11)
        ],
        "axes": {
            "allocation": {
                "budgets": [3e10, 1e11], "share": 0.35, "depth": 1, "seeds": list(seeds),
                "parameters": [[2600, 5000, 11200, 23300], [3700, 7400, 14800]],
            },
            "share": {
                "budgets": [3e10], "shares": [0, 0.02, 0.08, 0.25, 0.5], "ratio": 15,
                "seeds": [0, 1],
            },
            "batch": {"budgets": [1e11], "batches": [4, 8, 16, 32, 64]},
            "negatives": {"budgets": [3e10], "uniform": [0, 64, 512], "popular": [32, 128]},
        },
    }  # fmt: skip
    return parse_study(raw, where="test")


def table_of(seeds: tuple[int, ...] = (0, 1)) -> pd.DataFrame:
    study = study_of(seeds)
    return planned_runs(study, make_plan(study, V), FACTS)


def test_planned_table_has_a_row_for_every_cell_and_follows_from_the_plan() -> None:
    study = study_of()
    plan = make_plan(study, V)
    table = planned_runs(study, plan, FACTS)
    assert len(table) == len(plan.cells)
    assert list(table["positions"]) == [cell.positions for cell in plan.cells]
    assert set(table["outcome"]) == {"done"}
    row = table[(table["axis"] == "batch") & (table["batch"] == 16)].iloc[0]
    assert row["steps"] == np.ceil(row["positions"] / (16 * 64))
    assert row["steps_after_warmup"] == np.floor(0.95 * row["steps"])
    assert row["epochs"] == row["positions"] / 79_248
    assert row["flops_nominal"] == row["budget"] == 1e11


def test_distinct_candidates_by_hand() -> None:
    study = study_of()
    table = planned_runs(study, make_plan(study, V), Facts(2, 1000, {}, ()))
    weight = np.array([2.0, 1.0]) / 3
    drawn = table[(table["stage"] == 2) & (table["uniform"] == 0) & (table["in_batch"] == 32)]
    expected = float(np.sum(1 - (1 - weight) ** 32))
    assert drawn["n_cand_distinct"].to_numpy() == pytest.approx(expected)
    both = table[table["uniform"] == 64]
    inside = float(np.sum(1 - (1 - weight) ** 128))
    assert both["n_cand_distinct"].to_numpy() == pytest.approx(inside + 64 * (1 - inside / 2))


def test_facts_come_from_the_source_or_from_earlier_runs() -> None:
    study = study_of()
    facts = facts_of_source(study, V, 100_000, 943)
    assert facts.unique_positions == 80_000 - 943
    runs = planned_runs(study, make_plan(study, V), FACTS)
    runs["n_cand_distinct"] = 7.0
    measured = facts_of_runs(runs, facts)
    assert measured.unique_positions == 79_248
    again = planned_runs(study, make_plan(study, V), measured)
    assert set(again["n_cand_distinct"]) == {7.0}
    with pytest.raises(LawsError, match="no run is done"):
        facts_of_runs(runs.assign(outcome="failed"), facts)


def test_replicates_are_what_the_table_of_the_same_runs_would_give() -> None:
    table = table_of()
    design = study_design(table)
    sd = dict.fromkeys(design.keys, 0.02)
    noise = draw_noise(design, sd, 3, 2)
    own = dict(zip(design.ids, noise.values[1], strict=True))
    table[LOSS] = 6.0 + np.array([own[run] for run in table["id"]])
    levels = seed_noise(table, LOSS)
    for key, level in noise.levels[1].items():
        assert level.df == levels[key].df
        assert level.known == levels[key].known
        if level.known:
            assert level.variance == pytest.approx(levels[key].variance, rel=1e-9)
    for axis, group in zip(design.axes, groups(table), strict=True):
        assert (axis.axis, axis.arm) == (group.axis, group.arm)
        losses = [np.full(curve.x.size, 6.0) for curve in axis.curves]
        slow, _ = metric_curves(group, LOSS, IDENTITY, levels)
        for one, other in zip(replicate(axis, losses, noise, 1), slow, strict=True):
            keep = np.isin(other.x, one.x)  # the batch axis drops what is not admissible
            assert keep.all() or axis.axis == "batch"
            np.testing.assert_allclose(one.x, other.x[keep])
            np.testing.assert_allclose(one.y, other.y[keep], rtol=1e-12)
            np.testing.assert_allclose(one.spread, other.spread[keep])
            if keep.all():
                assert one.within == pytest.approx(other.within, rel=1e-9)
            for name, column in one.columns.items():
                np.testing.assert_allclose(column, other.columns[name][keep])


def test_batches_that_are_not_admissible_are_left_out() -> None:
    axis = next(a for a in study_design(table_of()).axes if a.axis == "batch")
    assert axis.curves[0].x.max() <= 0.05 * 79_248 / 64
    assert axis.curves[0].x.size >= 3


def test_more_seeds_keep_the_noise_of_the_runs_that_both_plans_have() -> None:
    small, large = (study_design(table_of(seeds)) for seeds in ((0, 1), (0, 1, 2)))
    sd = dict.fromkeys([*small.keys, *large.keys], 0.02)
    one, other = (draw_noise(design, sd, 5, 4) for design in (small, large))
    place = {run: i for i, run in enumerate(large.ids)}
    assert set(small.ids) < set(large.ids)
    np.testing.assert_array_equal(one.values, other.values[:, [place[run] for run in small.ids]])
    assert not np.array_equal(one.values, draw_noise(small, sd, 6, 4).values)
    np.testing.assert_array_equal(one.values[:2], draw_noise(small, sd, 5, 2).values)


def test_noise_has_the_stated_standard_deviation() -> None:
    design = study_design(table_of())
    sd = {key: 0.01 if key[1] == 3e10 else 0.04 for key in design.keys}
    noise = draw_noise(design, sd, 0, 4000)
    for key in set(design.keys):
        here = [i for i, other in enumerate(design.keys) if other == key]
        assert np.std(noise.values[:, here]) == pytest.approx(sd[key], rel=0.03)
    with pytest.raises(LawsError, match="stage 1, budget 3e\\+10"):
        draw_noise(design, {key: 0.01 for key in design.keys if key != (1, 3e10)}, 0, 2)
