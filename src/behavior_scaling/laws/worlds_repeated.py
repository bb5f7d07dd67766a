"""Fresh against repeated data: two studies of one world and grid that differ in unique positions.

Choices: cells are paired by their design and budget, losses are taken over the oracle on each
study's own positions. The fresh study's excess is fitted by A N^-alpha + B D^-beta (E is known); a
repeated position then enters as D_eff = U + U R* (1 - exp(-(epochs - 1) / R*)) (repetition.py), and
R* is what the paired differences say: least squares on a grid, its interval the profile's. Two
bounds need no R*: repeats worth nothing (D_eff = U) and repeats as good as new (no difference).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws.arrays import (
    Array,
    LawsError,
    accepted_range,
    mapped,
    t_quantile,
)
from behavior_scaling.laws.floors import LOSS
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.repetition import WORTH, effective
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.table import DESIGN
from behavior_scaling.laws.term_law import fit_terms
from behavior_scaling.laws.term_problem import Asked, Input

if TYPE_CHECKING:
    import pandas as pd

    from behavior_scaling.laws.worlds import World

GRID = 601
FORM = "L - E = A N^-alpha + B D^-beta, E known"
MIN_PAIRS = 3
TINY = 1e-16  # nats^2: below it a difference only tells rounding


def repetitions(worlds: Sequence[World]) -> list[dict[str, Any]]:
    """One row for every pair of studies of one world whose unique positions differ."""
    rows = []
    for fresh in worlds:
        for repeated in worlds:
            same = (fresh.source, fresh.seed) == (repeated.source, repeated.seed)
            if same and fresh.unique > repeated.unique:
                rows.append(_pair(fresh, repeated))
    return [row for row in rows if row["cells"]]


def _pair(fresh: World, repeated: World) -> dict[str, Any]:
    keys = ["budget", *(name for name in DESIGN if name in fresh.runs.columns)]
    means = [_excess(one, keys) for one in (fresh, repeated)]
    both = means[0].merge(means[1], on=keys, suffixes=("_fresh", "_repeated"))
    both = both.sort_values(["budget", "n_total_fresh"]).reset_index(drop=True)
    difference = (both["excess_repeated"] - both["excess_fresh"]).to_numpy(float)
    row: dict[str, Any] = {
        "fresh": fresh.study,
        "repeated": repeated.study,
        "source": fresh.source,
        "unique_fresh": fresh.unique,
        "unique_repeated": repeated.unique,
        "surface": dataclasses.asdict(
            repeated.surface.get("R*", nothing("too few points", "no joint surface was fitted"))
        ),
    }
    try:
        size = _data_term(means[0])
        worth, best, least = _worth(both, difference, size)
    except LawsError as error:
        worth, best, least, size = nothing("too few points", str(error)), None, None, None
    cells = [
        {
            "budget": float(both["budget"][i]),
            "n_total": float(both["n_total_fresh"][i]),
            "positions": float(both["positions"][i]),
            "epochs_fresh": float(both["epochs_fresh"][i]),
            "epochs_repeated": float(both["epochs_repeated"][i]),
            "difference": float(difference[i]),
            "predicted": None if best is None else float(best[i]),
            "worth_nothing": None if least is None else float(least[i]),
        }
        for i in range(len(both))
    ]
    return row | {"R*": dataclasses.asdict(worth), "data_term": size, "form": FORM, "cells": cells}


def _excess(world: World, keys: list[str]) -> pd.DataFrame:
    """Means over seeds of the loss over the oracle, by cell of the allocation axis."""
    runs = world.runs[(world.runs["axis"] == "allocation") & (world.runs["outcome"] == "done")]
    runs = runs[~runs["control"].fillna(False).astype(bool)]
    wanted = ["n_total", "epochs", "unique_positions", "excess"]
    runs = runs.assign(excess=runs[LOSS] - world.oracle["cross_entropy"])
    return runs.groupby(keys, dropna=False)[wanted].mean().reset_index()


def _data_term(means: pd.DataFrame) -> dict[str, float]:
    """A, alpha, B and beta of the fresh study's excess."""
    excess, n, d = (means[name].to_numpy(float) for name in ("excess", "n_total", "positions"))
    if (excess <= 0).any():
        raise LawsError("a loss is not above the known E")
    inputs = [Input("A", "alpha", n), Input("B", "beta", d)]
    law = fit_terms("parametric", FORM, excess, inputs, Asked("log", None, 0, 0), floor=False)
    shown = law.parameters["B"]
    if shown.value is None:
        raise LawsError(f"no term of D to hold against: {shown.reason}")
    return law.minimum


def _worth(
    both: pd.DataFrame, difference: Array, size: dict[str, float]
) -> tuple[Estimate, Array | None, Array]:
    """R*, what it predicts of every difference, and what 'repeats are worth nothing' does."""
    d, fresh, repeated = (
        both[name].to_numpy(float)
        for name in ("positions", "unique_positions_fresh", "unique_positions_repeated")
    )

    def lost(fresh_d: Array, repeated_d: Array) -> Array:
        return np.asarray(
            size["B"] * (repeated_d ** -size["beta"] - fresh_d ** -size["beta"]), dtype=np.float64
        )

    least = lost(np.minimum(d, fresh), np.minimum(d, repeated))
    told = d > repeated
    pairs = int(told.sum())
    if pairs < MIN_PAIRS:
        reason = f"{pairs} cells see an event twice or more; {MIN_PAIRS} are needed"
        return nothing("too few points", reason), None, least
    grid = np.linspace(float(np.log(WORTH[0])), float(np.log(WORTH[1])), GRID)
    predicted = [lost(effective(d, fresh, r), effective(d, repeated, r)) for r in np.exp(grid)]
    squares = np.array([float(np.sum((difference - gain)[told] ** 2)) for gain in predicted])
    at, df = int(np.argmin(squares)), pairs - 1
    variance = max(float(squares[at]) / df, TINY)
    ends = accepted_range(grid, (squares - squares[at]) / variance, t_quantile(df) ** 2)
    low, high = (mapped(np.exp, end) for end in ends)
    if low is None or high is None:
        side = "as good as new" if high is None else "worth nothing"
        reason = f"repeats may be {side}: R* has no {'upper' if high is None else 'lower'} end"
        return Estimate(None, low, high, "at bound", reason), predicted[at], least
    return Estimate(float(np.exp(grid[at])), low, high, "converged"), predicted[at], least
