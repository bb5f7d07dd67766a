"""The driver on a planted study: every law found again, flags, exclusions, clear errors."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.laws import study
from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.study import fit_study, headline_metrics
from behavior_scaling.laws.table import AXES, groups, metric_curves, seed_noise
from behavior_scaling.laws.transforms import IDENTITY

Planted = Callable[..., tuple[pd.DataFrame, Any]]
LOSS = "validation/restored/all/cross_entropy"
RECALL = "validation/restored/all/recall@10"
SESSION = "validation/restored/session_start"
FLOORS = {
    "validation": {"all": {"markov": {"cross_entropy": 6.6}, "unigram": {"cross_entropy": 7.0}}}
}


@pytest.fixture(autouse=True)
def per_axis_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The joint surface and its backtest have tests of their own, and cost most of the time."""
    if "surface" not in request.node.name:
        monkeypatch.setattr(study, "surface_fits", lambda *_, **__: [])
        monkeypatch.setattr(study, "backtest", lambda *_, **__: [])


def pick(laws: dict[str, Any], axis: str, metric: str = LOSS, arm: str | None = None) -> Any:
    return next(
        fit
        for fit in laws[axis]["fits"]
        if fit["metric"] == metric and (arm is None or fit["arm"] == arm)
    )


def only(runs: pd.DataFrame, metric: str = LOSS) -> pd.DataFrame:
    """The table with one metric: what a test needs, in a fraction of the time."""
    keep = [c for c in runs.columns if "/" not in c or c == metric]
    return runs[keep].reset_index(drop=True)


def test_planted_laws_are_found(planted: Planted) -> None:
    runs, truth = planted()
    laws = fit_study(only(runs), FLOORS, resamples=100)
    assert sorted(laws) == [
        "agreement", "allocation", "backtest", "batch", "calibration", "compute", "critical_batch",
        "negatives", "prediction", "share", "surface",
    ]  # fmt: skip
    optima = {
        "share": truth.share,
        "batch": truth.knee,
        "negatives": truth.candidates,
    }
    for axis, best in optima.items():
        for curve in pick(laws, axis)["curves"]:
            assert curve["optimum"]["status"] == "converged"
            assert curve["optimum"]["value"] == pytest.approx(best, rel=0.25)
            assert curve["noise"] == pytest.approx(truth.sd, rel=0.5)
    for curve in pick(laws, "allocation")["curves"]:
        best = truth.n_at_1e11 * (curve["budget"] / 1e11) ** truth.n_exponent
        assert curve["optimum"]["value"] == pytest.approx(best, rel=0.15)
    exponent = pick(laws, "allocation")["exponents"]["N"]
    assert exponent["low"] <= truth.n_exponent <= exponent["high"]
    negatives = pick(laws, "negatives")["curves"][0]
    over = negatives["derived"]["over_catalogue"]["value"]
    assert over == pytest.approx(negatives["optimum"]["value"] / 4000)
    compute = pick(laws, "compute")
    assert "plain power law" in compute["form"]
    assert compute["curves"][0]["budget"] == 0
    # both losses fall by .3 a decade at the optimum, from 7.0 at 1e10
    expected = -np.polyfit(np.log([1e10, 1e11, 1e12]), np.log([7.0, 6.7, 6.4]), 1)[0]
    assert compute["curves"][0]["coefficients"]["b"]["value"] == pytest.approx(expected, rel=0.1)


def test_metrics_scales_and_agreement(planted: Planted) -> None:
    runs, _ = planted()
    runs = runs[runs["axis"] != "batch"]
    laws = fit_study(runs, None, resamples=60)
    assert {f["metric"]: f["transform"] for f in laws["share"]["fits"]} == {
        LOSS: "identity",
        "validation/raw/all/cross_entropy": "identity",
        RECALL: "-logit(m)",
        "validation/restored/all/ndcg@10": "log(1 - m)",
        "validation/restored/all/mrr@10": "log(1 - m)",
    }
    # ndcg = 1 - exp((loss - 9) / 10): its fitted scale is the loss, so must be the optimum
    for name in ("ndcg@10", "mrr@10"):
        ours, loss = pick(laws, "share", f"validation/restored/all/{name}"), pick(laws, "share")
        for a, b in zip(ours["curves"], loss["curves"], strict=True):
            assert a["optimum"]["value"] == pytest.approx(b["optimum"]["value"], rel=0.02)
    rows = laws["agreement"]["agreement"]
    assert all(row["correlation"]["value"] == pytest.approx(1.0) for row in rows)
    pooled = [row for row in rows if row["budget"] is None]
    assert len(pooled) == 9  # three losses, three metrics
    mixed = [r for r in rows if r["loss"] == "train_loss" and r["axis"] == "negatives"]
    assert mixed
    assert all("do not compare" in row["correlation"]["reason"] for row in mixed)


