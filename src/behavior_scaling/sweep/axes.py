"""The axes, each from its literal numbers to cells and to what is left out.

Allocation holds the share; share holds D/N; batch and negatives hold (N, s) at the base point
(definitions: Axes and base points). A parent of stage 2 is the stage-1 run of the same budget
and seed at the base point.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from behavior_scaling.config import Study, with_keys
from behavior_scaling.config_axes import BasePoint, BatchAxis, ShareAxis, Variation
from behavior_scaling.config_parts import EmbedderConfig
from behavior_scaling.records.spec import ObjectiveSpec, canonical_json
from behavior_scaling.sizes.shapes import Shape, catalogue, controls, nearest, realisable, realise
from behavior_scaling.sweep.cells import MIN_STEPS, Cell, CellMaker, LeftOut

# How far a realised value may lie from the requested one before a cell is left out.
SIZE_TOLERANCE = 1.25
SHARE_TOLERANCE = 1.35
RATIO_TOLERANCE = 1.25

AT_OPTIMUM = "optimum"  # arm of the share axis at the optimum's D/N
FULL = "full"  # arm of the negatives axis: the full softmax


def _far(value: float, wanted: float, tolerance: float) -> bool:
    return value != wanted and abs(math.log(value / wanted)) > math.log(tolerance)


def _family(study: Study, depth: int) -> EmbedderConfig:
    return study.embedder.model_copy(update={"depths": (depth,)})


def _at(study: Study, point: BasePoint) -> Shape:
    family = _family(study, point.depth)
    return realise(family, study.contextualizer, point.parameters, point.share)


def joined(
    parts: Iterable[tuple[list[Cell], list[LeftOut]]],
) -> tuple[list[Cell], list[LeftOut]]:
    """Cells and what is left out, of several series in order."""
    cells: list[Cell] = []
    left: list[LeftOut] = []
    for more, omitted in parts:
        cells += more
        left += omitted
    return cells, left


def allocation(study: Study, maker: CellMaker) -> tuple[list[Cell], list[LeftOut]]:
    """Model against data: sizes around the expected vertex of each budget, share held."""
    cells: list[Cell] = []
    left: list[LeftOut] = []
    axis = study.axes.allocation
    if axis is None:
        return cells, left
    shapes = realisable(_family(study, axis.depth), study.contextualizer, axis.share)
    for budget, sizes in zip(axis.budgets, axis.parameters, strict=True):
        taken: set[Shape] = set()
        for size in sizes:
            shape, label = nearest(shapes, size, axis.share), f"N={size:g}"
            reason = ""
            if _far(shape.parameters, size, SIZE_TOLERANCE):
                reason = f"nearest realisable N is {shape.parameters:,}"
            elif _far(shape.share, axis.share, SHARE_TOLERANCE):
                reason = f"nearest realisable share is {shape.share:.3f}"
            elif shape in taken:
                reason = "realises the same model as its neighbour"
            if reason:
                left.append(LeftOut("allocation", "", label, budget, reason))
                continue
            taken.add(shape)
            cells += [
                maker.make(shape, budget, seed, axis="allocation", label=label)
                for seed in axis.seeds
            ]
    return cells, left


def share(study: Study, maker: CellMaker) -> tuple[list[Cell], list[LeftOut]]:
    """Embedder share at constant D/N, and in a second arm at the optimum's D/N."""
    series = (("", study.axes.share), (AT_OPTIMUM, study.axes.share_at_optimum))
    return joined(_shares(study, maker, axis, arm) for arm, axis in series if axis is not None)


def _shares(
    study: Study, maker: CellMaker, axis: ShareAxis, arm: str
) -> tuple[list[Cell], list[LeftOut]]:
    """Shares at constant D/N: N and D follow from the budget."""
    cells: list[Cell] = []
    left: list[LeftOut] = []
    shapes = [
        *controls(study.contextualizer),
        *catalogue(study.embedder, study.contextualizer),
    ]
    objective, batch = maker.stage1_objective(), study.execution.batch

    def ratio(shape: Shape, budget: float) -> float:
        return maker.positions(shape, budget, 1, batch, objective) / shape.parameters

    for budget, held in zip(axis.budgets, axis.ratios(), strict=True):
        ratios = {shape: ratio(shape, budget) for shape in shapes}
        taken: set[Shape] = set()
        for wanted in axis.shares:
            label = f"s={wanted:g}"
            near = [
                shape
                for shape in shapes
                if (shape.share == 0 if wanted == 0 else shape.share > 0)
                and (wanted == 0 or not _far(shape.share, wanted, SHARE_TOLERANCE))
                and shape not in taken
            ]
            if not near:
                reason = "no realisable model has this share"
                left.append(LeftOut("share", arm, label, budget, reason))
                continue
            best = min(
                near,
                key=lambda shape: (
                    math.log(ratios[shape] / held) ** 2
                    + (math.log(shape.share / wanted) ** 2 if wanted else 0.0),
                    shape.embedder.depth,
                    shape.parameters,
                ),
            )
            if _far(ratios[best], held, RATIO_TOLERANCE):
                reason = f"nearest D/N at this share is {ratios[best]:.1f}, not {held:g}"
                left.append(LeftOut("share", arm, label, budget, reason))
                continue
            taken.add(best)
            cells += [
                maker.make(
                    best, budget, seed, axis="share", arm=arm, label=label, control=wanted == 0
                )
                for seed in axis.seeds
            ]
    return cells, left


