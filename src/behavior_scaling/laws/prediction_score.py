"""Scoring a committed prediction: predicted against measured, cell by cell, optima and lifts.

Choices: a cell is looked up by the ids of its runs, so that a plan changed since then leaves it
'not run' instead of being scored by another; errors are in the metric's own unit; a forecast of a
lift is right where it lies within 5% of the measured one (the article's claim), and agrees where
the two differ by no more than both intervals allow. The largest budget's prediction was committed;
the same made for earlier budgets from those below them, once the runs are known, is hindsight and
marked so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws.arrays import LawsError, t_quantile
from behavior_scaling.laws.backtest import MIN_BUDGETS
from behavior_scaling.laws.isoflop import fit_allocation
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.prediction import predict_metric
from behavior_scaling.laws.prediction_lift import bests, measured_lift
from behavior_scaling.laws.prediction_table import allocation_budgets, finished_below, made_from
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.study_compute import BestLoss
from behavior_scaling.laws.table import groups, metric_curves, metric_values, numbers, seed_noise
from behavior_scaling.laws.transforms import transform_for

if TYPE_CHECKING:
    import pandas as pd

CLAIMED = 0.05  # relative error of a lift that the article claims
KEYS = ("study", "date", "held_out", "level", "seed", "resamples", "made_from", "metrics")
Row = dict[str, Any]
Prediction = Mapping[str, Any]


def check_prediction(prediction: Prediction, runs: pd.DataFrame) -> None:
    """Refuse what `predict` did not write, or wrote for another study.

    Raises:
        LawsError: naming the key that is missing, or both studies.
    """
    missing = [key for key in KEYS if key not in prediction]
    if missing:
        raise LawsError(f"prediction: key {missing[0]!r} is missing: not what `predict` writes")
    study = str(runs["study"].iloc[0]) if "study" in runs.columns else prediction["study"]
    if study != prediction["study"]:
        raise LawsError(f"prediction: made for the study {prediction['study']}, not for {study}")


def score_metric(
    runs: pd.DataFrame, prediction: Prediction, metric: str, *, seed: int, resamples: int
) -> tuple[list[Row], list[Row]]:
    """One metric's rows of laws/prediction.json: of cells and optima, and of lifts.

    Args:
        runs: the runs table as it is now.
        prediction: what was committed.
        metric: column of the table; no rows where it was not predicted.
        seed: of the hindsight.
        resamples: redrawn refits of the hindsight.

    Returns:
        One row an axis and arm of each predicted budget ('hindsight' tells which was committed),
        and one row a step or doubling and forecast.
    """
    if metric not in prediction["metrics"]:
        return [], []
    held_out = _as_in(runs, float(prediction["held_out"]))
    now = made_from(runs, held_out, list(prediction["metrics"]))
    head = {
        "metric": metric,
        "hindsight": False,
        "made": prediction["date"],
        "same_runs": now == prediction["made_from"],
    }
    made: list[tuple[Row, float, Row]] = [(head, held_out, prediction["metrics"][metric])]
    for budget, one in hindsight(runs, held_out, metric, seed=seed, resamples=resamples):
        made.append((head | {"hindsight": True, "made": None, "same_runs": True}, budget, one))
    rows: list[Row] = []
    lifts: list[Row] = []
    for start, budget, one in made:
        truth = _Measured(runs, metric, budget)
        base = start | {"held_out": budget, "level": prediction["level"]}
        rows += [base | row for row in _axes(one, truth)]
        base = {name: base[name] for name in ("metric", "hindsight", "held_out")}
        lifts += [base | row for row in _lifts(one["lift"], truth)]
    return rows, lifts


def _as_in(runs: pd.DataFrame, budget: float) -> float:
    """The table's own budget: a file holds eight digits of it."""
    budgets = allocation_budgets(runs)
    return min(budgets, key=lambda c: abs(np.log(c / budget)), default=budget)


def hindsight(
    runs: pd.DataFrame, held_out: float, metric: str, *, seed: int, resamples: int
) -> Iterator[tuple[float, Row]]:
    """The same prediction for every earlier budget that leaves three below it."""
    known = finished_below(runs, held_out)
    budgets = allocation_budgets(known)
    for budget in budgets[MIN_BUDGETS:]:
        upto = known[numbers(known, "budget") <= budget]
        yield budget, predict_metric(upto, budget, metric, seed=seed, resamples=resamples)


class _Measured:
    """What the runs of a held-out budget, and those below it, say of one metric."""

    def __init__(self, runs: pd.DataFrame, metric: str, held_out: float) -> None:
        done = runs[runs["outcome"] == "done"].drop_duplicates("id")
        value = metric_values(done, metric)
        usable = np.isfinite(value)
        self.held_out = held_out
        self.value = dict(zip(done["id"][usable], value[usable], strict=True))
        levels = seed_noise(runs, metric)
        level = levels.get((1, held_out))
        self.variance = None if level is None else level.variance
        upto = runs[numbers(runs, "budget") <= held_out]
        self.curves = [
            data
            for group in groups(upto)
            if (group.axis, group.arm) == ("allocation", "")
            for data in metric_curves(group, metric, transform_for(metric), levels)[0]
        ]
        self.bests = bests(metric, self.curves)

    def optimum(self) -> dict[str, Estimate]:
        """N*, D* and the best metric as found at the held-out budget itself."""
        if not self.curves or self.curves[-1].budget != self.held_out:
            none = nothing("too few points", "the held-out budget was not run")
            return dict.fromkeys(("N", "D", "best"), none)
        fit = fit_allocation(self.curves[-1:]).curves[0]
        return {"N": fit.optimum, "D": fit.derived["D"], "best": _best(self.bests[-1])}


