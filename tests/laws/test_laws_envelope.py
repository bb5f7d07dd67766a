"""Approach 1 on planted loss surfaces, whose envelope is known in closed form."""

import numpy as np
import pytest

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.envelope import fit_envelope

E, A, B, ALPHA, BETA = 1.7, 400.0, 410.0, 0.34, 0.28
EXPONENT = BETA / (ALPHA + BETA)
STEP = 10**0.25


def surface(models, levels):
    """Rows of every model at every level: N, D, C, loss."""
    n, c = (grid.ravel() for grid in np.meshgrid(models, levels))
    d = c / (6 * n)
    return n, d, c, E + A * n**-ALPHA + B * d**-BETA


@pytest.fixture
def planted():
    return surface(10 ** np.arange(7, 11.01, 0.25), np.geomspace(1e17, 1e23, 241))


def middle_of_step(n):
    """The log C in the middle of model n's step: between its crossings with both neighbours.

    Two models cross where A (N1^-alpha - N2^-alpha) = B (6 / C)^beta (N2^beta - N1^beta).
    """

    def crossing(low, high):
        ratio = B * (high**BETA - low**BETA) / (A * (low**-ALPHA - high**-ALPHA))
        return np.log(6) + np.log(ratio) / BETA

    return (crossing(n / STEP, n) + crossing(n, n * STEP)) / 2


def test_the_planted_exponents_and_levels_come_back(planted):
    fit = fit_envelope(*planted, resamples=60)
    a, b = fit.parameters["N_exponent"], fit.parameters["D_exponent"]
    assert fit.status == a.status == b.status == "converged"
    assert a.value == pytest.approx(EXPONENT, abs=2e-4)
    assert b.value == pytest.approx(1 - EXPONENT, abs=2e-4)
    for c, n, d, _ in fit.steps:
        assert np.log(c) == pytest.approx(middle_of_step(n), abs=0.02)
        assert 6 * n * d == pytest.approx(c, rel=1e-9)
    c, n, d, _ = fit.steps[-1]
    top = f" at C = {c:.3g}"
    assert fit.derived[f"N_opt{top}"].value == pytest.approx(n, rel=5e-3)
    assert fit.derived[f"D_opt{top}"].value == pytest.approx(d, rel=5e-3)
    assert fit.parameters["k_N"].value * c**a.value == pytest.approx(n, rel=5e-3)
    assert fit.parameters["k_D"].value * c**b.value == pytest.approx(d, rel=5e-3)


def test_the_optimum_of_the_law_lies_on_the_line(planted):
    """With closely spaced models the steps' middles are the law's own optima."""
    fit = fit_envelope(
        *surface(10 ** np.arange(7, 11.01, 0.1), np.geomspace(1e18, 1e23, 401)), resamples=60
    )
    g = (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA))
    for c, n, _, y in fit.steps:
        optimum = g * (c / 6) ** EXPONENT
        assert n == pytest.approx(optimum, rel=0.02)
        best = E + A * optimum**-ALPHA + B * (c / 6 / optimum) ** -BETA
        assert y == pytest.approx(best, rel=1e-3)


def test_intervals_are_seeded_and_hold_the_estimate(planted):
    first, second = (fit_envelope(*planted, resamples=80, seed=3) for _ in range(2))
    other = fit_envelope(*planted, resamples=80, seed=4)
    assert first == second
    assert first.parameters["N_exponent"] != other.parameters["N_exponent"]
    for estimate in (*first.parameters.values(), *first.derived.values()):
        assert estimate.low < estimate.value < estimate.high
    assert first.standard_errors["N_exponent"] == pytest.approx(
        (first.parameters["N_exponent"].high - first.parameters["N_exponent"].low) / 3.92, rel=0.4
    )


def test_order_of_rows_does_not_matter(planted):
    shuffle = np.random.default_rng(0).permutation(planted[0].size)
    mixed = tuple(column[shuffle] for column in planted)
    assert fit_envelope(*mixed, resamples=50).parameters == pytest.approx(
        fit_envelope(*planted, resamples=50).parameters
    )


def test_nearly_equal_n_is_one_model(planted):
    n, d, c, y = planted
    jitter = n * np.random.default_rng(0).uniform(0.999, 1.001, n.size)
    assert fit_envelope(jitter, d, c, y, resamples=50).models == 17
    assert fit_envelope(jitter, d, c, y, resamples=50, tolerance=1e-5).models > 17


