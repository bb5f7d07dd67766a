"""The plan of config/paper.yaml: its design, a row by hand, totals, and words for every run."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from behavior_scaling.config import Study, load_study
from behavior_scaling.sizes.gpus import GPUS
from behavior_scaling.sweep.execution import execution_of
from behavior_scaling.sweep.plan import Plan, make_plan
from behavior_scaling.sweep.study_plan import DataSizes, PlannedRun, plan_runs, room
from behavior_scaling.sweep.study_rows import row
from behavior_scaling.sweep.study_text import described, every_run, short, size

ROOT = Path(__file__).parents[2]
DATA = DataSizes(3_700_000, 67_400_000, 23_200_000, "somebody", about=True)
DECADES = (1e15, 1e16, 1e17, 1e18, 1e19)


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study(ROOT / "config" / "paper.yaml")


@pytest.fixture(scope="module")
def plan(study: Study) -> Plan:
    return make_plan(study, DATA.items)


@pytest.fixture(scope="module")
def runs(study: Study, plan: Plan) -> list[PlannedRun]:
    return plan_runs(study, plan, DATA)


def joined(lines: Iterable[str]) -> str:
    """Lines as one, however they were wrapped."""
    return " ".join(" ".join(lines).split())


def on(study: Study, gpu: str) -> Study:
    return study.model_copy(update={"execution": study.execution.model_copy(update={"gpu": gpu})})


def test_the_design_is_the_papers(study: Study, plan: Plan, runs: list[PlannedRun]) -> None:
    assert (study.data.context, study.data.tokens) == (256, 24)
    assert study.execution.precision == "bf16-mixed"
    assert 570 <= len(runs) <= 650
    assert plan.left_out == ()
    assert Counter(run.cell.axis for run in runs).keys() == {
        "allocation", "share", "batch", "negatives",
    }  # fmt: skip
    for axis in ("allocation", "share", "batch", "negatives"):
        budgets = {cell.budget for cell in plan.cells if cell.axis == axis}
        assert budgets >= set(DECADES)
    asked = {cell.objective.uniform for cell in plan.cells if cell.arm == "uniform"}
    assert asked == {0, *(1000 * k for k in (16, 32, 65, 125, 250, 500, 1000, 2000))}
    assert {cell.batch for cell in plan.cells if cell.axis == "batch"} >= {285 * 2, 32, 2280}


def test_the_papers_vertices_lie_well_inside_the_grids(plan: Plan) -> None:
    """N* = 0.5M (C / 1e15)^0.617: three realised sizes or more on either side, out to 5 times."""
    sizes: dict[float, set[int]] = {}
    for cell in plan.cells:
        if cell.axis == "allocation":
            sizes.setdefault(cell.budget, set()).add(cell.n_total)
            assert cell.n_emb / cell.n_total == pytest.approx(0.02, rel=0.2)
    for budget, found in sizes.items():
        vertex = 0.5e6 * (budget / 1e15) ** 0.617
        assert len(found) == 11
        assert sum(n < vertex / 1.2 for n in found) >= 3
        assert sum(n > vertex * 1.2 for n in found) >= 3
        assert min(found) < vertex / 5 < vertex * 5 < max(found)
    assert max(max(found) for found in sizes.values()) == pytest.approx(1.1e9, rel=0.1)


def test_shares_from_nothing_to_half_at_one_ratio(plan: Plan) -> None:
    for budget in DECADES:
        cells = [c for c in plan.cells if c.axis == "share" and c.budget == budget and c.seed == 0]
        shares = sorted(cell.n_emb / cell.n_total for cell in cells)
        assert shares[0] == 0
        assert shares[-1] == pytest.approx(0.5, rel=0.1)
        assert sum(0.004 < share < 0.045 for share in shares) >= 5
        for cell in cells:
            assert cell.positions / cell.n_total == pytest.approx(15, rel=0.25)


def test_heads_of_wide_models_are_whole(plan: Plan) -> None:
    for cell in plan.cells:
        spec = cell.contextualizer
        assert spec.width % spec.heads == 0
        assert spec.width < 256 or spec.width // spec.heads == 64
        assert spec.width % 8 == 0


def test_a_row_by_hand(study: Study, runs: list[PlannedRun]) -> None:
    """K = 2M at 10^15: depth 2 and width 16 into d = 112, three layers; B = 64."""
    run = next(run for run in runs if run.cell.label == "K=2000000" and run.cell.budget == 1e15)
    n_emb, n_ctx = 2 * 12 * 16**2 + 16 * 112, 3 * 12 * 112**2 + 1
    assert (run.cell.n_emb, run.cell.n_total) == (n_emb, n_emb + n_ctx)
    candidates = 1024 + 2_000_000
    each = (
        6 * 3 * 12 * 112**2 - 2 * 3 * 112**2  # frozen vectors: the first QKV without a gradient
        + 12 * 3 * 256 * 112
        + 4 * (candidates + 256) * 112
    )  # fmt: skip
    assert run.cell.positions == math.floor(1e15 / each)
    assert run.steps == math.ceil(run.cell.positions / (64 * 256))
    assert run.flops.total == pytest.approx(1e15, rel=1e-5)
    unique = 67_400_000 * 0.99 - 23_200_000
    assert run.epochs == pytest.approx(run.cell.positions / unique, rel=1e-6)
    assert not run.data_limited
    assert run.checkpoint_bytes == 4 * (n_emb + 3 * n_ctx)
    assert run.optimizer_bytes == 8 * n_ctx
    assert run.record_bytes == 20 * 674_000 + 4 * n_emb + 60_000
    assert run.logits_bytes == 4 * 64 * 256 * candidates
    assert run.why == f"fits as it is: {run.choice.memory.total / 1e9:.1f} of 72 GB"


def test_no_run_is_left_unexplained(study: Study, runs: list[PlannedRun]) -> None:
    assert len({run.cell.key for run in runs}) == len(runs)
    for run in runs:
        choice = run.choice
        assert execution_of(run.cell, study, DATA.items) == choice.execution
        whole, laid = choice.alone.total <= room(study), choice.memory.total <= room(study)
        assert laid == (choice.reason != "too large")
        assert (choice.reason == "fits") == (whole and choice.execution.devices == 1)
        if choice.reason == "parts":
            assert f"in {choice.execution.accumulate} parts" in run.why
            assert "most of it activations" in run.why
        else:
            assert run.why.startswith("fits as it is")
    assert {run.choice.reason for run in runs} == {"fits", "parts"}


@pytest.mark.parametrize("gpu", GPUS)
def test_every_gpu_explains_every_run(study: Study, plan: Plan, gpu: str) -> None:
    other = on(study, gpu)
    runs = plan_runs(other, plan, DATA)
    for run in runs:
        assert execution_of(run.cell, other, DATA.items) == run.choice.execution
        fits = run.choice.memory.total <= room(other)
        assert fits == (run.choice.reason != "too large")
        words = {"hours": "more than 24 h", "too large": "at the least", "fits": "fits as it is"}
        assert words.get(run.choice.reason, "GB on one GPU, most of it") in run.why
    text = joined(described(other, plan, DATA, runs))
    large = sum(run.choice.reason == "too large" for run in runs)
    assert f"made to fit, {large} do not" in text
    assert text.count("do not fit: the largest needs") == len(
        {(run.cell.axis, run.cell.budget) for run in runs if run.choice.reason == "too large"}
    )
    if GPUS[gpu].memory_bytes >= 80e9:
        assert large == 0
    if gpu == "rtx4090":  # evaluation holds 3.7M vectors of float32
        assert large > 0


def test_totals_are_sums_of_the_rows(study: Study, plan: Plan, runs: list[PlannedRun]) -> None:
    rows = [row(run) for run in runs]
    lines = list(described(study, plan, DATA, runs))
    hours = sum(each["hours"] * each["devices"] for each in rows)
    text = joined(lines)
    assert f"hours: {hours:,.0f} GPU-hours in {len(plan.bundles)} jobs" in text
    assert f"energy: {hours * 0.7:,.0f} kWh" in text
    first = lines.index(next(line for line in lines if line.startswith("  axis"))) + 1
    table = lines[first : lines.index("", first)]
    by_group = [float(line.split()[-1].replace(",", "")) for line in table]
    assert sum(by_group[:-1]) == pytest.approx(by_group[-1], abs=0.05 * len(by_group))
    assert by_group[-1] == pytest.approx(hours, abs=0.05)
    assert sum(int(line.split()[2]) for line in table[:-1]) == len(runs)
    limited = sum(each["data_limited"] for each in rows)
    assert f"{limited} of {len(runs)} runs are data-limited" in text
    jobs = sum(bundle.seconds * bundle.devices for bundle in plan.bundles) / 3600
    assert jobs == pytest.approx(hours, rel=0.1)  # jobs are cut for a million targets
    parts = ("weights", "optimizer", "catalogue", "activations", "candidates", "working")
    for each in rows:
        step = sum(each[f"memory_{part}"] for part in parts)
        assert each["memory_bytes"] == max(step, each["memory_evaluation"])


def test_the_summary_fits_a_terminal_and_all_runs_are_listed(
    study: Study, plan: Plan, runs: list[PlannedRun]
) -> None:
    lines = list(described(study, plan, DATA, runs))
    assert len(lines) < 60
    assert max(map(len, lines)) <= 100
    listed = list(every_run(runs))
    assert len(listed) == len(runs) + 1
    assert all(run.why in line for run, line in zip(runs, listed[1:], strict=True))


def test_repetition_is_named_only_where_there_is_some(
    study: Study, plan: Plan, runs: list[PlannedRun]
) -> None:
    plenty = dataclasses.replace(DATA, events=10**12)
    text = joined(described(study, plan, plenty, plan_runs(study, plan, plenty)))
    assert f"0 of {len(runs)} runs are data-limited" in text
    assert "none would be" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.026, "0.026"), (9.7, "9.7"), (62_500, "62k"), (999_999, "1.0M"), (4.02e6, "4.0M"),
     (1.08e9, "1.1G"), (68, "68"), (9_960, "10k")],
)  # fmt: skip
def test_counts_in_two_digits(value: float, text: str) -> None:
    assert short(value) == text


def test_bytes_in_two_digits() -> None:
    assert [size(n) for n in (0, 950, 1_818_636, 13e9, 2.4e12)] == [
        "0.0 B", "950 B", "1.8 MB", "13 GB", "2.4 TB",
    ]  # fmt: skip
