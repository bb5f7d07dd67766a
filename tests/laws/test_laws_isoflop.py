"""Approach 2: vertices, their intervals and statuses, exponents, and a known joint law."""

from collections.abc import Callable

import numpy as np
import pytest

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.curve import CurveData, curve_data
from behavior_scaling.laws.isoflop import fit_allocation
from behavior_scaling.laws.noise import ErrorVariance, NoiseLevel, resample
from behavior_scaling.laws.parabola import fit_parabola
from behavior_scaling.laws.transforms import LOG_COMPLEMENT
from behavior_scaling.laws.trend import fit_trend

Curves = Callable[..., CurveData]
X = np.geomspace(1e3, 1e5, 7)
BEST = 1.3e4
KNOWN = NoiseLevel(0.01**2, 30)


def bowl(curvature: float, best: float = BEST) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(7 + curvature * np.log(X / best) ** 2)


def test_noise_free_parabola_is_exact() -> None:
    fit = fit_parabola(curve_data(1e11, X, bowl(0.05), noise=KNOWN))
    assert fit.vertex.status == "converged"
    assert np.exp(fit.vertex.value or 0) == pytest.approx(BEST, rel=1e-9)
    assert fit.value.value == pytest.approx(7.0, abs=1e-12)
    assert fit.coefficients["c2"].value == pytest.approx(0.05, rel=1e-9)
    z = np.log(np.array([2e3, 4e4]))
    c = [fit.coefficients[name].value or 0 for name in ("c0", "c1", "c2")]
    np.testing.assert_allclose(fit.predict(z), c[0] + c[1] * z + c[2] * z**2, rtol=1e-12)


@pytest.mark.parametrize("seeds", [1, 2])
def test_vertex_interval_covers(noisy_curve: Curves, seeds: int) -> None:
    rng = np.random.default_rng(7)
    fits = [fit_parabola(noisy_curve(rng, X, bowl(0.05), 0.02, seeds)).vertex for _ in range(1000)]
    assert all(fit.status == "converged" for fit in fits)
    covered = np.mean([fit.low <= np.log(BEST) <= fit.high for fit in fits if fit.low and fit.high])
    assert 0.93 <= covered <= 0.975  # 95% within three binomial standard errors


def test_value_interval_covers(noisy_curve: Curves) -> None:
    rng = np.random.default_rng(8)
    fits = [fit_parabola(noisy_curve(rng, X, bowl(0.05), 0.02)).value for _ in range(400)]
    covered = np.mean([fit.low <= 7.0 <= fit.high for fit in fits if fit.low and fit.high])
    assert 0.92 <= covered <= 0.98


def test_interval_agrees_with_redrawn_noise() -> None:
    data = curve_data(1e11, X, bowl(0.05), noise=NoiseLevel(0.01**2, np.inf))
    fit = fit_parabola(data).vertex
    noise = resample(ErrorVariance(0.01**2, np.inf), data.spread, 4000, seed=0)
    vertices = []
    for row in noise:
        c2, c1, _ = np.polyfit(np.log(X), data.y + row, 2)
        vertices.append(-c1 / (2 * c2))
    low, high = np.quantile(vertices, [0.025, 0.975])
    assert fit.low == pytest.approx(low, abs=0.01)
    assert fit.high == pytest.approx(high, abs=0.01)


def test_concave_is_refused() -> None:
    fit = fit_parabola(curve_data(1e11, X, bowl(-0.05), noise=KNOWN))
    assert (fit.vertex.status, fit.vertex.value) == ("not identified", None)
    assert "concave" in fit.vertex.reason


def test_flat_curve_is_not_identified_and_rarely_claims_a_vertex(noisy_curve: Curves) -> None:
    rng = np.random.default_rng(9)
    fits = [fit_parabola(noisy_curve(rng, X, bowl(0.0), 0.02)).vertex for _ in range(400)]
    claims = np.mean([fit.status in ("converged", "vertex outside the grid") for fit in fits])
    assert claims <= 0.06


@pytest.mark.parametrize(("best", "side"), [(3e5, "right"), (3e2, "left")])
def test_vertex_outside_the_grid_is_one_sided(best: float, side: str) -> None:
    fit = fit_parabola(curve_data(1e11, X, bowl(0.05, best), noise=KNOWN)).vertex
    assert (fit.status, fit.value) == ("vertex outside the grid", None)
    bound, other = (fit.low, fit.high) if side == "right" else (fit.high, fit.low)
    assert other is None
    assert bound is not None
    beyond = bound - np.log(best)
    assert (beyond < 0) if side == "right" else (beyond > 0)
    assert abs(beyond) < 1.5


