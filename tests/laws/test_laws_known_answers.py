"""Published fits that the fitting code must reproduce, read where the data folder is there.

The 245 points of Hoffmann et al.'s Figure 4 as Epoch AI read them off; Besiroglu et al. (arXiv
2404.10102) print a fit to 240 of them. Data: `known_answers` beside BEHAVIOR_SCALING_MIRROR.
"""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from behavior_scaling.laws.parametric import (
    compute_optimal,
    fit_parametric,
    fit_power_law,
    hoffmann_grid,
)
from behavior_scaling.laws.vpnls import fit_vpnls

OBJECTIVE_240 = 0.001018274018
OPTIMUM_240 = {"E": 1.817218, "A": 477.8259, "alpha": 0.347310, "B": 2143.417, "beta": 0.367172}
OPTIMUM_245 = {"E": 1.891338, "A": 495.726, "alpha": 0.349313, "B": 12845.613, "beta": 0.453049}
PRINTED = {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658}
ERRORS = {"E": 0.026, "A": 124.5, "alpha": 0.015, "B": 1293.0, "beta": 0.021, "N_exponent": 0.020}
INTERVALS = {
    "E": (1.769, 1.871), "A": (285, 744), "alpha": (0.317, 0.373),
    "B": (1042, 5810), "beta": (0.331, 0.415),
}  # fmt: skip
OWN_CONSTANTS = (1.6934, 406.4, 0.33917, 410.7, 0.28491)  # Hoffmann et al.: E, A, alpha, B, beta


def rows(name):
    mirror = os.environ.get("BEHAVIOR_SCALING_MIRROR")
    path = Path(mirror or ".").parent / "known_answers" / name
    if mirror is None or not path.is_file():
        pytest.skip(f"known_answers/{name} is not beside BEHAVIOR_SCALING_MIRROR")
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def points_245():
    """Loss, N and D = C / 6N."""
    columns = ("loss", "Model Size", "Training FLOP")
    loss, n, c = np.array([[float(r[k]) for k in columns] for r in rows("chinchilla_points.csv")]).T
    return loss, n, c / (6 * n)


@pytest.fixture(scope="module")
def points_240(points_245):
    loss = points_245[0]
    keep = loss < np.sort(loss)[-5]
    return tuple(column[keep] for column in points_245)


@pytest.fixture(scope="module")
def points_234():
    columns = ("loss", "N", "D", "C")
    table = [[float(r[k]) for k in columns] for r in rows("chinchilla_points_234.csv")]
    return np.array(table).T


@pytest.fixture(scope="module")
def fit_240(points_240):
    return fit_parametric(*points_240, bootstrap=1000)


def huber(table, p, delta=1e-3):
    loss, n, d = table
    r = np.abs(np.log(p["E"] + p["A"] * n ** -p["alpha"] + p["B"] * d ** -p["beta"]) - np.log(loss))
    return float(np.sum(np.where(r <= delta, r**2 / 2, delta * (r - delta / 2))))


