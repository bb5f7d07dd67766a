"""The solver: known minima, bounds, statuses, and a published fit that others missed."""

import csv
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.solver import minimise

Vector = npt.NDArray[np.float64]


def rosenbrock(theta: Vector) -> Vector:
    return np.array([10 * (theta[1] - theta[0] ** 2), 1 - theta[0]])


def rosenbrock_jacobian(theta: Vector) -> Vector:
    return np.array([[-20 * theta[0], 10.0], [-1.0, 0.0]])


def test_rosenbrock_from_many_starts() -> None:
    starts = [[-1.2, 1.0], [3.0, -2.0], [0.0, 0.0]]
    fit = minimise(rosenbrock, rosenbrock_jacobian, starts, [-5, -5], [5, 5])
    np.testing.assert_allclose(fit.parameters, [1, 1], atol=1e-6)
    assert fit.status == "converged"
    assert fit.best_share == 1.0
    assert fit.starts == 3


def test_bound_is_reported() -> None:
    # within theta_0 <= 1/2 the minimum is (1/2, 1/4) with objective (1/2)^2 / 2
    fit = minimise(rosenbrock, rosenbrock_jacobian, [[0.0, 0.0]], [-5, -5], [0.5, 5])
    np.testing.assert_allclose(fit.parameters, [0.5, 0.25], atol=1e-5)
    assert fit.objective == pytest.approx(0.125, rel=1e-6)
    assert (fit.status, fit.at_bound) == ("at bound", (0,))


def test_iteration_limit_is_reported() -> None:
    fit = minimise(
        rosenbrock, rosenbrock_jacobian, [[-1.2, 1.0]], [-5, -5], [5, 5], max_iterations=3
    )
    assert fit.status == "max iterations"


def test_best_share_counts_starts_that_reach_the_best_minimum() -> None:
    # (t^2 - 1)^2 + 0.3 t: two minima, the one at negative t lower
    def residual(t: Vector) -> Vector:
        return np.array([t[0] ** 2 - 1, np.sqrt(0.3 * (t[0] + 4))])

    def jacobian(t: Vector) -> Vector:
        return np.array([[2 * t[0]], [0.5 * np.sqrt(0.3 / (t[0] + 4))]])

    fit = minimise(residual, jacobian, [[-2.0], [-0.5], [0.8], [2.0]], [-3], [3])
    assert fit.parameters[0] < 0
    assert fit.best_share == 0.5


def test_huber_ignores_an_outlier_that_pulls_least_squares() -> None:
    x = np.arange(9.0)
    y = 2 * x + 1
    y[4] += 100

    def residual(t: Vector) -> Vector:
        return np.asarray(t[0] * x + t[1] - y)

    def jacobian(t: Vector) -> Vector:
        return np.stack([x, np.ones_like(x)], axis=1)

    robust = minimise(residual, jacobian, [[0.0, 0.0]], [-9, -99], [9, 99], delta=0.1)
    plain = minimise(residual, jacobian, [[0.0, 0.0]], [-9, -99], [9, 99])
    np.testing.assert_allclose(robust.parameters, [2, 1], atol=0.05)
    assert abs(plain.parameters[1] - 1) > 5
    # Huber's sum at the robust fit, by hand
    r = np.abs(residual(robust.parameters))
    hand = np.sum(np.where(r <= 0.1, r**2 / 2, 0.1 * (r - 0.05)))
    assert robust.objective == pytest.approx(hand, rel=1e-9)


def test_bad_input_is_named() -> None:
    with pytest.raises(LawsError, match="bounds of parameter 1"):
        minimise(rosenbrock, rosenbrock_jacobian, [[0.0, 0.0]], [-5, 2], [5, 2])
    with pytest.raises(LawsError, match="not finite at any start"):
        minimise(
            lambda t: np.array([np.nan, t[0]]), rosenbrock_jacobian, [[0.0, 0.0]], [-5, -5], [5, 5]
        )
    with pytest.raises(LawsError, match="delta"):
        minimise(rosenbrock, rosenbrock_jacobian, [[0.0, 0.0]], [-5, -5], [5, 5], delta=0)


def chinchilla_points() -> tuple[Vector, Vector, Vector]:
    mirror = os.environ.get("BEHAVIOR_SCALING_MIRROR")
    path = Path(mirror or ".").parent / "known_answers" / "chinchilla_points.csv"
    if mirror is None or not path.is_file():
        pytest.skip("known_answers/chinchilla_points.csv is not beside BEHAVIOR_SCALING_MIRROR")
    with path.open() as file:
        rows = [(float(r["Model Size"]), float(r["Training FLOP"]), float(r["loss"]))
                for r in csv.DictReader(file)]  # fmt: skip
    n, c, loss = np.array(rows).T
    keep = loss < np.sort(loss)[-5]
    return n[keep], (c / (6 * n))[keep], loss[keep]


def test_chinchilla_refit_reaches_the_published_data_s_minimum() -> None:
    n, d, loss = chinchilla_points()
    assert n.size == 240

    def terms(t: Vector) -> Vector:  # log of A N^-alpha, B D^-beta, E
        return np.stack([t[0] - t[3] * np.log(n), t[1] - t[4] * np.log(d), np.full(n.size, t[2])])

    def residual(t: Vector) -> Vector:
        return np.asarray(np.logaddexp.reduce(terms(t)) - np.log(loss))

    def jacobian(t: Vector) -> Vector:
        share = np.exp(terms(t) - np.logaddexp.reduce(terms(t)))
        return np.stack(
            [share[0], share[1], share[2], -share[0] * np.log(n), -share[1] * np.log(d)], axis=1
        )

    starts = [[a, b, e, 0.4, 0.4] for a in (2, 6, 10) for b in (2, 6, 10) for e in (0, 0.7)]
    fit = minimise(residual, jacobian, starts, [0, 0, -3, 0, 0], [25, 25, 3, 2, 2], delta=1e-3)
    assert fit.objective == pytest.approx(0.001018274018, rel=1e-6)
    a, b, e = np.exp(fit.parameters[:3])
    assert (a, b, e) == pytest.approx((477.8259, 2143.417, 1.817218), rel=2e-3)
    assert fit.parameters[3:] == pytest.approx((0.347310, 0.367172), rel=1e-3)
    assert fit.best_share >= 0.5
