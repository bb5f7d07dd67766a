"""Variations and second series in a plan and in the table of runs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from behavior_scaling.config import ConfigError, Study, load_study, parse_study
from behavior_scaling.laws.surface_data import admitted
from behavior_scaling.laws.table import check_runs, groups
from behavior_scaling.records.record import RecordError
from behavior_scaling.records.spec import DataSpec
from behavior_scaling.sweep.cells import Cell, resolve, unique
from behavior_scaling.sweep.collect import collect_runs
from behavior_scaling.sweep.explain import explain
from behavior_scaling.sweep.plan import make_plan

ROOT = Path(__file__).parents[2]
V = 1682
DATA = DataSpec("ml-100k", "abc", 64, 12, 65536, 16, 4, "time", 0.8, 10, 1.0, 3600)
SMALL = {"budget": 1e10, "parameters": 2300.0, "share": 0.17, "depth": 1}
LARGE = {"budget": 1e10, "parameters": 6000.0, "share": 0.17, "depth": 1}
DONE = {
    "outcome": "done", "n_cand_distinct": 200.0, "n_items": V, "unique_positions": 1e5,
    "epochs": 1.0, "steps": 1e3, "steps_after_warmup": 900.0, "flops_executed": 1e10,
    "flops_nominal": 1e10,
}  # fmt: skip
RATES = {
    "name": "lr", "key": "optimizer.lr.base", "values": [0.007, 0.01], "at": [SMALL, LARGE],
    "seeds": [100],
}  # fmt: skip
WARM = {
    "name": "warm", "key": "optimizer.warmup", "values": [0.2], "at": [LARGE], "seeds": [100],
}  # fmt: skip


def study_with(**axes: Any) -> Study:
    raw = json.loads(load_study(ROOT / "config" / "quick.yaml").model_dump_json())
    raw["data"] |= {"context": 64, "tokens": 12}
    raw["embedder"] = {"kind": "transformer"}
    raw["contextualizer"] = {"kind": "transformer"}
    raw["objective"] = {"kind": "corrected", "in_batch": 256}
    raw["optimizer"] = {"lr": {"base": 0.01}}
    raw["execution"] |= {"batch": 8, "bundle_seconds": 20}
    raw["base"] = [LARGE, LARGE | {"budget": 1e11}]
    raw["axes"] = axes
    return parse_study(raw, where="test")


def cells_of(**axes: Any) -> tuple[Cell, ...]:
    return make_plan(study_with(**axes), V).cells


def absent(_: str) -> Any:
    raise RecordError("not trained")


def table_of(**axes: Any) -> pd.DataFrame:
    study = study_with(**axes)
    return collect_runs(study, make_plan(study, V), DATA, absent)


def test_labels_tell_the_value_and_the_point() -> None:
    cells = cells_of(variations=[RATES])
    assert [cell.label for cell in cells] == [
        "base=0.007 N=2300 s=0.17 depth=1", "base=0.007 N=6000 s=0.17 depth=1",
        "base=0.01 N=2300 s=0.17 depth=1", "base=0.01 N=6000 s=0.17 depth=1",
    ]  # fmt: skip
    assert {(cell.axis, cell.arm, cell.control) for cell in cells} == {("variation", "lr", False)}
    assert cells[0].optimizer.lr / cells[2].optimizer.lr == pytest.approx(0.7, rel=1e-5)
    assert dataclasses.replace(cells[0], label="other").key == cells[0].key
    assert dataclasses.replace(cells[0], reference=None).key == cells[0].key
    study = study_with(variations=[RATES])
    lines = [line for line in explain(study, make_plan(study, V)) if "  100" in line]
    assert [line.split("  ")[1] for line in lines] == [cell.label for cell in cells]


def test_a_cell_names_the_run_with_the_studys_own_value() -> None:
    table = table_of(
        variations=[
            RATES,
            WARM,
            WARM | {"name": "few", "set": {"objective.in_batch": 64}},
        ]
    )  # fmt: skip
    own = table.set_index("cell")["id"]["base=0.01 N=6000 s=0.17 depth=1"]
    warm, few = (table[table["arm"] == arm].iloc[0] for arm in ("warm", "few"))
    assert warm["reference"] == own  # another variation ran it
    assert few["reference"] not in set(table["id"])  # its reference has 64 candidates, too
    rates = table[table["arm"] == "lr"]
    assert list(rates["reference"] == rates["id"]) == [False, False, True, True]
    assert set(table["lr_rule_base"]) == {0.01}
    assert len({*table["id"]}) == len(table)


@pytest.mark.parametrize(
    ("key", "value", "column", "says"),
    [
        ("contextualizer.temperature", 5.0, "temperature", 5.0),
        ("contextualizer.ladder", [[18, 1]], "d_model", 18),
        ("optimizer.weight_decay", 0.1, "weight_decay", 0.1),
        ("optimizer.warmup", 0.2, "warmup", 0.2),
        ("optimizer.final", 0.1, "lr_final", 0.1),
        ("optimizer.clip", 2.0, "clip", 2.0),
        ("optimizer.beta1", 0.8, "beta1", 0.8),
        ("objective.same_sequence", "keep", "same_sequence", "keep"),
        ("objective.kind", "full", "objective", "full"),
        ("embedder.kind", "mlp", "embedder_kind", "mlp"),
    ],
)
def test_what_is_varied_stands_in_the_table(key: str, value: Any, column: str, says: Any) -> None:
    one = {"name": "one", "key": key, "values": [value], "at": [LARGE], "seeds": [0]}
    table = table_of(variations=[one, RATES | {"seeds": [0]}])
    varied = table[table["arm"] == "one"].iloc[0]
    assert varied[column] == says
    assert varied["id"] != varied["reference"]
    own = table[table["id"] == varied["reference"]].iloc[0]
    assert own[column] != says


def test_beta2_of_a_half_life_stands_in_the_table() -> None:
    one = {"name": "one", "key": "optimizer.beta2_half_life", "values": [512.0], "at": [LARGE]}
    assert table_of(variations=[one])["beta2"].tolist() == [0.5]  # 8 x 64 events a step


def test_sizes_that_cannot_be_made_and_unknown_keys_are_named() -> None:
    far = RATES | {"at": [SMALL | {"parameters": 40.0}]}
    plan = make_plan(study_with(variations=[far]), V)
    assert plan.cells == ()
    assert {(left.axis, left.arm) for left in plan.left_out} == {("variation", "lr")}
    with pytest.raises(ConfigError, match=r"no key 'optimizer\.lr\.bass'"):
        cells_of(variations=[RATES | {"key": "optimizer.lr.bass"}])


def test_no_law_is_fitted_on_variations() -> None:
    runs = table_of(variations=[RATES], allocation={
        "budgets": [1e10], "share": 0.17, "depth": 1, "parameters": [[2300, 6000]],
    })  # fmt: skip
    runs = runs.assign(**DONE)
    check_runs(runs)
    assert [group.axis for group in groups(runs)] == ["allocation"]
    assert set(admitted(runs)[0]["axis"]) == {"allocation"}


def test_shares_at_the_optimum_hold_the_ratio_of_their_budget() -> None:
    axis = {"budgets": [3e10, 1e11], "shares": [0.1, 0.3], "ratio": [100, 40]}
    cells = cells_of(share_at_optimum=axis)
    assert {cell.arm for cell in cells} == {"optimum"}
    assert {cell.budget for cell in cells} == {3e10, 1e11}
    for cell in cells:
        wanted = {3e10: 100, 1e11: 40}[cell.budget]
        assert cell.positions / cell.n_total == pytest.approx(wanted, rel=0.25)
    both = cells_of(share=axis | {"ratio": 60}, share_at_optimum=axis)
    assert {cell.arm for cell in both} == {"", "optimum"}


def test_the_full_softmax_is_a_control_beside_the_arms() -> None:
    axes = {"negatives": {"budgets": [1e10], "uniform": [64], "popular": [64], "full": True}}
    cells = cells_of(**axes)
    full = next(cell for cell in cells if cell.arm == "full")
    assert full.control
    assert full.stage == 2
    assert full.label == f"K={V}"
    assert (full.objective.kind, full.objective.in_batch, full.objective.uniform) == ("full", 0, 0)
    assert [cell.control for cell in cells] == [False, False, True]
    assert len({cell.parent.key for cell in cells if cell.parent}) == 1
    study = study_with(**axes)
    child = resolve(full, study, DATA)
    assert child.parent == resolve(next(unique(list(cells))), study, DATA).id
    assert cells_of(negatives=axes["negatives"] | {"full": False}) == cells[:2]


def test_fits_leave_the_full_softmax_out_and_say_so() -> None:
    runs = table_of(negatives={"budgets": [1e10], "uniform": [64, 128], "full": True})
    runs = runs.assign(**DONE)
    check_runs(runs)
    by_arm = {group.arm: group for group in groups(runs)}
    assert len(by_arm["uniform"].frame) == 2
    assert len(by_arm["full"].frame) == 0
    assert by_arm["full"].notes == ("1 control runs: left out",)
    assert "full" not in set(admitted(runs)[0]["arm"])