def test_almost_straight_line_is_not_followed_to_infinity() -> None:
    z, columns = np.log(X), {"positions": 1e11 / (6 * X), "epochs": np.ones(7)}
    data = curve_data(1e11, X, 20 - z + 1e-6 * z**2, columns=columns)  # vertex at e^500000
    fit = fit_allocation([data]).curves[0]
    assert fit.optimum.status == "vertex outside the grid"
    assert fit.optimum.low == pytest.approx(1e4 * 10.0**10)  # ten half-spans off the centre
    assert fit.derived["D_over_N"].high == pytest.approx(1e11 / 6 / 1e14**2)


def test_outside_bound_covers(noisy_curve: Curves) -> None:
    rng = np.random.default_rng(10)
    fits = [fit_parabola(noisy_curve(rng, X, bowl(0.03, 2e5), 0.05)).vertex for _ in range(300)]
    bounded = [fit for fit in fits if fit.status == "vertex outside the grid"]
    assert len(bounded) > 100
    assert np.mean([(fit.low or 0) <= np.log(2e5) for fit in bounded]) >= 0.95


def test_too_few_points_and_constant_metric() -> None:
    few = fit_parabola(curve_data(1e11, X[:2], bowl(0.05)[:2], noise=KNOWN))
    assert few.vertex.status == "too few points"
    flat = fit_parabola(curve_data(1e11, X, np.full(7, 6.5), noise=KNOWN))
    assert flat.vertex.status == "not identified"
    assert "constant" in flat.vertex.reason


def test_three_points_without_replicates_have_no_interval() -> None:
    fit = fit_parabola(curve_data(1e11, X[::3], bowl(0.05)[::3]))
    assert fit.vertex.status == "not identified"
    assert "no replicates" in fit.vertex.reason


def test_lack_of_fit_widens_the_interval() -> None:
    wavy = bowl(0.05) + 0.03 * np.array([1, -1, 1, -1, 1, -1, 1])
    data = curve_data(1e11, X, wavy, noise=NoiseLevel(0.001**2, 30))
    fit = fit_parabola(data).vertex
    assert "scatter" in fit.reason
    assert fit.low is not None
    assert fit.high is not None
    assert fit.high - fit.low > 0.1  # seed noise alone would give 0.01


def test_bad_cells_are_named() -> None:
    with pytest.raises(LawsError, match="values: entry 2"):
        curve_data(1e11, [1, 2, 3], [1.0, 2.0, np.nan])
    with pytest.raises(LawsError, match="x: entry 0"):
        curve_data(1e11, [0, 2, 3], [1.0, 2.0, 3.0])
    with pytest.raises(LawsError, match=r"log\(1 - m\)"):
        curve_data(1e11, [1, 2], [0.5, 1.0], transform=LOG_COMPLEMENT)
    with pytest.raises(LawsError, match="epochs"):
        curve_data(1e11, [1, 2], [0.5, 1.0], columns={"epochs": [1.0]})
    with pytest.raises(LawsError, match="budget"):
        curve_data(0.0, [1, 2], [0.5, 1.0])


def chinchilla(budget: float, width: float) -> tuple[CurveData, float]:
    """Noise-free isoFLOP cells of E + A N^-alpha + B D^-beta, and the closed-form optimum."""
    a, b, alpha, beta = 406.4, 410.7, 0.33917, 0.28491
    g = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
    best = g * (budget / 6) ** (beta / (alpha + beta))
    n = best * width ** np.linspace(-1, 1, 7)
    d = budget / (6 * n)
    loss = 1.6934 + a * n**-alpha + b * d**-beta
    columns = {"positions": d, "epochs": np.ones(7)}
    return curve_data(budget, n, loss, noise=NoiseLevel(1e-6**2, 50), columns=columns), best


def test_vertices_lie_near_the_analytic_optimum_on_narrow_grids() -> None:
    budgets = (1e19, 1e20, 1e21, 1e22)
    pairs = [chinchilla(c, 2.0) for c in budgets]
    assert pairs[2][1] == pytest.approx(2.217e9, rel=1e-3)  # Hoffmann et al.'s constants, 1e21
    parts = fit_allocation([data for data, _ in pairs])
    for fit, (_, best) in zip(parts.curves, pairs, strict=True):
        assert fit.optimum.value == pytest.approx(best, rel=0.02)
        assert fit.derived["D"].value == pytest.approx(fit.budget / 6 / best, rel=0.02)
    assert parts.exponents["N"].value == pytest.approx(0.28491 / (0.33917 + 0.28491), abs=1e-3)
    assert parts.exponents["D"].value == pytest.approx(0.33917 / (0.33917 + 0.28491), abs=1e-3)


