"""Batches drawn beside a run: whole rows, every one as likely, nothing of the run moved."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from behavior_scaling.data.store import Dataset
from behavior_scaling.data.windows import TrainSampler


def rows_of(batch) -> list[tuple[int, ...]]:
    return [tuple(row) for row in np.where(batch.valid, batch.inputs, -1)]


@pytest.fixture
def dataset(prepared, random_lines) -> Dataset:
    return prepared(random_lines(), 12)


@pytest.fixture
def sampler(dataset) -> TrainSampler:
    return TrainSampler(dataset, context=4, batch=3, positions=50, seed=1)


def test_a_batch_holds_different_rows_of_the_epoch_uncut(sampler, dataset):
    plan = sampler.epoch_plan(5).grid()
    known = Counter(tuple(np.where(row >= 0, dataset.items[row], -1)) for row in plan.event)
    for batch in sampler.draws(5, 200):
        assert not Counter(rows_of(batch)) - known
        assert batch.inputs.shape == (3, 4)
        assert (batch.valid == (batch.document >= 0)).all()
        assert batch.valid[:, 0].all()


def test_draws_leave_the_run_where_it_is(sampler, dataset):
    undisturbed = list(TrainSampler(dataset, context=4, batch=3, positions=50, seed=1))
    for expected, batch in zip(undisturbed, sampler, strict=True):
        assert (batch.inputs == expected.inputs).all()
        assert (batch.valid == expected.valid).all()
        list(sampler.draws(batch.step, 2))


def test_draws_repeat_and_differ_by_epoch_and_number(sampler):
    first, again = list(sampler.draws(2, 3)), list(sampler.draws(2, 3))
    assert all((a.inputs == b.inputs).all() for a, b in zip(first, again, strict=True))
    assert not (first[0].inputs == first[1].inputs).all()
    numbers = [batch.step for epoch in range(4) for batch in sampler.draws(epoch, 3)]
    assert sorted(set(numbers)) == sorted(numbers)


def test_every_row_is_as_likely(dataset):
    sampler = TrainSampler(dataset, context=4, batch=1, positions=50, seed=1)
    plan = sampler.epoch_plan(0).grid()
    n_rows = len(plan.event)
    tuples = [tuple(np.where(row >= 0, dataset.items[row], -1)) for row in plan.event]
    found = Counter(row for batch in sampler.draws(0, 100 * n_rows) for row in rows_of(batch))
    expected = Counter(tuples)
    deviation = sum((found[row] - 100 * n) ** 2 / (100 * n) for row, n in expected.items())
    assert deviation < len(expected) + 5 * np.sqrt(2 * len(expected))  # chi-squared
    assert sum(found.values()) == 100 * n_rows


def test_more_rows_than_the_epoch_has_are_drawn_with_repeats(dataset):
    rows = len(TrainSampler(dataset, 4, 1, 50, seed=1).epoch_plan(0))
    sampler = TrainSampler(dataset, 4, rows + 1, 50, seed=1)
    (batch,) = sampler.draws(0, 1)
    assert len(batch.inputs) == rows + 1
