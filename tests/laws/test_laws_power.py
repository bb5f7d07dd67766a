"""Loss over compute: the law with a floor, the plain law, intervals and refusals."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.power import FloorLaw, fit_power

C = np.geomspace(1e9, 1e13, 7)


def planted(c: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(5.0 + 300.0 * c**-0.25)


def test_jacobian_matches_finite_differences(
    central_difference: Callable[..., npt.NDArray[np.float64]],
) -> None:
    log_c = np.linspace(-4, 4, 7)
    theta = np.array([5.0, 0.7, 0.25])
    law = FloorLaw(log_c)
    numeric = central_difference(lambda t: law.evaluate(t[None, :]).values[0], theta)
    found = law.evaluate(theta[None, :]).jacobian[0]
    np.testing.assert_allclose(found, numeric, rtol=1e-6, atol=1e-8)


def test_noise_free_law_is_recovered() -> None:
    fit = fit_power(C, planted(C))
    values = {name: e.value for name, e in fit.coefficients.items()}
    assert values == {
        "E": pytest.approx(5.0, rel=1e-6),
        "a": pytest.approx(300.0, rel=1e-5),
        "b": pytest.approx(0.25, rel=1e-6),
    }
    np.testing.assert_allclose(fit.curve_y, planted(np.array(fit.curve_x)), rtol=1e-8)


@pytest.mark.parametrize("known", [True, False])
def test_intervals_cover(known: bool) -> None:
    rng, sd = np.random.default_rng(1), 0.01
    floor: list[bool] = []
    exponent: list[bool] = []
    for _ in range(50):
        y = planted(C) + sd * rng.standard_normal(C.size)
        fit = fit_power(C, y, np.full(C.size, sd**2) if known else None, resamples=200)
        for name, truth, out in (("E", 5.0, floor), ("b", 0.25, exponent)):
            e = fit.coefficients[name]
            out.append((e.low or 0.0) <= truth <= (e.high or 0.0))
    assert np.mean(floor) >= 0.86
    assert np.mean(exponent) >= 0.86


def test_small_noise_gives_narrow_intervals() -> None:
    fit = fit_power(C, planted(C), np.full(C.size, 1e-4**2))
    e = fit.coefficients["E"]
    assert e.low is not None
    assert e.high is not None
    assert 0 < e.high - e.low < 0.002


def test_pure_power_law_puts_the_floor_at_its_bound() -> None:
    y = 300 * C**-0.25
    y = y * (1 + 0.01 * np.array([-1, 0, 0.5, 0.5, 0.5, 0, -1]))  # bent down at the end
    fit = fit_power(C, y)
    assert fit.coefficients["E"].value == pytest.approx(0.0, abs=1e-9)
    assert fit.coefficients["E"].status == "at bound"
    assert fit.coefficients["b"].value == pytest.approx(0.25, abs=0.01)


def test_four_budgets_give_a_plain_power_law_that_says_so() -> None:
    c = C[:4]
    fit = fit_power(c, 40 * c**-0.1, np.full(4, 1e-6))
    assert "plain power law" in fit.form
    assert set(fit.coefficients) == {"a", "b"}
    assert fit.coefficients["b"].value == pytest.approx(0.1, rel=1e-9)
    assert fit.coefficients["a"].value == pytest.approx(40, rel=1e-8)
    low, high = fit.coefficients["b"].low, fit.coefficients["b"].high
    assert low is not None
    assert high is not None
    assert low < 0.1 < high


def test_two_budgets_are_too_few() -> None:
    fit = fit_power(C[:2], planted(C[:2]))
    assert fit.coefficients["b"].status == "too few points"
    assert fit.curve_x == ()


def test_loss_that_does_not_fall_is_not_identified() -> None:
    fit = fit_power(C, np.array([5.0, 5.1, 5.2, 5.2, 5.3, 5.3, 5.4]))
    assert fit.coefficients["b"].status == "not identified"
    assert fit.coefficients["a"].status == "at bound"


def test_order_of_budgets_does_not_matter() -> None:
    y, order = planted(C) + 0.01 * np.sin(np.arange(7)), np.array([3, 0, 6, 1, 5, 2, 4])
    assert fit_power(C, y) == fit_power(C[order], y[order])


def test_bad_input_is_named() -> None:
    with pytest.raises(LawsError, match="losses: entry 1"):
        fit_power(C[:3], [5.0, -1.0, 4.0])
    with pytest.raises(LawsError, match="losses: entry 0"):
        fit_power(C[:3], [np.nan, 1.0, 4.0])
    with pytest.raises(LawsError, match="budget occurs twice"):
        fit_power([1e9, 1e9, 1e10], [3.0, 2.0, 1.0])
    with pytest.raises(LawsError, match="lengths differ"):
        fit_power(C[:3], [3.0, 2.0])