def test_where_the_largest_model_wins_nothing_is_claimed():
    fit = fit_envelope(*surface(10 ** np.arange(5, 7.01, 0.25), np.geomspace(1e20, 1e23, 61)))
    assert fit.status == "not identified"
    assert fit.parameters["N_exponent"].value is None
    assert "0 models make the envelope" in fit.parameters["N_exponent"].reason
    assert "largest that reaches it at 100%" in fit.notes[-1]


def test_where_the_smallest_model_wins_nothing_is_claimed():
    fit = fit_envelope(*surface(10 ** np.arange(10, 12.01, 0.25), np.geomspace(1e15, 1e17, 61)))
    assert fit.status == "not identified"
    assert "smallest that reaches it at 100%" in fit.notes[-1]


def test_two_models_on_the_envelope_are_too_few():
    models = np.array([1e7, 1e8, 1e9, 1e10])
    fit = fit_envelope(*surface(models, np.geomspace(1e15, 1e25, 301)))
    assert fit.status == "not identified"
    assert "2 models make the envelope; 3 needed" in fit.parameters["N_exponent"].reason
    assert fit.derived == {}


def test_models_with_one_row_have_no_curve():
    n, d, c, y = surface(10 ** np.arange(7, 11.01, 0.25), np.array([1e20]))
    fit = fit_envelope(n, d, c, y)
    assert fit.status == "too few points"
    assert fit.parameters["D_exponent"].value is None


def test_a_constant_loss_is_not_identified(planted):
    n, d, c, y = planted
    fit = fit_envelope(n, d, c, np.full_like(y, 2.0))
    assert fit.status == "not identified"
    assert fit.parameters["N_exponent"].reason == "the loss is constant"


def test_an_envelope_that_hangs_on_single_models_has_no_number():
    """Three models make the steps; losing one leaves no slope too often."""
    fit = fit_envelope(*surface(10 ** np.arange(7, 9.3, 0.5), np.geomspace(1e15, 1e23, 301)))
    assert fit.status == "not identified"
    assert "of resamples of the models leave no envelope" in fit.parameters["N_exponent"].reason
    assert len(fit.steps) == 3


def test_a_model_that_wins_for_want_of_larger_ones_does_not_count():
    """Models beyond 1e9 were only run at large C; below, 1e9 wins although larger ones would."""
    n, d, c, y = surface(10 ** np.arange(7, 11.01, 0.25), np.geomspace(1e17, 1e23, 241))
    late = np.exp(middle_of_step(1e9 * STEP**2))
    keep = (n < 1.01e9) | (c >= late)
    fit = fit_envelope(n[keep], d[keep], c[keep], y[keep], resamples=50)
    sizes = [step[1] for step in fit.steps]
    assert not any(0.99e9 < size < 1.01e9 for size in sizes)
    assert min(sizes) < 1e9 < max(sizes)


def test_curves_are_read_between_their_own_rows_only():
    """A small model trained briefly wins nowhere beyond its last row."""
    n, d, c, y = surface(10 ** np.arange(7, 11.01, 0.25), np.geomspace(1e17, 1e23, 241))
    keep = (n != n.min()) | (c <= 1e18)
    cheap = np.where(n == n.min(), 0.5 * y, y)
    fit = fit_envelope(n[keep], d[keep], c[keep], cheap[keep], resamples=50)
    assert min(step[0] for step in fit.steps) > 1e18


@pytest.mark.parametrize("bad", [np.nan, -1.0, 0.0])
def test_bad_entries_are_errors(planted, bad):
    n, d, c, y = (column.copy() for column in planted)
    y[5] = bad
    with pytest.raises(LawsError, match="y: entry 5"):
        fit_envelope(n, d, c, y)
    with pytest.raises(LawsError, match="lengths differ"):
        fit_envelope(n, d, c, np.ones(3))


@pytest.mark.slow
def test_intervals_hold_the_planted_exponent_under_noise():
    """Wide rather than narrow: nothing less than nominal coverage in 60 noisy draws."""
    models, levels = 10 ** np.arange(7, 11.01, 0.1), np.geomspace(1e18, 1e23, 21)
    n, d, c, y = surface(models, levels)
    near = (d > n) & (d < 4000 * n)
    held = 0
    for seed in range(60):
        noisy = y * np.exp(0.005 * np.random.default_rng(seed).standard_normal(y.size))
        fit = fit_envelope(n[near], d[near], c[near], noisy[near], resamples=100, seed=seed)
        low, high = fit.parameters["N_exponent"].low, fit.parameters["N_exponent"].high
        held += low <= EXPONENT <= high
        assert high - low < 0.2
    assert held >= 53
