"""The surface withholds the optimum of an axis that it does not follow."""

import numpy as np
import pytest
from scipy import stats

from behavior_scaling.laws.surface_misfit import followed

BUDGET = np.repeat([1e10, 3e10, 1e11], 8)
X = np.tile(np.geomspace(1e3, 1e5, 8), 3)


def test_chance_is_that_of_a_regression_with_one_level_for_each_budget() -> None:
    noise = np.random.default_rng(0).normal(size=24)
    z = np.log(X) - np.log(X).mean()
    levels = (BUDGET[:, None] == np.unique(BUDGET)).astype(float)
    full = np.column_stack([levels, z, z**2])
    rest = [np.sum((noise - a @ np.linalg.lstsq(a, noise)[0]) ** 2) for a in (levels, full)]
    f = (rest[0] - rest[1]) / 2 / (rest[1] / (24 - 5))
    assert followed(noise, X, BUDGET) == pytest.approx(stats.f.sf(f, 2, 19), rel=1e-9)


def test_noise_is_rarely_taken_for_a_trend() -> None:
    rng = np.random.default_rng(1)
    chances = np.array([followed(rng.normal(size=24), X, BUDGET) for _ in range(2000)])
    assert 0.005 < np.mean(chances < 0.01) < 0.016


@pytest.mark.parametrize("shape", ["slope", "bend"])
def test_a_trend_or_a_bend_is_seen(shape: str) -> None:
    z = np.log(X / 1e4)
    trend = z if shape == "slope" else z**2
    residual = np.random.default_rng(2).normal(size=24) + trend
    chance = followed(residual, X, BUDGET)
    assert chance is not None
    assert chance < 1e-4


def test_levels_of_budgets_are_no_trend_of_the_axis() -> None:
    noise = np.random.default_rng(0).normal(size=24)
    lifted = noise + 50 * (BUDGET == 1e11)
    assert followed(lifted, X, BUDGET) == pytest.approx(followed(noise, X, BUDGET))


def test_too_few_cells_say_nothing() -> None:
    assert followed(np.zeros(5), X[:5], BUDGET[:5]) is None
