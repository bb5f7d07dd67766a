"""Tables of the committed prediction: cells and optima by forecast, and what more compute brings.

Choices: a forecast of a lift stands beside the measured one with its relative error, because the
article's claim is about that error; steps that the fit had seen say so. The CSVs hold every metric,
the words the loss and recall@10: a table of sixty lines is not read.
"""

from __future__ import annotations

import pandas as pd

from behavior_scaling.report.inputs import Results
from behavior_scaling.report.number import HEADLINE
from behavior_scaling.report.prediction import (
    NAMES,
    NOT_RUN,
    OF,
    Lift,
    Predicted,
    lift_title,
    lifts,
    predictions,
    score_text,
)
from behavior_scaling.report.tables_joint import ENDS, Row, Table, epochs_of, flat
from behavior_scaling.report.text import FORECASTS, estimate_text, number, percent

SCORED = ("rmse", "error", "coverage", "half_width")


def prediction_tables(results: Results) -> dict[str, Table]:
    """The tables 'prediction' and 'lift'."""
    return {"prediction": _prediction_table(results), "lift": _lift_table(results)}


def _prediction_table(results: Results) -> Table:
    rows: list[Row] = []
    words: list[Row] = []
    for one in predictions(results):
        epochs, span = epochs_of(results, one.axis, one.arm)
        base: Row = {"metric": one.metric, "axis": one.axis, "arm": one.arm}
        base |= {"budget": one.held_out, "hindsight": one.hindsight, "made": one.made}
        base |= {"same_runs": one.same_runs, "trained_on": one.trained_on, "noise": one.noise}
        base |= {"surface": one.status} | epochs | {"file": one.origin.file}
        for name, score in one.scores.items():
            said = {"of": "cells", "forecast": name, "key": f"{one.origin.key}.scores.{name}"}
            rows.append(base | said | score)
        for index, other in enumerate(one.optimum):
            line: Row = {"of": other.of, "forecast": other.forecast, "error": other.error}
            line |= flat("predicted", other.predicted) | flat("found", other.found)
            line |= {"agrees": other.agrees, "key": f"{one.origin.key}.optimum[{index}]"}
            rows.append(base | line)
        if not one.scores:
            rows.append(base | {"of": "cells", "key": one.origin.key})
        if one.metric in HEADLINE.values():
            words += _prediction_words(one, span)
    columns = ["metric", "axis", "arm", "budget", "hindsight", "made", "same_runs", "trained_on",
               "surface", "of", "forecast", "cells", *SCORED, "noise",
               *(f"predicted_{end}" for end in ENDS), *(f"found_{end}" for end in ENDS), "agrees",
               "epochs_min", "epochs_max", "file", "key"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(words)


def _prediction_words(one: Predicted, span: str) -> list[Row]:
    remark = [] if one.same_runs else ["the runs it was made from have changed since"]
    remark += [f"surface {one.status}: {one.reason}"] if one.status != "converged" else []
    remark += [] if one.scores else [NOT_RUN]
    line: Row = {"predicted": one.title}
    line |= {name: score_text(one, key) for key, name in FORECASTS.items()}
    noise = "–" if one.noise is None else number(one.noise)
    lines = [line | {"seed noise": noise, "remark": "; ".join(remark) or "–", "epochs": span}]
    for of, symbol in OF.items():
        own = [other for other in one.optimum if other.of == of]
        if not own:
            continue
        found, *rivals = [f"found: {estimate_text(own[0].found, _unit(of))}"] + [
            f"{NAMES[o.forecast]}: {estimate_text(o.predicted, _unit(of))}" for o in own[1:]
        ]
        line = {"predicted": f"{one.title}: {symbol}"} | dict.fromkeys(FORECASTS.values(), "–")
        line[FORECASTS[own[0].forecast]] = estimate_text(own[0].predicted, _unit(of))
        line |= {"seed noise": "–", "remark": "; ".join([found, *rivals]), "epochs": span}
        lines.append(line)
    return lines


def _unit(of: str) -> str:
    return "metric" if of == "best" else ""


def _lift_table(results: Results) -> Table:
    epochs, span = epochs_of(results, "allocation")
    rows: list[Row] = []
    words: list[Row] = []
    for one in lifts(results):
        row: Row = {name: getattr(one, name) for name in
                    ("metric", "held_out", "hindsight", "kind", "start", "end", "doublings",
                     "ahead", "forecast", "error", "within", "agrees")}  # fmt: skip
        row |= flat("predicted", one.predicted) | flat("measured", one.measured) | epochs
        rows.append(row | {"file": one.origin.file, "key": one.origin.key})
        if one.metric in HEADLINE.values():
            words.append(_lift_words(one, span))
    columns = ["metric", "held_out", "hindsight", "kind", "start", "end", "doublings", "ahead",
               "forecast", *(f"predicted_{end}" for end in ENDS),
               *(f"measured_{end}" for end in ENDS), "error", "within", "agrees", "epochs_min",
               "epochs_max", "file", "key"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(words)


def _lift_words(one: Lift, span: str) -> Row:
    return {
        "lift of": lift_title(one),
        "forecast": NAMES[one.forecast],
        "predicted": estimate_text(one.predicted),
        "measured": estimate_text(one.measured),
        "error": "–" if one.error is None else percent(one.error),
        "within 5%": _yes(one.within),
        "seen before": "no" if one.ahead else "yes",
        "epochs": span,
    }


def _yes(value: bool | None) -> str:
    return "–" if value is None else "yes" if value else "no"
