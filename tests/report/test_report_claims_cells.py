"""Claims answered from cells, differences and changes; evidence that exists; the short wording."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from behavior_scaling.laws.noise import NoiseLevel
from behavior_scaling.laws.results import Estimate
from behavior_scaling.report.claims import Judged, brief, evidence, judge
from behavior_scaling.report.claims_file import load_claims
from behavior_scaling.report.estimates_across import relative_error
from behavior_scaling.report.estimates_cells import Reached, reached, weighted
from behavior_scaling.report.found import Found, change, difference
from behavior_scaling.report.inputs import load_results
from behavior_scaling.report.names import FIGURES, TABLES
from behavior_scaling.report.verdict import Verdict

LOSS = "validation/restored/all/cross_entropy"
ACCURACY = "validation/restored/all/accuracy"


def judged(results_dir: Path) -> dict[str, Judged]:
    return {item.claim.id: item for item in judge(load_results(results_dir), load_claims())}


def rewrite(results_dir: Path, values: dict[tuple[float, int, int], float]) -> None:
    """Allocation runs with given accuracies: (budget, model size, seed) -> value."""
    runs = pd.read_parquet(results_dir / "runs.parquet")
    like = runs[(runs["axis"] == "allocation") & (runs["outcome"] == "done")].iloc[0]
    rows = []
    for index, ((budget, n, seed), value) in enumerate(values.items()):
        row = like.copy()
        row["budget"], row["n_ctx"], row["seed"], row[ACCURACY] = budget, n, seed, value
        row["id"] = f"{index:064d}"
        rows.append(row)
    rest = runs[runs["axis"] != "allocation"]
    pd.concat([pd.DataFrame(rows), rest], ignore_index=True).to_parquet(
        results_dir / "runs.parquet"
    )


def test_rise_and_bend_by_hand(results_dir: Path) -> None:
    values = {}
    for budget, best in ((1e10, 0.10), (1e11, 0.16), (1e12, 0.18)):
        for seed, off in ((0, -0.001), (1, 0.001)):
            values[budget, 100, seed] = best + off
            values[budget, 200, seed] = best - 0.05 + off
    rewrite(results_dir, values)
    items = judged(results_dir)
    rise, bend = (items[name].found.estimate for name in ("accuracy_rises", "accuracy_bends"))
    assert rise is not None
    assert bend is not None
    assert rise.value == pytest.approx(0.04)  # (0.18 - 0.10) over two decades
    assert bend.value == pytest.approx(0.02 - 0.06)
    assert items["accuracy_rises"].verdict.name == "consistent"
    assert items["accuracy_bends"].verdict.name == "consistent"


def test_a_gain_that_grows_is_not_diminishing(results_dir: Path) -> None:
    values = {
        (budget, 100, seed): best + off
        for budget, best in ((1e10, 0.10), (1e11, 0.11), (1e12, 0.18))
        for seed, off in ((0, -0.001), (1, 0.001))
    }
    rewrite(results_dir, values)
    verdict = judged(results_dir)["accuracy_bends"].verdict
    assert (verdict.name, verdict.reason) == (
        "out of range", "budgets do not overlap; our interval excludes the paper's value"
    )  # fmt: skip


def test_one_seed_gives_values_without_an_interval_and_no_verdict(results_dir: Path) -> None:
    rewrite(results_dir, {(b, 100, 0): v for b, v in ((1e10, 0.1), (1e11, 0.2))})
    items = judged(results_dir)
    assert items["accuracy_rises"].verdict.name == "not identified"
    assert "two seeds" in items["accuracy_rises"].verdict.reason
    assert items["accuracy_bends"].found.estimate is not None
    assert items["accuracy_bends"].found.estimate.status == "too few points"


def test_the_best_cell_is_a_mean_over_seeds_and_no_control(results_dir: Path) -> None:
    rewrite(results_dir, {(1e10, 100, 0): 0.1, (1e10, 100, 1): 0.3, (1e10, 200, 0): 0.25})
    (one,) = reached(load_results(results_dir), "allocation", ACCURACY)
    assert one.value == pytest.approx(0.25)
    assert one.runs == 1
    runs = pd.read_parquet(results_dir / "runs.parquet")
    runs["control"] = runs["control"].astype(bool) | (runs["n_ctx"] == 200)
    runs.to_parquet(results_dir / "runs.parquet")
    (one,) = reached(load_results(results_dir), "allocation", ACCURACY)
    assert one.value == pytest.approx(0.2)
    assert one.runs == 2


def test_the_interval_of_one_cell_is_students(results_dir: Path) -> None:
    one = Reached(1e10, 0.5, 4, NoiseLevel(0.04, 5.0))
    found = weighted([(1.0, one)])
    low, high = stats.t.interval(0.95, 5, loc=0.5, scale=0.1)
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)
    welch = weighted([(1.0, one), (-1.0, Reached(1e11, 0.5, 4, NoiseLevel(0.04, 5.0)))])
    assert welch.high == pytest.approx(stats.t.ppf(0.975, 10) * math.sqrt(0.02))
    bend = weighted([(1.0, one), (-2.0, one), (1.0, one)])  # 6 variances; df 36 / 18 times 5
    assert bend.high == pytest.approx(stats.t.ppf(0.975, 10) * math.sqrt(0.06))


def test_a_difference_of_exponents_is_exact_for_mirrored_ones() -> None:
    n = Estimate(0.6, 0.5, 0.7, "converged")
    d = Estimate(0.4, 0.3, 0.5, "converged")  # 1 - n, end by end
    found = difference(d, n)
    assert (found.value, found.low, found.high) == pytest.approx((-0.2, -0.4, 0.0))
    assert difference(d, Estimate(None, None, None, "at bound", "r")).status == "at bound"
    open_end = difference(d, Estimate(0.6, None, 0.7, "converged"))
    assert (open_end.low, open_end.high) == (None, None)


def test_a_change_has_no_sign_and_reaches_zero_where_it_may_be_none() -> None:
    up, down = Estimate(0.9, 0.7, 1.0, "converged"), Estimate(-0.8, -1.0, -0.5, "converged")
    turned, back = change(up, down), change(down, up)
    assert turned.value == back.value == pytest.approx(1.7)
    assert turned.low == pytest.approx(1.7 - math.hypot(0.2, 0.3))
    assert (back.low, back.high) == pytest.approx((turned.low, turned.high))
    assert change(up, Estimate(0.8, 0.6, 1.0, "converged")).low == 0.0
    assert change(up, Estimate(None, None, None, "too few points")).status == "too few points"


def test_the_ratio_of_data_to_model_is_judged_by_the_difference_of_exponents(
    results_dir: Path,
) -> None:
    (results_dir / "laws" / "surface.json").unlink()
    found = judged(results_dir)["ratio_falls"].found
    assert found.estimate is not None
    assert (found.estimate.value, found.estimate.low) == pytest.approx((-0.04, 0.37 - 0.63))
    assert found.origin is not None
    assert found.origin.key == "fits[0].exponents"


def lift(**given: object) -> dict[str, object]:
    ends = {"reason": "", "status": "converged"}
    return {
        "metric": LOSS, "kind": "doubling", "from": 5e10, "to": 1e11, "doublings": 1.0,
        "ahead": True, "hindsight": False, "forecast": "surface", "error": 0.04,
        "held_out": 1e11, "within": True, "agrees": True,
        "predicted": {"value": 0.104, "low": 0.101, "high": 0.107} | ends,
        "measured": {"value": 0.1, "low": 0.096, "high": 0.104} | ends,
    } | given  # fmt: skip


def write_lifts(results_dir: Path, rows: list[dict[str, object]]) -> None:
    body = {"prediction": [], "lift": rows}
    (results_dir / "laws" / "prediction.json").write_text(json.dumps(body))


def test_the_lift_is_the_committed_surface_s_last_doubling(results_dir: Path) -> None:
    write_lifts(results_dir, [])
    assert judged(results_dir)["lift_prediction"].verdict.name == "not measured"
    others = [
        lift(hindsight=True), lift(ahead=False), lift(kind="step"), lift(doublings=2.0),
        lift(metric="x"), lift(forecast="power_law"),
    ]  # fmt: skip
    write_lifts(results_dir, [*others, lift()])
    item = judged(results_dir)["lift_prediction"]
    assert item.found.origin is not None
    assert item.found.origin.key == "lift[6].error"
    assert item.found.estimate is not None
    assert item.found.estimate.value == pytest.approx(0.04)
    assert item.found.estimate.high == pytest.approx(0.04 + 0.05)  # 3-4-5
    assert item.verdict.name == "consistent"
    write_lifts(results_dir, [lift(hindsight=True)])
    assert judged(results_dir)["lift_prediction"].verdict.name == "not measured"


def test_a_surface_without_a_lift_leaves_the_power_law_to_answer(results_dir: Path) -> None:
    lost = {"value": None, "low": None, "high": None, "status": "not identified", "reason": "r"}
    write_lifts(results_dir, [lift(error=None, predicted=lost), lift(forecast="power_law")])
    origin = judged(results_dir)["lift_prediction"].found.origin
    assert origin is not None
    assert origin.key == "lift[1].error"


def test_a_relative_error_needs_a_gain() -> None:
    one = Estimate(0.1, 0.0, 0.2, "converged")
    assert relative_error(one, Estimate(0.0, -1.0, 1.0, "converged")).status == "not identified"
    assert relative_error(Estimate(None, None, None, "at bound"), one).status == "at bound"


def test_exponents_over_worlds_are_judged_by_their_slope(results_dir: Path) -> None:
    assert judged(results_dir)["entropy_exponent"].verdict.name == "not measured"
    slope = {"value": -0.02, "low": -0.03, "high": -0.01, "status": "converged", "reason": ""}
    rest = {"studies": ["low"], "rank": -1.0, "p_value": 0.04, "least_p": 0.04}
    rows = [
        {"of": "known", "slope": slope | {"value": 9}} | rest,
        {"of": "plain", "slope": slope} | rest,
    ]
    body = {"worlds": [], "across": rows, "repetition": []}
    (results_dir / "laws" / "worlds.json").write_text(json.dumps(body))
    results = load_results(results_dir)
    world = replace(results, runs=results.runs.assign(source="world-low"))
    judge_all = judge(replace(results, parts=(world,)), load_claims())
    item = next(one for one in judge_all if one.claim.id == "entropy_exponent")
    assert (item.verdict.name, item.found.budgets) == ("consistent", (1e10, 1e11))
    assert item.found.origin is not None
    assert item.found.origin.key == "across[1].slope"


def test_every_measured_claim_names_evidence_that_is_made() -> None:
    for claim in load_claims().claims:
        said = evidence(claim)
        assert bool(said) == (claim.why is None), claim.id
        for part in filter(None, said.split(", ")):
            kind, _, name = part.partition(" ")
            made = {"figure": FIGURES, "table": TABLES}.get(kind, ("",))
            assert name in made, part


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (None, None, "–"),
        (Estimate(0.5, 0.4, 0.6, "converged"), None, "0.500 (0.400 to 0.600)"),
        (Estimate(None, None, None, "at bound"), None, "at bound"),
        (Estimate(None, None, None, "not identified"), Estimate(0.5, 0.4, 0.6, "converged"),
         "not identified; axis alone: 0.500 (0.400 to 0.600)"),
        (Estimate(None, None, None, "not identified"), Estimate(None, None, None, "at bound"),
         "not identified"),
    ],
)  # fmt: skip
def test_the_short_wording(first: Estimate | None, second: Estimate | None, text: str) -> None:
    claim = load_claims().claim("allocation_n")
    beside = Found(second, (1e10, 1e11)) if second else None
    found = Found(first, (1e10, 1e11), second=beside)
    assert brief(Judged(claim, (1e15, 1e19), found, Verdict("not identified", ""))) == text


def test_the_source_lists_every_statement_that_is_kept() -> None:
    ids = {claim.id for claim in load_claims().claims}
    assert {
        "share_optimum", "share_flat", "batch_loss", "batch_recall", "batch_ndcg", "batch_mrr",
        "batch_shifts", "allocation_n", "allocation_d", "ratio_small", "ratio_large",
        "ratio_falls", "negatives_grow", "negatives_loss", "negatives_recall", "negatives_ranking",
        "negatives_unbounded", "negatives_beta_loss", "negatives_beta_recall", "agreement_small",
        "agreement_large", "agreement_turns", "metric_allocation", "metric_batch",
        "metric_negatives", "memory_limit", "loss_power_law", "accuracy_rises", "accuracy_bends",
        "entropy_exponent", "lift_prediction", "heterogeneous_events", "own_embedders",
        "distributed_training", "other_contextualizers", "drift", "synthetic_events",
        "budget_calculator",
    } <= ids  # fmt: skip
    assert len([claim for claim in load_claims().claims if claim.short]) <= 16  # fits a screen
    assert np.isfinite([b for claim in load_claims().claims for b in claim.budgets or ()]).all()
