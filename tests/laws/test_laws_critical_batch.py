"""The critical batch three ways: hyperbolas, Fieller's ratio, bounds, disagreements."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import optimize

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.batch import CLEAN_FORM, fit_critical_batch
from behavior_scaling.laws.critical_batch import CAVEAT, LOSS_ONLY, NO_PROBES, critical_batches
from behavior_scaling.laws.critical_batch_noise import fieller, noise_scale
from behavior_scaling.laws.critical_batch_steps import (
    LossCurve,
    crossing,
    falling,
    loss_curve,
    steps_to_target,
    targets,
)
from behavior_scaling.laws.results import AxisFit
from behavior_scaling.laws.table import groups, metric_curves, seed_noise
from behavior_scaling.laws.transforms import IDENTITY

Vector = npt.NDArray[np.float64]
LOSS = "validation/restored/all/cross_entropy"
BATCHES = 2.0 ** np.arange(2, 9)
KNEE, EVENTS = 40.0, 60.0


def run_losses(batch: float, steps: Vector, knee: float) -> Vector:
    """L = 5 + 30 E_eff^-.3, E_eff the sequences over 1 + B / B_crit: McCandlish's trade-off."""
    return np.asarray(5 + 30 * (steps * batch / (1 + batch / knee)) ** -0.3)


def curves(
    rng: np.random.Generator, knee: float, sd: float, seeds: int = 2, steps: float | None = None
) -> list[LossCurve]:
    """Runs of equal data (or steps), probed at 12 log-spaced points from 5% on."""
    out = []
    for batch in BATCHES:
        probed = np.geomspace(0.05, 1, 12) * (steps or 6e4 / batch)
        for _ in range(seeds):
            noise = sd * rng.normal(size=12)
            out.append(loss_curve(batch, probed, run_losses(batch, probed, knee) + noise))
    return out


def test_isotonic_matches_scipy() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 2, 9, 30):
        y = np.linspace(3, 1, size) + rng.normal(size=size)
        expected = -optimize.isotonic_regression(-y).x
        np.testing.assert_allclose(falling(y), expected, atol=1e-12)


def test_crossing_of_a_power_of_the_step_is_exact() -> None:
    steps = np.geomspace(10, 1000, 7)
    curve = loss_curve(8, steps, 20 * steps**-0.25)
    for target in (float(curve.losses[0]) * 0.999, 6.0, 20 * 1000**-0.25):
        at, slope = crossing(curve, target)
        assert np.exp(at) == pytest.approx((20 / target) ** 4, rel=1e-9)
        assert slope < 0


def test_exact_hyperbola_is_found_at_every_target() -> None:
    rng = np.random.default_rng(1)
    exact = [
        LossCurve(c.batch, steps, run_losses(c.batch, steps, KNEE))
        for c in curves(rng, KNEE, 0.0, 1)
        for steps in [np.geomspace(c.steps[0], c.steps[-1], 400)]
    ]
    found = steps_to_target(exact)
    assert len(found) == 5
    lowest = max(run_losses(b, np.array([6e4 / b]), KNEE)[0] for b in BATCHES)
    assert found[0].target == pytest.approx(lowest)  # the largest batch's last loss
    for hyperbola in found:
        assert hyperbola.knee.status == "converged"
        assert hyperbola.knee.value == pytest.approx(KNEE, rel=2e-3)
        assert hyperbola.target is not None
        least = ((hyperbola.target - 5) / 30) ** (-1 / 0.3)  # E_eff = S_min B_crit
        assert hyperbola.least_sequences.value == pytest.approx(least, rel=2e-3)
        assert hyperbola.least_steps.value == pytest.approx(least / KNEE, rel=2e-3)
        for point in hyperbola.crossings:  # McCandlish et al., eq. 2.11
            s = point.steps / (hyperbola.least_steps.value or 1)
            e = point.steps * point.batch / (hyperbola.least_sequences.value or 1)
            assert (s - 1) * (e - 1) == pytest.approx(1, rel=0.05)


def test_knee_interval_covers() -> None:
    rng, covered, least = np.random.default_rng(2), [], []
    for _ in range(150):
        first = steps_to_target(curves(rng, KNEE, 0.01))[0]
        assert first.knee.status == "converged"
        covered.append((first.knee.low or 0) <= KNEE <= (first.knee.high or 0))
        e = ((first.target or 0) - 5) / 30
        true = e ** (-1 / 0.3)
        found = first.least_sequences
        least.append((found.low or 0) <= true <= (found.high or 0))
    assert np.mean(covered) >= 0.88
    assert np.mean(least) >= 0.85


@pytest.mark.parametrize(
    ("knee", "edge", "open_end", "steps"), [(1e5, 256.0, "high", None), (0.02, 4.0, "low", 1e4)]
)
def test_batches_on_one_side_of_the_knee_give_a_bound(
    knee: float, edge: float, open_end: str, steps: float | None
) -> None:
    rng = np.random.default_rng(3)
    statuses = []
    for _ in range(10):
        found = steps_to_target(curves(rng, knee, 0.01, steps=steps))[0].knee
        statuses.append(found.status)
        if found.status == "at bound":
            assert found.value == pytest.approx(edge)
            assert getattr(found, open_end) is None
    assert statuses.count("at bound") >= 8
    assert "converged" not in statuses


