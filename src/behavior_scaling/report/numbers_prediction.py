"""The numbers of the committed prediction: scores by forecast, lifts with their errors, sentences.

Choices: hindsight enters none of them; a study without a prediction keeps the sentences, which
then say so.
"""

from __future__ import annotations

from behavior_scaling.report.inputs import Results
from behavior_scaling.report.number import HEADLINE, Numbers, entry, slug
from behavior_scaling.report.prediction import (
    FILE,
    NAMES,
    NONE,
    NOT_RUN,
    Lift,
    Predicted,
    lifts,
    predictions,
    score_text,
)
from behavior_scaling.report.text import (
    FORECASTS,
    axis_title,
    estimate_text,
    flops,
    join,
    number,
    percent,
)


def prediction_numbers(results: Results) -> Numbers:
    """Scores and errors by metric, axis and forecast; and sentences by headline metric."""
    entries: Numbers = {}
    own = [one for one in predictions(results) if not one.hindsight]
    gains = [one for one in lifts(results) if not one.hindsight and one.ahead]
    made = own[0].made if own else None
    entries["prediction.made"] = entry(made, made or NONE, FILE, "prediction[0].made")
    for one in own:
        middle = ".".join(part for part in (one.axis, one.arm) if part)
        for name, score in one.scores.items():
            head = f"prediction.{slug(one.metric)}.{middle}.{name}"
            place = f"{one.origin.key}.scores.{name}"
            for what, word in (("rmse", number), ("coverage", percent)):
                text = word(score[what])
                entries[f"{head}.{what}"] = entry(
                    score[what], text, one.origin.file, f"{place}.{what}"
                )
    for gain in gains:
        key = f"lift.{slug(gain.metric)}.{gain.kind}.{gain.forecast}"
        for what, value in (("predicted", gain.predicted), ("measured", gain.measured)):
            place = f"{gain.origin.key}.{what}.value"
            entries[f"{key}.{what}"] = entry(
                value.value, estimate_text(value), gain.origin.file, place
            )
        text = "not known" if gain.error is None else percent(gain.error)
        entries[f"{key}.error"] = entry(
            gain.error, text, gain.origin.file, f"{gain.origin.key}.error"
        )
    for name, metric in HEADLINE.items():
        said = [_sentence(one) for one in own if one.metric == metric]
        entries[f"prediction.{name}"] = entry(
            len(said), "; ".join(said) or NONE, FILE, "prediction"
        )
        parts = [_lift_sentence(one) for one in gains if one.metric == metric]
        entries[f"lift.{name}"] = entry(len(parts), "; ".join(parts) or NONE, FILE, "lift")
    return entries


def _sentence(one: Predicted) -> str:
    head = f"{axis_title(one.axis, one.arm)} at {flops(one.held_out)}"
    if not one.scores:
        return f"{head}: {NOT_RUN}"
    known = [f"{NAMES[key]} {score_text(one, key)}" for key in FORECASTS if key in one.scores]
    noise = "" if one.noise is None else f"; seed noise alone {number(one.noise)}"
    return f"{head}: {join(known)}{noise}"


def _lift_sentence(one: Lift) -> str:
    head = f"{flops(one.start)} to {flops(one.end)} by the {NAMES[one.forecast]}"
    error = "" if one.error is None else f", {percent(one.error)} off"
    return (
        f"{head}: {estimate_text(one.predicted)} predicted, "
        f"{estimate_text(one.measured)} measured{error}"
    )
