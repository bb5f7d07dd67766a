"""The joint surface as a formula: hand-worked values, exact derivatives, parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from behavior_scaling.laws.surface_law import PARTS, SurfaceLaw, bounds, centre, starts

Array = npt.NDArray[np.float64]


def _inputs(points: int = 12, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    out = {
        name: np.exp(rng.uniform(0, 3, points)) * scale
        for name, scale in (
            ("n_emb", 1e4), ("n_ctx", 1e6), ("positions", 1e8), ("n_cand", 500.0),
            ("batch", 32.0), ("budget", 1e16),
        )
    }  # fmt: skip
    out["unique"] = np.full(points, 4e8)  # epochs on both sides of one
    out["stage2"] = (np.arange(points) % 3 == 0).astype(np.float64)
    out["uniform_share"] = rng.uniform(0, 1, points) * out["stage2"]
    return out


def _theta(law: SurfaceLaw, rng: np.random.Generator, rows: int) -> Array:
    low, high = bounds(law, 2.0, floor=True)
    low = np.where(np.isfinite(low), low, -1.0)
    high = np.where(np.isfinite(high), high, 2.0)
    return low + (0.3 + 0.4 * rng.random((rows, low.size))) * (high - low)


def test_surface_at_one_point_by_hand() -> None:
    inputs = {
        "n_emb": np.array([200.0]), "n_ctx": np.array([50.0]), "positions": np.array([400.0]),
        "n_cand": np.array([10.0]), "batch": np.array([4.0]), "budget": np.array([np.e]),
        "unique": np.array([100.0]), "stage2": np.array([1.0]), "uniform_share": np.array([0.5]),
    }  # fmt: skip
    law = SurfaceLaw(inputs, dict.fromkeys(centre(inputs), 1.0), tuple(PARTS))
    values = {
        "E": 2.0, "log A_c": np.log(3.0), "a_c": 0.5, "log A_e": np.log(4.0), "a_e": 0.25,
        "log G": np.log(5.0), "g": 0.2, "log H": np.log(6.0), "k": 1.0, "r": 0.4,
        "log R*": np.log(2.0), "log B_crit": np.log(8.0), "offset": 0.7, "offset slope": 0.1,
    }  # fmt: skip
    seen = (100 + 100 * 2 * (1 - np.exp(-3 / 2))) / (1 + 4 / 8)  # four epochs
    expected = 2 + 3 / np.sqrt(50) + 4 / 200**0.25 + 5 * seen**-0.2 + 6 * np.exp(0.2) / 10 + 0.8
    theta = np.array([[values[name] for name in law.names]])
    assert law.evaluate(theta).values[0, 0] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("left_out", [None, *PARTS])
def test_jacobian_against_finite_differences(
    left_out: str | None, central_difference: Callable[..., Array]
) -> None:
    inputs = _inputs()
    law = SurfaceLaw(inputs, centre(inputs), tuple(PARTS))
    law = law if left_out is None else law.without(left_out)
    theta = _theta(law, np.random.default_rng(1), 3)
    exact = law.evaluate(theta).jacobian
    for row in range(3):
        numeric = central_difference(lambda t: law.evaluate(t[None, :]).values[0], theta[row])
        np.testing.assert_allclose(exact[row], numeric, rtol=1e-6, atol=1e-7)


def test_values_alone_agree_with_the_evaluation_and_take_complex_inputs() -> None:
    inputs = _inputs()
    law = SurfaceLaw(inputs, centre(inputs), tuple(PARTS))
    theta = _theta(law, np.random.default_rng(2), 4)
    columns = {name: theta[:, [i]] for i, name in enumerate(law.names)}
    np.testing.assert_allclose(law.values(columns), law.evaluate(theta).values, rtol=1e-13)
    for name in ("n_emb", "n_ctx", "positions", "n_cand", "batch"):
        step = 1e-6 * inputs[name]
        up, down = (law.at(inputs | {name: inputs[name] + s}) for s in (step, -step))
        numeric = (up.values(columns) - down.values(columns)) / (2 * step)
        moved: Any = inputs | {name: inputs[name] + 1e-30j}
        turned = law.at(moved)
        np.testing.assert_allclose(
            np.imag(turned.values(columns)) / 1e-30, numeric, rtol=1e-5, atol=1e-16
        )


def test_a_part_goes_with_what_needs_it() -> None:
    inputs = _inputs()
    law = SurfaceLaw(inputs, centre(inputs), tuple(PARTS))
    assert set(law.parts) - set(law.without("data").parts) == {"data", "repetition", "batch"}
    assert set(law.parts) - set(law.without("stage").parts) == {"stage", "stage trend"}
    assert set(law.parts) - set(law.without("candidates").parts) == {"candidates", "uniform"}


def test_starts_lie_within_bounds_and_differ_by_seed() -> None:
    inputs = _inputs(60)
    law = SurfaceLaw(inputs, centre(inputs), tuple(PARTS))
    theta = _theta(law, np.random.default_rng(3), 1)
    y = law.evaluate(theta).values[0]
    low, high = bounds(law, float(np.ptp(y)), floor=True)
    drawn = starts(law, y, np.ones(60), 20, 0, floor=True)
    assert np.all((drawn >= low) & (drawn <= high))
    np.testing.assert_array_equal(drawn, starts(law, y, np.ones(60), 20, 0, floor=True))
    assert not np.array_equal(drawn, starts(law, y, np.ones(60), 20, 1, floor=True))
