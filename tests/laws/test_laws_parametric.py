"""Approach 3 and the power law on a table: planted laws, units, intervals, bad input."""

import numpy as np
import pytest

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.parametric import (
    budgets,
    compute_optimal,
    fit_parametric,
    fit_power_law,
    hoffmann_grid,
)
from behavior_scaling.laws.term_problem import EXPONENTS

TRUTH = {"E": 1.8, "A": 480.0, "alpha": 0.35, "B": 2100.0, "beta": 0.37}


def sizes(points, seed=0):
    rng = np.random.default_rng(seed)
    return 10 ** rng.uniform(6, 10, points), 10 ** rng.uniform(8, 12, points)


def loss(n, d, noise=0.0, seed=1, **changed):
    p = TRUTH | changed
    clean = p["E"] + p["A"] * n ** -p["alpha"] + p["B"] * d ** -p["beta"]
    return clean * np.exp(noise * np.random.default_rng(seed).standard_normal(np.size(n)))


class TestPlanted:
    @pytest.mark.parametrize("points", [16, 5000])
    @pytest.mark.parametrize("delta", [1e-4, 1e-3, None])
    @pytest.mark.parametrize("residuals", ["log", "linear"])
    def test_two_terms(self, points, residuals, delta):
        n, d = sizes(points, seed=points)
        fit = fit_parametric(loss(n, d), n, d, residuals=residuals, delta=delta, bootstrap=0)
        assert fit.status == "converged"
        for name, value in TRUTH.items():
            assert fit.parameters[name].value == pytest.approx(value, rel=1e-6)
        assert fit.best_share > 0.5
        assert fit.condition < 1e3
        assert fit.derived["N_exponent"].value == pytest.approx(0.37 / 0.72, rel=1e-6)
        assert fit.derived["D_exponent"].value == pytest.approx(0.35 / 0.72, rel=1e-6)
        best = compute_optimal(*TRUTH.values(), 6 * np.max(n * d))
        assert fit.derived["D_over_N"].value == pytest.approx(best.d / best.n, rel=1e-5)

    @pytest.mark.parametrize("points", [16, 5000])
    @pytest.mark.parametrize("delta", [1e-4, 1e-3, None])
    @pytest.mark.parametrize("residuals", ["log", "linear"])
    @pytest.mark.parametrize("term", ["n", "d"])
    def test_one_term(self, points, residuals, delta, term):
        x = sizes(points, seed=3)[0]
        fit = fit_parametric(
            0.7 + 30 * x**-0.25, **{term: x}, residuals=residuals, delta=delta, bootstrap=0
        )
        found = [estimate.value for estimate in fit.parameters.values()]
        np.testing.assert_allclose(found, [0.7, 30, 0.25], rtol=1e-6)
        assert list(fit.parameters)[1:] == (["A", "alpha"] if term == "n" else ["B", "beta"])
        assert fit.derived == {}

    @pytest.mark.parametrize("residuals", ["log", "linear"])
    def test_noise_leaves_the_truth_inside_wide_intervals(self, residuals):
        n, d = sizes(200)
        fit = fit_parametric(loss(n, d, 0.01), n, d, residuals=residuals, bootstrap=80)
        for name, value in TRUTH.items():
            estimate = fit.parameters[name]
            width = estimate.high - estimate.low
            assert estimate.low - width < value < estimate.high + width
            assert estimate.low < estimate.value < estimate.high
            assert fit.standard_errors[name] == pytest.approx(width / 4, rel=0.5)

    def test_an_outlier_moves_huber_less_than_squares(self):
        n, d = sizes(60)
        y = loss(n, d, 1e-3)
        y[7] *= 3
        huber = fit_parametric(y, n, d, bootstrap=0).minimum
        squares = fit_parametric(y, n, d, delta=None, bootstrap=0).minimum
        assert abs(huber["E"] / 1.8 - 1) < 0.01 < abs(squares["E"] / 1.8 - 1)

    def test_same_seed_same_intervals(self):
        n, d = sizes(40)
        y = loss(n, d, 0.01)
        first, same, other = (
            fit_parametric(y, n, d, bootstrap=40, seed=s).to_dict() for s in (1, 1, 2)
        )
        assert first == same
        assert first["parameters"] != other["parameters"]
        assert first["minimum"] == other["minimum"]