def test_pre_bigram_marks_only_budgets_above_the_markov_floor(planted: Planted) -> None:
    runs, _ = planted()
    runs = runs[runs["axis"] == "allocation"]
    flags = {
        c["budget"]: "pre-bigram" in c["flags"]
        for c in pick(fit_study(runs, FLOORS), "allocation")["curves"]
    }
    assert flags == {1e10: True, 1e11: True, 1e12: False}  # 7.0, 6.7 and 6.4 against 6.6
    assert all(not c["flags"] for c in pick(fit_study(runs, None), "allocation")["curves"])


@pytest.mark.parametrize(
    "floors", [{}, {"validation": {"markov": {"cross_entropy": 6.6}}}, {"validation": {"all": {}}}]
)
def test_floors_of_another_layout_are_refused(planted: Planted, floors: Any) -> None:
    runs, _ = planted()
    with pytest.raises(LawsError, match="no validation/all/markov/cross_entropy"):
        fit_study(runs[runs["axis"] == "allocation"], floors)


def test_failed_diverged_and_control_runs_stay_out(planted: Planted) -> None:
    runs, _ = planted()
    runs = only(runs[runs["axis"] == "share"])
    whole = fit_study(runs, None)
    extra = runs.iloc[[0, 1, 2]].copy()
    extra["id"], extra["seed"] = ["x", "y", "z"], 99
    extra["outcome"] = ["failed", "diverged", "diverged"]
    extra[LOSS] = 100.0
    spoilt = fit_study(pd.concat([runs, extra], ignore_index=True), None)
    ours, theirs = pick(spoilt, "share"), pick(whole, "share")
    assert ours["curves"] == theirs["curves"]
    assert {"1 runs failed: left out", "2 runs diverged: left out", "6 control runs: left out"} <= (
        set(ours["notes"])
    )


def test_missing_metric_values_are_counted(planted: Planted) -> None:
    runs, _ = planted()
    runs = runs[runs["axis"] == "allocation"].reset_index(drop=True)
    runs.loc[[0, 5], LOSS] = np.nan
    runs.loc[7, RECALL] = 0.0  # has no logit
    laws = fit_study(runs, None)
    assert f"2 runs without a usable {LOSS}: left out" in pick(laws, "allocation")["notes"]
    recall = pick(laws, "allocation", RECALL)["notes"]
    assert f"1 runs without a usable {RECALL}: left out" in recall


def test_absent_axes_and_metrics_give_empty_lists(planted: Planted) -> None:
    runs, _ = planted()
    runs = runs[runs["axis"] == "share"].drop(columns=[RECALL])
    laws = fit_study(runs, None)
    assert laws["allocation"] == {"axis": "allocation", "fits": []}
    assert laws["compute"]["fits"] == []
    assert RECALL not in {fit["metric"] for fit in laws["share"]["fits"]}
    empty = fit_study(runs.iloc[:0], None)
    assert all(not part.get("fits") for part in empty.values())
    assert empty["agreement"] == {"agreement": [], "choice_cost": []}
    assert empty["critical_batch"] == {"critical_batch": []}


def test_one_seed_gives_no_noise(planted: Planted) -> None:
    runs, _ = planted(seeds=1)
    laws = fit_study(only(runs), None, resamples=60)
    for axis in ("allocation", "share", "batch"):
        assert all(curve["noise"] is None for curve in pick(laws, axis)["curves"])
    assert pick(laws, "allocation")["curves"][1]["optimum"]["status"] == "converged"


def test_one_budget(planted: Planted) -> None:
    runs, _ = planted()
    laws = fit_study(only(runs[runs["budget"] == 1e11]), None, resamples=60)
    fit = pick(laws, "allocation")
    assert len(fit["curves"]) == 1
    assert fit["exponents"]["N"]["status"] == "too few points"
    assert pick(laws, "compute")["curves"][0]["coefficients"]["b"]["status"] == "too few points"


