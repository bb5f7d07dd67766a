"""The best of many starts: statuses, shares, condition, and merging that changes nothing."""

import numpy as np
import pytest

from behavior_scaling.laws import solve as module
from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.many_law import Dense
from behavior_scaling.laws.power_sum import PowerSum, constant_term, power_term
from behavior_scaling.laws.solve import Scout, condition, scaled_gram, scout_rows, solve

LOW, HIGH = np.array([-3.0, -3, 0.01, -3, 0.01]), np.array([3.0, 3, 2, 3, 2])
TRUTH = np.array([0.3, -0.2, 0.4, -0.4, 0.6])


class Function:
    """A model from values [r, n] and their Jacobian [r, n, p]."""

    def __init__(self, values, jacobian):
        self.values, self.jacobian = values, jacobian

    def evaluate(self, theta):
        return Dense(self.values(theta), self.jacobian(theta))


def rosenbrock_jacobian(t):
    first = np.stack([-20 * t[:, 0], np.full(len(t), 10.0)], axis=1)
    return np.stack([first, np.tile([-1.0, 0.0], (len(t), 1))], axis=1)


ROSENBROCK = Function(
    lambda t: np.stack([10 * (t[:, 1] - t[:, 0] ** 2), 1 - t[:, 0]], axis=1), rosenbrock_jacobian
)
# (t^2 - 1)^2 + 0.3 (t + 4): two minima, the one at negative t lower
TWO_MINIMA = Function(
    lambda t: np.concatenate([t**2 - 1, np.sqrt(0.3 * (t + 4))], axis=1),
    lambda t: np.stack([2 * t, 0.5 * np.sqrt(0.3 / (t + 4))], axis=1),
)


def two_terms(points=150, seed=0, noise=0.02):
    """Inputs as logarithms, and y in logarithms."""
    rng = np.random.default_rng(seed)
    logs = rng.uniform(-3, 3, (2, points))
    model = law(logs)
    y = model.evaluate(TRUTH[None, :]).values[0] + noise * rng.standard_normal(points)
    return logs, model, y


def law(logs):
    terms = (constant_term(0), power_term(1, 2, logs[0]), power_term(3, 4, logs[1]))
    return PowerSum(terms, 5, logs.shape[1], log=True)


def grid():
    rng = np.random.default_rng(9)
    return rng.uniform(LOW, HIGH, (120, 5))


def test_rosenbrock_from_many_starts():
    starts = [[-1.2, 1.0], [3.0, -2.0], [0.0, 0.0]]
    fit = solve(ROSENBROCK, [0.0, 0.0], starts, [-5, -5], [5, 5])
    np.testing.assert_allclose(fit.parameters, [1, 1], atol=1e-6)
    assert (fit.status, fit.at_bound, fit.best_share, fit.starts) == ("converged", (), 1.0, 3)


def test_bound_is_reported():
    # within theta_0 <= 1/2 the minimum is (1/2, 1/4) with objective (1/2)^2 / 2
    fit = solve(ROSENBROCK, [0.0, 0.0], [[0.0, 0.0]], [-5, -5], [0.5, 5])
    np.testing.assert_allclose(fit.parameters, [0.5, 0.25], atol=1e-5)
    assert fit.objective == pytest.approx(0.125, rel=1e-6)
    assert (fit.status, fit.at_bound) == ("at bound", (0,))


def test_iteration_limit_is_reported(monkeypatch):
    monkeypatch.setattr(module, "LEGS", ())
    monkeypatch.setattr(module, "LAST", 3)
    fit = solve(ROSENBROCK, [0.0, 0.0], [[-1.2, 1.0]], [-5, -5], [5, 5])
    assert fit.status == "max iterations"


def test_best_share_counts_starts_that_reach_the_best_minimum():
    fit = solve(TWO_MINIMA, [0.0, 0.0], [[-2.0], [-0.5], [0.8], [2.0]], [-3], [3])
    assert fit.parameters[0] < 0
    assert fit.best_share == 0.5


def test_a_direct_start_counts_as_the_start_that_it_was(monkeypatch):
    """400 points want t = 0, or at worst t = -10; one far out draws least squares to the latter."""
    y = np.append(np.zeros(400), -250.0)

    def values(t):
        near = np.where(t > -5, t, -1 - 0.16 * (t + 10) ** 2)
        return np.concatenate([np.repeat(near, 400, axis=1), 25 * t], axis=1)

    def jacobian(t):
        near = np.where(t > -5, 1.0, -0.32 * (t + 10))
        return np.concatenate([np.repeat(near, 400, axis=1), np.full_like(t, 25)], axis=1)[
            ..., None
        ]

    law = Function(values, jacobian)
    fit = solve(law, y, [[1.5]], [-20], [20], delta=0.1)
    assert fit.parameters[0] == pytest.approx(0, abs=0.1)
    assert fit.best_share == 1.0
    monkeypatch.setattr(module, "LEGS", [leg for leg in module.LEGS if not leg.direct])
    without = solve(law, y, [[1.5]], [-20], [20], delta=0.1)
    assert without.parameters[0] == pytest.approx(-10, abs=0.5)
    assert without.objective > fit.objective