def batch(study: Study, maker: CellMaker) -> tuple[list[Cell], list[LeftOut]]:
    """Sequences a step; the candidate set is fixed (clean) or grows with B (as_paper)."""
    series = (("clean", study.axes.batch), ("as_paper", study.axes.batch_as_paper))
    return joined(_batches(study, maker, axis, form) for form, axis in series if axis is not None)


def _batches(
    study: Study, maker: CellMaker, axis: BatchAxis, form: str
) -> tuple[list[Cell], list[LeftOut]]:
    cells: list[Cell] = []
    left: list[LeftOut] = []
    for budget in axis.budgets:
        shape = _at(study, study.base_point(budget))
        for size in axis.batches:
            objective = maker.stage1_objective()
            candidates = axis.in_batch or objective.in_batch
            if form == "as_paper":
                candidates = max(1, round(candidates * size / study.execution.batch))
            objective = dataclasses.replace(objective, in_batch=candidates)
            made = [
                maker.make(
                    shape, budget, seed, axis="batch", arm=form, label=f"B={size}",
                    batch=size, objective=objective,
                )
                for seed in axis.seeds
            ]  # fmt: skip
            steps = made[0].positions / (size * study.data.context)
            steps_after_warmup = int(steps * (1 - study.optimizer.warmup))
            reason = ""
            if steps_after_warmup < MIN_STEPS:
                reason = f"{steps_after_warmup} steps after warm-up, fewer than {MIN_STEPS}"
            elif objective.in_batch > size * study.data.context:
                reason = f"a step has fewer targets than the {objective.in_batch} candidates asked"
            if reason:
                left.append(LeftOut("batch", form, f"B={size}", budget, reason))
                continue
            cells += made
    return cells, left


def negatives(study: Study, maker: CellMaker) -> tuple[list[Cell], list[LeftOut]]:
    """Stage 2 on the base point's frozen embedder: uniform candidates, and popular ones."""
    cells: list[Cell] = []
    left: list[LeftOut] = []
    axis = study.axes.negatives
    if axis is None:
        return cells, left
    same = study.objective.own_items(axis.kind)
    arms = [("uniform", k, axis.in_batch, k) for k in axis.uniform]
    arms += [("popular", m, m, 0) for m in axis.popular]
    arms += [(FULL, maker.n_items, 0, 0)] if axis.full else []
    for budget in axis.budgets:
        shape = _at(study, study.base_point(budget))
        for arm, asked, in_batch, uniform in arms:
            label = f"{'M' if arm == 'popular' else 'K'}={asked}"
            kind = "full" if arm == FULL else axis.kind
            if uniform > maker.n_items:
                reason = f"more uniform candidates than the catalogue's {maker.n_items:,} items"
                left.append(LeftOut("negatives", arm, label, budget, reason))
                continue
            for seed in axis.seeds:
                parent = maker.make(shape, budget, seed, axis="parent", label="base point")
                cells.append(
                    maker.make(
                        shape,
                        budget,
                        seed,
                        axis="negatives",
                        arm=arm,
                        label=label,
                        stage=2,
                        batch=axis.batch,
                        control=arm == FULL or (arm == "uniform" and uniform == 0),
                        objective=ObjectiveSpec(kind, in_batch, uniform, same),
                        parent=parent,
                    )
                )
    return cells, left


def variations(study: Study, maker: CellMaker) -> tuple[list[Cell], list[LeftOut]]:
    """One key of the study at a time, at literal points: an arm for every variation."""
    cells: list[Cell] = []
    left: list[LeftOut] = []
    for variation in study.axes.variations:
        own = with_keys(study, variation.set)
        for value in variation.values:
            varied = with_keys(study, {**variation.set, variation.key: value})
            for point in variation.at:
                label = _label(variation, value, point)
                shape = _at(varied, point)
                if _far(shape.parameters, point.parameters, SIZE_TOLERANCE):
                    reason = f"nearest realisable N is {shape.parameters:,}"
                    left.append(LeftOut("variation", variation.name, label, point.budget, reason))
                    continue
                for seed in variation.seeds:
                    cell, reference = (
                        CellMaker(one, maker.n_items).make(
                            _at(one, point), point.budget, seed,
                            axis="variation", arm=variation.name, label=label,
                        )
                        for one in (varied, own)
                    )  # fmt: skip
                    cells.append(dataclasses.replace(cell, reference=reference))
    return cells, left


def _label(variation: Variation, value: Any, point: BasePoint) -> str:
    """'base=0.007 N=22000 s=0.25 depth=1': what is varied, and the point that was asked for."""
    said = canonical_json(value).replace('"', "")
    where = f"N={point.parameters:g} s={point.share:g} depth={point.depth}"
    return f"{variation.key.rpartition('.')[2]}={said} {where}"


AXES = {
    "allocation": allocation,
    "share": share,
    "batch": batch,
    "negatives": negatives,
    "variation": variations,
}