def test_targets_need_a_common_loss() -> None:
    apart = [loss_curve(b, [10, 20], [7.0 - b, 6.9 - b]) for b in (1.0, 2.0, 3.0)]
    assert targets(apart).size == 0
    assert steps_to_target(apart)[0].knee.status == "not identified"
    two = steps_to_target([c for c in curves(np.random.default_rng(4), KNEE, 0.0) if c.batch < 16])
    assert (two[0].knee.status, two[0].target) == ("too few points", None)
    flat = [LossCurve(b, np.array([1.0, 2.0]), np.array([6.0, 6.0])) for b in (1.0, 2.0, 3.0)]
    assert steps_to_target(flat)[0].knee.status == "not identified"
    with pytest.raises(LawsError, match="losses: entry 1"):
        loss_curve(4, [1, 2], [6.0, np.nan])


def gradients(
    rng: np.random.Generator, runs: int, probes: int, noise: float, signal: float, spread: float
) -> list[Vector]:
    """Estimates as a probe gives them: the noise sure, the signal hardly larger than its error."""
    shape = (runs, probes)
    pairs = np.stack(
        [
            noise * (1 + 0.05 * rng.normal(size=shape)),
            signal + spread * rng.normal(size=shape),
        ],
        axis=2,
    )
    return list(pairs)


@pytest.mark.parametrize(("runs", "probes"), [(6, 5), (3, 8)])
def test_noise_scale_covers(runs: int, probes: int) -> None:
    rng, covered, naive = np.random.default_rng(5), [], []
    for _ in range(400):
        drawn = gradients(rng, runs, probes, 2.0, 0.05, 0.05)
        found = noise_scale(drawn)
        if found.status == "converged":
            covered.append((found.low or 0) <= KNEE <= (found.high or 0))
        naive.append(float(np.mean([np.mean(run[:, 0] / run[:, 1]) for run in drawn])))
    assert len(covered) > 300
    assert 0.92 <= np.mean(covered) <= 0.98
    assert np.mean([0.8 * KNEE < v < 1.25 * KNEE for v in naive]) < 0.5  # averaged ratios are wild


def test_noise_scale_is_the_ratio_of_averages() -> None:
    runs = [np.array([[4.0, 0.19], [6.0, 0.21]]), np.array([[5.0, 0.2], [5.0, 0.2]])]
    assert noise_scale(runs).value == pytest.approx(5.0 / 0.2)


def test_interval_agrees_with_redrawn_probes() -> None:
    rng = np.random.default_rng(6)
    drawn = gradients(rng, 40, 10, 2.0, 0.05, 0.03)
    means = np.stack([run.mean(axis=0) for run in drawn])
    redrawn = means[rng.integers(0, 40, (4000, 40))].mean(axis=1)
    low, high = np.quantile(redrawn[:, 0] / redrawn[:, 1], [0.025, 0.975])
    found = noise_scale(drawn)
    assert found.low == pytest.approx(low, rel=0.03)
    assert found.high == pytest.approx(high, rel=0.03)


def test_signal_that_may_be_zero_is_not_identified() -> None:
    rng = np.random.default_rng(7)
    found = noise_scale(gradients(rng, 6, 5, 2.0, 0.005, 0.05))
    assert (found.status, found.value, found.high) == ("not identified", None, None)
    assert "contains zero" in found.reason
    assert found.low is not None
    assert 0 < found.low < 400  # the truth: noise is sure, the signal small
    assert noise_scale(gradients(rng, 6, 5, 2.0, -0.5, 0.05)).value is None
    assert noise_scale([np.ones((3, 2))]).status == "too few points"
    assert noise_scale([np.array([[1.0, 0.1]])] * 4).status == "too few points"
    assert noise_scale([]).status == "too few points"
    with pytest.raises(LawsError, match=r"runs\[0\]"):
        noise_scale([np.full((4, 2), np.nan)])
    unsure = fieller(np.array([0.1, 0.1]), np.eye(2), 10, "")
    assert (unsure.low, unsure.high, unsure.status) == (None, None, "not identified")


