"""The table of worlds: entropy, what was reached, exponents, and the E that fits make of it.

Choices: the CSV holds every number as a row of (study, quantity, budget) and what runs across
worlds below; the Markdown has a line a world, so that worlds are compared down a column.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from behavior_scaling.laws.results import Estimate
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.text import (
    count,
    estimate_text,
    flops,
    number,
    percent,
    three_decimals,
)
from behavior_scaling.report.worlds import (
    EXPONENTS,
    NONE,
    WorldLaw,
    across_worlds,
    repeated_data,
    world_laws,
)

Row = dict[str, Any]
COLUMNS = ["study", "source", "entropy", "unique_positions", "quantity", "budget", "value", "low",
           "high", "status", "reason", "epochs_min", "epochs_max", "file", "key"]  # fmt: skip
HEADS = ["world", "H_L", "best loss above E", "exponents", "fitted E", "epochs", "remarks"]
WORLDS_NOTE = (
    "E is known: the oracle's cross-entropy on the validation positions. Losses in nats an event, "
    "with 95% intervals of seeds alone. A rank correlation of n worlds has p ≥ 1/n!."
)


def worlds_table(results: Results) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Numbers and words."""
    worlds = world_laws(results.world_rows, results.place)
    rows = [row for world in worlds for row in _rows(world)]
    words = [_words(world) for world in worlds] or [{"world": NONE}]
    for one in across_worlds(results.across, results.place):
        said = {"study": " ".join(one.studies), "file": one.origin.file}
        rows += [
            said
            | {"quantity": f"slope of {one.of} over entropy", "key": f"{one.origin.key}.slope"}
            | _flat(one.slope),
            said | {"quantity": f"rank correlation of {one.of}", "value": one.rank}
            | {"key": f"{one.origin.key}.rank"},
            said | {"quantity": f"p of the rank correlation of {one.of}", "value": one.p_value}
            | {"low": one.least_p, "key": f"{one.origin.key}.p_value"},
        ]  # fmt: skip
        tested = f"; rank correlation {number(one.rank)}" if one.rank is not None else ""
        tested += f", p = {number(one.p_value)}" if one.p_value is not None else ""
        text = f"per nat: {_with_reason(one.slope)}{tested}"
        words.append({"world": f"all: {EXPONENTS[one.of]}", "exponents": text})
    for pair in repeated_data(results.repetition_rows, results.place):
        said = {"study": pair.repeated, "source": pair.source, "file": pair.origin.file}
        rows += [
            said | {"quantity": name, "key": f"{pair.origin.key}.{key}"} | _flat(value)
            for name, key, value in (
                ("R* of the pair", "R*", pair.worth), ("R* of the surface", "surface", pair.surface)
            )
        ]  # fmt: skip
        text = f"R* {_with_reason(pair.worth)}; joint surface: {estimate_text(pair.surface)}"
        words.append({"world": f"{pair.repeated} against {pair.fresh}", "exponents": text})
    shown = pd.DataFrame([dict.fromkeys(HEADS, "–") | line for line in words], columns=HEADS)
    return pd.DataFrame(rows, columns=COLUMNS), shown


def _rows(world: WorldLaw) -> list[Row]:
    base: Row = {"study": world.study, "source": world.source, "entropy": world.entropy}
    base |= {"unique_positions": world.unique, "file": world.origin.file}
    if world.epochs:
        base |= {"epochs_min": world.epochs[0], "epochs_max": world.epochs[1]}
    rows: list[Row] = [
        base | {"quantity": name, "value": value, "key": f"{world.origin.key}.oracle.{key}"}
        for name, value, key in (
            ("H_L", world.entropy, "H"), ("known E", world.oracle, "cross_entropy")
        )
    ]  # fmt: skip
    for index, one in enumerate(world.budgets):
        at = base | {"budget": one.budget, "reason": one.at}
        key = f"{world.origin.key}.budgets[{index}]"
        rows.append(at | {"quantity": "best loss", "key": f"{key}.loss"} | _ends(one.loss))
        rows.append(at | {"quantity": "loss above E", "key": f"{key}.gap"} | _ends(one.gap))
    for head, part in (("known", world.known), ("plain", world.plain), ("free", world.free)):
        for name, value in part.items():
            key = f"{world.origin.key}.{head}.{name}"
            rows.append(base | {"quantity": f"{head} {name}", "key": key} | _flat(value))
    for name, value in world.fitted.items():
        key = f"{world.origin.key}.E.{name}"
        rows.append(base | {"quantity": f"E by {name}", "key": key} | _flat(value))
    size = base | {"quantity": "exponent of N*", "key": f"{world.origin.key}.N"}
    return [*rows, size | _flat(world.size)]


def _words(world: WorldLaw) -> Row:
    gaps = [f"{flops(one.budget)}: {three_decimals(one.gap.value or 0)}" for one in world.budgets]
    last = world.budgets[-1] if world.budgets else None
    share = f" ({percent((last.gap.value or 0) / world.oracle)} of E at the last)" if last else ""
    return {
        "world": f"{world.source} ({world.study}, {count(world.unique)} unique positions)",
        "H_L": f"{three_decimals(world.entropy)} ± {world.entropy_error:.4f}",
        "best loss above E": "; ".join(gaps) + share if gaps else "no finished run",
        "exponents": "; ".join(
            f"{words}: {estimate_text(world.exponent(name))}" for name, words in EXPONENTS.items()
        ),
        "fitted E": "; ".join(
            f"{name} {estimate_text(value, 'metric')}" for name, value in world.fitted.items()
        )
        + f" (known {three_decimals(world.oracle)})",
        "epochs": " to ".join(map(number, world.epochs)) if world.epochs else "–",
        "remarks": "; ".join(world.notes) or "–",
    }


def _with_reason(estimate: Estimate) -> str:
    text = estimate_text(estimate)
    return f"{text} ({estimate.reason})" if estimate.status != "converged" else text


def _flat(estimate: Estimate) -> Row:
    return _ends(estimate) | {"status": estimate.status, "reason": estimate.reason}


def _ends(estimate: Estimate) -> Row:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