def test_cells_average_seeds_and_noise_pools_axes(planted: Planted) -> None:
    runs, _ = planted(seeds=3)
    noise = seed_noise(runs, LOSS)
    assert set(noise) == {(s, c) for s in (1, 2) for c in (1e10, 1e11, 1e12)}
    group = next(g for g in groups(runs) if g.axis == "share")
    curves, _ = metric_curves(group, LOSS, IDENTITY, noise)
    rows = runs[(runs["axis"] == "share") & ~runs["control"] & (runs["budget"] == 1e11)]
    by_hand = rows.groupby("share")[LOSS].mean()
    np.testing.assert_allclose(curves[1].x, by_hand.index.to_numpy())
    np.testing.assert_allclose(curves[1].y, by_hand.to_numpy())
    assert curves[1].repeats.tolist() == [3.0] * 8
    deviations = rows[LOSS] - rows.groupby("share")[LOSS].transform("mean")
    assert curves[1].within == pytest.approx(float((deviations**2).sum()))
    # 7 + 9 cells of allocation and share, 9 of batch, with two degrees each, and the controls
    stage_one = runs[(runs["stage"] == 1) & (runs["budget"] == 1e11)]
    cell = ["axis", "n_total", "share", "batch"]
    centred = stage_one[LOSS] - stage_one.groupby(cell)[LOSS].transform("mean")
    own = float((centred**2).sum()) / (len(stage_one) * 2 / 3)
    assert noise[(1, 1e11)].variance == pytest.approx(own, rel=0.5)


def test_session_starts_only_when_the_slice_is_large(planted: Planted) -> None:
    runs, _ = planted()
    name = f"{SESSION}/recall@10"
    runs[name] = runs[RECALL] / 2
    runs[f"{SESSION}/n_positions"], runs[f"{SESSION}/n_users"] = 500, 100
    assert name in headline_metrics(runs)
    runs[f"{SESSION}/n_users"] = 99
    assert name not in headline_metrics(runs)
    assert name not in headline_metrics(runs.drop(columns=f"{SESSION}/n_positions"))


def test_transform_dependence_is_flagged_when_the_optimum_moves(planted: Planted) -> None:
    runs, _ = planted()
    runs = runs[runs["axis"] == "allocation"].reset_index(drop=True)
    laws = fit_study(runs, None)
    assert not any("transform-dependent" in c["flags"] for c in pick(laws, "allocation")["curves"])
    # an exact, off-centre parabola in logits over a wide range of recall is none in recall
    best = 9000 * (runs["budget"] / 1e11) ** 0.5
    z = np.log(runs["n_total"] / best) + 1.2
    runs[RECALL] = 1 / (1 + np.exp(-3 + 0.5 * z**2))
    curves = pick(fit_study(runs, None), "allocation", RECALL)["curves"]
    assert all("transform-dependent" in curve["flags"] for curve in curves)
    expected = 9000 * (curves[0]["budget"] / 1e11) ** 0.5 * np.exp(-1.2)
    assert curves[0]["optimum"]["value"] == pytest.approx(expected, rel=1e-6)


def test_inadmissible_batches_are_left_out_and_counted(planted: Planted) -> None:
    runs, _ = planted()
    runs = only(runs[runs["axis"] == "batch"])
    runs.loc[runs["batch"] >= 128, "steps_after_warmup"] = 199.0
    fit = pick(fit_study(runs, None), "batch")
    assert [c["cells"] for c in fit["curves"]] == [7, 7, 7]
    assert "6 cells not admissible (steps or windows): left out" in fit["notes"]


def test_as_paper_arm_is_an_optimal_batch(planted: Planted) -> None:
    runs, _ = planted()
    runs = runs[runs["axis"] == "batch"].assign(arm="as_paper")
    runs[LOSS] = 6 + 0.02 * np.log(runs["batch"] / 20) ** 2
    fit = pick(fit_study(runs, None), "batch", arm="as_paper")
    assert "optimal batch" in fit["form"]
    assert "B_crit" not in fit["exponents"]
    assert fit["curves"][0]["optimum"]["value"] == pytest.approx(20, rel=1e-3)