class TestUnits:
    @pytest.mark.parametrize("delta", [1e-3, None])
    @pytest.mark.parametrize("residuals", ["log", "linear"])
    def test_other_units_change_amplitudes_only(self, residuals, delta):
        n, d = sizes(60)
        y = loss(n, d, 0.005)
        plain = fit_parametric(y, n, d, residuals=residuals, delta=delta, bootstrap=10)
        wide = delta * 1000 if delta and residuals == "linear" else delta
        scaled = fit_parametric(
            1000 * y, n / 1e6, d / 1e9, residuals=residuals, delta=wide, bootstrap=10
        )
        a, b = plain.minimum, scaled.minimum
        assert b["alpha"] == pytest.approx(a["alpha"], rel=1e-6)
        assert b["beta"] == pytest.approx(a["beta"], rel=1e-6)
        assert b["E"] == pytest.approx(1000 * a["E"], rel=1e-6)
        assert b["A"] == pytest.approx(1000 * a["A"] * 1e6 ** -a["alpha"], rel=1e-5)
        for end in ("low", "high"):
            assert getattr(scaled.parameters["alpha"], end) == pytest.approx(
                getattr(plain.parameters["alpha"], end), rel=1e-4
            )
        unit = 1e6 if residuals == "linear" else 1.0
        assert scaled.objective == pytest.approx(unit * plain.objective, rel=1e-8)

    def test_sum_and_mean(self):
        n, d = sizes(50)
        fit = fit_parametric(loss(n, d, 0.01), n, d, bootstrap=0)
        assert fit.objective_mean == fit.objective / 50
        r = np.abs(np.log(loss(n, d, 0.01)) - np.log(loss(n, d, **fit.minimum)))
        hand = np.sum(np.where(r <= 1e-3, r**2 / 2, 1e-3 * (r - 5e-4)))
        assert fit.objective == pytest.approx(hand, rel=1e-9)

    def test_order_of_rows_does_not_matter(self):
        n, d = sizes(300)
        y = loss(n, d, 0.01)
        order = np.random.default_rng(0).permutation(300)
        a, b = (fit_parametric(y[i], n[i], d[i], bootstrap=0) for i in (slice(None), order))
        assert a.objective == pytest.approx(b.objective, rel=1e-9)

    def test_the_terms_are_alike(self):
        """With N and D in each other's place, A and B are in each other's place."""
        n, d = sizes(60)
        y = loss(n, d, 0.005)
        a, b = fit_parametric(y, n, d, bootstrap=0), fit_parametric(y, d, n, bootstrap=0)
        for one, other in (("A", "B"), ("alpha", "beta"), ("E", "E")):
            assert a.minimum[one] == pytest.approx(b.minimum[other], rel=1e-5)


class TestComputeOptimal:
    @pytest.mark.parametrize("flops", [6.0, 2.0])
    def test_against_a_search_along_the_budget(self, flops):
        c = 3e20
        best = compute_optimal(*TRUTH.values(), c, flops=flops)
        n = np.geomspace(best.n / 30, best.n * 30, 20001)
        along = loss(n, c / flops / n)
        assert flops * best.n * best.d == pytest.approx(c, rel=1e-12)
        assert best.loss == pytest.approx(along.min(), rel=1e-9)
        assert best.n == pytest.approx(n[np.argmin(along)], rel=1e-2)

    def test_equal_exponents_by_hand(self):
        # A = B and alpha = beta: N = D = sqrt(C / 6)
        best = compute_optimal(1.0, 10.0, 0.5, 10.0, 0.5, 6e4)
        assert (best.n, best.d) == pytest.approx((100, 100))
        assert best.loss == pytest.approx(3.0)


def test_hoffmann_grid():
    grid = hoffmann_grid()
    assert grid.shape == (4500, 5)
    assert len(np.unique(grid, axis=0)) == 4500
    np.testing.assert_array_equal(grid.min(axis=0), [-1, 0, 0, 0, 0])
    np.testing.assert_array_equal(grid.max(axis=0), [1, 25, 2, 25, 2])
    assert hoffmann_grid(100).shape == (100, 5)


class TestPowerLaw:
    def test_planted(self):
        c = 10 ** np.linspace(15, 20, 12)
        fit = fit_power_law(1.5 + 1e3 * c**-0.2, c, bootstrap=20)
        found = {name: estimate.value for name, estimate in fit.parameters.items()}
        assert found == pytest.approx({"E": 1.5, "a": 1e3, "b": 0.2}, rel=1e-6)

    def test_few_budgets_leave_no_floor(self):
        rng = np.random.default_rng(0)
        c = np.repeat([1e15, 1e16, 1e17, 1e18], 9) * np.exp(0.01 * rng.standard_normal(36))
        fit = fit_power_law(50 * c**-0.06, c, bootstrap=0)
        assert fit.parameters["b"].value == pytest.approx(0.06, rel=1e-6)
        assert fit.form == "L = a C^-b"
        assert any("4 budgets" in note for note in fit.notes)

    def test_budgets_are_groups_within_five_percent(self):
        assert budgets(np.array([1.0, 1.04, 1.06, 1.11, 2.0])) == 3
        assert budgets(np.geomspace(1, 2, 200)) == 14  # every 15th begins one

    def test_a_plain_law_of_three_clean_budgets(self):
        c = np.array([1e15, 1e16, 1e17])
        assert fit_power_law(50 * c**-0.06, c, bootstrap=0).parameters["b"].value is not None
        noisy = 50 * c**-0.06 * np.array([1, 1.1, 1])
        assert fit_power_law(noisy, c, bootstrap=0).parameters["b"].value is None


