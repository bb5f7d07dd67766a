"""Archived against retrained: exact where it has to be, elsewhere within seed noise."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from behavior_scaling.laws.replication import ALL, HEADLINE, compare, same_kind, seed_noise
from behavior_scaling.records.record import Record

from ..records.helpers import example_spec

HERE = {"processor": "x86_64", "instructions": "AVX512", "peak_memory": "here"}
THERE = {"processor": "x86_64", "instructions": "AVX2", "peak_memory": "there"}
LOSS = HEADLINE[0]


def record(loss: float, seed: int = 0, machine: dict[str, str] = HERE, **changes: Any) -> Record:
    one = dataclasses.replace(example_spec(), seed=seed, **changes)
    metrics = dict.fromkeys(HEADLINE, 0.25) | {LOSS: loss, "train_loss": 6.0}
    return Record(one, "done", metrics=metrics, machine=machine, versions={"torch": "2"})


def test_seed_noise_is_pooled_over_the_cells_of_a_stage_and_budget() -> None:
    noise = seed_noise(
        [
            record(5.0, 0), record(5.2, 1),  # squares .02, one degree of freedom
            record(6.0, 0, positions=2000), record(6.3, 1, positions=2000),
            record(6.6, 2, positions=2000),  # squares .18, two
            record(9.0, 0, batch=8),  # alone in its cell
            record(4.0, 0, budget=1e12),
            dataclasses.replace(record(99.0, 5), outcome="failed"),
        ]
    )  # fmt: skip
    assert noise[1, 1e10][LOSS] == pytest.approx(math.sqrt(0.20 / 3), rel=1e-12)
    assert noise[1, 1e10][HEADLINE[1]] == 0.0
    assert noise[1, 1e12] == {}
    assert noise[ALL][LOSS] == noise[1, 1e10][LOSS]


def test_a_child_is_of_one_cell_whatever_seed_its_parent_had() -> None:
    children = [record(5.0 + i, i, stage=2, parent=letter * 64) for i, letter in enumerate("ab")]
    assert seed_noise(children)[2, 1e10][LOSS] == pytest.approx(math.sqrt(0.5))


def test_equal_numbers_are_exact_on_any_machine() -> None:
    one = compare(record(5.0), record(5.0, machine=THERE), {})
    assert (one.exact, one.passes, one.verdict, one.same_kind) == (True, True, "exact", False)
    assert [row.difference for row in one.rows] == [0.0] * 4


def test_on_the_same_kind_of_machine_nothing_else_will_do() -> None:
    noise = {(1, 1e10): {LOSS: 10.0}}
    one = compare(record(5.0), record(5.0 + 1e-9), noise)
    assert (one.exact, one.passes, one.verdict) == (False, False, "differs")
    assert one.rows[0].tolerance == 0
    assert "expected to be the same" in one.reason
    archived = record(5.0)
    other = dataclasses.replace(archived, metrics=archived.metrics | {"train_loss": 6.5})
    one = compare(archived, other, noise)
    assert not one.passes
    assert (one.rows[-1].metric, one.rows[-1].difference) == ("train_loss", 0.5)


@pytest.mark.parametrize(("off", "passes"), [(0.42, True), (-0.42, True), (0.43, False)])
def test_elsewhere_three_deviations_of_a_difference_of_two_seeds(off: float, passes: bool) -> None:
    noise = {(1, 1e10): dict.fromkeys(HEADLINE, 0.1)}  # 3 sqrt(2) 0.1 = 0.424
    one = compare(record(5.0), record(5.0 + off, machine=THERE), noise)
    assert one.passes is passes
    assert one.verdict == ("within tolerance" if passes else "differs")
    assert one.rows[0].tolerance == pytest.approx(0.4243, abs=1e-4)
    assert [row.verdict for row in one.rows[1:]] == ["equal"] * 3


def test_without_replicates_of_a_budget_all_speak_and_without_any_one_in_a_hundred() -> None:
    there = record(5.04, machine=THERE)
    pooled = compare(record(5.0), there, {ALL: {LOSS: 0.01}, (1, 1e10): {}})
    assert pooled.rows[0].tolerance == pytest.approx(0.0424, abs=1e-4)
    alone = compare(record(5.0), there, {})
    assert alone.rows[0].tolerance == pytest.approx(0.05)
    assert alone.passes


def test_another_outcome_is_a_difference_and_says_its_error() -> None:
    failed = Record(record(5.0).spec, "failed", "Traceback\nMemoryError: no room")
    one = compare(record(5.0), failed, {})
    assert not one.passes
    assert one.reason == "archived done, retrained failed: MemoryError: no room"
    diverged = Record(record(5.0).spec, "diverged", "step 3", versions={"torch": "2"}, machine=HERE)
    elsewhere = dataclasses.replace(diverged, machine=THERE, curve=[{"loss": 1.0}])
    assert compare(diverged, diverged, {}).exact
    assert compare(diverged, elsewhere, {}).passes


def test_a_metric_that_one_of_them_lacks_is_a_difference() -> None:
    whole = record(5.0)
    less = dataclasses.replace(
        record(5.0, machine=THERE), metrics={**whole.metrics, HEADLINE[1]: None}
    )
    one = compare(whole, less, {})
    assert [row.passes for row in one.rows] == [True, False, True, True]


def test_kinds_of_machine_are_told_apart_by_what_both_records_say() -> None:
    one = record(5.0)
    younger = dataclasses.replace(one, machine={**HERE, "devices": "1", "peak_memory": "else"})
    assert same_kind(one, younger)
    assert not same_kind(one, record(5.0, machine=THERE))
    assert not same_kind(one, dataclasses.replace(one, versions={"torch": "3"}))
    assert not same_kind(one, dataclasses.replace(one, machine={}))
