"""Share and negatives laws: closed forms, profiles, planted optima, and refusals."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import optimize

from behavior_scaling.laws.criteria import aicc
from behavior_scaling.laws.curve import CurveData, curve_data
from behavior_scaling.laws.noise import NoiseLevel
from behavior_scaling.laws.parts import AxisParts
from behavior_scaling.laws.two_term import fit_two_term
from behavior_scaling.laws.two_term_grid import (
    ALPHA_BOUNDS,
    BETA_BOUNDS,
    Budget,
    falling,
    free,
    rising,
    sums,
    with_optimum,
)
from behavior_scaling.laws.two_term_joint import closed_form_optimum, law, over

Vector = npt.NDArray[np.float64]
Curves = Callable[..., CurveData]
Difference = Callable[..., Vector]
SHARES = np.geomspace(0.004, 0.5, 9)
A, ALPHA, B, BETA = 2.0, 1.0, 0.02, 0.6
BEST = (B * BETA / (A * ALPHA)) ** (1 / (ALPHA + BETA))  # 0.0409


def planted(x: Vector, a: float = A, b: float = B) -> Vector:
    return np.asarray(6 + a * x**ALPHA + b * x**-BETA)


def fitted(curves: list[CurveData]) -> AxisParts:
    return fit_two_term(curves, "share", resamples=200)


@pytest.mark.parametrize(
    ("alpha", "beta", "a", "b"), [(1.0, 0.6, 2.0, 0.02), (0.2, 2.0, 0.5, 3.0), (3.0, 0.1, 1, 1)]
)
def test_closed_form_optimum_is_the_numeric_minimum(
    alpha: float, beta: float, a: float, b: float
) -> None:
    def loss(z: float) -> float:
        return float(a * np.exp(alpha * z) + b * np.exp(-beta * z))

    found = optimize.minimize_scalar(
        loss, bounds=(-12, 12), method="bounded", options={"xatol": 1e-9}
    )
    best = closed_form_optimum(alpha, beta, a, b)
    assert best is not None
    assert np.log(best) == pytest.approx(found.x, abs=1e-5)


def test_absent_term_has_no_closed_form() -> None:
    assert closed_form_optimum(1.0, 1.0, 0.0, 2.0) is None
    assert closed_form_optimum(1.0, 1.0, 2.0, 0.0) is None


def test_jacobian_matches_finite_differences(central_difference: Difference) -> None:
    rng = np.random.default_rng(0)
    budgets = [
        Budget(np.sort(rng.uniform(-2, 2, n)), rng.normal(size=n), rng.uniform(0.5, 2, n))
        for n in (5, 7)
    ]
    theta = np.array([0.8, 0.5, 6.0, 0.3, 0.2, 5.0, 0.1, 0.4])
    model = over(budgets)
    numeric = central_difference(lambda t: model.evaluate(t[None, :]).values[0], theta)
    ours = model.evaluate(np.stack([theta, 2 * theta])).jacobian[0]
    np.testing.assert_allclose(ours, numeric, rtol=1e-6, atol=1e-8)
    for j, points in enumerate((slice(0, 5), slice(5, 12))):
        values = model.evaluate(theta[None, :]).values[0, points]
        np.testing.assert_allclose(values, law(budgets[j].log_u, theta, j), rtol=1e-12)


def test_residual_sums_agree_with_nonnegative_least_squares() -> None:
    rng = np.random.default_rng(1)
    z, alpha, beta = np.linspace(-1.5, 1.5, 8), 0.9, 0.7
    p, q, one = np.exp(alpha * z), np.exp(-beta * z), np.ones(8)
    signs = set()
    for _ in range(40):
        y, weight = rng.normal(size=8) + rng.normal() * p + rng.normal() * q, rng.uniform(1, 3, 8)
        s = sums(Budget(z, y, weight), np.array(alpha), np.array(beta))
        root = np.sqrt(weight)

        def nnls(columns: list[Vector], y: Vector = y, root: Vector = root) -> float:
            full = np.stack([one, -one, *columns], axis=1)  # y0 free: a difference of two
            return float(optimize.nnls(full * root[:, None], y * root)[1] ** 2)

        both = optimize.nnls(np.stack([one, -one, p, q], axis=1) * root[:, None], y * root)[0]
        signs.add((both[2] > 1e-9, both[3] > 1e-9))
        assert float(free(s)) == pytest.approx(nnls([p, q]), rel=1e-8, abs=1e-10)
        assert float(rising(s)) == pytest.approx(nnls([p]), rel=1e-8, abs=1e-10)
        assert float(falling(s)) == pytest.approx(nnls([q]), rel=1e-8, abs=1e-10)
        u = 0.4
        g = (np.exp(z - u)) ** alpha / alpha + (np.exp(z - u)) ** -beta / beta
        fixed = float(with_optimum(s, np.array(alpha), np.array(beta), np.array(u)))
        assert fixed == pytest.approx(nnls([g]), rel=1e-8, abs=1e-10)
        assert fixed >= float(free(s)) - 1e-10
    assert len(signs) >= 3  # the draws reach both terms, either alone, or none


def test_noise_free_law_is_recovered() -> None:
    noise = NoiseLevel(1e-5**2, 30)
    curves = [curve_data(c, SHARES, planted(SHARES), noise=noise) for c in (1e10, 1e11)]
    parts = fitted(curves)
    for fit in parts.curves:
        assert fit.optimum.status == "converged"
        assert fit.optimum.value == pytest.approx(BEST, rel=1e-3)
        assert fit.best.value == pytest.approx(planted(np.array([BEST]))[0], abs=1e-5)
        wanted = {"y0": 6.0, "a": A, "b": B, "alpha": ALPHA, "beta": BETA}
        for name, value in wanted.items():
            assert fit.coefficients[name].value == pytest.approx(value, rel=5e-3)
        theta = np.array([fit.coefficients[n].value for n in ("alpha", "beta", "y0", "a", "b")])
        np.testing.assert_allclose(
            law(np.log(np.array(fit.curve_x)), theta.astype(float), 0), fit.curve_y, rtol=1e-9
        )
        assert fit.derived["optimum_floor_variant"].value == pytest.approx(BEST, rel=0.1)


@pytest.mark.parametrize(
    ("replicates", "least", "most"),
    [(40, 0.87, 1.0), pytest.param(300, 0.92, 0.985, marks=pytest.mark.slow)],
)
def test_share_interval_covers(
    noisy_curve: Curves, replicates: int, least: float, most: float
) -> None:
    rng = np.random.default_rng(2)
    covered, alpha = [], []
    for _ in range(replicates):
        parts = fitted(
            [noisy_curve(rng, SHARES, planted(SHARES), 0.03, 2, c) for c in (1e10, 1e11)]
        )
        for fit in parts.curves:
            assert fit.optimum.status == "converged"
            low, high = fit.optimum.low, fit.optimum.high
            covered.append(low is not None and high is not None and low <= BEST <= high)
        e = parts.exponents["alpha"]
        alpha.append(e.low is not None and e.high is not None and e.low <= ALPHA <= e.high)
    assert least <= np.mean(covered) <= most
    assert np.mean(alpha) >= least - 0.02


def test_share_interval_is_no_wider_than_the_noise_asks(noisy_curve: Curves) -> None:
    # Gauss-Newton: the profile's half-width must be near t sigma when the noise is small
    rng, widths, values = np.random.default_rng(3), [], []
    for _ in range(30):
        fit = fitted([noisy_curve(rng, SHARES, planted(SHARES), 0.01)]).curves[0].optimum
        assert fit.low is not None
        assert fit.high is not None
        assert fit.value is not None
        widths.append(np.log(fit.high / fit.low) / 2)
        values.append(np.log(fit.value))
    assert np.median(widths) == pytest.approx(2.26 * np.std(values), rel=0.5)


@pytest.mark.parametrize(
    ("a", "b", "edge", "side"), [(0.0, 0.05, 0.5, "right"), (2.0, 0.0, 0.004, "left")]
)
def test_monotone_data_have_no_optimum(
    noisy_curve: Curves, a: float, b: float, edge: float, side: str
) -> None:
    statuses = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        curves = [noisy_curve(rng, SHARES, planted(SHARES, a, b), 0.005, 2, c)
                  for c in (1e10, 1e11)]  # fmt: skip
        for fit in fitted(curves).curves:
            statuses.append(fit.optimum.status)
            if fit.optimum.status == "at bound":
                assert fit.optimum.value == pytest.approx(edge)
                assert fit.best.value is None
                one_sided = (fit.optimum.low, fit.optimum.high)
                assert one_sided[1 if side == "right" else 0] is None
    assert statuses.count("converged") <= 1
    assert statuses.count("at bound") >= 10


def test_optimum_needs_two_cells_on_each_side() -> None:
    x = SHARES[SHARES < 1.5 * BEST]  # one cell above the optimum
    assert np.sum(x > BEST) == 1
    x = np.concatenate([x, np.geomspace(0.0045, 0.03, 6)])
    data = curve_data(1e11, x, planted(x), noise=NoiseLevel(1e-6**2, 30))
    fit = fitted([data]).curves[0].optimum
    assert fit.status == "at bound"
    assert fit.value == pytest.approx(x.max())
    assert fit.high is None
    assert fit.low is not None
    assert fit.low <= x.max()


def test_noise_alone_is_not_identified(noisy_curve: Curves) -> None:
    found = []
    for seed in range(12):
        rng = np.random.default_rng(100 + seed)
        found.append(fitted([noisy_curve(rng, SHARES, np.full(9, 6.0), 0.02)]).curves[0].optimum)
    assert sum(fit.status == "not identified" for fit in found) >= 10
    assert all(fit.value is None for fit in found if fit.status == "not identified")


def test_weak_exponent_at_its_bound() -> None:
    # a rise steeper than any alpha allowed
    u = SHARES / BEST
    values = 6 + 0.02 * (u / u.max()) ** 8 * 30 + 0.05 * u**-0.6
    data = curve_data(1e11, SHARES, values, noise=NoiseLevel(0.01**2, 30))
    alpha = fitted([data]).exponents["alpha"]
    assert alpha.status == "at bound"
    assert alpha.value == pytest.approx(ALPHA_BOUNDS[1])
    assert alpha.reason.startswith("weak")
    assert alpha.high == ALPHA_BOUNDS[1]


def test_interval_cut_by_a_bound_is_weak(noisy_curve: Curves) -> None:
    rng = np.random.default_rng(5)
    parts = fitted([noisy_curve(rng, SHARES, planted(SHARES), 0.15)])
    beta = parts.exponents["beta"]
    assert BETA_BOUNDS[0] in (beta.low, beta.value) or BETA_BOUNDS[1] in (beta.high, beta.value)
    assert beta.reason.startswith("weak")


def test_too_few_cells_or_runs() -> None:
    few = fitted([curve_data(1e11, SHARES[:3], planted(SHARES[:3]))])
    assert few.curves[0].optimum.status == "too few points"
    seven = fitted([curve_data(1e11, SHARES[:7], planted(SHARES[:7]))])  # 7 runs, 5 parameters
    assert seven.curves[0].optimum.status == "too few points"
    assert "7 runs" in seven.curves[0].optimum.reason


def test_constant_metric_is_left_out_of_the_joint_fit() -> None:
    noise = NoiseLevel(0.01**2, 20)
    curves = [
        curve_data(1e10, SHARES, np.full(9, 6.0), noise=noise),
        curve_data(1e11, SHARES, planted(SHARES), noise=noise),
    ]
    parts = fitted(curves)
    assert [fit.optimum.status for fit in parts.curves] == ["not identified", "converged"]
    assert parts.curves[0].optimum.reason == "the metric is constant over the cells"


def test_no_replicates_fall_back_on_scatter(noisy_curve: Curves) -> None:
    rng = np.random.default_rng(6)
    x = np.geomspace(0.004, 0.5, 14)
    parts = fitted([noisy_curve(rng, x, planted(x), 0.01, 1)])
    assert parts.curves[0].noise is None
    assert parts.curves[0].optimum.status == "converged"
    assert any("no replicates" in note for note in parts.notes)


def test_log_cubic_sees_its_own_minimum() -> None:
    z = np.log(SHARES)
    values = 6 + 0.1 * (z + 3) ** 2 + 0.01 * (z + 3) ** 3
    data = curve_data(1e11, SHARES, values, noise=NoiseLevel(0.001**2, 30))
    cubic = fitted([data]).curves[0].derived["optimum_log_cubic"]
    assert cubic.value == pytest.approx(np.exp(-3), rel=1e-6)
    assert cubic.low is not None
    assert cubic.high is not None
    assert cubic.low < np.exp(-3) < cubic.high < 1.1 * np.exp(-3)


def test_aicc_by_hand() -> None:
    # n = 10, k = 3, RSS = 5: 10 log .5 + 6 + 24 / 6
    assert aicc(5.0, 10, 3) == pytest.approx(10 * np.log(0.5) + 10)
    assert aicc(5.0, 4, 3) == np.inf


def test_fit_is_deterministic(noisy_curve: Curves) -> None:
    data = [noisy_curve(np.random.default_rng(4), SHARES, planted(SHARES), 0.02)]
    assert fitted(data) == fitted(data)


def test_two_cells_at_one_share_count_as_one_place() -> None:
    noise = NoiseLevel(1e-4**2, 30)
    twice = np.repeat(SHARES, 2)
    data = curve_data(1e11, twice, planted(twice), noise=noise)
    fit = fitted([data]).curves[0].optimum
    assert fit.status == "converged"
    assert fit.value == pytest.approx(BEST, rel=1e-2)
    few = np.repeat(SHARES[::4], 4)  # twelve cells, three places
    assert fitted([curve_data(1e11, few, planted(few), noise=noise)]).curves[0].optimum.status == (
        "too few points"
    )


def test_straight_and_concave_curves_have_no_optimum() -> None:
    noise = NoiseLevel(0.002**2, 40)
    z = np.log(SHARES)
    for values in (6 - 0.05 * z, 6 + 0.05 * z, 6 - 0.02 * (z + 3) ** 2):
        parts = fitted([curve_data(1e11, SHARES, values, noise=noise, repeats=np.full(9, 2))])
        assert parts.curves[0].optimum.status in ("at bound", "not identified")
        assert parts.curves[0].best.value is None
        assert parts.exponents["share"].status == "too few points"


def test_constant_metric_everywhere_is_no_fit() -> None:
    flat = [curve_data(c, SHARES, np.full(9, 6.0)) for c in (1e10, 1e11)]
    parts = fitted(flat)
    assert all(fit.optimum.status == "not identified" for fit in parts.curves)
    assert all(e.value is None for e in parts.exponents.values())
