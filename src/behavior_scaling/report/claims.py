"""The verdict on every claim of the paper, written as claims.json and as a table.

Choices: each row prints the mark of the paper's value and, below the table, what the mark means;
where no verdict on a level is possible, our values are shown with their budgets all the same;
the verdict is on the primary estimate, the secondary one stands beside it; every row names the
figure or table in which its evidence can be seen.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from behavior_scaling.files import write_text
from behavior_scaling.laws.table import AXES
from behavior_scaling.report.claims_file import Claim, ClaimList, load_claims
from behavior_scaling.report.estimates import find
from behavior_scaling.report.found import Found
from behavior_scaling.report.inputs import Results, load_results
from behavior_scaling.report.text import budgets_text, estimate_text, flops
from behavior_scaling.report.verdict import Range, Statement, Verdict, verdict


@dataclass(frozen=True)
class Judged:
    """A claim with our estimate and the verdict."""

    claim: Claim
    paper_budgets: Range
    found: Found
    verdict: Verdict
    source: str = ""  # of our estimate, where it is not the study's own data


def judge(results: Results, claims: ClaimList) -> list[Judged]:
    """Every claim with its verdict, in the order of the file."""
    judged = []
    for claim in claims.claims:
        found = find(results, claim)
        paper = claims.budgets_of(claim)
        statement = Statement(
            kind=claim.kind,
            budgets=paper,
            value=claim.paper.value,
            low=claim.paper.low,
            high=claim.paper.high,
            null=claim.stated_null.values if claim.stated_null else (),
        )
        result = verdict(statement, found.estimate, found.budgets)
        if result.name == "not measured":
            result = replace(result, reason=claim.why or found.reason)
        axis = (claim.ours.agreement or claim.ours.axis or "") if claim.ours else ""
        source = results.other_source(axis) if found.estimate and axis in AXES else ""
        judged.append(Judged(claim, paper, found, result, source))
    return judged


def make_claims(results_dir: Path) -> Path:
    """Write claims.json: marks and their meaning, and every claim; returns its path."""
    claims = load_claims()
    judged = judge(load_results(results_dir), claims)
    body = {"marks": claims.marks, "claims": [_json(item) for item in judged]}
    path = results_dir / "claims.json"
    write_text(path, json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def claims_frame(judged: list[Judged]) -> pd.DataFrame:
    """One row a claim, with numbers."""
    return pd.DataFrame([_flat(item) for item in judged])


def claims_table(judged: list[Judged]) -> pd.DataFrame:
    """One row a claim, worded for a reader."""
    rows = [
        {
            "the paper says": item.claim.statement,
            "its value": f"{item.claim.paper.text} {item.claim.mark_text}, "
            f"at {budgets_text(item.paper_budgets)}",
            "ours": ours_text(item) + _measured_at(item),
            "verdict": ", ".join([item.verdict.name, *item.found.flags]),
            "evidence": _evidence(item) or "–",
        }
        for item in judged
    ]
    return pd.DataFrame(rows)


def evidence(claim: Claim) -> str:
    """Where our side of a claim can be seen: names of figures and tables; '' if not measured."""
    ours = claim.ours
    if ours is None:
        return ""
    if ours.lift:
        return "figure prediction, table lift"
    if ours.worlds is not None:
        return "figure entropy, table worlds"
    if ours.cells is not None:
        return "runs.parquet"
    if ours.agreement is not None:
        return "figure agreement, table agreement"
    slope = ours.exponent or ours.difference or ours.coefficient
    table = "exponents" if slope else "optima"
    parts = [f"figure {ours.axis}", f"table {table}"]
    return ", ".join(["figure optima", "table conventions", *parts] if ours.joint else parts)


def _evidence(item: Judged) -> str:
    return evidence(item.claim) if item.found.estimate else ""


def brief(item: Judged) -> str:
    """Our side in a few words: the value that was judged, or its status and the axis alone."""
    if item.found.estimate is None:
        return "–"
    if item.found.estimate.status == "converged":
        return _one_value(item, item.found)
    second = item.found.second
    if second is None or second.estimate is None or second.estimate.status != "converged":
        return item.found.estimate.status
    return f"{item.found.estimate.status}; axis alone: {_one_value(item, second)}"


def _one_value(item: Judged, found: Found) -> str:
    text = estimate_text(found.estimate, item.claim.paper.unit) if found.estimate else "–"
    return f"{text} at {flops(found.at)}" if item.claim.kind == "level" and found.at else text


def _measured_at(item: Judged) -> str:
    """Our budgets, and the source where it is another than the study's."""
    if item.found.budgets is None:
        return ""
    return f"; at {budgets_text(item.found.budgets)}" + (f", {item.source}" if item.source else "")


def ours_text(item: Judged) -> str:
    """Our value with its interval; for levels every budget's value (the trend).

    Where the joint surface answers and the axis alone says something else, both are printed.
    """
    found, second = item.found, item.found.second
    text = _value_text(item, found)
    if second is None:
        return text
    alone = _value_text(item, second)
    return text if alone == text else f"joint surface: {text}. Axis alone: {alone}"


def _value_text(item: Judged, found: Found) -> str:
    unit = item.claim.paper.unit
    if found.estimate is None:
        return item.verdict.reason
    levels = [(budget, value) for budget, value in found.trend if budget > 0]
    if item.claim.kind == "level" and levels:
        return "; ".join(f"{flops(c)}: {estimate_text(value, unit)}" for c, value in levels)
    return estimate_text(found.estimate, unit)


def _flat(item: Judged) -> dict[str, Any]:
    estimate, budgets = item.found.estimate, item.found.budgets or (None, None)
    origin = item.found.origin
    return {
        "id": item.claim.id,
        "statement": item.claim.statement,
        "kind": item.claim.kind,
        "marks": item.claim.mark_text,
        "paper": item.claim.paper.text,
        "paper_value": item.claim.paper.value,
        "paper_low": item.claim.paper.low,
        "paper_high": item.claim.paper.high,
        "paper_budget_low": item.paper_budgets[0],
        "paper_budget_high": item.paper_budgets[1],
        "null": item.claim.stated_null.text if item.claim.stated_null else "",
        "value": estimate.value if estimate else None,
        "low": estimate.low if estimate else None,
        "high": estimate.high if estimate else None,
        "status": estimate.status if estimate else "",
        "at_budget": item.found.at,
        "budget_low": budgets[0],
        "budget_high": budgets[1],
        "verdict": item.verdict.name,
        "reason": item.verdict.reason,
        "flags": ", ".join(item.found.flags),
        "source": item.source,
        "evidence": _evidence(item),
        "file": origin.file if origin else "",
        "key": origin.key if origin else "",
    } | _second(item.found.second)


def _second(found: Found | None) -> dict[str, Any]:
    """The fit of the axis alone, where the joint surface answers."""
    estimate = found.estimate if found else None
    origin = found.origin if found else None
    return {
        "second_value": estimate.value if estimate else None,
        "second_low": estimate.low if estimate else None,
        "second_high": estimate.high if estimate else None,
        "second_status": estimate.status if estimate else "",
        "second_file": origin.file if origin else "",
        "second_key": origin.key if origin else "",
    }


def _json(item: Judged) -> dict[str, Any]:
    trend = [{"budget": c, **dataclasses.asdict(value)} for c, value in item.found.trend]
    return _flat(item) | {"ours": ours_text(item), "trend": trend}
