"""Redrawn users: weights, deviations by hand, the profile rule, and intervals that then cover."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import optimize

from behavior_scaling.laws.arrays import LawsError, accepted_range
from behavior_scaling.laws.batch import fit_critical_batch, fit_optimal_batch
from behavior_scaling.laws.curve import CurveData, curve_data
from behavior_scaling.laws.isoflop import fit_allocation
from behavior_scaling.laws.noise import NoiseLevel
from behavior_scaling.laws.parabola import fit_parabola
from behavior_scaling.laws.parts import AxisParts
from behavior_scaling.laws.table import groups, metric_curves, seed_noise
from behavior_scaling.laws.transforms import NEGATIVE_LOGIT, transform_for
from behavior_scaling.laws.two_term import fit_two_term
from behavior_scaling.laws.two_term_checks import log_cubic
from behavior_scaling.laws.two_term_joint import over, refit
from behavior_scaling.laws.two_term_profile import profile
from behavior_scaling.laws.users import draw_users, users_sd, widened, with_users

Vector = npt.NDArray[np.float64]
Curves = Callable[..., CurveData]
LOSS = "validation/restored/all/cross_entropy"
X = 1e4 * 2.0 ** np.arange(-3, 4)


def table(values: npt.ArrayLike, counts: npt.ArrayLike, **columns: Any) -> pd.DataFrame:
    """User sums of runs whose group means are values [runs, groups]."""
    value, count = np.asarray(values, dtype=float), np.asarray(counts, dtype=float)
    runs, size = value.shape
    frame = pd.DataFrame({"id": np.repeat([f"run{i:04d}" for i in range(runs)], size)})
    frame["split"], frame["score"], frame["slice"] = "validation", "restored", "all"
    frame["group"] = np.tile(np.arange(size), runs)
    frame["n_positions"] = np.tile(count, runs)
    frame["cross_entropy"] = (value * count).ravel()
    return frame.assign(**columns)


def means(frame: pd.DataFrame) -> Vector:
    """The metric that the runs table holds."""
    sums = frame.groupby("id")[["cross_entropy", "n_positions"]].sum()
    return np.asarray(sums["cross_entropy"] / sums["n_positions"])


def test_replicates_are_weighted_means_of_one_joint_draw() -> None:
    rng = np.random.default_rng(0)
    frame = table(rng.normal(6, 1, (3, 30)), rng.integers(5, 50, 30))
    users = draw_users(frame, seed=1, resamples=50)
    assert users.weights.shape == (50, 30)
    assert np.all(users.weights.sum(axis=1) == 30)
    ids = ["run0002", "run0000"]
    value = means(frame)[[2, 0]]
    found = users.deviations(ids, LOSS, value)
    assert not isinstance(found, str)
    for r in (0, 17):
        for column, run in enumerate(ids):
            rows = frame[frame["id"] == run]
            weight = rows["n_positions"] * users.weights[r][rows["group"]]
            mean = np.average(rows["cross_entropy"] / rows["n_positions"], weights=weight)
            expected = np.sqrt(30 / 29) * (mean - value[column])
            assert found[r, column] == pytest.approx(expected)


def test_what_runs_share_stays_shared() -> None:
    rng = np.random.default_rng(1)
    level = rng.normal(0, 1, 40)  # hard and easy groups, the same for all runs
    frame = table(6 + level + np.array([[0.0], [0.2], [0.5]]), np.full(40, 20))
    found = draw_users(frame, resamples=200).deviations(
        ["run0000", "run0001", "run0002"], LOSS, means(frame)
    )
    assert not isinstance(found, str)
    assert np.std(found[:, 0]) > 0.1
    np.testing.assert_allclose(found[:, 1], found[:, 0], atol=1e-12)
    np.testing.assert_allclose(found[:, 2], found[:, 0], atol=1e-12)


def test_spread_of_replicates_is_that_of_new_users() -> None:
    # groups of equal size: the mean's variance over new users is that of groups over their number
    rng = np.random.default_rng(2)
    ratios = []
    for seed in range(30):
        frame = table(rng.normal(6, 1, (1, 25)), np.full(25, 10))
        found = draw_users(frame, seed=seed, resamples=400).deviations(
            ["run0000"], LOSS, means(frame)
        )
        assert not isinstance(found, str)
        ratios.append(np.var(found) * 25)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.15)


def test_reasons_for_no_deviations() -> None:
    frame = table(np.full((2, 30), 6.0), np.full(30, 10))
    users = draw_users(frame, resamples=10)
    both = ["run0000", "run0001"]
    assert users.deviations(both, "train_loss", np.full(2, 6.0)) == "no user sums of train_loss"
    assert "no user sums" in users.deviations(both, "test/raw/all/mrr@10", np.full(2, 6.0))
    missing = users.deviations(["run0000", "other"], LOSS, np.full(2, 6.0))
    assert missing == "1 runs without user sums (first other)"
    few = draw_users(table(np.full((2, 19), 6.0), np.full(19, 10)), resamples=10)
    assert "19 groups of users" in few.deviations(both, LOSS, np.full(2, 6.0))
    empty = draw_users(frame.iloc[:0], resamples=10)
    assert "no user sums" in empty.deviations(both, LOSS, np.full(2, 6.0))


def test_files_that_do_not_belong_together_are_refused() -> None:
    frame = table(np.full((1, 30), 6.0), np.full(30, 10))
    with pytest.raises(LawsError, match=r"run0000 give .* do not belong together"):
        draw_users(frame, resamples=10).deviations(["run0000"], LOSS, np.array([6.01]))
    with pytest.raises(LawsError, match="column 'group' is missing"):
        draw_users(frame.drop(columns="group"))
    with pytest.raises(LawsError, match="group 0 of run run0000 occurs twice"):
        draw_users(pd.concat([frame, frame.iloc[:1]]))
    with pytest.raises(LawsError, match="'cross_entropy' holds nan in run run0000"):
        draw_users(frame.assign(cross_entropy=np.nan))
    with pytest.raises(LawsError, match="negative"):
        draw_users(frame.assign(n_positions=-1.0))


def test_users_sd_and_quadrature() -> None:
    rng = np.random.default_rng(3)
    draws = rng.normal(0, 2.0, 20_000)
    assert users_sd(draws) == pytest.approx(2.0, rel=0.03)
    draws[:100] = 1e6  # a few refits that ran away
    draws[100:200] = np.nan
    assert users_sd(draws) == pytest.approx(2.0, rel=0.06)
    assert users_sd(np.full(5, np.nan)) == 0.0
    assert widened(3.0, 4.0 / 1.959964) == pytest.approx(5.0)


def test_a_profile_widens_as_total_variance_asks() -> None:
    # a line through the origin: the slope's profile is a parabola, its total variance closed form
    rng = np.random.default_rng(4)
    x, sigma, users = np.arange(1.0, 9.0), 0.3, 0.1 * rng.normal(size=(500, 8))
    y = 2.0 * x + sigma * rng.normal(size=8)
    best = float(x @ y / (x @ x))
    grid = np.linspace(best - 2, best + 2, 4001)
    weight = np.full(8, 1 / sigma**2)
    excess = np.array([np.sum(weight * (y - b * x) ** 2) for b in grid])
    excess -= np.sum(weight * (y - best * x) ** 2)
    pull = weight * (best - grid)[:, None] * x
    t = 2.1
    seeds = accepted_range(grid, excess, t**2)
    assert seeds[1] == pytest.approx(best + t * sigma / np.sqrt(x @ x), rel=1e-4)
    both = accepted_range(grid, with_users(excess, pull, users, t**2), t**2)
    moved = np.std(users @ x / (x @ x))
    half = np.hypot(t * sigma / np.sqrt(x @ x), 1.959964 * moved)
    assert both[1] == pytest.approx(best + half, rel=1e-4)
    assert both[0] == pytest.approx(best - half, rel=1e-4)
    assert with_users(excess, pull, None, t**2) is excess


def test_deviations_follow_the_cells_and_the_transform() -> None:
    rng = np.random.default_rng(5)
    moved = 0.01 * rng.normal(size=(40, 3))
    values = np.array([0.2, 0.3, 0.25])
    data = curve_data(1e11, [3, 1, 2], values, transform=NEGATIVE_LOGIT, users=moved)
    assert data.users is not None
    order = [1, 2, 0]
    slope = -1 / (values * (1 - values))
    np.testing.assert_allclose(data.users, (moved * slope)[:, order])
    kept = data.subset(np.array([True, False, True])).users
    np.testing.assert_array_equal(kept, data.users[:, [0, 2]])
    with pytest.raises(LawsError, match="users: shape"):
        curve_data(1e11, [3, 1, 2], values, users=moved[:, :2])


def test_runs_table_to_deviations_of_cells(planted: Any) -> None:
    runs, _ = planted()
    runs = runs[runs["axis"] == "share"].reset_index(drop=True)
    rng = np.random.default_rng(6)
    own = rng.normal(0, 0.3, (len(runs), 32))
    own -= own.mean(axis=1, keepdims=True)
    frame = table(runs[LOSS].to_numpy()[:, None] + own, np.full(32, 50))
    frame["id"] = np.repeat(runs["id"].to_numpy(), 32)
    users = draw_users(frame, resamples=60)
    group = groups(runs)[0]
    curves, notes = metric_curves(group, LOSS, transform_for(LOSS), seed_noise(runs, LOSS), users)
    assert not any("not redrawn" in note for note in notes)
    data = curves[1]
    rows = group.frame[group.frame["budget"] == data.budget].sort_values("share")
    found = users.deviations(list(rows["id"]), LOSS, rows[LOSS].to_numpy())
    assert not isinstance(found, str)
    assert data.users is not None
    np.testing.assert_allclose(data.users, (found[:, ::2] + found[:, 1::2]) / 2)  # two seeds
    _, none = metric_curves(
        group, LOSS, transform_for(LOSS), seed_noise(runs, LOSS),
        draw_users(frame[frame["id"] != rows["id"].iloc[0]], resamples=10),
    )  # fmt: skip
    assert any(note.startswith("users not redrawn: 1 runs without") for note in none)


def moved(curves: list[CurveData], users: Vector) -> list[CurveData]:
    """The curves with deviations [replicates, cells], the same for each."""
    return [replace(data, users=users) for data in curves]


def test_parabola_covers_with_users_and_not_without(noisy_curve: Curves) -> None:
    # 30 groups of users: to some of them larger models are worth more
    rng = np.random.default_rng(7)
    truth, sd, covered = 7 + 0.05 * np.log(X / 1e4) ** 2, 0.004, []
    for seed in range(200):
        data = noisy_curve(rng, X, truth, sd)
        effects = 0.03 * rng.normal(size=(30, 1)) * np.log(X / 1e4)
        data = replace(data, y=data.y + effects.mean(axis=0))
        frame = table(effects.T + 7.0, np.full(30, 10))
        ids = sorted(set(frame["id"]))
        found = draw_users(frame, seed=seed, resamples=200).deviations(ids, LOSS, means(frame))
        assert not isinstance(found, str)
        fits = [fit_parabola(d) for d in (data, replace(data, users=found))]
        assert all(fit.vertex.low and fit.vertex.high for fit in fits)
        covered.append(
            [(fit.vertex.low or 0) <= np.log(1e4) <= (fit.vertex.high or 0) for fit in fits]
        )
    seeds, both = np.mean(covered, axis=0)
    assert seeds < 0.7
    assert 0.92 <= both <= 0.985


def test_parabola_users_sd_is_that_of_refits(noisy_curve: Curves) -> None:
    rng = np.random.default_rng(8)
    data = noisy_curve(rng, X, 7 + 0.05 * np.log(X / 1e4) ** 2, 0.002)
    users = 0.003 * rng.normal(size=(300, 7))
    fit = fit_parabola(replace(data, users=users))
    vertices = []
    for row in users:
        c2, c1, _ = np.polyfit(np.log(X), data.y + row, 2)
        vertices.append(-c1 / (2 * c2))
    np.testing.assert_allclose(fit.redrawn, vertices, rtol=1e-9)
    part = fit_optimal_batch(
        moved([replace(data, columns={"sequence_events": np.full(7, 60.0)})], users)
    )
    sd = part.curves[0].derived["users_sd"]
    assert sd.value == pytest.approx(np.std(vertices), rel=0.1)
    assert "of the squared width" in sd.reason
    assert fit_parabola(data).redrawn is None


def allocation(users: Callable[[int], Vector | None]) -> AxisParts:
    """Exact isoFLOP curves of four budgets, N* ~ C^.5, with the deviations given for each."""
    curves = []
    for i, c in enumerate((1e9, 1e10, 1e11, 1e12)):
        best = 1e4 * (c / 1e10) ** 0.5
        x = best * 2.0 ** np.arange(-3, 4)
        columns = {"positions": c / 6 / x, "epochs": np.ones(7)}
        data = curve_data(
            c, x, 7 + 0.05 * np.log(x / best) ** 2, noise=NoiseLevel(0.001**2, 50),
            columns=columns, users=users(i),
        )  # fmt: skip
        curves.append(data)
    return fit_allocation(curves)


def test_users_that_move_all_optima_alike_leave_the_exponent() -> None:
    rng = np.random.default_rng(9)
    shared = 0.002 * rng.normal(size=(400, 7))
    n = {
        name: allocation(users).exponents["N"]
        for name, users in {
            "none": lambda _: None,
            "shared": lambda _: shared,
            "own": lambda _: 0.002 * rng.normal(size=(400, 7)),
        }.items()
    }
    width = {name: (e.high or 0) - (e.low or 0) for name, e in n.items()}
    assert width["shared"] == pytest.approx(width["none"], rel=0.02)
    assert width["own"] > 1.3 * width["none"]
    assert "redrawn users" in n["own"].reason
    assert n["none"].reason == ""


SHARES = np.geomspace(0.004, 0.5, 9)


def shares(budgets: int, sd: float = 0.005) -> list[CurveData]:
    truth = 6 + 2.0 * SHARES + 0.02 * SHARES**-0.6
    return [
        curve_data(1e10 * 10**i, SHARES, truth, noise=NoiseLevel(sd**2, 40), repeats=np.full(9, 2))
        for i in range(budgets)
    ]


def test_two_term_refits_match_scipy() -> None:
    rng = np.random.default_rng(10)
    curves = shares(2)
    fit = profile(curves)
    users = 0.01 * rng.normal(size=(4, 18))
    found = refit(fit.budgets, fit.solution.parameters, users)
    model = over(fit.budgets)
    y, root = (np.concatenate([getattr(d, n) for d in fit.budgets]) for n in ("y", "weight"))
    for r, row in enumerate(users):
        expected = optimize.least_squares(
            lambda t, row=row: np.sqrt(root) * (model.evaluate(t[None]).values[0] - y - row),
            fit.solution.parameters,
            bounds=([0.2, 0.1, *[-np.inf, 0, 0] * 2], [3, 2, *[np.inf] * 6]),
            x_scale="jac", xtol=1e-14, ftol=1e-14, gtol=1e-14,
        )  # fmt: skip
        alpha, beta = expected.x[:2]
        for j in range(2):
            a, b = expected.x[3 + 3 * j : 5 + 3 * j]
            best = np.log(b * beta / (a * alpha)) / (alpha + beta)
            assert found.log_optimum[r, j] == pytest.approx(best, abs=1e-4)


def test_two_term_interval_is_seeds_and_users_in_quadrature() -> None:
    rng = np.random.default_rng(11)
    users = 0.006 * rng.normal(size=(600, 9))
    curves = shares(1)
    alone = fit_two_term(curves, "share", resamples=50).curves[0]
    both = fit_two_term(moved(curves, users), "share", resamples=50).curves[0]
    assert both.optimum.value == alone.optimum.value
    sd = both.derived["users_sd"].value
    assert sd is not None
    for side in ("low", "high"):
        halves = [
            abs(np.log(getattr(f.optimum, side) / alone.optimum.value)) for f in (alone, both)
        ]
        assert halves[1] == pytest.approx(np.hypot(halves[0], 1.96 * sd), rel=0.15)
    assert alone.best.high is not None
    assert both.best.high is not None
    assert both.best.high > alone.best.high
    e = fit_two_term(moved(curves, users), "share", resamples=50).exponents["alpha"]
    assert "redrawn users" in e.reason or "weak" in e.reason


def test_log_cubic_redraws_users_too() -> None:
    z = np.log(SHARES)
    values = 6 + 0.1 * (z + 3) ** 2 + 0.01 * (z + 3) ** 3
    data = curve_data(1e11, SHARES, values, noise=NoiseLevel(0.005**2, 60))
    users = 0.01 * np.random.default_rng(15).normal(size=(300, 9))
    alone, both = (log_cubic(d, 0, 300) for d in (data, replace(data, users=users)))
    width = [np.log((e.high or 0) / (e.low or 1)) for e in (alone, both)]
    assert width[1] == pytest.approx(width[0] * np.hypot(1, 2), rel=0.15)


def test_one_sided_bounds_move_with_users() -> None:
    rng = np.random.default_rng(12)
    falling = [
        curve_data(
            1e10, SHARES, 6 + 0.02 * SHARES**-0.6, noise=NoiseLevel(0.002**2, 40),
            repeats=np.full(9, 2),
        )
    ]  # fmt: skip
    alone = fit_two_term(falling, "share", resamples=50).curves[0].optimum
    both = fit_two_term(
        moved(falling, 0.01 * rng.normal(size=(300, 9))), "share", resamples=50
    ).curves[0]  # fmt: skip
    assert alone.status == both.optimum.status == "at bound"
    assert alone.low is not None
    assert both.optimum.low is not None
    assert both.optimum.low < alone.low
    assert both.derived["users_sd"].value is None
    assert both.derived["users_sd"].status == "at bound"


def test_users_that_blur_the_curve_leave_nothing_identified() -> None:
    rng = np.random.default_rng(13)
    users = 0.2 * rng.normal(size=(300, 9))
    assert fit_two_term(shares(1), "share", resamples=50).curves[0].optimum.status == "converged"
    blurred = fit_two_term(moved(shares(1), users), "share", resamples=50).curves[0].optimum
    assert blurred.status == "not identified"
    parabola = curve_data(1e11, X, 7 + 0.05 * np.log(X / 1e4) ** 2, noise=NoiseLevel(1e-6, 50))
    assert fit_parabola(parabola).vertex.status == "converged"
    flat = fit_parabola(replace(parabola, users=0.3 * rng.normal(size=(300, 7))))
    assert flat.vertex.status == "not identified"


def test_critical_batch_widens_by_its_refits(noisy_curve: Curves) -> None:
    rng, batches = np.random.default_rng(14), np.geomspace(4.0, 512.0, 8)
    truth = 5 + 2.0 * (1 + batches / 40) ** 0.3
    columns = {"positions": np.full(8, 1e6), "sequence_events": np.full(8, 60.0)}
    data = noisy_curve(rng, batches, truth, 0.004, **columns)
    users = 0.004 * rng.normal(size=(300, 8))
    alone = fit_critical_batch([data]).curves[0]
    both = fit_critical_batch([replace(data, users=users)]).curves[0]
    assert both.optimum.status == "converged"
    widths = [np.log(f.optimum.high / f.optimum.low) for f in (alone, both)]
    sd = both.derived["users_sd"].value
    assert sd is not None
    assert widths[1] / 2 == pytest.approx(np.hypot(widths[0] / 2, 1.96 * sd), rel=0.2)
    assert both.derived["users_sd"].status == "converged"
    gamma = [f.coefficients["gamma"] for f in (alone, both)]
    assert (gamma[1].high or 0) - (gamma[1].low or 0) > (gamma[0].high or 0) - (gamma[0].low or 0)
    assert (both.best.high or 0) > (alone.best.high or 0)
