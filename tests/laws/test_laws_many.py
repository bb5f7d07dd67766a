"""Many fits at once: against scipy, bounds, weights, neighbours, statuses, bad input."""

import numpy as np
import pytest
from scipy import optimize

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.many import minimise_many
from behavior_scaling.laws.many_law import Dense
from behavior_scaling.laws.power_sum import PowerSum, constant_term, power_term

LOW, HIGH = np.array([-3.0, -3, 0.01, -3, 0.01]), np.array([3.0, 3, 2, 3, 2])


class Decay:
    """theta_0 exp(-theta_1 x) + theta_2, by its Jacobian."""

    def __init__(self, x):
        self.x = x

    def evaluate(self, theta):
        fall = np.exp(-theta[:, 1:2] * self.x)
        columns = [fall, -theta[:, :1] * self.x * fall, np.ones_like(fall)]
        return Dense(theta[:, :1] * fall + theta[:, 2:], np.stack(columns, axis=2))


def problem(seed, points=31, noise=0.02):
    """Two power laws and a floor in logarithms: model, y and the truth."""
    rng = np.random.default_rng(seed)
    log_n, log_d = rng.uniform(-3, 3, (2, points))
    terms = (constant_term(0), power_term(1, 2, log_n), power_term(3, 4, log_d))
    model = PowerSum(terms, 5, points, log=True)
    truth = np.concatenate([rng.uniform(-0.5, 0.5, 2), rng.uniform(0.2, 0.9, 3)])[[0, 1, 2, 4, 3]]
    y = model.evaluate(truth[None, :]).values[0] + noise * rng.standard_normal(points)
    return model, y, truth


def residual_and_jacobian(model, theta, y):
    here = model.evaluate(theta[None, :])
    points = y.size
    rows = model.evaluate(np.repeat(theta[None, :], points, axis=0))
    return here.values[0] - y, rows.gradient(np.eye(points))


def scipy_huber(model, y, start, weight, delta):
    """scipy's least_squares with its Huber loss, the same objective by the definition of both."""
    root = np.sqrt(weight)

    def cost(t):
        size = np.abs(model.evaluate(t[None, :]).values[0] - y)
        loss = np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))
        return float(np.sum(weight * loss)) * 1e4

    def slope(t):
        here = model.evaluate(t[None, :])
        pull = weight * np.clip(here.values[0] - y, -delta, delta)
        return here.gradient(pull[None, :])[0] * 1e4

    def scaled(t):
        residual, jacobian = residual_and_jacobian(model, t, y)
        return root * residual, root[:, None] * jacobian

    near = optimize.least_squares(
        lambda t: scaled(t)[0], start, lambda t: scaled(t)[1], bounds=(LOW, HIGH)
    ).x
    found = optimize.minimize(
        cost, near, jac=slope, method="L-BFGS-B", bounds=list(zip(LOW, HIGH, strict=True)),
        options={"maxiter": 5000, "maxfun": 9000, "ftol": 1e-15, "gtol": 1e-12},
    )  # fmt: skip
    return found.x, found.fun / 1e4


