"""Planted truths: each law is what it says, by closed forms and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.planted import Bowl, Compute, Knee, Truth, stated

BOWL = Bowl(optimum=300.0, exponent=0.5, curvature=0.2, alpha=0.7, beta=0.4)
KNEE = Knee(optimum=40.0, exponent=0.1, slope=0.3, gamma=0.25)
TRUTH = Truth(1e11, Compute(5.3, 6.5, 0.2), BOWL, BOWL, BOWL, KNEE)


def test_bowl_is_lowest_at_its_optimum_with_the_stated_curvature() -> None:
    z, h = np.log(BOWL.at(10.0)), 1e-3
    below, at, above = BOWL.rise(np.exp([z - h, z, z + h]), 10.0)
    assert at == pytest.approx(0.0, abs=1e-15)
    assert (below + above - 2 * at) / h**2 == pytest.approx(0.2, rel=1e-6)
    assert (above - below) / (2 * h) == pytest.approx(0.0, abs=1e-6)
    wide = np.geomspace(1.0, 1e6, 2001)
    assert wide[np.argmin(BOWL.rise(wide, 10.0))] == pytest.approx(300.0 * 10**0.5, rel=0.01)


def test_bowl_is_the_isoflop_curve_of_a_parametric_law() -> None:
    e, a, alpha, b, beta, c = 1.7, 400.0, 0.34, 410.0, 0.28, 1e20
    n = np.geomspace(1e7, 1e11, 41)
    chinchilla = e + a * n**-alpha + b * (c / (6 * n)) ** -beta
    best = (alpha * a / (beta * b) * (c / 6) ** beta) ** (1 / (alpha + beta))
    falling = a * best**-alpha
    bowl = Bowl(best, 0.0, falling * alpha * (alpha + beta), alpha=beta, beta=alpha)
    lowest = e + falling + b * (c / (6 * best)) ** -beta
    np.testing.assert_allclose(lowest + bowl.rise(n, 1.0), chinchilla, rtol=1e-12)


def test_knee_is_the_law_of_the_batch_axis() -> None:
    batch, positions = np.array([1.0, 8.0, 64.0, 512.0]), np.array([8e6, 8.1e6, 7.9e6, 8e6])
    critical = 40.0 * 10**0.1
    r = (1 + batch / critical) * np.median(positions) / positions  # definitions: D_eff
    planted = KNEE.rise(batch, positions, 10.0)
    np.testing.assert_allclose(planted, 0.3 * (r**0.25 - 1) / 0.25, rtol=1e-9)


def test_without_floor_keeps_loss_and_slope_at_the_pivot() -> None:
    law, h = Compute(5.3, 6.5, 0.2), 1e-5
    free = law.without_floor()
    assert free.floor == 0.0
    assert free.best(1.0) == law.best(1.0) == 6.5
    for one in (law, free):
        slope = (one.best(np.exp(h)) - one.best(np.exp(-h))) / (2 * h)
        assert slope == pytest.approx(-0.2 * 1.2, rel=1e-6)
    assert law.best(1e4) - 5.3 == pytest.approx(1.2 * 1e4**-0.2)


def test_as_paper_batches_have_an_optimum_and_clean_ones_rise() -> None:
    batch, positions = np.geomspace(4, 400, 201), np.full(201, 1e6)
    paper = TRUTH.losses("batch", "as_paper", 1e11, batch, positions)
    clean = TRUTH.losses("batch", "clean", 1e11, batch, positions)
    assert batch[np.argmin(paper)] == pytest.approx(40.0, rel=0.02)
    assert np.all(np.diff(clean) > 0)


def test_optima_move_with_compute() -> None:
    assert TRUTH.optimum("allocation", 1e13) == pytest.approx(3000.0)
    assert TRUTH.optimum("batch", 1e12) == pytest.approx(40.0 * 10**0.1)
    assert TRUTH.moved("allocation", exponent=0.0).optimum("allocation", 1e13) == 300.0


def test_stated_parameters_enter_and_bad_ones_are_named() -> None:
    truth = stated(TRUTH, {"share.curvature": 0.7, "compute.floor": 4.0})
    assert (truth.share.curvature, truth.compute.floor) == (0.7, 4.0)
    assert truth.allocation == TRUTH.allocation
    assert stated(TRUTH, {"share.exponent": -0.1}).share.exponent == -0.1
    with pytest.raises(LawsError, match=r"share\.slope.*known: compute\.floor"):
        stated(TRUTH, {"share.slope": 1.0})
    with pytest.raises(LawsError, match=r"batch\.gamma = 0"):
        stated(TRUTH, {"batch.gamma": 0.0})
    with pytest.raises(LawsError, match=r"compute\.floor = nan"):
        stated(TRUTH, {"compute.floor": float("nan")})
    with pytest.raises(LawsError, match=r"not below compute\.level"):
        stated(TRUTH, {"compute.floor": 7.0})
