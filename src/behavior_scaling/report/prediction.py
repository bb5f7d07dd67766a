"""The committed prediction and its score as the report reads them.

Choices: rows become typed objects, so that a file of another version is refused with its name;
what was predicted once the runs were known is called hindsight wherever it stands.
"""

from __future__ import annotations

from dataclasses import dataclass

from behavior_scaling.laws.results import Estimate
from behavior_scaling.report.inputs import Origin, Results
from behavior_scaling.report.joint import Row, typed
from behavior_scaling.report.text import (
    FORECASTS,
    axis_title,
    count,
    flops,
    number,
    short_metric,
)

FILE = "laws/prediction.json"
NONE = "no prediction was committed"
NOT_RUN = "the predicted budget has not been run"
RIVALS = {"per_axis": "axis alone", "power_law": "power law of the best"}
NAMES = {**FORECASTS, **RIVALS}
OF = {"N": "N*", "D": "D*", "best": "best"}


@dataclass(frozen=True)
class Compared:
    """One forecast of one quantity of the predicted budget beside what was found there."""

    of: str  # 'N', 'D', 'best'
    forecast: str
    predicted: Estimate
    found: Estimate
    error: float | None  # relative
    agrees: bool | None


@dataclass(frozen=True)
class Predicted:
    """One axis and arm of a predicted budget, by one metric."""

    metric: str
    axis: str
    arm: str
    held_out: float
    hindsight: bool
    made: str | None  # date
    same_runs: bool  # whether the runs it was made from are still the same
    level: float
    status: str  # of the joint surface
    reason: str
    trained_on: int
    cells: tuple[Row, ...]  # x, observed, runs, planned, forecasts
    scores: dict[str, Row]  # by forecast; empty until the budget was run
    noise: float | None  # root mean square error of a perfect prediction
    optimum: tuple[Compared, ...]
    origin: Origin

    @property
    def title(self) -> str:
        """'loss, share at 10¹²' and, where it is, '(hindsight)'."""
        own = f"{short_metric(self.metric)}, {axis_title(self.axis, self.arm)}"
        return f"{own} at {flops(self.held_out)}" + (" (hindsight)" if self.hindsight else "")


@dataclass(frozen=True)
class Lift:
    """One forecast of what one step or doubling of compute brings."""

    metric: str
    held_out: float
    hindsight: bool
    kind: str  # 'step', 'doubling'
    start: float
    end: float
    doublings: float
    ahead: bool  # ends at the predicted budget
    forecast: str
    predicted: Estimate
    measured: Estimate
    error: float | None
    within: bool | None  # 5%
    agrees: bool | None
    origin: Origin


def predictions(results: Results) -> tuple[Predicted, ...]:
    """Every axis of every predicted budget; ReportError where the file is not what laws writes."""
    return typed(results.predictions, "prediction", _predicted, f"{results.place}{FILE}")


def lifts(results: Results) -> tuple[Lift, ...]:
    """Every forecast of a lift; ReportError where the file is not what laws writes."""
    return typed(results.lifts, "lift", _lift, f"{results.place}{FILE}")


def _predicted(raw: Row, origin: Origin) -> Predicted:
    optimum = tuple(
        Compared(**one | {name: Estimate(**one[name]) for name in ("predicted", "found")})
        for one in raw["optimum"]
    )
    cells = tuple(raw["cells"])
    return Predicted(**raw | {"cells": cells, "optimum": optimum, "origin": origin})


def _lift(raw: Row, origin: Origin) -> Lift:
    names = {"from": "start", "to": "end"}
    plain = {names.get(key, key): value for key, value in raw.items()}
    estimates = {name: Estimate(**raw[name]) for name in ("predicted", "measured")}
    return Lift(**plain | estimates | {"origin": origin})


def score_text(one: Predicted, forecast: str) -> str:
    """'RMSE 0.012, 7 of 8 covered', a dash where there is none."""
    score = one.scores.get(forecast)
    if score is None:
        return "–"
    hit = round(score["coverage"] * score["cells"])
    return f"RMSE {number(score['rmse'])}, {hit} of {count(score['cells'])} covered"


def lift_title(one: Lift) -> str:
    """'loss, 10¹² to 3×10¹²' and, where it is, '(hindsight)'."""
    text = f"{short_metric(one.metric)}, {flops(one.start)} to {flops(one.end)}"
    return text + (" (hindsight)" if one.hindsight else "")