class TestAgainstScipy:
    @pytest.mark.parametrize("seed", range(6))
    def test_least_squares_with_bounds_and_weights(self, seed):
        model, y, truth = problem(seed)
        weight = np.random.default_rng(seed + 100).uniform(0.2, 3, y.size)
        fit = minimise_many(model, y, [truth], LOW, HIGH, weights=weight)
        root = np.sqrt(weight)
        other = optimize.least_squares(
            lambda t: root * residual_and_jacobian(model, t, y)[0],
            truth,
            lambda t: root[:, None] * residual_and_jacobian(model, t, y)[1],
            bounds=(LOW, HIGH), xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=2000,
        )  # fmt: skip
        assert fit.converged[0]
        assert fit.objective[0] <= other.cost * (1 + 1e-12)
        assert fit.objective[0] == pytest.approx(other.cost, rel=1e-7)
        np.testing.assert_allclose(fit.parameters[0], other.x, atol=2e-3)

    @pytest.mark.parametrize("delta", [1e-3, 0.01, 0.1])
    @pytest.mark.parametrize("seed", range(3))
    def test_huber(self, seed, delta):
        model, y, truth = problem(seed)
        weight = np.random.default_rng(seed + 100).uniform(0.2, 3, y.size)
        starts = truth + np.array([[0.0], [0.1], [-0.1]])
        fit = minimise_many(model, y, starts, LOW, HIGH, weights=weight, delta=delta)
        _, least = scipy_huber(model, y, truth, weight, delta)
        assert fit.objective.min() <= least * (1 + 1e-10)
        assert fit.objective.min() == pytest.approx(least, rel=2e-3)
        size = np.abs(model.evaluate(fit.parameters).values - y)
        loss = np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))
        np.testing.assert_allclose(fit.objective, loss @ weight, rtol=1e-12)

    def test_dense_model_by_gauss_newton(self):
        x = np.linspace(0, 3, 25)
        y = 2 * np.exp(-0.8 * x) + 0.5 + 0.05 * np.random.default_rng(0).standard_normal(25)
        fit = minimise_many(Decay(x), y, [[1, 1, 0]], [0, 0, -1], [9, 9, 9])
        other, _ = optimize.curve_fit(
            lambda v, a, b, c: a * np.exp(-b * v) + c, x, y, [1, 1, 0], ftol=1e-14, xtol=1e-14
        )
        np.testing.assert_allclose(fit.parameters[0], other, rtol=1e-6)

    def test_without_newton_the_same_minimum(self):
        model, y, truth = problem(1)
        fits = [
            minimise_many(model, y, [truth], LOW, HIGH, delta=0.01, newton=newton).objective[0]
            for newton in (True, False)
        ]
        assert fits[0] == pytest.approx(fits[1], rel=1e-8)


class TestBounds:
    def test_an_optimum_at_a_bound(self):
        model, y, truth = problem(2)
        high = HIGH.copy()
        high[2] = truth[2] - 0.1
        fit = minimise_many(model, y, [truth], LOW, high)
        other = optimize.least_squares(
            lambda t: residual_and_jacobian(model, t, y)[0], np.minimum(truth, high - 1e-3),
            lambda t: residual_and_jacobian(model, t, y)[1], bounds=(LOW, high),
            xtol=1e-14, ftol=1e-14, gtol=1e-14, max_nfev=2000,
        )  # fmt: skip
        assert fit.converged[0]
        assert fit.parameters[0, 2] == high[2]
        assert fit.objective[0] <= other.cost * (1 + 1e-9)
        assert fit.objective[0] == pytest.approx(other.cost, rel=1e-4)

    def test_a_corner(self):
        # y rises, and neither a positive slope nor an offset above 1 is allowed: (0, 1) is best
        x = np.arange(5.0)

        class Line:
            def evaluate(self, theta):
                values = theta[:, :1] * x + theta[:, 1:]
                one = np.stack([x, np.ones(5)], axis=1)
                return Dense(values, np.repeat(one[None], len(theta), axis=0))

        fit = minimise_many(Line(), x + 1, [[-3.0, -9], [0, 1], [-1, 0.5]], [-9, -9], [0, 1])
        np.testing.assert_array_equal(fit.parameters, np.tile([0.0, 1.0], (3, 1)))
        assert fit.converged.all()
        np.testing.assert_allclose(fit.objective, np.sum(x**2) / 2)

    def test_starts_outside_are_moved_in(self):
        model, y, truth = problem(0)
        inside = minimise_many(model, y, [truth], LOW, HIGH)
        outside = minimise_many(model, y, [[50.0, -50, 50, 0, 0.5]], LOW, HIGH)
        assert np.all((outside.parameters >= LOW) & (outside.parameters <= HIGH))
        assert outside.objective[0] >= inside.objective[0] * (1 - 1e-9)


