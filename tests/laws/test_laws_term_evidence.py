"""What a table cannot tell is 'not identified', never a number."""

import dataclasses

import numpy as np
import pytest

from behavior_scaling.laws import solve as solver
from behavior_scaling.laws.parametric import fit_parametric, fit_power_law
from behavior_scaling.laws.term_evidence import not_shown
from behavior_scaling.laws.term_problem import Asked, Input, checked
from behavior_scaling.laws.vpnls import fit_vpnls

ASKED = Asked("log", None, 0, 0)
TERMS = ("A", "alpha", "B", "beta")


def sizes(points=60, seed=0):
    rng = np.random.default_rng(seed)
    return 10 ** rng.uniform(6, 10, points), 10 ** rng.uniform(8, 12, points)


def noisy(y, noise=0.005, seed=1):
    return y * np.exp(noise * np.random.default_rng(seed).standard_normal(np.size(y)))


def loss(n, d, e=1.8, a=480.0, b=2100.0):
    return e + a * n**-0.35 + b * d**-0.37


def withheld(fit):
    """Names without a number."""
    return {name for name, estimate in fit.parameters.items() if estimate.value is None}


@pytest.mark.parametrize("fit_law", [fit_parametric, fit_vpnls])
class TestBothEstimators:
    def test_a_floor_of_zero(self, fit_law):
        n, d = sizes()
        fit = fit_law(noisy(loss(n, d, e=0)), n, d, bootstrap=0)
        assert withheld(fit) == {"E"}
        assert fit.status == "not identified"
        assert "AICc gains" in fit.parameters["E"].reason
        assert fit.minimum["alpha"] == pytest.approx(0.35, abs=0.02)

    @pytest.mark.parametrize("absent", ["A", "B"])
    def test_an_absent_term(self, fit_law, absent):
        n, d = sizes()
        y = noisy(loss(n, d, **{absent.lower(): 0.0}))
        fit = fit_law(y, n, d, bootstrap=0)
        gone = {"A", "alpha"} if absent == "A" else {"B", "beta"}
        assert gone <= withheld(fit)
        assert not withheld(fit) & ({*TERMS} - gone)
        assert all(e.status == "not identified" for e in fit.derived.values())
        assert set(fit.standard_errors) <= {*TERMS} - gone | {"E"}

    def test_noise_alone(self, fit_law):
        n, d = sizes(24)
        fit = fit_law(noisy(np.full(24, 2.0), 0.02), n, d, bootstrap=0)
        assert withheld(fit) == {"E", *TERMS}

    def test_losses_that_rise(self, fit_law):
        n, d = sizes(24)
        fit = fit_law(1 / loss(n, d), n, d, bootstrap=0)
        assert withheld(fit) == {"E", *TERMS}

    @pytest.mark.parametrize("noise", [0.0, 0.005])
    def test_a_fixed_ratio(self, fit_law, noise):
        n, _ = sizes()
        fit = fit_law(noisy(loss(n, 20 * n), noise), n, 20 * n, bootstrap=0)
        assert withheld(fit) == {"E", *TERMS}
        assert "one line" in fit.parameters["alpha"].reason

    @pytest.mark.parametrize("noise", [0.0, 0.005])
    def test_one_budget(self, fit_law, noise):
        n, _ = sizes()
        d = 1e20 / (6 * n) * np.exp(0.005 * np.random.default_rng(3).uniform(-1, 1, n.size))
        fit = fit_law(noisy(loss(n, d), noise), n, d, bootstrap=0)
        assert withheld(fit) == {"E", *TERMS}
        assert fit.derived["N_exponent"].value is None

    def test_two_sizes_tell_nothing_about_their_term(self, fit_law):
        n, d = sizes()
        n = np.where(n > 1e8, 1e9, 1e7)
        fit = fit_law(noisy(loss(n, d)), n, d, bootstrap=30)
        assert withheld(fit) == {"E", "A", "alpha"}
        estimate = fit.parameters["beta"]
        assert estimate.low < 0.37 < estimate.high

    @pytest.mark.parametrize("points", [6, 7])
    def test_hardly_more_points_than_parameters(self, fit_law, points):
        n, d = sizes(points, seed=5)
        fit = fit_law(noisy(loss(n, d), 0.02), n, d, bootstrap=0)
        assert withheld(fit) == {"E", *TERMS}
        assert "AICc needs 8" in fit.parameters["A"].reason