def test_same_table_same_laws_whatever_the_row_order(planted: Planted) -> None:
    runs, _ = planted()
    runs = only(runs[runs["budget"] >= 1e11])
    one = fit_study(runs, FLOORS, seed=3, resamples=50)
    assert one == fit_study(runs, FLOORS, seed=3, resamples=50)
    shuffled = fit_study(runs.sample(frac=1, random_state=1), FLOORS, seed=3, resamples=50)
    for axis in ("allocation", "share"):
        a, b = (pick(laws, axis)["curves"][0]["optimum"]["value"] for laws in (one, shuffled))
        assert a == pytest.approx(b, rel=1e-6)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("n_total", 0.0, "column 'n_total' holds 0.0 in run"),
        ("epochs", np.nan, "column 'epochs' holds nan in run"),
        ("budget", -1.0, "column 'budget' holds -1.0"),
        ("axis", "alloc", "column 'axis' holds 'alloc'"),
        (LOSS, -0.5, "cross_entropy' holds -0.5"),
        (RECALL, 1.5, "recall@10' holds 1.5"),
    ],
)
def test_impossible_values_name_column_and_run(
    planted: Planted, column: str, value: Any, message: str
) -> None:
    runs, _ = planted()
    runs = runs[runs["axis"] == "allocation"].reset_index(drop=True)
    runs.loc[3, column] = value
    with pytest.raises(LawsError, match=message):
        fit_study(runs, None)


@pytest.mark.parametrize("column", ["outcome", "control", "n_total", "positions"])
def test_missing_columns_are_named(planted: Planted, column: str) -> None:
    runs, _ = planted()
    with pytest.raises(LawsError, match=f"column '{column}' is missing"):
        fit_study(runs.drop(columns=column), None)


def test_two_runs_of_one_cell_and_seed_are_refused(planted: Planted) -> None:
    runs, _ = planted()
    twin = runs.iloc[[0]].assign(id="twin")
    with pytest.raises(LawsError, match="column 'seed': runs run0000 and twin"):
        fit_study(pd.concat([runs, twin]), None)
    again = pd.concat([runs, runs.iloc[[0]]])  # the same run listed twice is harmless
    assert len(fit_study(again[again["axis"] == "allocation"], None)["allocation"]["fits"]) == 5


def test_unknown_batch_arm_is_named(planted: Planted) -> None:
    runs, _ = planted()
    runs.loc[runs["axis"] == "batch", "arm"] = "odd"
    with pytest.raises(LawsError, match="column 'arm' holds 'odd'"):
        fit_study(runs, None)


