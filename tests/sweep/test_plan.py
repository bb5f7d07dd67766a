"""Plans: what axes hold, what is left out, what is shared, and how jobs are cut."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from behavior_scaling.config import Study, load_study, parse_study
from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import DataSpec
from behavior_scaling.records.store import RECORD, Store
from behavior_scaling.sizes.flops import nominal
from behavior_scaling.sweep.bundles import bundle_path, renew_requests, request_path, write_bundle
from behavior_scaling.sweep.cells import Cell, resolve, resolve_optimizer, unique
from behavior_scaling.sweep.explain import explain
from behavior_scaling.sweep.plan import Plan, make_plan
from behavior_scaling.sweep.seconds import (
    BLOCK_SECONDS,
    FLOPS_PER_SECOND,
    RUN_SECONDS,
    STEP_SECONDS,
    STEPS_PER_PROBE,
    estimated_seconds,
)

ROOT = Path(__file__).parents[2]
V = 1682
DATA = DataSpec("ml-100k", "abc", 64, 12, 65536, 16, 4, "time", 0.8, 10, 1.0, 3600)


def study_with(**axes: Any) -> Study:
    raw = json.loads(load_study(ROOT / "config" / "quick.yaml").model_dump_json())
    raw["data"] |= {"context": 64, "tokens": 12}
    raw["embedder"] = {"kind": "transformer"}
    raw["contextualizer"] = {"kind": "transformer"}
    raw["objective"] = {"kind": "corrected", "in_batch": 256}
    raw["execution"] |= {"batch": 8, "bundle_seconds": 20}
    raw["base"] = [{"budget": b, "parameters": 6000, "share": 0.17, "depth": 1} for b in BUDGETS]
    raw["axes"] = axes
    return parse_study(raw, where="test")


BUDGETS = [1e10, 3e10, 1e11]
ALLOCATION = {
    "budgets": [1e10, 3e10],
    "share": 0.17,
    "depth": 1,
    "parameters": [[900, 2300, 6000], [2300, 6000, 15000]],
    "seeds": [0, 1],
}
SHARE = {"budgets": [1e11], "shares": [0, 0.02, 0.1, 0.5], "ratio": 50}
BATCH = {"budgets": [1e10, 1e11], "batches": [2, 4, 8, 16, 32, 64]}
FEW_TARGETS = "a step has fewer targets than the 256 candidates asked"
NEGATIVES = {"budgets": [1e10], "uniform": [0, 64, 5000], "popular": [64]}


def plan_with(**axes: Any) -> Plan:
    return make_plan(study_with(**axes), V)


def seconds_of(cell: Cell) -> float:
    return estimated_seconds(cell, context=64, probes=6)


def test_allocation_holds_share_and_depth_and_spends_the_budget() -> None:
    plan = plan_with(allocation=ALLOCATION)
    assert len(plan.cells) == 12
    for cell in plan.cells:
        assert cell.n_emb / cell.n_total == pytest.approx(0.17, rel=0.35)
        assert cell.embedder.depth == 1
        cost = nominal(
            cell.embedder, cell.contextualizer, cell.objective,
            stage=1, batch=8, context=64, tokens=12, n_items=V,
        ).total  # fmt: skip
        assert cell.positions * cost <= cell.budget < (cell.positions + 1) * cost


def test_share_holds_data_per_parameter_and_has_a_fixed_control() -> None:
    plan = plan_with(share=SHARE)
    for cell in plan.cells:
        assert cell.positions / cell.n_total == pytest.approx(50, rel=0.25)
    control = next(cell for cell in plan.cells if cell.label == "s=0")
    assert control.control
    assert control.n_emb == 0
    assert control.embedder.kind == "fixed"
    shares = [cell.n_emb / cell.n_total for cell in plan.cells if not cell.control]
    assert shares == sorted(shares)
    assert shares[0] < 0.03
    assert shares[-1] > 0.35


def test_batch_cells_without_enough_steps_are_left_out_by_name() -> None:
    plan = plan_with(batch=BATCH)
    kept = {(cell.budget, cell.batch) for cell in plan.cells}
    for left in plan.left_out:
        few_steps = "steps after warm-up, fewer than 200" in left.reason
        assert few_steps != (left.reason == FEW_TARGETS)
        assert few_steps == (int(left.label[2:]) > 2)
        assert (left.budget, int(left.label[2:])) not in kept
    assert len(plan.left_out) + len(plan.cells) == 12
    assert (1e10, 64) not in kept
    assert (1e11, 4) in kept
    assert {cell.objective.in_batch for cell in plan.cells} == {256}  # clean: candidates fixed


def test_as_paper_batches_grow_the_candidates() -> None:
    plan = plan_with(batch=BATCH | {"budgets": [1e11]}, batch_as_paper=BATCH)
    grown = [cell for cell in plan.cells if cell.arm == "as_paper"]
    assert {cell.budget for cell in grown} == {1e10, 1e11}
    assert all(cell.objective.in_batch == 32 * cell.batch for cell in grown)
    clean = [cell for cell in plan.cells if cell.arm == "clean"]
    assert {(cell.budget, cell.objective.in_batch) for cell in clean} == {(1e11, 256)}
    assert {left.arm for left in plan.left_out} == {"clean", "as_paper"}
    # at the study's own batch both forms are one run
    shared = [cell.key for cell in plan.cells if cell.batch == 8 and cell.budget == 1e11]
    assert len(shared) == 2
    assert len(set(shared)) == 1


def test_negatives_name_their_parent_and_leave_out_more_than_the_catalogue() -> None:
    plan = plan_with(negatives=NEGATIVES)
    assert [left.label for left in plan.left_out] == ["K=5000"]
    arms = {(cell.arm, cell.objective.in_batch, cell.objective.uniform) for cell in plan.cells}
    assert arms == {("uniform", 128, 0), ("uniform", 128, 64), ("popular", 64, 0)}
    parents = {cell.parent.key for cell in plan.cells if cell.parent}
    assert len(parents) == 1
    assert [cell.control for cell in plan.cells] == [True, False, False]
    runs = list(unique(list(plan.cells)))
    assert len(runs) == 4
    assert runs[0].key in parents
    child = resolve(plan.cells[0], study_with(negatives=NEGATIVES), DATA)
    assert child.parent == resolve(runs[0], study_with(negatives=NEGATIVES), DATA).id


def test_a_run_on_two_axes_is_one_run() -> None:
    both = plan_with(
        batch={"budgets": [3e10], "batches": [4, 8]},
        allocation={
            "budgets": [3e10], "share": 0.17, "depth": 1, "parameters": [[2300, 6000]],
        },
        negatives={"budgets": [3e10], "uniform": [64]},
    )  # fmt: skip
    runs = [cell for bundle in both.bundles for cell in bundle.cells]
    assert len(both.cells) == 5
    assert len(runs) == 5 - 1 + 0  # B=8 is the cell N=6000, and it is the parent too
    assert len({cell.key for cell in runs}) == len(runs)


def test_unrealisable_sizes_are_left_out() -> None:
    plan = plan_with(allocation=ALLOCATION | {"parameters": [[40, 2300], [2300, 2350]]})
    reasons = {left.label: left.reason for left in plan.left_out}
    assert reasons["N=40"].startswith("nearest realisable N is ")
    assert reasons["N=2350"] == "realises the same model as its neighbour"


def test_a_new_budget_leaves_the_old_bundles_alone() -> None:
    more = ALLOCATION | {
        "budgets": [1e10, 3e10, 1e11],
        "parameters": [*ALLOCATION["parameters"], [6000, 15000]],  # type: ignore[misc]
    }
    old = {bundle.key for bundle in plan_with(allocation=ALLOCATION).bundles}
    new = {bundle.key for bundle in plan_with(allocation=more).bundles}
    assert old < new


def test_bundles_gather_short_runs_and_wait_for_parents() -> None:
    plan = plan_with(allocation=ALLOCATION, negatives=NEGATIVES)
    homes = {cell.key: bundle.key for bundle in plan.bundles for cell in bundle.cells}
    assert len(homes) == sum(len(bundle.cells) for bundle in plan.bundles)
    for bundle in plan.bundles:
        assert len(bundle.cells) == 1 or bundle.seconds <= 20
        assert bundle.seconds == pytest.approx(sum(map(seconds_of, bundle.cells)))
        needed = {homes[cell.parent.key] for cell in bundle.cells if cell.parent}
        assert needed == set(bundle.parents)
    with pytest.raises(KeyError, match="no bundle 0123"):
        plan.bundle("0123")


def test_a_job_is_filled_before_the_next_begins() -> None:
    plan = plan_with(allocation=ALLOCATION)
    assert any(len(bundle.cells) > 1 for bundle in plan.bundles)
    for bundle, following in itertools.pairwise(plan.bundles):
        same_budget = bundle.cells[0].budget == following.cells[0].budget
        assert not same_budget or bundle.seconds + seconds_of(following.cells[0]) > 20


def test_a_small_value_gives_every_run_a_job_of_its_own() -> None:
    study = study_with(allocation=ALLOCATION)
    alone = study.execution.model_copy(update={"bundle_seconds": 1e-3})
    bundles = make_plan(study.model_copy(update={"execution": alone}), V).bundles
    assert [len(bundle.cells) for bundle in bundles] == [1] * 12


def test_estimated_seconds_by_hand() -> None:
    cell = dataclasses.replace(
        plan_with(allocation=ALLOCATION).cells[0], positions=6401, batch=10, budget=4e10
    )
    assert (cell.contextualizer.layers, cell.embedder.depth) == (1, 1)
    steps = 11  # 10 of 640 positions and one of a single position
    flops = 4e10 / FLOPS_PER_SECOND
    constant = STEP_SECONDS + 2 * BLOCK_SECONDS
    assert estimated_seconds(cell, context=64, probes=0) == pytest.approx(
        RUN_SECONDS + steps * constant + flops
    )
    probed = estimated_seconds(cell, context=64, probes=2)
    assert probed == pytest.approx(
        RUN_SECONDS + (steps + 2 * STEPS_PER_PROBE) * (constant + flops / steps)
    )
    # A frozen embedder costs no block; a step is probed once at most.
    second = estimated_seconds(dataclasses.replace(cell, stage=2), context=64, probes=0)
    assert second == pytest.approx(RUN_SECONDS + steps * (constant - BLOCK_SECONDS) + flops)
    often = estimated_seconds(cell, context=64, probes=1000)
    assert often == estimated_seconds(cell, context=64, probes=steps)


def test_second_moment_half_life_is_constant_in_events() -> None:
    config = study_with(allocation=ALLOCATION).optimizer
    events = config.beta2_half_life
    for batch in (2, 64):
        spec = resolve_optimizer(config, width=16, batch=batch, budget=1e10, context=64)
        steps = events / (batch * 64)
        assert spec.beta2**steps == pytest.approx(0.5, rel=1e-4)


def test_a_study_says_how_often_its_runs_are_probed() -> None:
    study = study_with(allocation=ALLOCATION)
    cell = plan_with(allocation=ALLOCATION).cells[0]
    often = study.execution.model_copy(update={"probes": 30})
    specs = [
        resolve(cell, study.model_copy(update={"execution": one}), DATA)
        for one in (study.execution, often)
    ]
    assert [spec.probes for spec in specs] == [study.execution.probes, 30]
    assert specs[0].id != specs[1].id


def test_explain_names_every_cell_and_every_omission() -> None:
    study = study_with(allocation=ALLOCATION, batch=BATCH, negatives=NEGATIVES)
    plan = make_plan(study, V)
    text = "\n".join(explain(study, plan))
    for left in plan.left_out:
        assert f"{left.label} at {left.budget:g}: {left.reason}" in text
    for bundle in plan.bundles:
        assert bundle.key in text
    by_axis = re.findall(r"^  (\w+) +(\d+) runs +([\d,]+) s$", text, re.MULTILINE)
    runs = [cell for bundle in plan.bundles for cell in bundle.cells]
    assert {axis for axis, _, _ in by_axis} == {cell.axis for cell in runs}
    assert sum(int(count) for _, count, _ in by_axis) == len(runs)
    total = sum(map(seconds_of, runs))
    assert sum(float(s.replace(",", "")) for _, _, s in by_axis) == pytest.approx(total, abs=2)
    assert f"about {total:,.0f} s of one core" in text
    first = plan.cells[0]
    assert f"{first.n_total:,}" in text
    assert f"{first.positions:,}" in text


def _finished(tmp_path: Path) -> tuple[Plan, Study, Store, Path]:
    """A store and bundle files as if every run of a small study were done."""
    study = study_with(allocation=ALLOCATION)
    plan = make_plan(study, V)
    store = Store(tmp_path / "store")
    for bundle in plan.bundles:
        records = []
        for cell in bundle.cells:
            record = Record(resolve(cell, study, DATA), "done", counts={"steps": 1})
            records.append(store.commit(record, store.work_dir(record.id)))
        assert renew_requests(plan, study, None, tmp_path / "bundles", store) == []
        write_bundle(bundle_path(tmp_path / "bundles", bundle.key), bundle, records)
    return plan, study, store, tmp_path / "bundles"


def test_only_the_bundle_of_a_lost_record_is_stale(tmp_path: Path) -> None:
    plan, study, store, folder = _finished(tmp_path)
    assert renew_requests(plan, study, DATA, folder, store) == []
    bundle = plan.bundles[0]
    lost = resolve(bundle.cells[0], study, DATA).id
    store.clear(lost)
    messages = renew_requests(plan, study, DATA, folder, store)
    assert len(messages) == 1
    assert "no such record" in messages[0]
    newer = [
        other.key
        for other in plan.bundles
        if request_path(folder, other.key).stat().st_mtime_ns
        > bundle_path(folder, other.key).stat().st_mtime_ns
    ]
    assert newer == [bundle.key]


@pytest.mark.parametrize("fault", ["altered", "renumbered", "garbage", "other data"])
def test_other_reasons_for_a_stale_bundle(tmp_path: Path, fault: str) -> None:
    plan, study, store, folder = _finished(tmp_path)
    run = resolve(plan.bundles[0].cells[0], study, DATA)
    data = DATA
    if fault == "altered":
        path = store.path(run.id) / RECORD
        path.write_text(path.read_text().replace('"steps": 1', '"steps": 2'))
    elif fault == "renumbered":
        store.clear(run.id)  # else the first whole record would stay
        store.commit(Record(run, "done", counts={"steps": 5}), store.work_dir(run.id))
    elif fault == "garbage":
        bundle_path(folder, plan.bundles[0].key).write_text("{")
    else:
        data = dataclasses.replace(DATA, identity="changed")
    expected = len(plan.bundles) if fault == "other data" else 1
    assert len(renew_requests(plan, study, data, folder, store)) == expected


def test_realised_sizes_lie_near_the_requested_ones() -> None:
    for cell in plan_with(allocation=ALLOCATION).cells:
        wanted = float(cell.label[2:])
        assert abs(math.log(cell.n_total / wanted)) <= math.log(1.25)