def test_a_term_of_one_size_against_a_constant():
    c = 10 ** np.linspace(15, 20, 20)
    for seed in range(3):
        fit = fit_power_law(noisy(np.full(20, 2.0), 0.01, seed), c, bootstrap=0)
        assert withheld(fit) == {"E", "a", "b"}
    rising = fit_power_law(1.5 + 1e-3 * c**0.1, c, bootstrap=0)
    assert withheld(rising) == {"E", "a", "b"}
    flat = fit_power_law(noisy(np.full(20, 2.0), 0.01), np.repeat(c[:4], 5), bootstrap=0)
    assert withheld(flat) == {"a", "b"}


def test_terms_that_could_be_exchanged():
    """D follows N but for 10%: noise of 2% cannot say which term is whose, noise of 0.01% can."""
    rng = np.random.default_rng(0)
    n = 10 ** rng.uniform(6, 10, 60)
    d = 20 * n * np.exp(rng.uniform(-0.1, 0.1, 60))
    y = 1.8 + 0.6 * (n / 1e8) ** -0.3 + 0.3 * (d / 2e9) ** -0.5
    precise = fit_parametric(noisy(y, 1e-4), n, d, delta=None, bootstrap=0)
    assert precise.parameters["alpha"].value == pytest.approx(0.3, abs=0.02)
    assert precise.parameters["beta"].value == pytest.approx(0.5, abs=0.05)
    vague = fit_parametric(noisy(y, 0.02), n, d, delta=None, bootstrap=0)
    assert withheld(vague) >= {"A", "alpha", "B", "beta"}
    assert "exchange" in vague.parameters["alpha"].reason


def test_an_unfinished_fit_gives_no_numbers(monkeypatch):
    n, d = sizes()
    monkeypatch.setattr(solver, "LEGS", ())
    monkeypatch.setattr(solver, "LAST", 4)
    fit = fit_parametric(noisy(loss(n, d)), n, d, bootstrap=0)
    assert fit.status == "max iterations"
    assert withheld(fit) == {"E", *TERMS}
    assert set(fit.minimum) == {"E", *TERMS}


def test_a_missed_minimum_is_found_out_by_a_smaller_law():
    """A start beyond the reach of any descent: every part is worth less than nothing there."""
    n, d = sizes()
    y = noisy(loss(n, d, a=0.0))
    problem = checked(y, [Input("A", "alpha", n), Input("B", "beta", d)], ASKED, floor=True)
    stuck = dataclasses.replace(problem.solve(), objective=10 * problem.solve().objective)
    lost = not_shown(problem, stuck)
    assert set(lost) == {"E", *TERMS}
    assert "a lower minimum was found" in lost["B"]


@pytest.mark.slow
def test_error_rates_of_the_verdicts():
    """Of 200 laws without E (or without a term) at most 5% are said to have one."""
    shown = {"E": 0, "A": 0}
    for seed in range(200):
        n, d = sizes(40, seed)
        y = noisy(loss(n, d, e=0.0), seed=seed)
        shown["E"] += "E" not in withheld(fit_parametric(y, n, d, delta=None, bootstrap=0))
        y = noisy(loss(n, d, a=0.0), seed=seed)
        shown["A"] += "A" not in withheld(fit_parametric(y, n, d, delta=None, bootstrap=0))
    assert all(count <= 10 for count in shown.values()), shown
