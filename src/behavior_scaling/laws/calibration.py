"""Calibration: the learning-rate rule from runs that vary it, and one setting at a time.

Runs that differ in nothing but the learning rate are a group. Choices: a group's best learning
rate lr* is the vertex of a parabola of the validation loss in log lr through the best one tried
and those within a factor of two of it (the loss rises faster above lr* than below, so farther
points would pull the vertex); a group whose best is the lowest or highest tried bounds lr* and
does not enter. The rule lr = base (d/32)^width (B/16)^batch (C/1e11)^budget is fitted by least
squares in log lr*, each group weighted by its curvature, so that what the rule costs over all
groups, in nats, is least. An exponent whose regressor does not vary by itself over the groups is
held at the study's. Only the validation loss decides.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws.arrays import Array, t_quantile
from behavior_scaling.laws.floors import LOSS
from behavior_scaling.laws.results import Estimate, Status
from behavior_scaling.laws.table import (
    VARIATION,
    Noise,
    cell_codes,
    metric_values,
    numbers,
    seed_noise,
)
from behavior_scaling.laws.variations import differences

if TYPE_CHECKING:
    import pandas as pd

RATE = "base="  # label of a cell whose learning rate is varied (sweep/axes.py)
NEAR = 2.2  # factor in lr around the best one within which points enter the parabola
SCALES = {"width": ("d_model", 32.0), "batch": ("batch", 16.0), "budget": ("budget", 1e11)}
Rule = dict[str, Any]  # base, width, batch, budget
FORM = "lr = base (d/32)^width (B/16)^batch (C/1e11)^budget"


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but the learning rate (and the seed)."""

    variations: tuple[str, ...]
    budget: float
    n_total: float
    d_model: float
    batch: float
    rates: tuple[float, ...]  # tried, ascending
    losses: tuple[float, ...]  # mean over seeds
    lost: int  # runs without a loss: diverged, failed or missing
    best: Estimate  # lr*
    loss: float | None  # at lr*, by the parabola
    curvature: float | None  # loss - loss at lr* = curvature (log lr / lr*)^2
    rule: float | None = None  # what the fitted rule chooses
    factor: float | None = None  # that over lr*
    cost: float | None = None  # nats lost by it, by the parabola


def calibration(runs: pd.DataFrame) -> dict[str, Any]:
    """The rule, its groups, and the differences that every other setting makes.

    Args:
        runs: the runs table; columns lr_rule_* hold the study's own rule.

    Returns:
        {'calibration': [one entry {'form', 'status', 'reason', 'parameters', 'groups', ...}],
        'variations': [one row a varied cell and metric]}; both empty without variations.
    """
    rows = runs[runs["axis"] == VARIATION]
    if rows.empty:
        return {"calibration": [], "variations": []}
    rated = rows["cell"].astype(str).str.startswith(RATE)
    groups = rate_groups(rows[rated], seed_noise(runs, LOSS)) if rated.any() else []
    return {
        "calibration": [_rule(groups, rows)] if groups else [],
        "variations": differences(runs, rows[~rated]),
    }


def rate_groups(rows: pd.DataFrame, noise: Noise) -> list[Group]:
    """The groups of rows that vary the learning rate, by budget, batch and N."""
    rows = rows.drop_duplicates("id").reset_index(drop=True)
    code, loss, rate = (
        cell_codes(rows, without="lr"),
        metric_values(rows, LOSS),
        numbers(rows, "lr"),
    )
    found = []
    for group in np.unique(code):
        here = code == group
        good = here & np.isfinite(loss) & (rows["outcome"] == "done").to_numpy()
        first = rows[here].iloc[0]
        tried, index = np.unique(rate[good], return_inverse=True)
        count = np.bincount(index, minlength=tried.size).astype(np.float64)
        mean = np.bincount(index, loss[good], tried.size) / np.maximum(count, 1)
        level = noise.get((int(first["stage"]), float(first["budget"])))
        sd = math.sqrt(level.variance) if level and level.variance else None
        best, value, bend = _vertex(tried, mean, count, sd, level.df if level else 0.0)
        found.append(
            Group(
                variations=tuple(dict.fromkeys(rows["arm"][here])),
                **{name: float(first[name]) for name in ("budget", "n_total", "d_model", "batch")},
                rates=tuple(map(float, tried)),
                losses=tuple(map(float, mean)),
                lost=int(here.sum() - good.sum()),
                best=best,
                loss=value,
                curvature=bend,
            )
        )
    return sorted(found, key=lambda group: (group.budget, group.batch, group.n_total))


