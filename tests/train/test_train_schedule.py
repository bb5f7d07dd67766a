"""The learning rate and the tally against closed forms and hand-worked sums."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from behavior_scaling.records.spec import OptimizerSpec
from behavior_scaling.train.schedule import learning_rate
from behavior_scaling.train.tally import Tally

OPTIMIZER = OptimizerSpec(0.01, 0.2, 0.1, 0.0, 0.9, 0.99, 1.0)


@pytest.mark.parametrize(
    ("position", "rate"),
    [
        (0, 0.0),
        (100, 0.005),  # half of the warm-up of 200
        (200, 0.01),  # the peak
        (600, 0.01 * (0.1 + 0.9 * 0.5)),  # half of the decay
        (400, 0.01 * (0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2)),  # a quarter
        (1000, 0.001),  # a tenth of the peak is left
    ],
)
def test_linear_warmup_then_half_a_cosine(position, rate):
    assert learning_rate(OPTIMIZER, position, 1000) == pytest.approx(rate)


def test_without_warmup_the_first_rate_is_the_peak():
    assert learning_rate(replace(OPTIMIZER, warmup=0.0), 0, 1000) == 0.01


def test_the_tally_weighs_losses_by_positions():
    tally = Tally(positions=100)
    losses, sizes = [4.0, 3.0, 2.0, 1.0], [60, 29, 9, 2]
    for loss, size in zip(losses, sizes, strict=True):
        tally.add(loss, lr=loss / 10, positions=size)
    assert (tally.steps, tally.consumed) == (4, 100)
    assert tally.train_loss == pytest.approx((2 * 9 + 1 * 2) / 11)  # steps that end beyond 90
    assert [point["positions"] for point in tally.curve] == [60, 89, 98, 100]
    assert [point["train_loss"] for point in tally.curve] == losses
    assert [point["lr"] for point in tally.curve] == [0.4, 0.3, 0.2, 0.1]


def test_the_curve_has_fifty_points_that_average_what_lies_between_them():
    tally = Tally(positions=10_000)
    losses = np.random.default_rng(0).random(1000)
    for loss in losses:
        tally.add(float(loss), lr=0.1, positions=10)
    assert len(tally.curve) == 50
    assert [point["train_loss"] for point in tally.curve] == pytest.approx(
        losses.reshape(50, 20).mean(1).tolist()
    )


def test_the_tally_survives_its_state():
    tally = Tally(positions=100)
    tally.add(1.5, 0.1, 30)
    again = Tally.from_state(tally.state_dict())
    for one in (tally, again):
        one.add(2.5, 0.1, 70)
    assert again == tally
