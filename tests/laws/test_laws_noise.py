"""Seed noise: pooling by hand, smoothing of planted variances, and redrawing."""

import numpy as np
import pytest

from behavior_scaling.laws.arrays import LawsError, f_quantile, t_quantile
from behavior_scaling.laws.noise import (
    ErrorVariance,
    NoiseLevel,
    error_variance,
    noise_levels,
    pooled,
    resample,
)


def test_pooled_by_hand() -> None:
    # a (1, 3): mean 2, squares 2; b (5, 5, 8): mean 6, squares 6; a single run adds nothing
    cells, values = ["a", "b", "b", "c", "a", "b"], [1.0, 5.0, 5.0, 4.0, 3.0, 8.0]
    assert pooled(cells, values) == (8.0, 3)
    assert pooled([], []) == (0.0, 0)


def test_pooled_names_what_is_wrong() -> None:
    with pytest.raises(LawsError, match="values: entry 1"):
        pooled([0, 0], [1.0, np.nan])
    with pytest.raises(LawsError, match="3 labels for 2 values"):
        pooled([0, 0, 1], [1.0, 2.0])


def test_two_budgets_keep_their_own_variance() -> None:
    levels = noise_levels([1e10, 1e11], [0.4, 0.9], [4, 9])
    assert levels[1e10].variance == pytest.approx(0.1)
    assert levels[1e10].df == 4
    assert levels[1e11].variance == pytest.approx(0.1)


def test_budget_without_replicates_is_none_with_a_reason() -> None:
    levels = noise_levels([1e9, 1e10, 1e11, 1e12], [0.4, 0.3, 0.2, 0.0], [4, 4, 4, 0])
    assert levels[1e12].variance is None
    assert "two seeds" in levels[1e12].reason
    assert levels[1e9].known


def test_log_linear_variance_is_recovered() -> None:
    budgets, df = np.geomspace(1e8, 1e13, 6), np.full(6, 40.0)
    truth = 0.01 * (budgets / 1e10) ** -0.5
    slopes, ratio = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        levels = noise_levels(budgets, truth * rng.chisquare(40, 6), df)
        fitted = np.array([levels[c].variance for c in budgets], dtype=float)
        slopes.append(np.polyfit(np.log(budgets), np.log(fitted), 1)[0])
        ratio.append(np.mean(np.log(fitted / truth)))
    assert np.mean(slopes) == pytest.approx(-0.5, abs=0.01)
    assert np.mean(ratio) == pytest.approx(0.0, abs=0.02)  # the log's bias is corrected


def test_smoothing_earns_degrees_of_freedom() -> None:
    levels = noise_levels([1e9, 1e10, 1e11, 1e12], [0.5, 0.6, 0.4, 0.5], [5, 5, 5, 5])
    middle, end = levels[1e10].df, levels[1e12].df
    assert 5 < end < middle < 20


def test_noise_refuses_two_entries_for_a_budget() -> None:
    with pytest.raises(LawsError, match="distinct budget"):
        noise_levels([1e9, 1e9], [1.0, 1.0], [1, 1])


def test_scatter_replaces_seed_noise_only_when_significant() -> None:
    noise = NoiseLevel(1.0, 20)
    assert error_variance(4.0, 4, noise, 0.0).value == 1.0
    wide = error_variance(40.0, 4, noise, 0.0)
    assert (wide.value, wide.df) == (10.0, 4)
    assert "scatter" in wide.reason


def test_scatter_stands_in_for_missing_noise() -> None:
    none = NoiseLevel(None, 0.0, "no replicates")
    assert error_variance(6.0, 3, none, 0.0).value == 2.0
    assert error_variance(0.0, 0, none, 0.0).value is None


def test_redrawn_noise_has_the_planted_variance_and_seed() -> None:
    spread = np.array([1.0, 0.25])
    error = ErrorVariance(0.04, np.inf)
    draws = resample(error, spread, 40_000, seed=3)
    np.testing.assert_allclose(draws.var(axis=0), 0.04 * spread, rtol=0.03)
    np.testing.assert_array_equal(draws, resample(error, spread, 40_000, seed=3))
    assert not np.array_equal(draws, resample(error, spread, 40_000, seed=4))


def test_redrawn_noise_has_t_tails_when_the_variance_is_poorly_known() -> None:
    draws = resample(ErrorVariance(1.0, 4.0), np.ones(1), 200_000, seed=0)[:, 0]
    assert np.quantile(draws, 0.975) == pytest.approx(2.776, rel=0.03)  # t table, df 4


def test_unknown_noise_cannot_be_redrawn() -> None:
    with pytest.raises(LawsError, match="no replicates"):
        resample(ErrorVariance(None, 0.0, "no replicates"), np.ones(2), 10, seed=0)


def test_quantiles_from_tables() -> None:
    assert t_quantile(4) == pytest.approx(2.776, abs=1e-3)
    assert t_quantile(np.inf) == pytest.approx(1.960, abs=1e-3)
    assert f_quantile(3, 10) == pytest.approx(3.708, abs=1e-3)
    assert f_quantile(3, np.inf) == pytest.approx(7.815 / 3, abs=1e-3)
    with pytest.raises(LawsError, match="degrees of freedom"):
        t_quantile(0)
