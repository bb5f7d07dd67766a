"""The axes of a study: literal numbers, from which cells are made (sweep/axes.py).

Choices: base points are literal, so that no result feeds back into the design of a study; a
variation changes any key that says how a run is made, one at a time, and leaves data alone, whose
identity belongs to the study.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from behavior_scaling.config_parts import (
    NonNegativeInt,
    Part,
    PositiveFloat,
    PositiveInt,
    Share,
)

VARIED = ("embedder.", "contextualizer.", "objective.", "optimizer.", "execution.batch")


class BasePoint(Part):
    """The literal point that the other axes pass through at one budget."""

    budget: PositiveFloat
    parameters: PositiveFloat = Field(description="N of the nearest realisable model.")
    share: Share
    depth: NonNegativeInt = Field(description="Embedder depth.")


class Axis(Part):
    """What every axis states."""

    budgets: tuple[PositiveFloat, ...] = Field(min_length=1)
    seeds: tuple[NonNegativeInt, ...] = Field((0,), min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for name in ("budgets", "seeds"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name} holds a value twice: {values}")
        return self


class AllocationAxis(Axis):
    """Model against data at a fixed share and embedder depth: a list of N for every budget."""

    share: Share
    depth: NonNegativeInt = Field(description="Embedder depth that every cell holds.")
    parameters: tuple[tuple[PositiveFloat, ...], ...] = Field(
        description="For each budget the values of N, in order."
    )

    @model_validator(mode="after")
    def _one_list_a_budget(self) -> Self:
        if len(self.parameters) != len(self.budgets):
            raise ValueError(
                f"parameters has {len(self.parameters)} lists for {len(self.budgets)} budgets"
            )
        return self


class ShareAxis(Axis):
    """Embedder share at a fixed D/N; share 0 is the control with a fixed embedder."""

    shares: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(min_length=1)
    ratio: PositiveFloat | tuple[PositiveFloat, ...] = Field(
        description="D/N that every cell holds, or one for every budget."
    )

    @model_validator(mode="after")
    def _one_ratio_a_budget(self) -> Self:
        if isinstance(self.ratio, tuple) and len(self.ratio) != len(self.budgets):
            raise ValueError(f"ratio has {len(self.ratio)} values for {len(self.budgets)} budgets")
        return self

    def ratios(self) -> tuple[float, ...]:
        """D/N at every budget."""
        return self.ratio if isinstance(self.ratio, tuple) else (self.ratio,) * len(self.budgets)


class BatchAxis(Axis):
    """Sequences a step at the base point."""

    batches: tuple[PositiveInt, ...] = Field(min_length=1)
    in_batch: PositiveInt | None = Field(
        None, description="M of this axis, at the study's own B; none: objective.in_batch."
    )


class NegativesAxis(Axis):
    """Stage 2: candidates a step with the base point's embedder frozen."""

    uniform: tuple[NonNegativeInt, ...] = Field(
        (), description="Arm 'uniform': K added to in_batch popular candidates."
    )
    popular: tuple[PositiveInt, ...] = Field(
        (), description="Arm 'popular': M in-batch candidates, none uniform."
    )
    batch: PositiveInt = Field(16, description="B: sequences a step in stage 2.")
    in_batch: NonNegativeInt = Field(128, description="M of the uniform arm.")
    kind: Literal["corrected", "as_paper"] = "corrected"
    full: bool = Field(False, description="The control: a child trained by the full softmax.")


class Variation(Part):
    """One key of the study varied at literal points, all else held: calibration, ablation."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    key: str = Field(description="Path of the key that is varied, e.g. optimizer.lr.base.")
    values: tuple[Any, ...] = Field(min_length=1)
    at: tuple[BasePoint, ...] = Field(min_length=1, description="Where it is varied.")
    set: dict[str, Any] = Field({}, description="Other keys, by path, held at another value.")
    seeds: tuple[NonNegativeInt, ...] = Field((0,), min_length=1)

    @model_validator(mode="after")
    def _keys_can_vary(self) -> Self:
        """Data have an identity of their own; the rest says where results go, not what runs."""
        for key in (self.key, *self.set):
            if not key.startswith(VARIED):
                raise ValueError(f"{key}: only keys of {', '.join(VARIED)} can be varied here")
        return self


class Axes(Part):
    """The four axes of the paper and variations; an axis that is absent is not run."""

    allocation: AllocationAxis | None = None
    share: ShareAxis | None = None
    share_at_optimum: ShareAxis | None = Field(
        None, description="A second series of shares, at the D/N of the optimum."
    )
    batch: BatchAxis | None = Field(None, description="The clean form: fixed candidates.")
    batch_as_paper: BatchAxis | None = Field(
        None, description="The paper's form: in-batch candidates grow with B."
    )
    negatives: NegativesAxis | None = None
    variations: tuple[Variation, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [variation.name for variation in self.variations]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"variations: two are named {twice[0]!r}")
        return self
