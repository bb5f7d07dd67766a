"""One axis of a study, one metric: its law, its check without the transform, its flags.

Choices: a maximised metric is fitted a second time without its transform, and flagged
'transform-dependent' where the optimum leaves its interval; 'pre-bigram' marks every curve whose
best model stays above the Markov floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from behavior_scaling.laws import batch, isoflop, two_term
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.floors import LOSS, Floors, markov_loss
from behavior_scaling.laws.parts import AxisParts, carried
from behavior_scaling.laws.results import AxisFit, CurveFit
from behavior_scaling.laws.table import (
    X_COLUMN,
    Group,
    Noise,
    cell_means,
    metric_curves,
    numbers,
)
from behavior_scaling.laws.transforms import NEGATED, is_maximised, transform_for
from behavior_scaling.laws.users import Users


def fit_axis(
    group: Group,
    metric: str,
    noise: Noise,
    floors: Floors | None,
    users: Users | None,
    seed: int,
    resamples: int,
) -> tuple[AxisFit, list[CurveData], AxisParts] | None:
    """The fit of one group for one metric, its curves and parts; None without usable runs."""
    transform = transform_for(metric)
    curves, lost = metric_curves(group, metric, transform, noise, users)
    if not curves:
        return None
    parts, notes = _fit(group, curves, seed, resamples)
    if is_maximised(metric):
        check, _ = metric_curves(group, metric, NEGATED, noise)
        parts = _compared(parts, _fit(group, check, seed, resamples)[0])
    parts = _flagged(parts, _below_markov(group, floors))
    form = {
        "allocation": isoflop.FORM,
        "batch": batch.CLEAN_FORM if group.arm == "clean" else batch.PAPER_FORM,
    }.get(group.axis, two_term.FORM)
    fit = AxisFit(
        axis=group.axis,
        arm=group.arm,
        metric=metric,
        form=form,
        transform=transform.name,
        x=X_COLUMN[group.axis],
        curves=parts.curves,
        exponents=parts.exponents,
        notes=(*group.notes, *lost, *notes, *parts.notes),
    )
    return fit, curves, parts


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
        found = tuple(_over_catalogue(f, d) for f, d in zip(parts.curves, curves, strict=True))
    else:
        found = tuple(_within_the_whole(fit) for fit in parts.curves)
    return replace(parts, curves=found), ()


def _admissible(data: CurveData) -> CurveData:
    c = data.columns
    return data.subset(
        batch.admissible(data.x, c["steps_after_warmup"], c["unique_positions"], c["context"])
    )


def _within_the_whole(fit: CurveFit) -> CurveFit:
    """No share exceeds 1, which the profile of a law in powers of the share does not know."""
    return replace(fit, optimum=carried(fit.optimum, lambda share: min(share, 1.0)))


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
    floor = markov_loss(floors)
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