class TestBadInput:
    @pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0])
    @pytest.mark.parametrize("column", [0, 1, 2])
    def test_entries(self, bad, column):
        n, d = sizes(20)
        table = [loss(n, d), n, d]
        table[column] = table[column].copy()
        table[column][3] = bad
        with pytest.raises(LawsError, match="entry 3"):
            fit_parametric(*table)

    @pytest.mark.parametrize("rows", [0, 1, 4, 5])
    def test_fewer_points_than_parameters(self, rows):
        n, d = (column[:rows] for column in sizes(20))
        with pytest.raises(LawsError, match=r"points for 5 parameters|constant"):
            fit_parametric(loss(n, d), n, d)
        with pytest.raises(LawsError, match=r"points for|constant"):
            fit_power_law(loss(n, d)[:2], n[:2])

    def test_fewer_settings_than_parameters(self):
        n, d = (np.repeat(column[:4], 10) for column in sizes(20))
        with pytest.raises(LawsError, match="4 different settings for 5 parameters"):
            fit_parametric(loss(n, d, 0.01), n, d)

    def test_constants(self):
        n, d = sizes(20)
        with pytest.raises(LawsError, match="y: constant"):
            fit_parametric(np.full(20, 2.0), n, d)
        with pytest.raises(LawsError, match="input of A: constant"):
            fit_parametric(loss(n, d), np.full(20, 1e8), d)
        with pytest.raises(LawsError, match="input of a: constant"):
            fit_power_law(loss(n, d), np.full(20, 1e8))

    def test_options(self):
        n, d = sizes(20)
        y = loss(n, d)
        for wrong, match in (
            ({"residuals": "sqrt"}, "residuals"),
            ({"delta": 0.0}, "delta"),
            ({"delta": np.nan}, "delta"),
            ({"bootstrap": -1}, "bootstrap"),
            ({"bootstrap": 1}, "bootstrap"),
            ({"starts": [[1.0, 2.0]]}, "starts: 2 columns for E, A, alpha, B, beta"),
            ({"starts": [[np.nan] * 5]}, "not finite at any start"),
        ):
            with pytest.raises(LawsError, match=match):
                fit_parametric(y, n, d, **wrong)
        with pytest.raises(LawsError, match="give n, d or both"):
            fit_parametric(y)
        with pytest.raises(LawsError, match="19 and 20"):
            fit_parametric(y, n[:-1], d)
        with pytest.raises(LawsError, match="dimension"):
            fit_parametric(y[None, :], n, d)

    @pytest.mark.parametrize("unit", [1e200, 1e-200])
    def test_units_beyond_double_precision(self, unit):
        n, d = sizes(20)
        for table in ((loss(n, d) * unit, n, d), (loss(n, d), n * unit, d)):
            with pytest.raises(LawsError, match="unit"):
                fit_parametric(*table)


def test_an_exponent_at_its_bound_says_so():
    rng = np.random.default_rng(0)
    c = np.repeat(10.0 ** np.arange(4), 6)
    steep = 1 + 1e-3 * rng.standard_normal(24)
    y = steep * np.where(c == 1, 1e9, 1.0) * c**-6.0
    fit = fit_power_law(y, c, bootstrap=0)
    assert fit.parameters["b"].status == "at bound"
    assert fit.parameters["b"].value == pytest.approx(EXPONENTS[1])
    assert fit.parameters["b"].low is None
    assert fit.status == "at bound"


@pytest.mark.slow
@pytest.mark.parametrize("law", ["power", "parametric"])
def test_intervals_of_40_points_cover(law):
    """95% intervals over 200 replicates of 200 resamples; 90-98% is what 200 can tell from 95%."""
    hits = []
    for seed in range(200):
        noise = np.exp(0.005 * np.random.default_rng(seed).standard_normal(40))
        if law == "power":
            c = np.repeat(10 ** np.linspace(15, 20, 10), 4)
            truth = {"E": 1.5, "a": 1e3, "b": 0.2}
            fit = fit_power_law((1.5 + 1e3 * c**-0.2) * noise, c, bootstrap=200, seed=seed)
        else:
            n, d = (
                np.tile(10 ** np.linspace(6, 10, 8), 5),
                np.repeat(10 ** np.linspace(8, 12, 5), 8),
            )
            truth = TRUTH
            fit = fit_parametric(loss(n, d) * noise, n, d, delta=None, bootstrap=200, seed=seed)
        assert fit.status == "converged"
        found = fit.parameters
        hits.append([found[name].low <= value <= found[name].high for name, value in truth.items()])
    coverage = np.mean(hits, axis=0)
    assert np.all((coverage >= 0.9) & (coverage <= 0.98)), coverage
