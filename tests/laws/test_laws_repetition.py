"""Repeated data: D_eff and its slope, R* planted and recovered, and R* that nothing shows."""

import numpy as np
import pytest

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.parametric import fit_parametric
from behavior_scaling.laws.repetition import _Law, effective, effective_slope, fit_repetition

POINTS = 60


def table(epochs, worth, noise=0.0, seed=0):
    """y, n, d, unique of E 1.8, A 480, alpha .35, B 2100, beta .37 at epochs [points]."""
    rng = np.random.default_rng(seed)
    n, unique = 10 ** rng.uniform(6, 10, POINTS), 10 ** rng.uniform(8, 10, POINTS)
    d = unique * epochs(rng)
    y = 1.8 + 480 * n**-0.35 + 2100 * effective(d, unique, worth) ** -0.37
    return y * np.exp(noise * rng.standard_normal(POINTS)), n, d, unique


def many_epochs(rng):
    return rng.uniform(1, 40, POINTS)


def hardly_repeated(rng):
    return rng.uniform(0.5, 1.2, POINTS)


class TestEffective:
    def test_by_hand(self):
        # three epochs, R* = 2: U (1 + 2 (1 - e^-1)) = 100 (1 + 1.2642411)
        assert effective(np.array([300.0]), np.array([100.0]), 2.0)[0] == pytest.approx(226.42411)

    def test_ends(self):
        d, u = np.array([50.0, 100.0, 101.0, 4000.0]), np.full(4, 100.0)
        np.testing.assert_array_equal(effective(d, u, 3.0)[:2], d[:2])
        np.testing.assert_allclose(effective(d, u, 1e12), d, rtol=1e-9)
        np.testing.assert_allclose(effective(d, u, 1e-9), [50, 100, 100, 100], rtol=1e-6)
        assert np.all(np.diff(effective(d, u, 3.0)) > 0)
        assert effective(d, u, np.array([[1.0], [2.0]])).shape == (2, 4)

    @pytest.mark.parametrize("worth", [0.1, 2.0, 50.0, 9000.0])
    def test_slope(self, worth):
        d, u = np.geomspace(50, 5000, 12), np.full(12, 100.0)
        h = 1e-5
        up, down = (np.log(effective(d, u, worth * np.exp(s))) for s in (h, -h))
        slope = effective_slope(d, u, worth)
        np.testing.assert_allclose(slope, (up - down) / (2 * h), atol=1e-8)
        assert np.all(slope[d <= 100] == 0)


@pytest.mark.parametrize("log", [True, False])
def test_jacobian(log, central_difference):
    _, n, d, unique = table(many_epochs, 8.0)
    law = _Law(np.log(n) - np.log(n).mean(), d, unique, np.log(d).mean(), log)
    theta = np.array([0.5, -0.6, 0.35, -0.4, 0.37, np.log(8.0)])
    expected = central_difference(lambda t: law.evaluate(t[None, :]).values[0], theta)
    np.testing.assert_allclose(
        law.evaluate(theta[None, :]).jacobian[0], expected, rtol=1e-6, atol=1e-8
    )


class TestPlanted:
    @pytest.mark.parametrize("residuals", ["log", "linear"])
    @pytest.mark.parametrize("delta", [1e-3, None])
    @pytest.mark.parametrize("worth", [0.5, 8.0, 15.4])
    def test_without_noise(self, residuals, delta, worth):
        fit = fit_repetition(
            *table(many_epochs, worth), residuals=residuals, delta=delta, bootstrap=0
        )
        found = [estimate.value for estimate in fit.parameters.values()]
        np.testing.assert_allclose(found, [1.8, 480, 0.35, 2100, 0.37, worth], rtol=1e-5)
        assert list(fit.parameters) == ["E", "A", "alpha", "B", "beta", "R"]
        assert fit.status == "converged"

    def test_with_noise(self):
        fit = fit_repetition(*table(many_epochs, 8.0, 0.002), bootstrap=60)
        estimate = fit.parameters["R"]
        assert estimate.low < 8.4
        assert estimate.high > 7.6
        assert estimate.high - estimate.low < 3

    def test_repeats_of_no_worth_are_at_the_bound(self):
        y, n, d, unique = table(many_epochs, 1e-3, 0.001)
        fit = fit_repetition(y, n, d, unique, bootstrap=0)
        assert fit.parameters["R"].status == "at bound"
        assert fit.parameters["R"].low is None


class TestNotIdentified:
    @pytest.mark.parametrize("seed", range(3))
    def test_hardly_any_repetition(self, seed):
        fit = fit_repetition(*table(hardly_repeated, 8.0, 0.003, seed), bootstrap=0)
        assert fit.parameters["R"].value is None
        assert fit.parameters["R"].status == "not identified"
        assert fit.parameters["alpha"].value == pytest.approx(0.35, abs=0.02)

    def test_repeats_as_good_as_new(self):
        y, n, d, unique = table(many_epochs, 1e9, 0.003)
        fit = fit_repetition(y, n, d, unique, bootstrap=0)
        assert fit.parameters["R"].value is None
        plain = fit_parametric(y, n, d, bootstrap=0)
        assert fit.parameters["beta"].value == pytest.approx(plain.minimum["beta"], abs=1e-3)

    def test_a_fixed_ratio_with_varied_repetition_is_no_line(self):
        rng = np.random.default_rng(1)
        n = 10 ** rng.uniform(6, 9, POINTS)
        d, unique = 20 * n, 20 * n / rng.uniform(1, 40, POINTS)
        y = 1.8 + 480 * n**-0.35 + 2100 * effective(d, unique, 8.0) ** -0.37
        fit = fit_repetition(y, n, d, unique, bootstrap=0)
        assert fit.parameters["R"].value == pytest.approx(8, rel=1e-4)


def test_bad_input():
    y, n, d, unique = table(many_epochs, 8.0)
    with pytest.raises(LawsError, match="no row has D > U"):
        fit_repetition(y, n, unique, unique)
    with pytest.raises(LawsError, match="59 entries for 60 of d"):
        fit_repetition(y, n, d, unique[1:])
    with pytest.raises(LawsError, match="unique: entry 0"):
        fit_repetition(y, n, d, 0 * unique)
    with pytest.raises(LawsError, match="6 points for 6 parameters"):
        fit_repetition(y[:6], n[:6], d[:6], unique[:6])
    for column in range(3):
        columns = [y.copy(), n.copy(), d.copy()]
        columns[column][1] = np.nan
        with pytest.raises(LawsError, match="entry 1"):
            fit_repetition(*columns, unique)