def test_import_stays_light() -> None:
    code = (
        "import sys, behavior_scaling.laws.study, behavior_scaling.laws.write;"
        "print([m for m in ('torch', 'pandas', 'scipy.stats', 'scipy.optimize', 'matplotlib')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def user_sums(runs: pd.DataFrame, metrics: list[str], spread: float) -> pd.DataFrame:
    """Sums over 32 groups of 40 positions; groups differ in level, alike for all runs."""
    rng, parts = np.random.default_rng(0), []
    level = rng.normal(0, 0.02, 32)
    for metric in metrics:
        *where, name = metric.split("/")
        own = spread * rng.normal(size=(len(runs), 32)) + level
        own -= own.mean(axis=1, keepdims=True)
        frame = pd.DataFrame({"id": np.repeat(runs["id"].to_numpy(), 32)})
        frame["split"], frame["score"], frame["slice"] = where
        frame["group"], frame["n_positions"] = np.tile(np.arange(32), len(runs)), 40.0
        frame[name] = 40.0 * (runs[metric].to_numpy()[:, None] + own).ravel()
        parts.append(frame)
    keys = ["id", "split", "score", "slice", "group", "n_positions"]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.merge(part, on=keys, how="outer")
    return whole.fillna(0.0)


def test_users_enter_every_axis(planted: Planted) -> None:
    runs, _ = planted()
    runs = only(runs)
    users = user_sums(runs, [LOSS], 0.01)
    alone = fit_study(runs, None, resamples=100)
    both = fit_study(runs, None, users=users, resamples=100)
    assert both == fit_study(runs, None, users=users, resamples=100)
    for axis in ("allocation", "share", "batch", "negatives"):
        pairs = zip(pick(alone, axis)["curves"], pick(both, axis)["curves"], strict=True)
        for a, b in pairs:
            assert a["optimum"]["value"] == b["optimum"]["value"]
            assert b["optimum"]["low"] < a["optimum"]["low"]
            assert b["optimum"]["high"] > a["optimum"]["high"]
            assert b["best"]["high"] > a["best"]["high"]
            assert b["derived"]["users_sd"]["value"] > 0
            assert "users_sd" not in a["derived"]
        said = [note for note in pick(both, axis)["notes"] if "users" in note]
        assert len(said) == 1
        assert said[0].startswith("users redrawn: a ")
    assert all("users not redrawn" in " ".join(pick(alone, axis)["notes"]) for axis in AXES)
    exponent = [pick(laws, "allocation")["exponents"]["N"] for laws in (alone, both)]
    assert exponent[1]["high"] > exponent[0]["high"]
    assert "redrawn users" in exponent[1]["reason"]
    slope = [pick(laws, "compute")["curves"][0]["coefficients"]["b"] for laws in (alone, both)]
    assert slope[1]["value"] == slope[0]["value"]
    assert slope[1]["high"] - slope[1]["low"] > slope[0]["high"] - slope[0]["low"]
    partly = fit_study(runs, None, users=users[users["id"] != runs["id"].iloc[0]], resamples=50)
    assert "users not redrawn: 1 runs" in " ".join(pick(partly, "allocation")["notes"])
    assert not any("not redrawn" in note for note in pick(partly, "share")["notes"])


def test_critical_batch_and_choice_costs_are_part_of_a_study(planted: Planted) -> None:
    runs, _ = planted()
    runs = runs[runs["axis"].isin(["batch", "share"]) & (runs["budget"] == 1e11)]
    laws = fit_study(runs, None, resamples=50)
    rows = laws["critical_batch"]["critical_batch"]
    assert {(row["method"], row["metric"]) for row in rows} == {
        ("curve", fit["metric"]) for fit in laws["batch"]["fits"]
    }
    costs = laws["agreement"]["choice_cost"]
    assert {row["axis"] for row in costs} == {"batch", "share"}
    mixed = [row for row in costs if row["axis"] == "batch" and row["loss"] == "train_loss"]
    assert all("do not compare" in row["cost"]["reason"] for row in mixed)


def test_surface_backtest_and_processes(planted: Planted) -> None:
    runs, _ = planted()
    metrics = [LOSS, RECALL]
    columns = [c for c in runs.columns if "/" not in c or c in metrics]
    runs = runs.loc[runs["axis"] == "allocation", columns].reset_index(drop=True)
    users = user_sums(runs, metrics, 0.001)
    one, two = (
        fit_study(runs, None, users=users, resamples=20, workers=workers) for workers in (1, 2)
    )
    assert one == two
    assert [row["metric"] for row in one["surface"]["surface"]] == metrics
    assert {row["metric"] for row in one["backtest"]["backtest"]} == set(metrics)


def test_a_raw_loss_that_is_the_restored_one_gets_the_same_surface_once(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, _ = planted()
    raw = "validation/raw/all/cross_entropy"
    runs = only(runs[runs["axis"] == "allocation"]).assign(**{raw: lambda table: table[LOSS]})
    fitted: list[str] = []
    laws_of = study._laws
    monkeypatch.setattr(
        study, "_laws", lambda work, name: fitted.append(name) or laws_of(work, name)
    )

    both = fit_study(runs, None, resamples=20)
    assert fitted == [LOSS]
    alone = fit_study(runs, None, resamples=20, only=(raw,))
    assert fitted == [LOSS, raw]
    for law, key in (("allocation", "fits"), ("compute", "fits"), ("surface", "surface"),
                     ("backtest", "backtest")):  # fmt: skip
        assert [row["metric"] for row in both[law][key]][:1] == [LOSS]
        assert [row for row in both[law][key] if row["metric"] == raw] == alone[law][key]

    runs.loc[3, raw] += 1e-9
    fit_study(runs, None, resamples=20)
    assert fitted[2:] == [LOSS, raw]


def test_only_the_metrics_asked_for_are_fitted(planted: Planted) -> None:
    runs, _ = planted()
    runs = runs[runs["axis"] == "share"]
    laws = fit_study(runs, None, resamples=20, only=(LOSS,))
    whole = fit_study(runs, None, resamples=20)
    assert {fit["metric"] for fit in laws["share"]["fits"]} == {LOSS}
    assert pick(laws, "share") == pick(whole, "share")
    assert laws["agreement"]["choice_cost"] == []
    assert whole["agreement"]["choice_cost"]