def test_huber_ignores_an_outlier_that_pulls_least_squares():
    x = np.arange(9.0)
    y = 2 * x + 1
    y[4] += 100
    line = Function(
        lambda t: t[:, :1] * x + t[:, 1:],
        lambda t: np.repeat(np.stack([x, np.ones(9)], axis=1)[None], len(t), axis=0),
    )
    robust = solve(line, y, [[0.0, 0.0]], [-9, -99], [9, 99], delta=0.1)
    plain = solve(line, y, [[0.0, 0.0]], [-9, -99], [9, 99])
    np.testing.assert_allclose(robust.parameters, [2, 1], atol=0.05)
    np.testing.assert_allclose(plain.parameters, np.polyfit(x, y, 1), rtol=1e-9)
    r = np.abs(robust.parameters[0] * x + robust.parameters[1] - y)
    hand = np.sum(np.where(r <= 0.1, r**2 / 2, 0.1 * (r - 0.05)))
    assert robust.objective == pytest.approx(hand, rel=1e-12)


@pytest.mark.parametrize("delta", [None, 1e-3])
class TestWay:
    """Merging, the scout and the order of starts save time and change no outcome."""

    def test_merging(self, delta, monkeypatch):
        _, model, y = two_terms()
        merged = solve(model, y, grid(), LOW, HIGH, delta=delta)
        monkeypatch.setattr(module, "TOGETHER", 1e-13)
        apart = solve(model, y, grid(), LOW, HIGH, delta=delta)
        assert merged.objective == pytest.approx(apart.objective, rel=1e-10)
        np.testing.assert_allclose(merged.parameters, apart.parameters, atol=1e-5)
        assert merged.best_share == pytest.approx(apart.best_share, abs=0.1)

    def test_scout(self, delta):
        logs, model, y = two_terms()
        rows = scout_rows(*logs)
        scout = Scout(law(logs[:, rows]), rows)
        with_scout = solve(model, y, grid(), LOW, HIGH, delta=delta, scout=scout)
        without = solve(model, y, grid(), LOW, HIGH, delta=delta)
        assert with_scout.objective == pytest.approx(without.objective, rel=1e-10)
        np.testing.assert_allclose(with_scout.parameters, without.parameters, atol=1e-5)

    def test_order(self, delta):
        _, model, y = two_terms()
        forward = solve(model, y, grid(), LOW, HIGH, delta=delta)
        backward = solve(model, y, grid()[::-1], LOW, HIGH, delta=delta)
        assert forward.objective == pytest.approx(backward.objective, rel=1e-10)

    def test_starts_that_are_not_finite_are_skipped(self, delta):
        _, model, y = two_terms()
        good = solve(model, y, grid(), LOW, HIGH, delta=delta)
        starts = np.concatenate([np.full((30, 5), np.nan), grid()])
        fit = solve(model, y, starts, LOW, HIGH, delta=delta)
        assert fit.objective == pytest.approx(good.objective, rel=1e-10)
        assert fit.starts == 150
        assert fit.best_share <= 0.8


class TestCondition:
    @pytest.mark.parametrize("held", [(), (2,), (0, 4)])
    def test_against_numpy_on_the_full_jacobian(self, held):
        _, model, y = two_terms(points=40)
        weight = np.random.default_rng(1).uniform(0.3, 2, y.size)
        jacobian = model.evaluate(np.repeat(TRUTH[None, :], 40, axis=0)).gradient(np.eye(40))
        weighted = np.sqrt(weight)[:, None] * jacobian
        scaled = weighted / np.linalg.norm(weighted, axis=0)
        free = [i for i in range(5) if i not in held]
        expected = np.linalg.cond(scaled[:, free])
        assert condition(model, TRUTH, weight, held) == pytest.approx(expected, rel=1e-8)
        np.testing.assert_allclose(scaled_gram(model, TRUTH, weight), scaled.T @ scaled, atol=1e-12)

    def test_it_is_part_of_the_solution(self):
        _, model, y = two_terms()
        fit = solve(model, y, [TRUTH], LOW, HIGH)
        assert fit.condition == condition(model, fit.parameters, np.ones(y.size))
        assert 1 <= fit.condition < 100

    def test_the_same_column_twice_is_singular(self):
        logs, _, y = two_terms()
        twice = PowerSum((constant_term(0), constant_term(1)), 2, y.size, log=True)
        assert condition(twice, np.zeros(2), np.ones(y.size)) > 1e7
        gone = PowerSum((constant_term(0), power_term(1, 2, logs[0])), 3, y.size, log=True)
        assert condition(gone, np.array([0.0, -800, 0.1]), np.ones(y.size)) == np.inf


def test_scout_rows_are_spread_and_distinct():
    x = np.random.default_rng(0).permutation(1000).astype(float)
    rows = scout_rows(x)
    assert rows.size == np.unique(rows).size == module.SCOUT
    assert np.max(np.diff(np.sort(x[rows]))) <= 17
    assert {0.0, 999.0} <= set(x[rows])
    assert scout_rows(x[: 2 * module.SCOUT - 1]) is None


def test_bad_input_is_named():
    _, model, y = two_terms()
    with pytest.raises(LawsError, match="not finite at any start"):
        solve(model, y, np.full((3, 5), np.nan), LOW, HIGH)
    with pytest.raises(LawsError, match="not finite at any start"):
        solve(model, np.full(y.size, np.nan), grid(), LOW, HIGH)
    with pytest.raises(LawsError, match="delta"):
        solve(model, y, grid(), LOW, HIGH, delta=0)