def study(
    planted: Any, knee: float = KNEE, noise: float = 2.0, signal: float = 0.05
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The planted batch axis with probes whose steps-to-target has another knee if asked."""
    runs, _ = planted()
    runs = runs[runs["axis"] == "batch"].reset_index(drop=True)
    rng, parts = np.random.default_rng(8), []
    for _, row in runs.iterrows():
        share = np.geomspace(0.06, 1, 12)
        steps = share * row["steps"]
        parts.append(
            pd.DataFrame(
                {
                    "id": row["id"],
                    "step": steps,
                    "positions": share * row["positions"],
                    "validation_cross_entropy": run_losses(row["batch"], steps, knee)
                    + 0.003 * rng.normal(size=12),
                    "gradient_noise": noise * (1 + 0.05 * rng.normal(size=12)),
                    "gradient_signal": signal * (1 + 0.2 * rng.normal(size=12)),
                }
            )
        )
    return runs, pd.concat(parts, ignore_index=True)


def entries(
    runs: pd.DataFrame, probes: pd.DataFrame | None, metric: str = LOSS
) -> dict[tuple[str, float], dict[str, Any]]:
    found = groups(runs)
    group = next(g for g in found if g.axis == "batch")
    data, _ = metric_curves(group, metric, IDENTITY, seed_noise(runs, metric))
    parts = fit_critical_batch(data)
    fit = AxisFit("batch", "clean", metric, CLEAN_FORM, "identity", "batch", parts.curves, {})
    rows = critical_batches(found, [fit], probes, LOSS)
    return {(row["method"], row["budget"]): row for row in rows}


def test_three_ways_agree_on_one_knee(planted: Any) -> None:
    found = entries(*study(planted))
    assert sorted(found) == sorted(
        (m, c) for m in ("curve", "steps", "noise") for c in (1e10, 1e11, 1e12)
    )
    for (method, _), row in found.items():
        assert row["sequences"]["status"] == "converged"
        assert row["sequences"]["value"] == pytest.approx(KNEE, rel=0.25)
        assert row["events"]["value"] == pytest.approx(EVENTS * row["sequences"]["value"])
        assert row["disagreements"] == ()
        assert (CAVEAT in row["notes"]) == (method == "steps")
    steps, noise = found[("steps", 1e11)], found[("noise", 1e11)]
    assert [point["batch"] for point in steps["crossings"]] == list(2.0 ** np.arange(9))
    assert len(steps["trajectory"]) == 5
    assert steps["trajectory"][0]["at"] == steps["coefficients"]["target"]["value"]
    assert [moment["at"] for moment in noise["trajectory"]] == [0.125, 0.375, 0.625, 0.875]
    assert all(m["sequences"]["value"] == pytest.approx(KNEE, rel=0.3) for m in noise["trajectory"])


def test_disagreement_is_said_in_both_entries(planted: Any) -> None:
    found = entries(*study(planted, knee=160.0))
    steps, curve = found[("steps", 1e11)], found[("curve", 1e11)]
    assert any("curve:" in text for text in steps["disagreements"])
    assert any("steps:" in text for text in curve["disagreements"])
    bound = entries(*study(planted, knee=1e6))[("steps", 1e11)]
    assert bound["sequences"]["status"] == "at bound"
    assert any("steps: at least" in text for text in bound["disagreements"])


def test_other_metrics_and_missing_probes_have_the_curve_alone(planted: Any) -> None:
    runs, probes = study(planted)
    raw = entries(runs, probes, "validation/raw/all/cross_entropy")
    curve = [row for row in raw.values() if row["method"] == "curve"]
    assert all(row["notes"] == (LOSS_ONLY,) for row in curve)
    alone = entries(runs, None)
    assert {method for method, _ in alone} == {"curve"}
    assert all(row["notes"] == (NO_PROBES,) for row in alone.values())


def test_only_probes_after_warm_up_and_admissible_runs_count(planted: Any) -> None:
    runs, probes = study(planted)
    early = probes["positions"] < 8e6 * 0.5
    probes.loc[early, "gradient_signal"] = 5.0  # not in the last half
    warm = probes.groupby("id").head(1).index
    probes.loc[warm, "step"] = 1.0
    probes.loc[warm, "validation_cross_entropy"] = 0.01  # before the end of warm-up
    found = entries(runs, probes)
    assert found[("noise", 1e11)]["sequences"]["value"] == pytest.approx(KNEE, rel=0.25)
    assert found[("steps", 1e11)]["sequences"]["value"] == pytest.approx(KNEE, rel=0.25)
    short = runs.assign(
        steps_after_warmup=np.where(runs["batch"] > 20, 100.0, runs["steps_after_warmup"])
    )
    assert found[("steps", 1e11)]["runs"] == 18
    assert entries(short, probes)[("steps", 1e11)]["runs"] == 10


def test_runs_of_other_sizes_are_not_mixed(planted: Any) -> None:
    runs, probes = study(planted)
    runs.loc[0, "n_total"] = 7000.0
    row = entries(runs, probes)[("steps", 1e10)]
    assert row["sequences"]["status"] == "not identified"
    assert "differ in n_total" in row["sequences"]["reason"]


def test_impossible_probes_are_named(planted: Any) -> None:
    runs, probes = study(planted)
    with pytest.raises(LawsError, match="column 'gradient_noise' is missing"):
        entries(runs, probes.drop(columns="gradient_noise"))
    with pytest.raises(LawsError, match=r"'step' holds 0\.0 in run"):
        entries(runs, probes.assign(step=0.0))
    empty = entries(runs, probes.iloc[:0])
    assert empty[("steps", 1e11)]["sequences"]["status"] == "too few points"
    assert empty[("noise", 1e11)]["sequences"]["status"] == "too few points"
    nan = probes.assign(gradient_noise=np.nan, validation_cross_entropy=np.nan)
    assert entries(runs, nan)[("noise", 1e11)]["sequences"]["status"] == "too few points"
    assert entries(runs, nan)[("steps", 1e11)]["sequences"]["status"] == "too few points"
