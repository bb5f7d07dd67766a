"""AICc: hand-worked numbers and its normal and Laplace ends."""

import numpy as np
import pytest
from scipy import stats

from behavior_scaling.laws.criteria import GAIN, aicc


def test_by_hand():
    # n = 10, k = 3, S = 2.5: 10 log(0.25) + 6 + 2*3*4/6 = -13.862944 + 6 + 4
    assert aicc(2.5, 10, 3) == pytest.approx(-3.862943611, abs=1e-9)
    # absolute values: 20 log(0.25) + 10
    assert aicc(2.5, 10, 3, power=1) == pytest.approx(-17.725887222, abs=1e-9)
    assert GAIN == 4.0


def test_too_few_points_are_infinitely_bad():
    assert aicc(1.0, 4, 3) == np.inf
    assert np.isfinite(aicc(1.0, 5, 3))


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_differences_are_those_of_the_maximised_likelihood(power):
    rng = np.random.default_rng(0)
    n, penalty = 40, [2 * k + 2 * k * (k + 1) / (40 - k - 1) for k in (3, 5)]
    first, second = rng.standard_normal(n), 0.7 * rng.standard_normal(n)

    def log_likelihood(r):
        if power == 2:
            return stats.norm(scale=np.sqrt(np.mean(r**2))).logpdf(r).sum()
        return stats.laplace(scale=np.mean(np.abs(r))).logpdf(r).sum()

    sums = [float(np.sum(np.abs(r) ** power)) for r in (first, second)]
    ours = aicc(sums[0], n, 3, power) - aicc(sums[1], n, 5, power)
    theirs = -2 * log_likelihood(first) + penalty[0] + 2 * log_likelihood(second) - penalty[1]
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_the_unit_of_the_objective_does_not_matter():
    for power in (1.0, 1.4, 2.0):
        near = aicc(3.0, 20, 4, power) - aicc(5.0, 20, 2, power)
        far = aicc(3e9, 20, 4, power) - aicc(5e9, 20, 2, power)
        assert near == pytest.approx(far, abs=1e-9)