def _vertex(
    rates: Array, losses: Array, count: Array, sd: float | None, df: float
) -> tuple[Estimate, float | None, float | None]:
    """lr* with its interval from the noise of a run, the loss there, and the curvature."""
    if rates.size < 3:
        return _nothing("too few points", f"{rates.size} learning rates; three needed"), None, None
    at = int(np.argmin(losses))
    if at in (0, rates.size - 1):
        side, bound = ("lowest", float(rates[1])) if at == 0 else ("highest", float(rates[-2]))
        reason = f"the best is the {side} tried"
        ends = {"low": bound if at else None, "high": None if at else bound}
        return Estimate(None, **ends, status="at bound", reason=reason), None, None
    near = np.abs(np.log(rates / rates[at])) <= math.log(NEAR)
    near[at - 1 : at + 2] = True
    z = np.log(rates[near] / rates[at])
    design = np.stack([np.ones_like(z), z, z**2], axis=1)
    weight = count[near]
    inverse = np.linalg.inv(design.T @ (weight[:, None] * design))
    c0, c1, c2 = (float(c) for c in inverse @ (design.T @ (weight * losses[near])))
    vertex = -c1 / (2 * c2) if c2 > 0 else np.inf
    if not z[0] <= vertex <= z[-1]:
        return _nothing("not identified", "no minimum within what was tried"), None, None
    slope = np.array([0.0, 1.0, 2 * vertex])
    best = float(rates[at] * np.exp(vertex))
    found = Estimate(best, None, None, "converged", "one seed: no interval")
    if sd is not None:
        margin = t_quantile(df) * sd * float(np.sqrt(slope @ inverse @ slope)) / (2 * c2)
        found = Estimate(best, best * math.exp(-margin), best * math.exp(margin), "converged")
    return found, c0 - c2 * vertex**2, c2


def _rule(groups: list[Group], rows: pd.DataFrame) -> dict[str, Any]:
    """The fitted rule, and every group with what the rule means for it."""
    own: Rule = {name: float(numbers(rows, f"lr_rule_{name}")[0]) for name in ("base", *SCALES)}
    used = [group for group in groups if group.best.status == "converged"]
    if not used:
        reason = "no group of runs has an optimum within the learning rates tried"
        held = {name: _nothing("not identified", reason) for name in own}
        return _entry(groups, held, own, "not identified", reason)
    logs = {
        name: np.log([getattr(group, column) / scale for group in used])
        for name, (column, scale) in SCALES.items()
    }
    held = _held(logs)
    free = [name for name in own if name not in held]
    design = np.stack([logs.get(name, np.ones(len(used))) for name in free], axis=1)
    target = np.log([float(group.best.value or np.nan) for group in used])
    target -= np.sum([own[name] * logs[name] for name in held], axis=0)
    weight = np.array([group.curvature for group in used], dtype=np.float64)
    inverse = np.linalg.inv(design.T @ (weight[:, None] * design))
    solved = inverse @ (design.T @ (weight * target))
    cost = weight * (target - design @ solved) ** 2  # nats, of each group
    spare = len(used) - len(free)
    margin = t_quantile(spare) * np.sqrt(np.diag(inverse) * cost.sum() / spare) if spare else None
    found = {}
    for index, name in enumerate(free):
        wide = None if margin is None else float(margin[index])
        found[name] = _estimate(float(solved[index]), wide, np.exp if name == "base" else float)
    rule = {name: found[name].value if name in found else own[name] for name in own}
    left = len(groups) - len(used)
    reason = f"{left} of {len(groups)} groups have no optimum within what was tried" if left else ""
    judged = [_judged(group, rule) for group in groups]
    costs = {"cost": float(cost.mean()), "study_cost": _mean_cost(used, own)}
    return _entry(judged, found | held, rule, "converged", reason) | costs


def _held(logs: dict[str, Array]) -> dict[str, Estimate]:
    """The exponents whose regressor is no direction of its own over the groups, and why."""
    held = {}
    design = np.ones((len(logs["width"]), 1))
    for name, column in logs.items():
        wider = np.column_stack([design, column])
        if np.linalg.matrix_rank(wider) > design.shape[1]:
            design = wider
            continue
        same = np.ptp(column) < 1e-9
        why = "the same in all groups" if same else "does not vary by itself over the groups"
        reason = f"held at the study's value: {SCALES[name][0]} {why}"
        held[name] = _nothing("not identified", reason)
    return held


def _estimate(value: float, margin: float | None, unit: Callable[[float], float]) -> Estimate:
    """A fitted number with its interval, in its own unit."""
    if margin is None:
        reason = "no group to spare: no interval"
        return Estimate(float(unit(value)), None, None, "converged", reason)
    low, high = float(unit(value - margin)), float(unit(value + margin))
    return Estimate(float(unit(value)), low, high, "converged")


def _mean_cost(groups: list[Group], rule: Rule) -> float:
    """Nats that a rule loses against each group's own optimum, on average."""
    return float(np.mean([_judged(group, rule).cost for group in groups]))


def _judged(group: Group, rule: Rule) -> Group:
    """The group with what a rule chooses for it."""
    rate = rule["base"] * math.prod(
        (getattr(group, column) / scale) ** rule[name] for name, (column, scale) in SCALES.items()
    )
    if group.best.value is None or group.curvature is None:
        return dataclasses.replace(group, rule=rate)
    factor = rate / group.best.value
    cost = group.curvature * math.log(factor) ** 2
    return dataclasses.replace(group, rule=rate, factor=factor, cost=cost)


def _entry(
    groups: list[Group],
    parameters: dict[str, Estimate],
    rule: Rule,
    status: str,
    reason: str,
) -> dict[str, Any]:
    return {
        "metric": LOSS,
        "form": FORM,
        "status": status,
        "reason": reason,
        "cost": None,  # nats that the rule loses on average over the groups, by their parabolas
        "study_cost": None,  # that of the study's own rule
        "rule": rule,  # the numbers to take: fitted, or held at the study's
        "parameters": {name: dataclasses.asdict(one) for name, one in parameters.items()},
        "groups": [dataclasses.asdict(group) for group in groups],
    }


def _nothing(status: Status, reason: str) -> Estimate:
    return Estimate(None, None, None, status, reason)
