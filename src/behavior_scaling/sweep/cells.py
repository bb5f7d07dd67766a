"""Cells: the sweep points that a study's axes ask for, before the data are known.

Choices: a cell is realised from the study alone (shapes from the ladder, D from the budget), so
that a plan needs no data; what cannot be realised near enough is left out with its reason, never
bent silently; cells keep the seed order of the study, so that plans are stable.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from behavior_scaling.config import Study
from behavior_scaling.config_parts import OptimizerConfig
from behavior_scaling.records.spec import (
    NUMERICS,
    ContextualizerSpec,
    DataSpec,
    EmbedderSpec,
    ObjectiveSpec,
    OptimizerSpec,
    RunSpec,
    canonical_json,
    said,
)
from behavior_scaling.sizes.flops import nominal, positions_for_budget
from behavior_scaling.sizes.parameters import contextualizer_parameters, embedder_parameters
from behavior_scaling.sizes.shapes import Shape

MIN_STEPS = 200  # optimiser steps after warm-up that a batch cell needs (definitions: Batch)


@dataclass(frozen=True)
class Cell:
    """One sweep point for one seed; `axis`, `arm` and `label` say why it is run."""

    axis: str
    arm: str
    label: str
    control: bool
    stage: Literal[1, 2]
    budget: float
    positions: int
    batch: int
    seed: int
    embedder: EmbedderSpec
    contextualizer: ContextualizerSpec
    objective: ObjectiveSpec
    optimizer: OptimizerSpec
    parent: Cell | None = None
    reference: Cell | None = None  # a variation's: the same point with the study's own value

    @property
    def n_emb(self) -> int:
        """Trainable parameters of the embedder."""
        return embedder_parameters(self.embedder, self.contextualizer.width)

    @property
    def n_total(self) -> int:
        """N = N_emb + N_ctx."""
        return self.n_emb + contextualizer_parameters(self.contextualizer)

    def steps(self, context: int) -> int:
        """Optimizer steps over sequences of L = `context` positions, the last one cut."""
        return -(-self.positions // (self.batch * context))

    @cached_property
    def key(self) -> str:
        """Hash of what is run, whatever axis asks for it (the run id without the data)."""
        body = said(dataclasses.asdict(self))
        for name in ("axis", "arm", "label", "control", "parent", "reference"):
            del body[name]
        body["parent"] = self.parent.key if self.parent else None
        return hashlib.sha256(canonical_json(body).encode()).hexdigest()


@dataclass(frozen=True)
class LeftOut:
    """A sweep point that was asked for and is not run."""

    axis: str
    arm: str
    label: str
    budget: float
    reason: str


class CellMaker:
    """Makes cells of one study with its objective, optimiser rule and execution keys."""

    def __init__(self, study: Study, n_items: int) -> None:
        """Args: study: the study; n_items: V, which enters the cost of uniform candidates."""
        self.study = study
        self.n_items = n_items

    def stage1_objective(self) -> ObjectiveSpec:
        """The study's stage-1 objective."""
        part = self.study.objective
        own = part.own_items(part.kind)
        return ObjectiveSpec(part.kind, part.in_batch, part.uniform, own)

    def positions(
        self,
        shape: Shape,
        budget: float,
        stage: Literal[1, 2],
        batch: int,
        objective: ObjectiveSpec,
    ) -> int:
        """D: loss positions that the budget buys."""
        cost = nominal(
            shape.embedder,
            shape.contextualizer,
            objective,
            stage=stage,
            batch=batch,
            context=self.study.data.context,
            tokens=self.study.data.tokens,
            n_items=self.n_items,
        )
        return positions_for_budget(budget, cost)

    def make(
        self,
        shape: Shape,
        budget: float,
        seed: int,
        *,
        axis: str,
        label: str,
        arm: str = "",
        control: bool = False,
        stage: Literal[1, 2] = 1,
        batch: int | None = None,
        objective: ObjectiveSpec | None = None,
        parent: Cell | None = None,
    ) -> Cell:
        """One cell; batch and objective default to the study's stage-1 values."""
        batch = batch or self.study.execution.batch
        objective = objective or self.stage1_objective()
        return Cell(
            axis=axis,
            arm=arm,
            label=label,
            control=control,
            stage=stage,
            budget=budget,
            positions=self.positions(shape, budget, stage, batch, objective),
            batch=batch,
            seed=seed,
            embedder=shape.embedder,
            contextualizer=shape.contextualizer,
            objective=objective,
            optimizer=resolve_optimizer(
                self.study.optimizer,
                width=shape.contextualizer.width,
                batch=batch,
                budget=budget,
                context=self.study.data.context,
            ),
            parent=parent,
        )


def resolve_optimizer(
    config: OptimizerConfig, *, width: int, batch: int, budget: float, context: int
) -> OptimizerSpec:
    """Apply the learning-rate rule and turn the half-life of β2 into a step's β2.

    β2 = 2^(−events a step / half-life): the second moment forgets at one rate in events,
    whatever the batch.
    """
    return OptimizerSpec(
        lr=float(f"{config.lr(width, batch, budget):.6g}"),
        warmup=config.warmup,
        final=config.final,
        weight_decay=config.weight_decay,
        beta1=config.beta1,
        beta2=float(f"{math.exp2(-batch * context / config.beta2_half_life):.8g}"),
        clip=config.clip,
    )


def resolve(cell: Cell, study: Study, data: DataSpec, numerics: int = NUMERICS) -> RunSpec:
    """The run of a cell on a prepared data set, by this code's numbers or those of an archive."""
    return RunSpec(
        stage=cell.stage,
        budget=cell.budget,
        positions=cell.positions,
        batch=cell.batch,
        seed=cell.seed,
        data=data,
        embedder=cell.embedder,
        contextualizer=cell.contextualizer,
        objective=cell.objective,
        optimizer=cell.optimizer,
        probes=study.execution.probes,
        precision=study.execution.precision,
        threads=study.execution.threads,
        parent=resolve(cell.parent, study, data, numerics).id if cell.parent else None,
        numerics=numerics,
    )


def unique(cells: list[Cell]) -> Iterator[Cell]:
    """Cells without those that only repeat an earlier run for another axis; parents included."""
    seen: set[str] = set()
    for cell in cells:
        for candidate in (cell.parent, cell):
            if candidate is not None and candidate.key not in seen:
                seen.add(candidate.key)
                yield candidate