def _best(found: BestLoss) -> Estimate:
    said = "lowest cell instead of a vertex" if found.lowest else ""
    if found.variance is None:
        return Estimate(found.value, None, None, "converged", said or "no interval: noise unknown")
    margin = t_quantile(np.inf) * float(np.sqrt(found.variance))
    return Estimate(found.value, found.value - margin, found.value + margin, "converged", said)


def _axes(one: Row, truth: _Measured) -> Iterator[Row]:
    head = {"status": one["status"], "reason": one["reason"], "trained_on": one["trained_on"]}
    for axis, arm in dict.fromkeys((cell["axis"], cell["arm"]) for cell in one["cells"]):
        cells = [
            _cell(cell, truth)
            for cell in one["cells"]
            if (cell["axis"], cell["arm"]) == (axis, arm)
        ]
        run = [cell for cell in cells if cell["observed"] is not None]
        names = list(cells[0]["forecasts"])
        yield head | {
            "axis": axis,
            "arm": arm,
            "cells": cells,
            "scores": {name: score for name in names if (score := _score(run, name))},
            "noise": _noise(run, truth),
            "optimum": _optimum(one["optimum"], truth.optimum()) if axis == "allocation" else [],
        }


def _cell(cell: Row, truth: _Measured) -> Row:
    values = [truth.value[run] for run in cell["runs"] if run in truth.value]
    observed = float(np.mean(values)) if values else None
    return {
        "x": cell["x"],
        "observed": observed,
        "runs": len(values),
        "planned": len(cell["runs"]),
        "forecasts": {
            name: None if said is None else said | {"inside": _inside(said, observed)}
            for name, said in cell["forecasts"].items()
        },
    }


def _inside(said: Row, observed: float | None) -> bool | None:
    return None if observed is None else bool(said["low"] <= observed <= said["high"])


def _score(cells: Sequence[Row], name: str) -> Row | None:
    """Cells scored, root mean square error, mean error, coverage, mean half-width."""
    known = [(cell["observed"], said) for cell in cells if (said := cell["forecasts"][name])]
    if not known:
        return None
    error = np.array([said["value"] - observed for observed, said in known])
    return {
        "cells": len(known),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "error": float(np.mean(error)),
        "coverage": float(np.mean([said["inside"] for _, said in known])),
        "half_width": float(np.mean([(said["high"] - said["low"]) / 2 for _, said in known])),
    }


def _noise(cells: Sequence[Row], truth: _Measured) -> float | None:
    """The error that a perfect prediction would make: seed noise of the observed means."""
    if truth.variance is None or not cells:
        return None
    return float(np.sqrt(np.mean([truth.variance / cell["runs"] for cell in cells])))


def _optimum(said: Row, found: Mapping[str, Estimate]) -> list[Row]:
    return [
        {"of": name, "forecast": forecast, "predicted": one, "found": asdict(found[name])}
        | _compared(one, found[name])
        for name, forecasts in said.items()
        for forecast, one in _ordered(forecasts)
    ]


def _lifts(said: Sequence[Row], truth: _Measured) -> Iterator[Row]:
    for step in said:
        measured = measured_lift(truth.bests, step["from"], step["to"])
        for forecast, one in _ordered(step["forecasts"]):
            compared = _compared(one, measured)
            error = compared["error"]
            yield {
                **{name: step[name] for name in ("kind", "from", "to")},
                "doublings": float(np.log2(step["to"] / step["from"])),
                "ahead": bool(np.isclose(step["to"], truth.held_out)),
                "forecast": forecast,
                "predicted": one,
                "measured": asdict(measured),
                **compared,
                "within": None if error is None else bool(abs(error) <= CLAIMED),
            }


def _ordered(forecasts: Row) -> list[tuple[str, Row]]:
    """The joint surface first: a file sorts its keys."""
    return sorted(forecasts.items(), key=lambda pair: (pair[0] != "surface", pair[0]))


def _compared(said: Row, found: Estimate) -> Row:
    """Relative error, and whether the two differ by no more than both intervals allow."""
    value, true = said["value"], found.value
    if value is None or true is None or true == 0:
        return {"error": None, "agrees": None}
    ends = (said["high"], found.low) if true > value else (said["low"], found.high)
    agrees = None
    if ends[0] is not None and ends[1] is not None:
        agrees = bool(abs(true - value) <= np.hypot(ends[0] - value, ends[1] - true))
    return {"error": float((value - true) / abs(true)), "agrees": agrees}
