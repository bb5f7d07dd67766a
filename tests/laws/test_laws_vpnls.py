"""VPNLS: exact non-negative least squares, and the minimum of approach 3 in linear residuals."""

import numpy as np
import pytest
from scipy.optimize import nnls

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.nonnegative import nonnegative
from behavior_scaling.laws.parametric import fit_parametric
from behavior_scaling.laws.vpnls import fit_vpnls, search


def designs(kind, seed, rows=8):
    rng = np.random.default_rng(seed)
    points = int(rng.integers(4, 12))
    design = rng.standard_normal((rows, points, 3))
    if kind == "zero column":
        design[:, :, 1] = 0
    elif kind == "same twice":
        design[:, :, 2] = 1.7 * design[:, :, 1]
    elif kind == "nearly the same":
        design = np.abs(design)
        design[:, :, 2] = design[:, :, 1] * (1 + 1e-9 * rng.standard_normal((rows, points)))
    elif kind == "a sum":
        design = np.abs(design)
        design[:, :, 2] = design[:, :, 0] + design[:, :, 1]
    elif kind == "units apart":
        design *= np.array([1e-6, 1.0, 1e6])
    return design, rng.standard_normal(points) + rng.uniform(-1, 3)


@pytest.mark.parametrize(
    "kind", ["any", "zero column", "same twice", "nearly the same", "a sum", "units apart"]
)
@pytest.mark.parametrize("seed", range(10))
def test_nonnegative_against_scipy(kind, seed):
    design, y = designs(kind, seed)
    coefficients, cost = nonnegative(design, y)
    assert np.all(coefficients >= 0)
    for one, found, least in zip(design, coefficients, cost, strict=True):
        reference = nnls(one, y)[1] ** 2
        assert least == pytest.approx(reference, abs=1e-10 * (y @ y))
        assert np.sum((one @ found - y) ** 2) == pytest.approx(reference, abs=1e-8 * (y @ y))


def test_nothing_helps_a_negative_target():
    coefficients, cost = nonnegative(np.ones((1, 4, 2)), -np.ones(4))
    np.testing.assert_array_equal(coefficients, [[0, 0]])
    assert cost[0] == 4


def table(seed, points=40, noise=0.005):
    rng = np.random.default_rng(seed)
    n, d = 10 ** rng.uniform(6, 10, points), 10 ** rng.uniform(8, 12, points)
    alpha, beta = rng.uniform(0.2, 0.7, 2)
    mean_n, mean_d = (np.exp(np.mean(np.log(x))) for x in (n, d))
    y = 1.5 + 0.4 * (n / mean_n) ** -alpha + 0.5 * (d / mean_d) ** -beta
    return y * np.exp(noise * rng.standard_normal(points)), n, d, (alpha, beta)


@pytest.mark.parametrize("seed", range(4))
class TestMinimum:
    def test_it_is_that_of_approach_3(self, seed):
        y, n, d, _ = table(seed)
        by_projection = fit_vpnls(y, n, d, bootstrap=0)
        by_starts = fit_parametric(y, n, d, residuals="linear", delta=None, bootstrap=0)
        assert by_projection.objective == pytest.approx(by_starts.objective, rel=1e-8)
        assert by_projection.minimum == pytest.approx(by_starts.minimum, rel=1e-4)
        assert (by_projection.residuals, by_projection.delta) == ("linear", None)

    def test_the_search_alone_comes_near(self, seed):
        y, n, d, truth = table(seed, noise=0.0)
        logs = [np.log(x) - np.mean(np.log(x)) for x in (n, d)]
        alpha, beta, coefficients = search(y, *logs)
        assert (alpha, beta) == pytest.approx(truth, rel=1e-3)
        np.testing.assert_allclose(coefficients, [1.5, 0.4, 0.5], rtol=1e-2)

    def test_without_noise_the_planted_law(self, seed):
        y, n, d, (alpha, beta) = table(seed, noise=0.0)
        fit = fit_vpnls(y, n, d, bootstrap=0)
        found = [fit.parameters[name].value for name in ("E", "alpha", "beta")]
        np.testing.assert_allclose(found, [1.5, alpha, beta], rtol=1e-6)


def test_units():
    y, n, d, _ = table(0)
    plain, scaled = fit_vpnls(y, n, d, bootstrap=0), fit_vpnls(1e3 * y, n / 1e6, d, bootstrap=0)
    for name in ("alpha", "beta"):
        assert scaled.minimum[name] == pytest.approx(plain.minimum[name], rel=1e-6)
    assert scaled.minimum["E"] == pytest.approx(1e3 * plain.minimum["E"], rel=1e-6)


def test_intervals_and_bad_input():
    y, n, d, (alpha, _) = table(1)
    fit = fit_vpnls(y, n, d, bootstrap=60)
    estimate = fit.parameters["alpha"]
    assert estimate.low < estimate.value < estimate.high
    assert estimate.low - 0.05 < alpha < estimate.high + 0.05
    for bad in (np.nan, 0.0, -1.0):
        for column in range(3):
            columns = [y.copy(), n.copy(), d.copy()]
            columns[column][2] = bad
            with pytest.raises(LawsError, match="entry 2"):
                fit_vpnls(*columns)
    with pytest.raises(LawsError, match="39 entries for 40"):
        fit_vpnls(y, n[1:], d)
    with pytest.raises(LawsError, match="0 points"):
        fit_vpnls([], [], [])
    with pytest.raises(LawsError, match="y: constant"):
        fit_vpnls(np.ones(40), n, d)
    with pytest.raises(LawsError, match="bootstrap"):
        fit_vpnls(y, n, d, bootstrap=-1)
