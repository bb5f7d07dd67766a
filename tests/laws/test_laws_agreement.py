"""Agreement: signs by hand, scipy's Spearman, permutation p, and the pooled partial one."""

import itertools

import numpy as np
import pytest
from scipy import stats

from behavior_scaling.laws.agreement import mid_ranks, partial_agreement, rank_agreement
from behavior_scaling.laws.arrays import LawsError

LOSS = np.array([7.1, 7.0, 6.8, 6.9, 6.5, 6.6, 6.2])


def test_sign_plus_one_when_lower_loss_ranks_better() -> None:
    found = rank_agreement(LOSS, -LOSS)
    assert found.correlation.value == pytest.approx(1.0)
    assert found.p_value == pytest.approx(2 / 5040)  # the order itself and its reverse
    assert rank_agreement(LOSS, LOSS).correlation.value == pytest.approx(-1.0)


def test_one_swap_by_hand() -> None:
    # ranks differ by 1 in two places: rho = 1 - 6 * 2 / (7 * 48)
    metric = -LOSS.copy()
    metric[[0, 1]] = metric[[1, 0]]
    assert rank_agreement(LOSS, metric).correlation.value == pytest.approx(1 - 12 / 336)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("cells", [7, 8, 12])
def test_matches_scipy(cells: int, ties: bool) -> None:
    rng = np.random.default_rng(cells)
    loss, metric = rng.normal(size=cells), rng.normal(size=cells)
    if ties:
        loss, metric = np.round(loss), np.round(metric)
    expected = stats.spearmanr(loss, metric).statistic
    assert rank_agreement(loss, metric).correlation.value == pytest.approx(-expected)


def test_mid_ranks_match_scipy() -> None:
    values = np.array([[3.0, 1.0, 3.0, 2.0], [5.0, 5.0, 5.0, 1.0]])
    np.testing.assert_array_equal(mid_ranks(values), stats.rankdata(values, axis=1))


def test_exact_p_by_enumeration() -> None:
    rng = np.random.default_rng(3)
    loss, metric = rng.normal(size=7), rng.normal(size=7)
    observed = abs(float(stats.spearmanr(loss, metric).statistic))
    ranks, order = stats.rankdata(loss), stats.rankdata(metric)
    extreme = [
        abs(np.corrcoef(ranks, order[list(p)])[0, 1]) >= observed - 1e-9
        for p in itertools.permutations(range(7))
    ]
    assert rank_agreement(loss, metric).p_value == pytest.approx(np.mean(extreme))


def test_sampled_p_is_uniform_under_the_null() -> None:
    rng = np.random.default_rng(5)
    p = [
        rank_agreement(rng.normal(size=10), rng.normal(size=10), resamples=20).p_value
        for _ in range(200)
    ]
    assert stats.kstest(np.array(p, dtype=float), "uniform").pvalue > 0.01


def test_interval_holds_the_value_and_is_seeded() -> None:
    rng = np.random.default_rng(6)
    loss = rng.normal(size=12)
    metric = -loss + 0.7 * rng.normal(size=12)
    first, second = (rank_agreement(loss, metric, seed=1) for _ in range(2))
    assert first == second
    c = first.correlation
    assert c.low is not None
    assert c.high is not None
    assert c.value is not None
    assert -1 <= c.low < c.value < c.high <= 1
    assert rank_agreement(loss, metric, seed=2).correlation.low != c.low


def test_six_cells_are_too_few() -> None:
    found = rank_agreement(LOSS[:6], -LOSS[:6])
    assert (found.correlation.status, found.p_value) == ("too few points", None)


def test_constant_metric_is_not_identified() -> None:
    found = rank_agreement(LOSS, np.full(7, 0.1))
    assert (found.correlation.status, found.correlation.value) == ("not identified", None)


def test_bad_input_is_named() -> None:
    with pytest.raises(LawsError, match=r"losses\[0\]: entry 0"):
        rank_agreement([np.nan, *LOSS[1:]], LOSS)
    with pytest.raises(LawsError, match="one entry of each per cell"):
        rank_agreement(LOSS, LOSS[:6])


def test_pooling_takes_out_the_groups() -> None:
    # within both groups lower loss ranks worse; across them lower loss ranks better
    loss = [np.array([5.0, 5.1, 5.2, 5.3]), np.array([7.0, 7.1, 7.2, 7.3])]
    metric = [np.array([0.30, 0.31, 0.32, 0.33]), np.array([0.10, 0.11, 0.12, 0.13])]
    naive = rank_agreement(np.concatenate(loss), np.concatenate(metric))
    assert naive.correlation.value is not None
    assert naive.correlation.value > 0
    partial = partial_agreement(loss, metric)
    assert partial.correlation.value == pytest.approx(-1.0)
    assert partial.cells == 8


def test_partial_matches_residuals_of_ranks_on_group_indicators() -> None:
    rng = np.random.default_rng(8)
    sizes = (7, 9, 8)
    loss = [rng.normal(size=n) + 2 * i for i, n in enumerate(sizes)]
    metric = [-part + 0.4 * rng.normal(size=part.size) for part in loss]
    dummies = np.repeat(np.eye(3), sizes, axis=0)
    a, b = (stats.rankdata(np.concatenate(parts)) for parts in (loss, metric))
    a, b = (r - dummies @ np.linalg.lstsq(dummies, r, rcond=None)[0] for r in (a, b))
    found = partial_agreement(loss, metric)
    assert found.correlation.value == pytest.approx(-np.corrcoef(a, b)[0, 1])
    assert found.p_value is not None
    assert found.p_value < 0.01