class TestThe240Points:
    def test_the_minimum(self, points_240, fit_240):
        assert points_240[0].size == fit_240.points == 240
        assert fit_240.objective <= 0.0010182741
        assert fit_240.objective == pytest.approx(OBJECTIVE_240, rel=1e-9)
        assert fit_240.objective == pytest.approx(huber(points_240, fit_240.minimum), rel=1e-12)
        for name, value in OPTIMUM_240.items():
            assert fit_240.parameters[name].value == pytest.approx(value, rel=1e-5)
        assert fit_240.derived["N_exponent"].value == pytest.approx(0.51390, abs=5e-6)
        assert fit_240.status == "converged"
        assert fit_240.best_share > 0.75
        assert fit_240.condition < 100

    def test_what_was_printed_is_near_the_minimum(self, points_240):
        """0.0010186454 is within the rounding; the printed digits give 0.0010228428."""
        assert huber(points_240, PRINTED) == pytest.approx(0.0010228428, abs=5e-11)
        digits = np.linspace(-5e-5, 5e-5, 9)
        near = [
            huber(points_240, {**PRINTED, "E": 1.8172 + e, "alpha": 0.3478 + a, "beta": 0.3658 + b})
            for e in (-5e-5, 0)
            for a in digits
            for b in digits
        ]
        assert OBJECTIVE_240 < min(near) <= 0.0010186454

    def test_intervals(self, fit_240):
        """Within a tenth of the printed interval's width at each end; B's upper end is a tail."""
        for name, (low, high) in INTERVALS.items():
            found = fit_240.parameters[name]
            tenth = (high - low) / 10
            assert found.low == pytest.approx(low, abs=tenth)
            assert found.high == pytest.approx(high, abs=3 * tenth if name == "B" else tenth)

    def test_hoffmanns_grid_finds_no_other_minimum(self, points_240):
        fit = fit_parametric(*points_240, starts=hoffmann_grid(1000), bootstrap=0)
        assert fit.objective == pytest.approx(OBJECTIVE_240, rel=1e-9)
        assert fit.best_share > 0.75
        assert fit.starts == 1000

    @pytest.mark.parametrize("residuals", ["log", "linear"])
    @pytest.mark.parametrize("delta", [1e-4, 1e-3, None])
    def test_every_objective_agrees_on_the_exponent(self, points_240, residuals, delta):
        fit = fit_parametric(*points_240, residuals=residuals, delta=delta, bootstrap=0)
        assert fit.status == "converged"
        assert fit.derived["N_exponent"].value == pytest.approx(0.514, abs=0.04)

    @pytest.mark.slow
    def test_all_4500_starts(self, points_240):
        fit = fit_parametric(*points_240, starts=hoffmann_grid(), bootstrap=0)
        assert fit.objective == pytest.approx(OBJECTIVE_240, rel=1e-9)
        assert (fit.starts, fit.best_share) == (4500, pytest.approx(1, abs=0.25))

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_standard_errors(self, points_240, seed):
        fit = fit_parametric(*points_240, bootstrap=4000, seed=seed)
        for name, published in ERRORS.items():
            assert fit.standard_errors[name] == pytest.approx(published, rel=0.15), name


def test_all_245_rows(points_245):
    fit = fit_parametric(*points_245, bootstrap=0)
    assert fit.objective == pytest.approx(0.001826010523, rel=1e-9)
    for name, value in OPTIMUM_245.items():
        assert fit.parameters[name].value == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("c", "n", "d", "loss"),
    [(1e21, 2.217e9, 7.518e10, 2.29549), (5.88e23, 4.074e10, 2.405e12, 1.91769)],
)
def test_closed_forms_of_hoffmanns_constants(c, n, d, loss):
    """To the digits of C: 6 N D is 5.879e23 for the second."""
    best = compute_optimal(*OWN_CONSTANTS, c)
    assert (best.n, best.d) == pytest.approx((n, d), rel=3e-4)
    assert best.loss == pytest.approx(loss, abs=3e-5)


class TestThe234Points:
    @pytest.mark.parametrize("residuals", ["log", "linear"])
    @pytest.mark.parametrize("delta", [1e-4, 1e-3, None])
    def test_parametric(self, points_234, residuals, delta):
        loss, n, d, _ = points_234
        assert loss.size == 234
        fit = fit_parametric(loss, n, d, residuals=residuals, delta=delta, bootstrap=0)
        assert fit.status == "converged"
        assert fit.derived["N_exponent"].value == pytest.approx(0.5, abs=0.05)

    def test_vpnls_is_the_minimum_in_linear_residuals(self, points_234):
        loss, n, d, _ = points_234
        fit = fit_vpnls(loss, n, d, bootstrap=0)
        starts = fit_parametric(loss, n, d, residuals="linear", delta=None, bootstrap=0)
        assert fit.objective == pytest.approx(starts.objective, rel=1e-9)
        assert fit.minimum == pytest.approx(starts.minimum, rel=1e-4)

    def test_power(self, points_234):
        loss, n, d, c = points_234
        for size in (n, d, c):
            fit = fit_power_law(loss, size, bootstrap=50)
            assert fit.points == 234
            assert fit.parameters["b"].value is None or 0 < fit.parameters["b"].value < 1
