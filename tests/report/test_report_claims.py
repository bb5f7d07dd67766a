"""The claims file, our estimate for each claim, and the files that are written."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from behavior_scaling.laws.results import Estimate
from behavior_scaling.report.claims import Judged, judge, make_claims, ours_text
from behavior_scaling.report.claims_file import ClaimList, load_claims
from behavior_scaling.report.found import log_ratio
from behavior_scaling.report.inputs import load_results

Edit = Callable[[str, Callable[[dict[str, Any]], None]], None]


@pytest.fixture
def axes_alone(results_dir: Path) -> Path:
    """The study without a joint surface: the fits of the axes answer, as in the paper."""
    (results_dir / "laws" / "surface.json").unlink()
    return results_dir


def judged(results_dir: Path) -> dict[str, Judged]:
    return {item.claim.id: item for item in judge(load_results(results_dir), load_claims())}


def test_every_claim_has_marks_with_a_meaning_and_a_null() -> None:
    claims = load_claims()
    assert claims.budgets == (1e15, 1e19)
    for claim in claims.claims:
        assert claim.marks
        assert set(claim.marks) <= set(claims.marks)
        assert claim.why or claim.stated_null, claim.id


def test_the_paper_values_are_those_of_the_source() -> None:
    claims = load_claims()
    share = claims.claim("share_optimum").paper
    assert (share.value, share.low, share.high) == (0.02, 0.011, 0.037)
    assert claims.claim("allocation_n").paper.value == 0.617
    assert claims.claim("allocation_d").paper.value == 0.383
    assert claims.claim("batch_loss").paper.value == 570
    assert claims.claim("ratio_small").paper.value == 344
    assert "n" in claims.claim("accuracy_small").marks


def raw(**claim: Any) -> dict[str, Any]:
    body = {
        "id": "x", "statement": "s", "marks": ["1"], "paper": {"text": "t"}, "kind": "level",
        "why": "w",
    }  # fmt: skip
    return {"marks": {"1": "one"}, "budgets": [1, 2], "claims": [body | claim]}


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"marks": ["7"]}, "claim x: unknown or no mark"),
        ({"marks": []}, "claim x: unknown or no mark"),
        ({"ours": {"axis": "share", "curve": "optimum"}}, "claim x: give either"),
        ({"why": None, "ours": {"axis": "share"}}, "exactly one of"),
        ({"kind": "guess"}, "kind"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_broken_claim_is_refused_by_name(claim: dict[str, Any], message: str) -> None:
    ClaimList.model_validate(raw())
    with pytest.raises(ValidationError, match=message):
        ClaimList.model_validate(raw(**claim))


def test_levels_at_small_budgets_are_out_of_range_and_show_the_trend(axes_alone: Path) -> None:
    item = judged(axes_alone)["share_optimum"]
    assert item.verdict.name == "out of range"
    assert item.found.at == 1e11  # the converged budget nearest to the paper's
    assert [budget for budget, _ in item.found.trend] == [3e10, 1e11]
    assert ours_text(item).startswith("3×10¹⁰: 5.2%")
    assert "data-limited" in item.found.flags


def test_exponents_at_small_budgets(axes_alone: Path, edit_laws: Edit) -> None:
    assert judged(axes_alone)["allocation_n"].verdict.name == "out of range"

    def like_the_paper(body: dict[str, Any]) -> None:
        body["fits"][0]["exponents"]["N"] |= {"value": 0.61, "low": 0.57, "high": 0.65}

    edit_laws("allocation", like_the_paper)
    item = judged(axes_alone)["allocation_n"]
    assert item.verdict.name == "consistent"
    assert item.found.origin is not None
    assert item.found.origin.key == "fits[0].exponents.N"


def test_overlapping_budgets_give_level_verdicts(axes_alone: Path, edit_laws: Edit) -> None:
    def at_large_budgets(body: dict[str, Any]) -> None:
        for curve in body["fits"][0]["curves"]:
            curve["budget"] *= 1e6
            curve["optimum"] |= {"value": 0.08, "low": 0.06, "high": 0.1, "status": "converged"}

    edit_laws("share", at_large_budgets)
    assert judged(axes_alone)["share_optimum"].verdict.name == "contradicted"


def test_unfitted_and_unmeasured_claims(axes_alone: Path) -> None:
    items = judged(axes_alone)
    assert items["negatives_loss"].verdict.name == "not identified"
    assert items["batch_ndcg"].verdict.name == "not measured"
    assert "nothing was fitted by ndcg@10 on axis batch" in items["batch_ndcg"].verdict.reason
    assert items["memory_limit"].verdict.reason == items["memory_limit"].claim.why
    (axes_alone / "laws" / "share.json").unlink()
    assert judged(axes_alone)["share_optimum"].verdict.name == "not measured"


def test_claims_of_a_study_above_the_markov_floor_are_pre_bigram(
    results_dir: Path, edit_laws: Edit
) -> None:
    assert "pre-bigram" not in judged(results_dir)["loss_power_law"].found.flags

    def flag(body: dict[str, Any]) -> None:
        body["fits"][0]["curves"][0]["flags"] = ["pre-bigram"]

    edit_laws("allocation", flag)
    items = judged(results_dir)
    for name in ("loss_power_law", "allocation_n", "ratio_small"):
        assert "pre-bigram" in items[name].found.flags


def test_ratio_of_two_optima_by_hand() -> None:
    first = Estimate(100, 50, 200, "converged")
    second = Estimate(10, 5, 20, "converged")
    ratio = log_ratio(first, second)
    spread = math.exp(math.sqrt(2) * math.log(2))
    assert ratio.value == pytest.approx(10)
    assert ratio.low == pytest.approx(10 / spread)
    assert ratio.high == pytest.approx(10 * spread)
    assert log_ratio(first, Estimate(None, None, None, "at bound", "r")).status == "at bound"
    assert log_ratio(Estimate(1, None, 2, "converged"), second).status == "not identified"


def test_claims_json_prints_mark_meaning_verdict_and_origin(axes_alone: Path) -> None:
    body = json.loads(make_claims(axes_alone).read_text())
    assert body["marks"] == load_claims().marks
    claims = {claim["id"]: claim for claim in body["claims"]}
    assert len(claims) == len(load_claims().claims)
    share = claims["share_optimum"]
    assert (share["file"], share["key"]) == ("laws/share.json", "fits[0].curves[1].optimum")
    raw_fit = json.loads((axes_alone / share["file"]).read_text())["fits"][0]
    assert share["value"] == raw_fit["curves"][1]["optimum"]["value"]
    assert [row["budget"] for row in share["trend"]] == [3e10, 1e11]
    assert share["verdict"] == "out of range"
    assert (share["second_value"], share["second_file"]) == (None, "")


def test_the_joint_surface_answers_and_the_axis_alone_stands_beside_it(results_dir: Path) -> None:
    items = judged(results_dir)
    item = items["allocation_n"]
    assert item.found.estimate == Estimate(0.5, 0.45, 0.55, "converged")
    assert item.found.origin is not None
    assert item.found.origin.file == "laws/surface.json"
    assert ours_text(item) == (
        "joint surface: 0.500 (0.450 to 0.550). Axis alone: 0.520 (0.410 to 0.630)"
    )
    assert item.verdict.name == "out of range"
    assert {"pre-bigram", "data-limited"} <= set(item.found.flags)  # of the surface, of the axis
    ratio = items["ratio_small"].found
    assert ratio.at == 1e11  # of those identified, the nearest to 10¹⁵
    assert [budget for budget, _ in ratio.trend] == [1e10, 3e10, 1e11]
    body = json.loads(make_claims(results_dir).read_text())
    row = next(claim for claim in body["claims"] if claim["id"] == "allocation_n")
    assert (row["value"], row["second_value"], row["second_file"]) == (
        0.5, 0.52, "laws/allocation.json",
    )  # fmt: skip
    found: object = json.loads((results_dir / row["file"]).read_text())
    for part in re.findall(r"[^.\[\]]+", row["key"]):
        found = found[int(part)] if isinstance(found, list) else found[part]  # type: ignore[index]
    assert found == {"value": 0.5, "low": 0.45, "high": 0.55, "status": "converged", "reason": ""}


def test_a_status_of_the_joint_surface_is_not_replaced_by_the_axis_alone(
    results_dir: Path,
) -> None:
    item = judged(results_dir)["share_optimum"]
    assert item.verdict.name == "not identified"
    assert item.found.second is not None
    assert item.found.second.estimate is not None
    assert item.found.second.estimate.status == "converged"
    assert (
        "joint surface: 3×10¹⁰: 50%, at bound; 10¹¹: below 30%, not identified. Axis alone: "
        in (ours_text(item))
    )


def test_the_interval_of_the_joint_surface_decides_the_verdict(
    results_dir: Path, edit_laws: Edit
) -> None:
    def like_the_paper(body: dict[str, Any]) -> None:
        for row in body["surface"][0]["exponents"]:
            if (row["axis"], row["of"], row["convention"]) == ("allocation", "optimum", "nominal"):
                row["exponent"] |= {"value": 0.61, "low": 0.57, "high": 0.65}

    edit_laws("surface", like_the_paper)
    assert judged(results_dir)["allocation_n"].verdict.name == "consistent"
    assert judged(results_dir)["allocation_d"].verdict.name == "out of range"


def test_a_surface_that_could_not_be_fitted_leaves_the_axis_to_answer(
    results_dir: Path, edit_laws: Edit
) -> None:
    def nothing(body: dict[str, Any]) -> None:
        for row in body["surface"]:
            row["parts"] = {name: {"kept": False, "reason": "few"} for name in row["parts"]}

    edit_laws("surface", nothing)
    item = judged(results_dir)["allocation_n"]
    assert item.found.second is None
    assert item.found.origin is not None
    assert item.found.origin.file == "laws/allocation.json"
