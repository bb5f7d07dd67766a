"""Minimising along iso-cost curves, against closed forms and brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from behavior_scaling.laws.cost_model import Cost
from behavior_scaling.laws.cost_path import (
    Best,
    Held,
    Path,
    Segment,
    allocation_path,
    candidates_path,
    lowest_on,
    polished,
    share_path,
)
from behavior_scaling.laws.surface_intervals import bounded
from behavior_scaling.laws.surface_law import SurfaceLaw

Array = npt.NDArray[np.float64]

HELD = Held(
    share=0.1, ratio=20.0, n_emb=1e5, n_ctx=9e5, n_cand=500.0, batch=64.0, unique=1e12,
    budget=1e17, stage=1, uniform_share=0.0, in_batch=0.0, n_items=np.nan,
)  # fmt: skip
SIX_ND = Cost("6ND", ((6.0, (1, 0, 0, 0)), (6.0, (0, 1, 0, 0))), 0.0, 0)
MIXED = Cost("nominal", ((6.0, (0, 1, 0, 0)), (144.0, (1, 0, 0, 0)), (3e3, (0, 0.5, 1, 0))), 0.0, 0)
REFERENCE = dict.fromkeys(("n_emb", "n_ctx", "positions", "n_cand", "batch", "budget"), 1.0)


def _segments(law: SurfaceLaw, theta: Array, path: Path, low: float, high: float) -> list[Segment]:
    columns = {name: theta[:, [i]] for i, name in enumerate(law.names)}
    return [Segment(lambda z: law.at(path(z)).values(columns), low, high, path)]


@pytest.mark.parametrize("budget", [1e15, 1e17, 3e19])
def test_allocation_is_chinchillas_closed_form(budget: float) -> None:
    e, a, alpha, b, beta = 1.7, 480.0, 0.35, 2100.0, 0.37
    law = SurfaceLaw({}, REFERENCE, ("E", "context", "data"))
    n_share = 1 - HELD.share  # the term sees N_ctx = (1 - s) N
    theta = np.array([[e, np.log(a * n_share**alpha), alpha, np.log(b), beta]])
    path = allocation_path(SIX_ND, budget, HELD)
    found = polished(_segments(law, theta, path, np.log(1e4), np.log(1e12)))
    g = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
    best = g * (budget / 6) ** (beta / (alpha + beta))
    assert np.exp(found.z[0]) == pytest.approx(best, rel=1e-9)
    d = float(path(found.z)["positions"][0])
    assert d == pytest.approx(budget / 6 / best, rel=1e-9)
    assert found.value[0] == pytest.approx(e + a * best**-alpha + b * d**-beta, rel=1e-12)
    assert found.end[0] == 0


def test_candidates_have_a_closed_form_where_logits_are_all_the_cost() -> None:
    per_candidate, level = 40.0, 1e14
    cost = Cost("nominal", ((per_candidate, (0, 0, 1, 0)),), 0.0, 0)
    big_g, g, h, k = 50.0, 0.3, 2.0, 0.7
    law = SurfaceLaw({}, REFERENCE, ("data", "candidates"))
    theta = np.array([[np.log(big_g), g, np.log(h), k]])
    path = candidates_path(cost, level, HELD)
    found = polished(_segments(law, theta, path, np.log(2.0), np.log(1e9)))
    best = (k * h / (g * big_g * (per_candidate / level) ** g)) ** (1 / (g + k))
    assert np.exp(found.z[0]) == pytest.approx(best, rel=1e-9)


def test_uniform_candidates_beyond_the_batch_raise_the_uniform_share() -> None:
    held = replace(HELD, stage=2, uniform_share=0.5, in_batch=400.0, n_items=1e5)
    inputs = candidates_path(MIXED, 1e14, held)(np.log(np.array([400.0, 800.0])))
    np.testing.assert_allclose(inputs["uniform_share"], [0.0, 0.5], atol=1e-12)
    assert inputs["stage2"] == 1.0
    popular = candidates_path(MIXED, 1e14, replace(held, uniform_share=0.0))(np.log([800.0]))
    np.testing.assert_array_equal(popular["uniform_share"], 0.0)


@pytest.mark.parametrize("cost", [SIX_ND, MIXED])
def test_every_path_stays_on_its_iso_cost_curve(cost: Cost) -> None:
    level = 1e17
    for make, z in (
        (allocation_path, np.linspace(8, 18, 7)),
        (share_path, np.log(np.geomspace(0.001, 0.9, 7))),
        (candidates_path, np.linspace(3, 12, 7)),
    ):
        i = make(cost, level, HELD)(z)
        each = cost.per_position(i["n_emb"], i["n_ctx"], i["n_cand"], i["batch"])
        np.testing.assert_allclose(each * i["positions"], level, rtol=1e-12)
    share = share_path(cost, level, HELD)(np.log([0.01, 0.3]))
    total = share["n_emb"] + share["n_ctx"]
    np.testing.assert_allclose(share["positions"] / total, HELD.ratio, rtol=1e-12)
    np.testing.assert_allclose(share["n_emb"] / total, [0.01, 0.3], rtol=1e-12)


def test_the_best_share_against_brute_force() -> None:
    law = SurfaceLaw({}, REFERENCE, ("context", "embedder", "data"))
    theta = np.array([[6.0, 0.4, 4.0, 0.5, 5.0, 0.3]])
    path = share_path(MIXED, 1e17, HELD)
    segments = _segments(law, theta, path, np.log(1e-4), np.log(0.9))
    found = polished(segments)
    fine = np.linspace(np.log(1e-4), np.log(0.9), 200_001)
    values = segments[0].value(fine)[0]
    assert found.z[0] == pytest.approx(fine[np.argmin(values)], abs=1e-4)
    assert found.value[0] <= values.min()


def test_many_functions_at_once_are_each_minimised() -> None:
    centres = np.linspace(-2.2, 2.3, 50)

    def bowls(z: Array) -> Array:
        return (np.cosh(z[None, :] - centres[:, None]) - 1) * 0.7 + 3

    found = lowest_on([Segment(bowls, -3.0, 3.0, lambda z: {})])
    np.testing.assert_allclose(found.z, centres, atol=2e-4)
    np.testing.assert_allclose(found.value, 3.0, atol=1e-6)
    np.testing.assert_array_equal(found.end, 0)


def test_a_minimum_at_an_end_is_told_and_a_joint_is_no_end() -> None:
    def falling(z: Array) -> Array:
        return -z[None, :] + 0 * z

    def rising(z: Array) -> Array:
        return z[None, :] - 1.0

    path: Path = lambda z: {}  # noqa: E731
    low, high = (lowest_on([Segment(f, 0.0, 1.0, path)]) for f in (rising, falling))
    assert (low.end[0], high.end[0]) == (-1, 1)
    joined = lowest_on([Segment(falling, 0.0, 1.0, path), Segment(rising, 1.0, 2.0, path)])
    assert joined.z[0] == 1.0
    assert joined.end[0] == 0


def _draws(z: Array, end: Array) -> Best:
    return Best(z, np.zeros(z.size), np.zeros(z.size, dtype=int), end)


def test_open_ends_withhold_the_number() -> None:
    point = _draws(np.log([100.0]), np.array([0]))
    z = np.log(np.full(1000, 100.0)) + 0.1 * np.random.default_rng(0).standard_normal(1000)
    closed = bounded(point, _draws(z, np.zeros(1000)))
    assert closed.status == "converged"
    assert closed.low is not None
    assert closed.high is not None
    assert closed.low < 100 < closed.high
    some = np.where(np.arange(1000) < 60, 1, 0)
    open_high = bounded(point, _draws(np.where(some, np.log(500.0), z), some))
    assert open_high.status == "not identified"
    assert open_high.value is None
    assert open_high.low is not None
    assert open_high.high is None
    at_end = bounded(_draws(np.log([500.0]), np.array([1])), _draws(z, some))
    assert (at_end.status, at_end.high) == ("at bound", None)
    assert at_end.value == pytest.approx(500.0)
