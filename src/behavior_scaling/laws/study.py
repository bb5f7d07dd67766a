"""All laws of a study: from the runs table to the contents of laws/*.json.

Choices: one AxisFit per axis, arm and headline metric whose column exists; session starts are
fitted only where the slice is large enough; a maximised metric is fitted a second time without
its transform, and flagged 'transform-dependent' where the optimum leaves its interval;
'pre-bigram' marks every curve whose best model stays above the Markov floor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws import batch, isoflop, two_term
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.parts import AxisParts, carried
from behavior_scaling.laws.results import AxisFit, CurveFit
from behavior_scaling.laws.study_agreement import study_agreement
from behavior_scaling.laws.study_compute import compute_fit
from behavior_scaling.laws.table import (
    AXES,
    X_COLUMN,
    Group,
    cell_means,
    check_runs,
    groups,
    metric_curves,
    metric_values,
    numbers,
    seed_noise,
)
from behavior_scaling.laws.transforms import NEGATED, Transform, is_maximised, transform_for

if TYPE_CHECKING:
    import pandas as pd

RESTORED = "validation/restored/all"
SESSION = "validation/restored/session_start"
LOSS = f"{RESTORED}/cross_entropy"
RANKINGS = ("recall@10", "ndcg@10", "mrr@10")
RAW = "validation/raw/all"
HEADLINE = (LOSS, f"{RAW}/cross_entropy", *(f"{RESTORED}/{name}" for name in RANKINGS))
SESSION_METRICS = tuple(f"{SESSION}/{name}" for name in ("cross_entropy", *RANKINGS))
MIN_POSITIONS = 500
MIN_USERS = 100

Floors = Mapping[str, Mapping[str, Mapping[str, float | None]]]


def fit_study(
    runs: pd.DataFrame, floors: Floors | None, seed: int = 0, resamples: int = 400
) -> dict[str, dict[str, Any]]:
    """Fit every law of a study.

    Args:
        runs: the runs table, one row per (axis, arm, cell, run).
        floors: {split: {floor: {metric: value}}}; None: no curve is checked against Markov.
        seed: of every resample and permutation.
        resamples: noise redraws and cell resamples behind an interval.

    Returns:
        {'allocation' | 'share' | 'batch' | 'negatives' | 'compute': {'axis', 'fits'},
        'agreement': {'agreement'}}; an axis absent from the table has an empty list.

    Raises:
        LawsError: naming the column that is missing or holds an impossible value.
    """
    check_runs(runs)
    found = groups(runs)
    metrics = headline_metrics(runs)
    fits: dict[str, list[AxisFit]] = {axis: [] for axis in AXES}
    compute: list[AxisFit] = []
    for metric in metrics:
        noise = seed_noise(runs, metric)
        for group in found:
            curves, lost = metric_curves(group, metric, transform_for(metric), noise)
            if not curves:
                continue
            parts, notes = _fit(group, curves, seed, resamples)
            if is_maximised(metric):
                check, _ = metric_curves(group, metric, NEGATED, noise)
                parts = _compared(parts, _fit(group, check, seed, resamples)[0])
            parts = _flagged(parts, _below_markov(group, floors))
            all_notes = (*group.notes, *lost, *notes, *parts.notes)
            transform = transform_for(metric)
            fit = _axis_fit(group, metric, transform, parts, all_notes)
            fits[group.axis].append(fit)
            if group.axis == "allocation":
                compute.append(compute_fit(metric, curves, fit.curves, seed, resamples))
    return {
        **{axis: {"axis": axis, "fits": [f.to_dict() for f in fits[axis]]} for axis in AXES},
        "compute": {"axis": "compute", "fits": [f.to_dict() for f in compute]},
        "agreement": {"agreement": study_agreement(found, ranking_metrics(runs), seed, resamples)},
    }


def headline_metrics(runs: pd.DataFrame) -> list[str]:
    """The metrics that get a law: columns with a value, session starts if the slice is large."""
    return _present(runs, [*HEADLINE, *(SESSION_METRICS if slice_is_large(runs, SESSION) else ())])


def ranking_metrics(runs: pd.DataFrame) -> list[str]:
    """The ranking metrics that losses are held against: of both scores, and session starts."""
    prefixes = [RESTORED, RAW, *([SESSION] if slice_is_large(runs, SESSION) else [])]
    return _present(runs, [f"{prefix}/{name}" for prefix in prefixes for name in RANKINGS])


def _present(runs: pd.DataFrame, names: Sequence[str]) -> list[str]:
    columns = [name for name in names if name in runs.columns]
    return [name for name in columns if np.isfinite(metric_values(runs, name)).any()]


def slice_is_large(runs: pd.DataFrame, prefix: str) -> bool:
    """Whether a slice has at least 500 positions and 100 users in every run that has it."""
    for column, least in (
        (f"{prefix}/n_positions", MIN_POSITIONS),
        (f"{prefix}/n_users", MIN_USERS),
    ):
        if column not in runs.columns:
            return False
        counts = numbers(runs, column)
        counts = counts[np.isfinite(counts)]
        if counts.size == 0 or counts.min() < least:
            return False
    return True


def _fit(
    group: Group, curves: Sequence[CurveData], seed: int, resamples: int
) -> tuple[AxisParts, tuple[str, ...]]:
    """The axis's own law; notes say which cells it could not admit."""
    if group.axis == "allocation":
        return isoflop.fit_allocation(curves), ()
    if group.axis == "batch":
        kept = [_admissible(data) for data in curves]
        lost = sum(data.cells for data in curves) - sum(data.cells for data in kept)
        notes = (f"{lost} cells not admissible (steps or windows): left out",) if lost else ()
        law = batch.fit_critical_batch if group.arm == "clean" else batch.fit_optimal_batch
        return law(kept), notes
    name = "share" if group.axis == "share" else "K"
    parts = two_term.fit_two_term(curves, name, seed=seed, resamples=resamples)
    if group.axis == "negatives":
        parts = replace(
            parts,
            curves=tuple(_over_catalogue(f, d) for f, d in zip(parts.curves, curves, strict=True)),
        )
    return parts, ()


