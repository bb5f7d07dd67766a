"""Sums of power-law terms: gradient, gram and Hessian against finite differences."""

import numpy as np
import pytest

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.many_law import Dense
from behavior_scaling.laws.power_sum import PowerSum, Term, constant_term, power_term

POINTS = 23
THETA = np.array([0.6, -0.5, 0.35, -0.3, 0.5])
DELTA = 0.1


def law(log: bool, *, floor: bool = True) -> PowerSum:
    rng = np.random.default_rng(3)
    log_n, log_d = rng.uniform(-2, 2, (2, POINTS))
    if not floor:
        return PowerSum((power_term(0, 1, log_n),), 2, POINTS, log)
    terms = (constant_term(0), power_term(1, 2, log_n), power_term(3, 4, log_d))
    return PowerSum(terms, 5, POINTS, log)


def noise() -> np.ndarray:
    """Residuals on both sides of Huber's kink, none within 0.005 of it."""
    rng = np.random.default_rng(4)
    inside = rng.uniform(-0.9, 0.9, POINTS) * DELTA
    outside = rng.choice([-1, 1], POINTS) * rng.uniform(1.5, 4.0, POINTS) * DELTA
    return np.where(rng.random(POINTS) < 0.5, inside, outside)


def huber(residual: np.ndarray) -> np.ndarray:
    size = np.abs(residual)
    return np.where(size <= DELTA, residual**2 / 2, DELTA * (size - DELTA / 2))


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("floor", [True, False])
class TestAgainstFiniteDifferences:
    def test_values_are_the_sum_of_terms(self, log, floor):
        model = law(log, floor=floor)
        theta = THETA if floor else THETA[1:3]
        total = sum(
            np.exp(term.features @ theta[list(term.index)]) * np.ones(POINTS)
            for term in model.terms
        )
        values = model.evaluate(theta[None, :]).values[0]
        np.testing.assert_allclose(values, np.log(total) if log else total, rtol=1e-13)

    def test_gradient_and_gram(self, log, floor, central_difference):
        model = law(log, floor=floor)
        theta = THETA if floor else THETA[1:3]
        jacobian = central_difference(lambda t: model.evaluate(t[None, :]).values[0], theta)
        here = model.evaluate(theta[None, :])
        c = np.random.default_rng(0).uniform(-1, 2, (1, POINTS))
        np.testing.assert_allclose(here.gradient(c)[0], c[0] @ jacobian, rtol=1e-7, atol=1e-9)
        gram = jacobian.T @ (c[0][:, None] * jacobian)
        np.testing.assert_allclose(here.gram(c)[0], gram, rtol=1e-6, atol=1e-8)
        dense = Dense(here.values, jacobian[None])
        np.testing.assert_allclose(dense.gradient(c), here.gradient(c), rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(dense.gram(c), here.gram(c), rtol=1e-6, atol=1e-8)

    def test_hessian_of_the_huber_objective(self, log, floor, central_difference):
        model = law(log, floor=floor)
        theta = THETA if floor else THETA[1:3]
        y = model.evaluate(theta[None, :]).values[0] - noise()
        weight = np.random.default_rng(1).uniform(0.5, 2, POINTS)

        def slope(t):
            here = model.evaluate(t[None, :])
            pull = weight * np.clip(here.values[0] - y, -DELTA, DELTA)
            return here.gradient(pull[None, :])[0]

        def objective(t):
            return np.array([np.sum(weight * huber(model.evaluate(t[None, :]).values[0] - y))])

        first = central_difference(objective, theta)[0]
        np.testing.assert_allclose(slope(theta), first, rtol=1e-6, atol=1e-8)
        residual = model.evaluate(theta[None, :]).values - y
        inner = weight * (np.abs(residual) <= DELTA)
        hessian = model.evaluate(theta[None, :]).hessian(
            inner, weight * np.clip(residual, -DELTA, DELTA)
        )
        np.testing.assert_allclose(
            hessian[0], central_difference(slope, theta), rtol=1e-6, atol=1e-7
        )


def test_rows_of_parameters_are_evaluated_side_by_side():
    model = law(True)
    theta = THETA + 0.1 * np.random.default_rng(2).standard_normal((4, 5))
    c = np.random.default_rng(5).standard_normal((4, POINTS))
    together = model.evaluate(theta)
    for i in range(4):
        alone = model.evaluate(theta[i : i + 1])
        np.testing.assert_allclose(together.values[i], alone.values[0], rtol=1e-13)
        np.testing.assert_allclose(
            together.hessian(c, c)[i], alone.hessian(c[i : i + 1], c[i : i + 1])[0], atol=1e-11
        )


def test_a_logarithm_survives_terms_beyond_double_precision():
    model = PowerSum((constant_term(0), constant_term(1)), 2, 1, log=True)
    here = model.evaluate(np.array([[900.0, 900.0], [-900.0, -950.0]]))
    np.testing.assert_allclose(here.values[:, 0], [900 + np.log(2), -900.0])
    np.testing.assert_allclose(here.gradient(np.ones((2, 1))), [[0.5, 0.5], [1, 0]], atol=1e-20)


def test_features_of_another_length_are_refused():
    with pytest.raises(LawsError, match=r"features \(3, 2\): no fit for 4 points"):
        PowerSum((power_term(0, 1, np.zeros(3)),), 2, 4, log=True)
    with pytest.raises(LawsError, match="features"):
        PowerSum((Term((0,), np.ones((4, 2))),), 1, 4, log=False)