@pytest.mark.parametrize("delta", [None, 0.01])
class TestRows:
    def test_integer_weights_are_repeated_rows(self, delta):
        model, y, truth = problem(4)
        counts = np.random.default_rng(0).integers(0, 4, y.size)
        rows = np.repeat(np.arange(y.size), counts)
        terms = [
            term if len(term.features) == 1 else type(term)(term.index, term.features[rows])
            for term in model.terms
        ]
        repeated = PowerSum(tuple(terms), 5, rows.size, log=True)
        weighted = minimise_many(model, y, [truth], LOW, HIGH, weights=counts, delta=delta)
        plain = minimise_many(repeated, y[rows], [truth], LOW, HIGH, delta=delta)
        assert weighted.objective[0] == pytest.approx(plain.objective[0], rel=1e-10)
        np.testing.assert_allclose(weighted.parameters, plain.parameters, atol=1e-5)

    def test_a_row_does_not_depend_on_its_neighbours(self, delta):
        """To the rounding of matrix products, which block sizes change: objective to 1e-11."""
        model, y, truth = problem(5)
        rng = np.random.default_rng(1)
        weights = rng.multinomial(y.size, np.full(y.size, 1 / y.size), size=1000)
        starts = truth + 0.05 * rng.standard_normal((1000, 5))
        ys = y + 0.01 * rng.standard_normal((1000, y.size))
        many = minimise_many(model, ys, starts, LOW, HIGH, weights=weights, delta=delta)
        again = minimise_many(model, ys, starts, LOW, HIGH, weights=weights, delta=delta)
        np.testing.assert_array_equal(many.parameters, again.parameters)
        settled = 0
        for i in range(0, 1000, 97):
            one = minimise_many(model, ys[i], starts[i], LOW, HIGH, weights=weights[i], delta=delta)
            if one.converged[0] and many.converged[i]:
                settled += 1
                assert one.objective[0] == pytest.approx(many.objective[i], rel=1e-9)
        assert settled >= 9

    def test_a_broken_row_leaves_the_others_alone(self, delta):
        model, y, truth = problem(6)
        starts = np.stack([truth, np.full(5, np.nan), truth + 0.05])
        fit = minimise_many(model, y, starts, LOW, HIGH, delta=delta)
        assert fit.objective[1] == np.inf
        assert not fit.converged[1]
        assert np.isnan(fit.parameters[1]).all()
        assert fit.objective[0] == pytest.approx(fit.objective[2], rel=1e-9)
        assert fit.converged[[0, 2]].all()


class TestStatus:
    def test_too_few_iterations(self):
        model, y, truth = problem(0)
        fit = minimise_many(model, y, [truth + 0.3], LOW, HIGH, max_iterations=2)
        assert not fit.converged[0]
        assert fit.iterations[0] == 2

    def test_a_gradient_that_leads_nowhere_is_no_convergence(self):
        class Wrong:
            def evaluate(self, theta):
                return Dense(theta * np.ones((1, 3)), -np.ones((len(theta), 3, 1)))

        fit = minimise_many(Wrong(), [2.0, 2.1, 2.2], [[0.0]], [-5], [5])
        assert not fit.converged[0]

    def test_a_wall_of_nan_is_no_convergence(self):
        class Wall:
            def evaluate(self, theta):
                values = np.where(theta > 1, np.nan, theta) * np.ones((1, 2))
                return Dense(values, np.ones((len(theta), 2, 1)))

        fit = minimise_many(Wall(), [2.0, 2.1], [[0.0]], [-5], [5], max_iterations=1000)
        assert not fit.converged[0]
        assert fit.parameters[0, 0] <= 1

    def test_no_noise_converges_to_rounding(self):
        model, _, truth = problem(0)
        y = model.evaluate(truth[None, :]).values[0]
        for delta in (None, 1e-3, 1e-4):
            fit = minimise_many(model, y, [truth + 0.2], LOW, HIGH, delta=delta)
            assert fit.converged[0]
            np.testing.assert_allclose(fit.parameters[0], truth, atol=1e-9)


def test_bad_input_is_named():
    model, y, truth = problem(0)
    high = HIGH.copy()
    high[1] = LOW[1]
    with pytest.raises(LawsError, match="bounds of parameter 1"):
        minimise_many(model, y, [truth], LOW, high)
    for delta in (0, -1, np.nan, np.inf):
        with pytest.raises(LawsError, match="delta"):
            minimise_many(model, y, [truth], LOW, HIGH, delta=delta)
    for weight in (-1.0, np.nan, np.inf):
        with pytest.raises(LawsError, match="weights"):
            minimise_many(model, y, [truth], LOW, HIGH, weights=np.full(y.size, weight))
    with pytest.raises(LawsError, match="weights: shape"):
        minimise_many(model, y, [truth], LOW, HIGH, weights=np.ones(y.size + 1))
    with pytest.raises(LawsError, match="y: shape"):
        minimise_many(model, np.tile(y, (2, 1)), [truth], LOW, HIGH)
    with pytest.raises(LawsError, match="lower"):
        minimise_many(model, y, [truth[:4]], LOW, HIGH)
    with pytest.raises(LawsError, match="starts: none"):
        minimise_many(model, y, np.empty((0, 5)), LOW, HIGH)