def _admissible(data: CurveData) -> CurveData:
    c = data.columns
    return data.subset(
        batch.admissible(data.x, c["steps_after_warmup"], c["unique_positions"], c["context"])
    )


def _over_catalogue(fit: CurveFit, data: CurveData) -> CurveFit:
    items = float(data.columns["n_items"][0])
    share = carried(fit.optimum, lambda k: k / items)
    return replace(fit, derived={**fit.derived, "over_catalogue": share})


def _compared(parts: AxisParts, untransformed: AxisParts) -> AxisParts:
    """Flag each optimum that the untransformed metric puts outside its interval."""
    other = {fit.budget: fit.optimum for fit in untransformed.curves}
    curves = []
    for fit in parts.curves:
        own, check = fit.optimum, other.get(fit.budget)
        moved = (
            own.value is not None
            and own.status == "converged"
            and (
                check is None
                or check.value is None
                or (own.low is not None and check.value < own.low)
                or (own.high is not None and check.value > own.high)
            )
        )
        flags = (*fit.flags, "transform-dependent") if moved else fit.flags
        curves.append(replace(fit, flags=flags))
    return replace(parts, curves=tuple(curves))


def _below_markov(group: Group, floors: Floors | None) -> set[float]:
    """Budgets whose best restored cross-entropy does not reach the interpolated Markov floor."""
    floor = (floors or {}).get("validation", {}).get("markov", {}).get("cross_entropy")
    if floor is None or LOSS not in group.frame.columns:
        return set()
    budget = numbers(group.frame, "budget")
    low = set()
    for c in np.unique(budget):
        losses = cell_means(group.frame[budget == c], [LOSS])[LOSS]
        losses = losses[np.isfinite(losses)]
        if losses.size and losses.min() > floor:
            low.add(float(c))
    return low


def _flagged(parts: AxisParts, budgets: set[float]) -> AxisParts:
    return replace(
        parts,
        curves=tuple(
            replace(fit, flags=(*fit.flags, "pre-bigram")) if fit.budget in budgets else fit
            for fit in parts.curves
        ),
    )


def _axis_fit(
    group: Group, metric: str, transform: Transform, parts: AxisParts, notes: tuple[str, ...]
) -> AxisFit:
    form = {
        "allocation": isoflop.FORM,
        "batch": batch.CLEAN_FORM if group.arm == "clean" else batch.PAPER_FORM,
    }.get(group.axis, two_term.FORM)
    return AxisFit(
        axis=group.axis,
        arm=group.arm,
        metric=metric,
        form=form,
        transform=transform.name,
        x=X_COLUMN[group.axis],
        curves=parts.curves,
        exponents=parts.exponents,
        notes=notes,
    )
