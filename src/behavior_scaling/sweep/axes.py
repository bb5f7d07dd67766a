"""The four axes, each from its literal numbers to cells and to what is left out.

Allocation holds the share; share holds D/N; batch and negatives hold (N, s) at the base point
(definitions: Axes and base points). A parent of stage 2 is the stage-1 run of the same budget
and seed at the base point.
"""

from __future__ import annotations

import math

from behavior_scaling.config import BasePoint, Study
from behavior_scaling.config_parts import EmbedderConfig
from behavior_scaling.records.spec import ObjectiveSpec
from behavior_scaling.sizes.shapes import Shape, catalogue, controls, nearest, realisable, realise
from behavior_scaling.sweep.cells import MIN_STEPS, Cell, CellMaker, LeftOut

# How far a realised value may lie from the requested one before a cell is left out.
SIZE_TOLERANCE = 1.25
SHARE_TOLERANCE = 1.35
RATIO_TOLERANCE = 1.25


def _far(value: float, wanted: float, tolerance: float) -> bool:
    return value != wanted and abs(math.log(value / wanted)) > math.log(tolerance)


def _family(study: Study, depth: int) -> EmbedderConfig:
    return study.embedder.model_copy(update={"depths": (depth,)})


def _at(study: Study, point: BasePoint) -> Shape:
    family = _family(study, point.depth)
    return realise(family, study.contextualizer, point.parameters, point.share)


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
    """Embedder share at constant D/N: N and D follow from the budget."""
    cells: list[Cell] = []
    left: list[LeftOut] = []
    axis = study.axes.share
    if axis is None:
        return cells, left
    shapes = [
        *controls(study.contextualizer),
        *catalogue(study.embedder, study.contextualizer),
    ]
    objective, batch = maker.stage1_objective(), study.execution.batch

    def ratio(shape: Shape, budget: float) -> float:
        return maker.positions(shape, budget, 1, batch, objective) / shape.parameters

    for budget in axis.budgets:
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
                left.append(LeftOut("share", "", label, budget, reason))
                continue
            best = min(
                near,
                key=lambda shape: (
                    math.log(ratios[shape] / axis.ratio) ** 2
                    + (math.log(shape.share / wanted) ** 2 if wanted else 0.0),
                    shape.embedder.depth,
                    shape.parameters,
                ),
            )
            if _far(ratios[best], axis.ratio, RATIO_TOLERANCE):
                reason = f"nearest D/N at this share is {ratios[best]:.1f}, not {axis.ratio:g}"
                left.append(LeftOut("share", "", label, budget, reason))
                continue
            taken.add(best)
            cells += [
                maker.make(best, budget, seed, axis="share", label=label, control=wanted == 0)
                for seed in axis.seeds
            ]
    return cells, left


def batch(study: Study, maker: CellMaker) -> tuple[list[Cell], list[LeftOut]]:
    """Sequences a step; the candidate set is fixed (clean) or grows with B (as_paper)."""
    cells: list[Cell] = []
    left: list[LeftOut] = []
    axis = study.axes.batch
    if axis is None:
        return cells, left
    for budget in axis.budgets:
        shape = _at(study, study.base_point(budget))
        for size in axis.batches:
            objective = maker.stage1_objective()
            if axis.form == "as_paper":
                scaled = max(1, round(objective.in_batch * size / study.execution.batch))
                objective = ObjectiveSpec(
                    objective.kind, scaled, objective.uniform, objective.same_sequence
                )
            made = [
                maker.make(
                    shape, budget, seed, axis="batch", arm=axis.form, label=f"B={size}",
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
                left.append(LeftOut("batch", axis.form, f"B={size}", budget, reason))
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
    for budget in axis.budgets:
        shape = _at(study, study.base_point(budget))
        for arm, asked, in_batch, uniform in arms:
            label = f"{'K' if arm == 'uniform' else 'M'}={asked}"
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
                        control=arm == "uniform" and uniform == 0,
                        objective=ObjectiveSpec(axis.kind, in_batch, uniform, same),
                        parent=parent,
                    )
                )
    return cells, left


AXES = {"allocation": allocation, "share": share, "batch": batch, "negatives": negatives}
