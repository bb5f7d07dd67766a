"""Calibration as the report reads it, and its tables: the learning rate, one setting at a time.

Choices: the numbers of the rule and the groups that it was fitted to stand in one table, because
neither can be judged without the other; a study without variations has tables with a header only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from behavior_scaling.laws.calibration import Group
from behavior_scaling.laws.results import Estimate
from behavior_scaling.report.joint import Origin, ReportError, Row, read_rows
from behavior_scaling.report.text import (
    compact,
    count,
    estimate_text,
    flops,
    number,
    short_metric,
    three_decimals,
)

FILE = "calibration.json"
ENDS = ("value", "low", "high", "status", "reason")
RATE_COLUMNS = (
    "kind", "name", "variations", "budget", "n_total", "d_model", "batch", *ENDS, "rule", "factor",
    "cost", "epochs_min", "epochs_max", "file", "key",
)  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """The fitted learning-rate rule and the groups of runs behind it."""

    form: str
    status: str
    reason: str
    rule: dict[str, float]  # base, width, batch, budget: fitted, or held at the study's
    parameters: dict[str, Estimate]
    groups: tuple[Group, ...]
    cost: float | None  # mean nats that the rule loses over the groups
    study_cost: float | None  # that of the study's own rule
    metric: str
    origin: Origin


@dataclass(frozen=True)
class Difference:
    """What one setting changes in one metric."""

    metric: str
    variation: str
    setting: str
    point: str
    budget: float
    outcome: str
    value: float | None
    runs: int
    reference: float | None
    reference_runs: int
    difference: float | None
    sd: float | None  # of the difference, by the seed noise
    verdict: str
    reason: str


@dataclass(frozen=True)
class Calibration:
    """What laws/calibration.json holds."""

    rule: Rule | None = None
    differences: tuple[Difference, ...] = ()


def read_calibration(laws: Path, place: str = "") -> Calibration:
    """laws/calibration.json; nothing where it is absent or the study varied nothing.

    Raises:
        ReportError: the file is not what laws writes.
    """
    path = laws / FILE
    if not path.is_file():
        return Calibration()
    try:
        rules = [
            _rule(raw, Origin(f"{place}laws/{FILE}", f"calibration[{i}]"))
            for i, raw in enumerate(read_rows(path, "calibration"))
        ]
        differences = tuple(Difference(**raw) for raw in read_rows(path, "variations"))
    except (TypeError, KeyError) as error:
        raise ReportError(f"{path}: not what laws writes: {error!r}; run the fit again") from error
    return Calibration(rules[0] if rules else None, differences)


def _rule(raw: Row, origin: Origin) -> Rule:
    groups = tuple(
        Group(**(one | {"best": Estimate(**one["best"])}
                 | {name: tuple(one[name]) for name in ("variations", "rates", "losses")}))
        for one in raw["groups"]
    )  # fmt: skip
    known = {name: Estimate(**one) for name, one in raw["parameters"].items()}
    return Rule(**(raw | {"parameters": known, "groups": groups, "origin": origin}))


def rule_text(rule: Rule) -> str:
    """'0.00994 (d/32)^−0.81 (B/16)^0.08 (C/10¹¹)^−0.01'."""
    powers = {name: f"{rule.rule[name]:.2f}".replace("-", "−") for name in rule.rule}
    scales = {"width": "d/32", "batch": "B/16", "budget": "C/10¹¹"}
    factors = [f"({scale})^{powers[name]}" for name, scale in scales.items()]
    return " ".join([number(rule.rule["base"]), *factors])


def group_name(group: Group) -> str:
    """'N = 21k, B = 8'."""
    return f"N = {compact(float(f'{group.n_total:.2g}'))}, B = {group.batch:g}"


def learning_rates(
    found: Calibration, epochs: tuple[Row, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Numbers and words: the rule's parameters, then the groups.

    Args:
        found: the calibration.
        epochs: those of the variations' runs, as columns and in words.
    """
    rows: list[Row] = []
    words: list[Row] = []
    rule = found.rule
    for name, one in rule.parameters.items() if rule else ():
        row: Row = {"kind": "parameter", "name": name} | _ends(one)
        row |= {"rule": rule.rule[name], "file": rule.origin.file} if rule else {}
        rows.append(row | {"key": f"{rule.origin.key}.parameters.{name}" if rule else ""})
        held = "" if one.status == "converged" or rule is None else number(rule.rule[name])
        words.append({"what": name, "C": "–", "value": held or estimate_text(one)}
                     | {"rule": "–", "cost in nats": "–", "remark": one.reason or "–"})  # fmt: skip
    for index, group in enumerate(rule.groups if rule else ()):
        row = {"kind": "group", "name": group_name(group), "budget": group.budget}
        row |= {"variations": ", ".join(group.variations), "n_total": group.n_total}
        row |= {"d_model": group.d_model, "batch": group.batch} | _ends(group.best)
        row |= {"rule": group.rule, "factor": group.factor, "cost": group.cost}
        row |= (
            {"file": rule.origin.file, "key": f"{rule.origin.key}.groups[{index}]"} if rule else {}
        )
        rows.append(row)
        words.append(
            {"what": f"lr*, {group_name(group)}, d = {count(group.d_model)}"}
            | {"C": flops(group.budget), "value": estimate_text(group.best)}
            | {"rule": "–" if group.rule is None else number(group.rule)}
            | {"cost in nats": "–" if group.cost is None else three_decimals(group.cost)}
            | {"remark": group.best.reason or "–"}
        )
    numbers = pd.DataFrame([row | epochs[0] for row in rows], columns=list(RATE_COLUMNS))
    return numbers, pd.DataFrame([line | {"epochs": epochs[1]} for line in words])


def variations(found: Calibration, epochs: tuple[Row, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Numbers and words: one row a setting and metric, from the best difference to the worst."""
    columns = [*Difference.__dataclass_fields__, *epochs[0]]
    numbers = pd.DataFrame([vars(one) | epochs[0] for one in found.differences], columns=columns)
    words = [
        {"metric": short_metric(one.metric), "variation": one.variation, "setting": one.setting}
        | {"C": flops(one.budget)}
        | {"value": "–" if one.value is None else three_decimals(one.value)}
        | {"reference": "–" if one.reference is None else three_decimals(one.reference)}
        | {"difference": difference_text(one)}
        | {"verdict": f"{one.verdict}: {one.reason}" if one.reason else one.verdict}
        | {"epochs": epochs[1]}
        for one in found.differences
    ]
    return numbers, pd.DataFrame(words)


def difference_text(one: Difference) -> str:
    """'−0.031 ± 0.029', the noise being one standard deviation of the difference."""
    if one.difference is None:
        return "–"
    text = three_decimals(one.difference)
    return text if one.sd is None else f"{text} ± {three_decimals(one.sd)}"


def _ends(estimate: Estimate) -> dict[str, Any]:
    return {end: getattr(estimate, end) for end in ENDS}
