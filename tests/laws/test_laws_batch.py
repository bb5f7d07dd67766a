"""The batch axis: the clean form's knee and its bounds, admissible cells, the optimal batch."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from behavior_scaling.laws.arrays import lowest
from behavior_scaling.laws.batch import admissible, fit_critical_batch, fit_optimal_batch
from behavior_scaling.laws.batch_profile import Cells, basis, over
from behavior_scaling.laws.curve import CurveData, curve_data
from behavior_scaling.laws.noise import NoiseLevel
from behavior_scaling.laws.results import CurveFit

Vector = npt.NDArray[np.float64]
Curves = Callable[..., CurveData]
BATCHES = np.geomspace(4.0, 512.0, 8)
GAMMA = 0.3


def joint_law(batch: Vector, d: Vector, knee: float, g: float = 2.0) -> Vector:
    """E + G D_eff^-gamma with D_eff = D / (1 + B / B_crit): the law as defined, not as fitted."""
    return np.asarray(5.0 + g * (d / 1e6 / (1 + batch / knee)) ** -GAMMA)


def fit(curve: Curves, rng: np.random.Generator, knee: float, sd: float, **kw: float) -> CurveFit:
    d = np.full(BATCHES.size, 1e6)
    data = curve(
        rng, BATCHES, joint_law(BATCHES, d, knee, **kw), sd, 2,
        positions=d, sequence_events=np.full(BATCHES.size, 60.0),
    )  # fmt: skip
    return fit_critical_batch([data]).curves[0]


def test_jacobian_matches_finite_differences(
    central_difference: Callable[..., Vector],
) -> None:
    rng = np.random.default_rng(0)
    budgets = [
        Cells(BATCHES, rng.normal(size=8), rng.normal(size=8), rng.uniform(0.5, 2, 8)),
        Cells(BATCHES[:5], rng.normal(size=5), rng.normal(size=5), np.ones(5)),
    ]
    theta = np.array([0.3, np.log(30), 5.0, 0.5, np.log(90), 6.0, 0.2])
    model = over(budgets)
    numeric = central_difference(lambda t: model.evaluate(t[None, :]).values[0], theta)
    ours = model.evaluate(np.stack([theta, 1.5 * theta])).jacobian[0]
    np.testing.assert_allclose(ours, numeric, rtol=1e-6, atol=1e-8)


def test_identifiable_form_is_the_joint_law() -> None:
    d = 1e6 * BATCHES / (BATCHES + 8)
    y = joint_law(BATCHES, d, 40.0)
    d0 = float(np.exp(np.median(np.log(d))))
    g = 2.0 * (d0 / 1e6) ** -GAMMA
    r = (1 + BATCHES / 40.0) * d0 / d
    np.testing.assert_allclose(y, 5 + g + g * GAMMA * basis(np.log(r), GAMMA), rtol=1e-12)


def test_noise_free_knee_is_recovered_though_d_varies_with_b() -> None:
    noise = NoiseLevel(1e-6**2, 30)
    curves = []
    for budget, knee in ((1e10, 25.0), (1e11, 60.0)):
        d = budget / 1e4 * BATCHES / (BATCHES + 8)
        columns = {"positions": d, "sequence_events": np.full(8, 50.0)}
        y = joint_law(BATCHES, d, knee)
        curves.append(curve_data(budget, BATCHES, y, noise=noise, columns=columns))
    parts = fit_critical_batch(curves)
    assert parts.exponents["gamma"].value == pytest.approx(GAMMA, rel=1e-3)
    for found, knee, data in zip(parts.curves, (25.0, 60.0), curves, strict=True):
        assert found.optimum.status == "converged"
        assert found.optimum.value == pytest.approx(knee, rel=1e-3)
        assert found.derived["events"].value == pytest.approx(50 * knee, rel=1e-3)
        inside = np.interp(np.log(BATCHES), np.log(found.curve_x), found.curve_y)
        np.testing.assert_allclose(inside, data.y, rtol=2e-3)


def test_knee_interval_covers(noisy_curve: Curves) -> None:
    rng = np.random.default_rng(1)
    fits = [fit(noisy_curve, rng, 40.0, 0.01) for _ in range(100)]
    named = [f.optimum for f in fits if f.optimum.status == "converged"]
    assert len(named) >= 80
    covered = [o.low <= 40.0 <= o.high for o in named if o.low and o.high]
    assert np.mean(covered) >= 0.9
    gamma = [f.coefficients["gamma"] for f in fits]
    assert np.mean([(g.low or 0) <= GAMMA <= (g.high or 0) for g in gamma]) >= 0.88


def test_knee_beyond_the_largest_batch_is_a_lower_bound(noisy_curve: Curves) -> None:
    rng = np.random.default_rng(2)
    fits = [fit(noisy_curve, rng, 5000.0, 2e-5) for _ in range(20)]
    bounds = [f.optimum for f in fits if f.optimum.status == "at bound"]
    assert len(bounds) >= 12
    assert all(o.value == BATCHES[-1] and o.high is None for o in bounds)
    assert all(o.low is None or o.low <= 5000 for o in bounds)
    assert any(o.low is not None and o.low > 50 for o in bounds)
    assert all(f.best.value is None for f in fits if f.optimum.status != "converged")


def test_knee_below_the_smallest_batch_is_an_upper_bound(noisy_curve: Curves) -> None:
    rng = np.random.default_rng(3)
    bounds = [fit(noisy_curve, rng, 0.5, 0.002).optimum for _ in range(20)]
    assert sum(o.status == "at bound" for o in bounds) >= 15
    for o in bounds:
        if o.status == "at bound":
            assert (o.value, o.low) == (BATCHES[0], None)
            assert o.high is None or o.high >= 0.5


def test_flat_curve_has_no_knee(noisy_curve: Curves) -> None:
    rng = np.random.default_rng(4)
    fits = [fit(noisy_curve, rng, 40.0, 0.01, g=0.0).optimum for _ in range(40)]
    assert sum(o.status == "not identified" for o in fits) >= 37
    assert all(o.value is None for o in fits if o.status == "not identified")


def test_too_few_batches_and_constant_metric() -> None:
    columns = {"positions": np.full(3, 1e6), "sequence_events": np.full(3, 60.0)}
    few = curve_data(1e11, BATCHES[:3], [5.0, 5.1, 5.3], columns=columns)
    assert fit_critical_batch([few]).curves[0].optimum.status == "too few points"
    columns = {"positions": np.full(8, 1e6), "sequence_events": np.full(8, 60.0)}
    flat = curve_data(1e11, BATCHES, np.full(8, 5.0), columns=columns)
    assert fit_critical_batch([flat]).curves[0].optimum.status == "not identified"


def test_no_cells_at_all() -> None:
    none = np.zeros(8, dtype=bool)
    columns = {"positions": np.full(8, 1e6), "sequence_events": np.full(8, 60.0)}
    empty = curve_data(1e11, BATCHES, np.arange(8.0), columns=columns).subset(none)
    for law in (fit_critical_batch, fit_optimal_batch):
        found = law([empty]).curves[0]
        assert (found.cells, found.optimum.status) == (0, "too few points")


def test_admissible_by_hand() -> None:
    batch = np.array([16.0, 16.0, 100.0, 101.0])
    steps = np.array([200.0, 199.0, 5000.0, 5000.0])
    unique, context = np.full(4, 128_000.0), np.full(4, 64.0)  # 2,000 windows; 5% is 100
    assert admissible(batch, steps, unique, context).tolist() == [True, False, True, False]


def test_optimal_batch_is_a_parabola_in_log_b() -> None:
    y = 5 + 0.02 * np.log(BATCHES / 70) ** 2
    columns = {"positions": np.full(8, 1e6), "sequence_events": np.full(8, 60.0)}
    noise = NoiseLevel(0.001**2, 20)
    found = fit_optimal_batch([curve_data(1e11, BATCHES, y, noise=noise, columns=columns)])
    optimum, events = found.curves[0].optimum, found.curves[0].derived["events"]
    assert optimum.value == pytest.approx(70, rel=1e-6)
    assert events.value == pytest.approx(4200, rel=1e-6)
    assert events.low == pytest.approx(60 * (optimum.low or 0))
    assert found.exponents["batch"].status == "too few points"


def test_lowest_interpolates_a_parabola_and_keeps_edges() -> None:
    x = np.arange(7.0)
    values = np.stack([(x - 2.3) ** 2 + 1, x + 4.0])
    np.testing.assert_allclose(lowest(values, axis=1), [1.0, 4.0], atol=1e-12)


def test_two_cells_at_one_batch_and_curves_without_a_knee() -> None:
    noise, twice = NoiseLevel(1e-4**2, 30), np.repeat(BATCHES, 2)
    d = np.full(16, 1e6)
    columns = {"positions": d, "sequence_events": np.full(16, 60.0)}
    data = curve_data(1e11, twice, joint_law(twice, d, 40.0), noise=noise, columns=columns)
    found = fit_critical_batch([data]).curves[0]
    assert found.optimum.value == pytest.approx(40.0, rel=1e-2)
    assert np.all(np.isfinite(found.curve_y))
    falls = curve_data(1e11, twice, 7 - joint_law(twice, d, 40.0), noise=noise, columns=columns)
    assert fit_critical_batch([falls]).curves[0].optimum.value is None
    flat = curve_data(1e11, twice, np.full(16, 6.0), noise=noise, columns=columns)
    assert fit_critical_batch([flat]).curves[0].optimum.status == "not identified"
    assert fit_critical_batch([flat]).exponents["gamma"].value is None
    three = np.repeat(BATCHES[:3], 6)
    columns = {"positions": np.full(18, 1e6), "sequence_events": np.full(18, 60.0)}
    few = curve_data(1e11, three, joint_law(three, np.full(18, 1e6), 40.0), columns=columns)
    assert fit_critical_batch([few]).curves[0].optimum.status == "too few points"
