"""Claims that are answered from cells rather than from a fit: the best cell, its rise, its bend.

Choices: the best cell mean of a budget on the allocation axis stands for what the budget reaches
(chosen on what it reports, which flatters it a little); its noise is the seed variance pooled over
the cells of a budget and smooth in C (laws/noise.py), so a study of one seed gives values without
an interval; the noise of the users scored is not in it. Rise: gain a decade of compute from the
smallest budget to the largest. Bend: gain a decade of the last step minus that of the first, below
zero where returns diminish. Both are sums of budget values whose noises are independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from behavior_scaling.laws.arrays import t_quantile
from behavior_scaling.laws.noise import NoiseLevel, noise_levels, pooled
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.transforms import is_maximised
from behavior_scaling.report.claims_file import Claim, Ours
from behavior_scaling.report.found import Found, nearest, span_of, study_flags
from behavior_scaling.report.inputs import CELL, Origin, Results, cells
from behavior_scaling.report.text import short_metric

FEWEST = {"rise": 2, "bend": 3}  # budgets
WORDS = {"rise": "rise of", "bend": "bend of"}


@dataclass(frozen=True)
class Reached:
    """The best cell of one budget: its mean, how many seeds, and the noise of a single run."""

    budget: float
    value: float
    runs: int
    noise: NoiseLevel


def find_cells(results: Results, ours: Ours, claim: Claim) -> Found:
    """The estimate of a claim about cells; `reason` says why there is none."""
    metric, axis = ours.metric or "", ours.axis or ""
    found = reached(results, axis, metric)
    if not found:
        return Found(
            None, None, reason=f"no finished run on axis {axis} has {short_metric(metric)}"
        )
    flags = study_flags(results, axis)
    file, place = f"{results.place}runs.parquet", f"best cell mean of {metric}, axis {axis}"
    if ours.cells == "best":
        values = [(one.budget, weighted([(1.0, one)]), place) for one in found]
        budgets = span_of([one.budget for one in found])
        return nearest(values, budgets, claim, flags, file)
    kind = ours.cells or "rise"
    if len(found) < FEWEST[kind]:
        reason = f"{len(found)} budgets; {FEWEST[kind]} needed"
        estimate = Estimate(None, None, None, "too few points", reason)
    else:
        estimate = weighted(_rise(found) if kind == "rise" else _bend(found))
    origin = Origin(file, f"{WORDS[kind]} {place}")
    return Found(estimate, span_of([one.budget for one in found]), flags=flags, origin=origin)


def reached(results: Results, axis: str, metric: str) -> list[Reached]:
    """The best cell of every budget of an axis, ascending; controls aside."""
    runs = results.axis_runs(axis)
    runs = runs[(runs["outcome"] == "done") & ~runs["control"].astype(bool)]
    if metric not in runs.columns or runs[metric].notna().sum() == 0:
        return []
    runs = runs[runs[metric].notna()]
    budgets = sorted(float(budget) for budget in set(runs["budget"]))
    spread = []
    for budget in budgets:
        own = runs[runs["budget"] == budget]
        labels = own.groupby(CELL, dropna=False).ngroup()
        spread.append(pooled(labels.to_numpy(), own[metric].to_numpy()))
    sums, dfs = zip(*spread, strict=True)
    noise = noise_levels(budgets, sums, dfs)
    means = cells(runs, [metric]).sort_values(metric, ascending=not is_maximised(metric))
    best = [means[means["budget"] == budget].to_dict("records")[0] for budget in budgets]
    return [
        Reached(budget, float(row[metric]), int(row["runs"]), noise[budget])
        for budget, row in zip(budgets, best, strict=True)
    ]


def weighted(parts: list[tuple[float, Reached]]) -> Estimate:
    """A weighted sum of budgets' values with its 95% interval (Satterthwaite's df)."""
    value = sum(weight * one.value for weight, one in parts)
    missing = [one.noise.reason for _, one in parts if not one.noise.known]
    if missing:
        return Estimate(value, None, None, "not identified", missing[0])
    variances = [weight**2 * (one.noise.variance or 0.0) / one.runs for weight, one in parts]
    total = sum(variances)
    if total == 0:
        return Estimate(value, value, value, "converged", "seeds agree exactly")
    shares = [v**2 / one.noise.df for v, (_, one) in zip(variances, parts, strict=True)]
    half = t_quantile(total**2 / sum(shares)) * math.sqrt(total)
    return Estimate(value, value - half, value + half, "converged", "seed noise alone")


def _rise(found: list[Reached]) -> list[tuple[float, Reached]]:
    first, last = found[0], found[-1]
    decades = math.log10(last.budget / first.budget)
    return [(-1 / decades, first), (1 / decades, last)]


def _bend(found: list[Reached]) -> list[tuple[float, Reached]]:
    weights = np.zeros(len(found))
    for index, sign in ((len(found) - 2, 1.0), (0, -1.0)):
        decades = math.log10(found[index + 1].budget / found[index].budget)
        weights[index] -= sign / decades
        weights[index + 1] += sign / decades
    return [(float(w), one) for w, one in zip(weights, found, strict=True) if w]