def test_wide_grids_bias_the_vertex_as_published() -> None:
    errors = []
    for width in (2.0, 16.0):
        data, best = chinchilla(1e21, width)
        errors.append(abs((fit_allocation([data]).curves[0].optimum.value or 0) / best - 1))
    assert errors[0] < 0.02 < 0.05 < errors[1]


def budgets(curve: Curves, rng: np.random.Generator, exponent: float) -> list[CurveData]:
    out = []
    for c in (1e9, 1e10, 1e11, 1e12):
        best = 1e4 * (c / 1e10) ** exponent
        x = best * 2.0 ** np.arange(-3, 4)
        loss = 7 + 0.05 * np.log(x / best) ** 2
        columns = {"positions": c / 6 / x, "epochs": np.ones(7)}
        out.append(curve(rng, x, loss, 0.02, 2, c, **columns))
    return out


def test_exponent_interval_covers(noisy_curve: Curves) -> None:
    rng = np.random.default_rng(11)
    covered = []
    for _ in range(100):
        parts = fit_allocation(budgets(noisy_curve, rng, 0.6))
        n = parts.exponents["N"]
        covered.append(n.low is not None and n.high is not None and n.low <= 0.6 <= n.high)
    assert np.mean(covered) >= 0.93
    assert any("without 1e+12" in note for note in parts.notes)


def test_two_budgets_give_no_exponent(noisy_curve: Curves) -> None:
    parts = fit_allocation(budgets(noisy_curve, np.random.default_rng(0), 0.6)[:2])
    assert parts.exponents["N"].status == "too few points"
    assert parts.curves[0].optimum.status == "converged"


def test_one_budget_only(noisy_curve: Curves) -> None:
    parts = fit_allocation(budgets(noisy_curve, np.random.default_rng(0), 0.6)[:1])
    assert len(parts.curves) == 1
    assert parts.exponents["D"].value is None


def test_repetition_is_flagged_and_left_out_of_the_variant() -> None:
    epochs = 5 * np.sqrt(BEST / X)  # above 4 for the four smallest models
    loss = bowl(0.05) + 0.02 * np.maximum(epochs - 4, 0)  # which suffer from it
    columns = {"positions": 1e11 / (6 * X), "epochs": epochs}
    fit = fit_allocation([curve_data(1e11, X, loss, noise=KNOWN, columns=columns)]).curves[0]
    assert "data-limited" in fit.flags
    assert fit.optimum.value is not None
    assert fit.optimum.value > 1.1 * BEST
    variant = fit.derived["N_within_4_epochs"]  # the three largest models, left of them the truth
    assert variant.status == "vertex outside the grid"
    assert variant.high is not None
    assert BEST <= variant.high < 2 * BEST
    fresh = curve_data(1e11, X, bowl(0.05), noise=KNOWN, columns={**columns, "epochs": np.ones(7)})
    assert fit_allocation([fresh]).curves[0].flags == ()


def test_d_is_read_off_the_cells_not_a_flop_rule() -> None:
    d = 5e8 * X**-0.8
    data = curve_data(
        1e11, X, bowl(0.05), noise=KNOWN, columns={"positions": d, "epochs": np.ones(7)}
    )
    fit = fit_allocation([data]).curves[0]
    assert fit.derived["D"].value == pytest.approx(5e8 * BEST**-0.8, rel=1e-9)
    assert fit.derived["D_over_N"].value == pytest.approx(5e8 * BEST**-1.8, rel=1e-9)
    low, high = fit.derived["D"].low, fit.derived["D"].high
    assert low is not None
    assert high is not None
    assert low < 5e8 * BEST**-0.8 < high


def test_estimated_variances_widen_the_slope_by_their_own_t_quantile() -> None:
    # Equal variances v on three budgets at log C = -1, 0, 1: the slope is (y3 - y1) / 2 with
    # variance v / 2, and two variances of 4 degrees of freedom each stand behind it: Welch gives 8.
    budgets, logs = np.exp([-1.0, 0.0, 1.0]), np.array([0.0, 1.0, 2.0])
    known = fit_trend(budgets, logs, np.full(3, 0.02))
    estimated = fit_trend(budgets, logs, np.full(3, 0.02), dfs=np.full(3, 4.0))
    for trend, quantile in ((known, 1.959964), (estimated, 2.306004)):
        assert trend.slope.value == pytest.approx(1.0)
        assert trend.slope.high == pytest.approx(1.0 + quantile * 0.1, abs=1e-6)
