"""Tables of the joint surface, the conventions, the critical batch, the backtest, choosing by loss.

Choices: the CSV is tidy and holds every metric, the Markdown is wide and holds the headline
metrics, so that estimators and conventions are compared along a line; a table of nothing keeps its
header, so that a reader sees what would stand there.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from behavior_scaling.laws.results import Estimate
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.joint import NOMINAL, Backtest, Surface
from behavior_scaling.report.parameters import PARAMETERS, PARTS
from behavior_scaling.report.text import (
    CONVENTIONS,
    FORECASTS,
    LOSS,
    METHODS,
    RECALL,
    axis_title,
    count,
    estimate_text,
    flops,
    number,
    optimum_symbol,
    percent,
    short_metric,
)

Row = dict[str, Any]
Table = tuple[pd.DataFrame, pd.DataFrame]  # numbers, words
HEADLINE = (LOSS, RECALL)
PLACED = ("allocation", "share", "negatives")  # the axes that have an optimum on the surface
ENDS = ("value", "low", "high", "status")


def flat(name: str, estimate: Estimate) -> Row:
    """An estimate as columns."""
    head = f"{name}_" if name else ""
    return {f"{head}{end}": getattr(estimate, end) for end in ENDS}


def epochs_of(results: Results, axis: str = "", arm: str = "") -> tuple[Row, str]:
    """The epochs behind a row, as columns and in words."""
    runs = results.axis_runs(axis, arm) if axis else results.runs
    low, high = runs["epochs"].min(), runs["epochs"].max()
    words = "–" if low != low else f"{number(low)} to {number(high)}"
    return {"epochs_min": low, "epochs_max": high}, words


def joint_tables(results: Results) -> dict[str, Table]:
    """The five tables by name."""
    return {
        "surface": _surface(results),
        "conventions": _conventions(results),
        "critical_batch": _critical(results.for_axis("batch")),
        "backtest": _backtest(results.shown),
        "choice_cost": _choice(results.shown),
    }


def _surface(results: Results) -> Table:
    epochs, span = epochs_of(results)
    rows: list[Row] = []
    for surface in results.surfaces:
        for name, (part, _) in PARAMETERS.items():
            said, value = surface.parts.get(part), surface.parameters[name]
            kept = bool(said and said.kept)
            row: Row = {"metric": surface.metric, "part": part, "kept": kept}
            row |= {"aicc": said.aicc if said else None, "parameter": name} | flat("", value)
            row |= {"reason": value.reason, "transform": surface.transform, "runs": surface.runs}
            row |= {"cells": surface.cells} | epochs
            row |= {"file": surface.origin.file, "key": f"{surface.origin.key}.parameters.{name}"}
            rows.append(row)
    shown = [found for metric in HEADLINE if (found := results.surface(metric))]
    words = [
        {"part": PARTS[part], "parameter": name}
        | {f"by {short_metric(s.metric)}": _parameter_text(s, name, part) for s in shown}
        | {"epochs": span}
        for name, (part, _) in PARAMETERS.items()
        if shown
    ]
    columns = ["metric", "part", "kept", "aicc", "parameter", *ENDS, "reason", "transform",
               "runs", "cells", "epochs_min", "epochs_max", "file", "key"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(words)


def _parameter_text(surface: Surface, name: str, part: str) -> str:
    value, said = surface.parameters[name], surface.parts.get(part)
    if said is None or not said.kept:
        return f"left out: {said.reason if said else surface.reason}"
    worth = "" if said.aicc is None else f"; AICc +{said.aicc:.1f}"
    return estimate_text(value) + worth


def _conventions(results: Results) -> Table:
    rows: list[Row] = []
    words: list[Row] = []
    metrics = list(dict.fromkeys([*(f.fit.metric for f in results.fits),
                                  *(s.metric for s in results.surfaces)]))  # fmt: skip
    for axis in PLACED:
        own = results.for_axis(axis)
        for arm in own.arms(axis):
            for metric in metrics:
                found = _optima(own, axis, arm, metric)
                rows += found
                words += _optima_words(own, found, axis) if metric in HEADLINE else []
    columns = ["axis", "arm", "metric", "budget", "estimator", "convention", "cost", *ENDS,
               "reason", *(f"best_{end}" for end in ENDS), "epochs_min", "epochs_max", "file",
               "key"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(words)


def _optima(results: Results, axis: str, arm: str, metric: str) -> list[Row]:
    """Every estimate of one axis, arm and metric: per axis, then by convention."""
    base: Row = {"axis": axis, "arm": arm, "metric": metric} | epochs_of(results, axis, arm)[0]
    rows: list[Row] = []
    located = results.find(axis, metric, arm)
    for index, curve in enumerate(located.fit.curves if located else ()):
        key = f"{located.origin.key}.curves[{index}].optimum" if located else ""
        rows.append(
            base
            | {"budget": curve.budget, "estimator": "per axis", "convention": NOMINAL}
            | {"cost": curve.budget, "reason": curve.optimum.reason}
            | flat("", curve.optimum)
            | flat("best", curve.best)
            | {"file": located.origin.file if located else "", "key": key}
        )
    surface = results.surface(metric)
    for convention in CONVENTIONS:
        for one in surface.optimum(axis, arm, convention) if surface else ():
            rows.append(
                base
                | {"budget": one.budget, "estimator": "joint", "convention": convention}
                | {"cost": one.cost, "reason": one.optimum.reason}
                | flat("", one.optimum)
                | flat("best", one.best)
                | {"file": one.origin.file, "key": f"{one.origin.key}.optimum"}
            )
    return rows


def _optima_words(results: Results, found: list[Row], axis: str) -> list[Row]:
    lines: list[Row] = []
    unit = "share" if axis == "share" else ""
    for budget in sorted({row["budget"] for row in found}):
        own = [row for row in found if row["budget"] == budget]
        arm, metric = own[0]["arm"], own[0]["metric"]
        by = {(row["estimator"], row["convention"]): row for row in own}
        line: Row = {
            "optimum": f"{optimum_symbol(axis)} by {short_metric(metric)}, {axis_title(axis, arm)}",
            "C": flops(budget),
        }
        heads = {("per axis", NOMINAL): "axis alone"}
        heads |= {("joint", name): f"joint: {words}" for name, words in CONVENTIONS.items()}
        for key, head in heads.items():
            row = by.get(key)
            line[head] = "–" if row is None else estimate_text(_estimate(row), unit)
        lines.append(line | {"epochs": epochs_of(results, axis, arm)[1]})
    return lines


def _estimate(row: Row) -> Estimate:
    return Estimate(row["value"], row["low"], row["high"], row["status"])


def _critical(results: Results) -> Table:
    epochs, span = epochs_of(results, "batch", "clean")
    rows: list[Row] = []
    words: list[Row] = []
    for one in results.criticals:
        row: Row = {"metric": one.metric, "budget": one.budget, "method": one.method}
        row |= {"runs": one.runs} | flat("sequences", one.sequences) | flat("events", one.events)
        row |= {"reason": one.sequences.reason, "disagreements": "; ".join(one.disagreements)}
        row |= epochs | {"file": one.origin.file, "key": f"{one.origin.key}.sequences"}
        rows.append(row)
        if one.metric.split("/")[1:3] != ["restored", "all"]:
            continue
        words.append(
            {
                "metric": short_metric(one.metric),
                "C": flops(one.budget),
                "method": METHODS[one.method],
                "sequences": estimate_text(one.sequences),
                "events": estimate_text(one.events),
                "why": one.sequences.reason or "–",
                "does not meet": "; ".join(one.disagreements) or "–",
                "epochs": span,
            }
        )
    columns = ["metric", "budget", "method", "runs", *(f"sequences_{e}" for e in ENDS),
               *(f"events_{e}" for e in ENDS), "reason", "disagreements", "epochs_min",
               "epochs_max", "file", "key"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(words)


def _backtest(results: Results) -> Table:
    rows: list[Row] = []
    words: list[Row] = []
    for one in results.backtests:
        epochs, span = epochs_of(results, one.axis, one.arm)
        base: Row = {"metric": one.metric, "axis": one.axis, "arm": one.arm}
        base |= {"held_out": one.held_out, "budgets_left": one.budgets_left} | epochs
        base |= {"file": one.origin.file}
        rows += [
            base
            | {"what": what, "forecast": name, "status": status, "reason": reason, "cells": cells}
            | {k: score[k] for k in ("coverage", "crps", "error", "half_width")}
            | {"key": f"{one.origin.key}.{place}.{name}"}
            for what, status, reason, cells, scores, place in _parts_of(one)
            for name, score in scores.items()
            if score
        ]
        if one.status != "converged":
            said: Row = {"what": "cells", "status": one.status, "reason": one.reason}
            rows.append(base | said | {"key": one.origin.key})
        if one.metric in HEADLINE:
            words += _backtest_words(one, span)
    columns = ["metric", "axis", "arm", "held_out", "budgets_left", "what", "forecast", "status",
               "reason", "cells", "coverage", "crps", "error", "half_width", "epochs_min",
               "epochs_max", "file", "key"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(words)


def _parts_of(one: Backtest) -> list[tuple[str, str, str, int, Row, str]]:
    optimum = one.optimum
    return [
        ("cells", one.status, one.reason, len(one.cells), one.scores, "scores"),
        ("optimum", optimum.get("status", ""), optimum.get("reason", ""), 1,
         optimum.get("scores", {}), "optimum.scores"),
    ]  # fmt: skip


def _backtest_words(one: Backtest, span: str) -> list[Row]:
    lines: list[Row] = []
    for what, status, reason, cells, scores, _ in _parts_of(one):
        if what == "optimum" and (one.axis == "batch" or one.status != "converged"):
            continue
        line: Row = {
            "predicted": f"{short_metric(one.metric)}, {axis_title(one.axis, one.arm)}: "
            + (_cells_text(cells) if what == "cells" else optimum_symbol(one.axis, one.arm)),
            "held out": flops(one.held_out),
        }
        for name, head in FORECASTS.items():
            score = scores.get(name)
            line[head] = "–" if not score else _score_text(score, what)
        known = status == "converged"
        line |= {"remark": "–" if known else f"{status}: {reason}", "epochs": span}
        lines.append(line)
    return lines


def _cells_text(cells: int) -> str:
    return f"{cells} cells" if cells else "cells"


def _score_text(score: Row, what: str) -> str:
    covered = percent(score["coverage"]) if what == "cells" else "no"
    if what == "optimum" and score["coverage"] == 1:
        covered = "yes"
    return f"covered {covered}, CRPS {number(score['crps'])}"


def _choice(results: Results) -> Table:
    rows: list[Row] = []
    words: list[Row] = []
    for one in results.choices:
        epochs, span = epochs_of(results, one.axis, one.arm)
        row: Row = {name: getattr(one, name) for name in
                    ("axis", "arm", "budget", "loss", "metric", "cells", "x", "chosen_x",
                     "best_x")}  # fmt: skip
        row |= flat("cost", one.cost) | flat("relative", one.relative)
        row |= {"reason": one.cost.reason} | epochs
        rows.append(row | {"file": one.origin.file, "key": f"{one.origin.key}.cost"})
        if one.loss != LOSS or one.metric.split("/")[1:3] != ["restored", "all"]:
            continue
        word = percent if one.axis == "share" else count
        places = ["–" if x is None else word(x) for x in (one.chosen_x, one.best_x)]
        words.append(
            {
                "axis": axis_title(one.axis, one.arm),
                "C": flops(one.budget),
                "metric": short_metric(one.metric),
                "chosen by loss": places[0],
                "best by metric": places[1],
                "cost": estimate_text(one.cost, "metric"),
                "of the best": estimate_text(one.relative, "share"),
                "cells": count(one.cells),
                "epochs": span,
            }
        )
    columns = ["axis", "arm", "budget", "loss", "metric", "cells", "x", "chosen_x", "best_x",
               *(f"cost_{e}" for e in ENDS), *(f"relative_{e}" for e in ENDS), "reason",
               "epochs_min", "epochs_max", "file", "key"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(words)
