"""The study: everything a YAML file under config/ may say, and the only place with defaults.

Choices: unknown keys are refused (a misspelt key must not silently fall back to a default);
base points are literal numbers, so that no result feeds back into the design of a study; the
JSON schema that the Snakefile validates against is generated from these classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from behavior_scaling.user_class import USER_CLASS, is_user_class, resolve

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, lt=1, description="Of the embedder; 0 for a table.")]

EMBEDDERS = ("transformer", "mlp", "tabtransformer", "table")  # of a study, its own class aside


class ConfigError(ValueError):
    """A study file that cannot be used; the message names the file and the key's path."""


class _Part(BaseModel):
    """A part of a study: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Part):
    """Which events, and how they become sequences and feature tokens."""

    source: str = Field(description="Name of a registered source, e.g. ml-100k.")
    mirror: str | None = Field(
        None, description="Folder searched for the source's file before downloading it."
    )
    context: int = Field(64, ge=2, description="L: events in a window.")
    tokens: PositiveInt = Field(24, description="T: feature tokens an item has at most.")
    codebook: int = Field(65536, ge=256, description="Rows of the fixed, hashed codebook.")
    numeric_bins: int = Field(16, ge=2, description="Bins of a numeric feature (train quantiles).")
    train_fraction: Fraction = Field(
        0.8, description="Share of events before the global cut-off t1 of the time split."
    )
    session_gap: PositiveInt = Field(
        3600, description="Seconds of silence that end a session where the source names none."
    )


class EmbedderConfig(_Part):
    """The embedder family: kind, and the widths and depths that a sweep may realise."""

    kind: str = Field(
        "transformer",
        description="transformer, mlp, tabtransformer, table (a trained id table, counted apart), "
        "or package.module:Class, a class of your own (docs/guide_embedder.md).",
        json_schema_extra={"pattern": f"^({'|'.join(EMBEDDERS)}|{USER_CLASS})$"},
    )
    widths: tuple[PositiveInt, ...] = Field(
        (2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 48, 64),
        description="Widths e; a table has the contextualizer's.",
    )
    depths: tuple[NonNegativeInt, ...] = Field(
        (0, 1, 2), description="Blocks; 0 = mean codes through one matrix. A table has none."
    )

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str, info: ValidationInfo) -> str:
        """A user's class is resolved to its source, below the study's folder or installed."""
        if is_user_class(kind):
            return resolve(kind, (info.context or {}).get("folder"))
        if kind not in EMBEDDERS:
            raise ValueError(f"{kind!r} is none of {', '.join(EMBEDDERS)}, and no module:Class")
        return kind


class ContextualizerConfig(_Part):
    """The contextualizer's ladder of (width, layers)."""

    kind: Literal["transformer"] = "transformer"
    ladder: tuple[tuple[PositiveInt, PositiveInt], ...] = (
        (4, 1), (6, 1), (8, 1), (10, 1), (12, 1), (14, 1), (16, 1), (18, 1), (20, 1), (22, 1),
        (24, 1), (26, 1), (28, 1), (30, 1), (32, 1), (36, 1), (40, 1), (44, 1), (36, 2), (40, 2),
        (44, 2), (48, 2), (64, 2), (80, 2), (96, 2), (112, 2), (128, 2),
    )  # fmt: skip
    head_dim: PositiveInt = Field(16, description="Width of a head; narrower models have one head.")

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        for width, _ in self.ladder:
            heads = self.heads(width)
            if width % heads or (width // heads) % 2:
                raise ValueError(
                    f"width {width} cannot be cut into {heads} heads of an even width "
                    f"(rotary positions need pairs); choose another width or head_dim"
                )
        return self

    def heads(self, width: int) -> int:
        """Attention heads of a width d: as many of head_dim as fit, one at least."""
        return max(1, width // self.head_dim)


class ObjectiveConfig(_Part):
    """Stage-1 candidates and the loss over them."""

    kind: Literal["corrected", "as_paper", "full"] = "corrected"
    in_batch: NonNegativeInt = Field(
        1024, description="M: targets of the batch drawn a step, without replacement: M <= B L."
    )
    uniform: NonNegativeInt = Field(0, description="K: items drawn uniformly a step.")
    same_sequence: Literal["mask", "keep"] = "mask"

    @model_validator(mode="after")
    def _some_candidates(self) -> Self:
        if self.kind != "full" and self.in_batch + self.uniform == 0:
            raise ValueError("in_batch and uniform are both 0: a position would have no negatives")
        return self


class LearningRateRule(_Part):
    """lr = base · (d / 32)^width · (B / 16)^batch · (C / 1e11)^budget."""

    base: PositiveFloat = 0.01
    width: float = -0.5
    batch: float = 0.5
    budget: float = 0.0

    def __call__(self, width: int, batch: int, budget: float) -> float:
        """Peak learning rate of a run of contextualizer width d, B sequences, budget C."""
        return float(
            self.base
            * (width / 32) ** self.width
            * (batch / 16) ** self.batch
            * (budget / 1e11) ** self.budget
        )


class OptimizerConfig(_Part):
    """AdamW, linear warm-up, then cosine decay; both measured in loss positions."""

    lr: LearningRateRule = LearningRateRule()
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of D spent on warm-up.")
    final: float = Field(0.0, ge=0, le=1, description="Last learning rate over the peak.")
    weight_decay: float = Field(0.0, ge=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2_half_life: PositiveFloat = Field(
        70_000, description="Half-life of the second moment in events (constant over batches)."
    )
    clip: PositiveFloat = Field(1.0, description="Largest gradient norm.")


class ExecutionConfig(_Part):
    """How runs are executed: recorded, and hashed where it changes numbers."""

    batch: PositiveInt = Field(16, description="B: sequences a step, outside the batch axis.")
    precision: Literal["fp32", "bf16-mixed"] = "fp32"
    threads: PositiveInt = 1
    probes: NonNegativeInt = Field(
        12,
        description="Points between 5% and 100% of D, log-spaced, at which a run measures its "
        "validation loss on a sample and its gradient noise; 0 = none.",
    )
    bundle_seconds: PositiveFloat = Field(
        120.0,
        description="Estimated seconds a job gathers from short runs; longer runs go alone, and "
        "with a small value every run does.",
    )
    checkpoint_seconds: PositiveFloat = 60.0


class BasePoint(_Part):
    """The literal point that the other axes pass through at one budget."""

    budget: PositiveFloat
    parameters: PositiveFloat = Field(description="N of the nearest realisable model.")
    share: Share
    depth: NonNegativeInt = Field(description="Embedder depth.")


class Axis(_Part):
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
    ratio: PositiveFloat = Field(description="D/N that every cell holds.")


class BatchAxis(Axis):
    """Sequences a step at the base point."""

    batches: tuple[PositiveInt, ...] = Field(min_length=1)
    form: Literal["clean", "as_paper"] = "clean"


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


class Axes(_Part):
    """The four axes of the paper; an axis that is absent is not run."""

    allocation: AllocationAxis | None = None
    share: ShareAxis | None = None
    batch: BatchAxis | None = None
    negatives: NegativesAxis | None = None


class Study(_Part):
    """One study: one YAML file, one folder under results/."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    runs: Literal["train", "archive"] = "train"
    data: DataConfig
    embedder: EmbedderConfig = EmbedderConfig()
    contextualizer: ContextualizerConfig = ContextualizerConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    execution: ExecutionConfig = ExecutionConfig()
    base: tuple[BasePoint, ...] = ()
    axes: Axes

    @model_validator(mode="after")
    def _base_points_cover_axes(self) -> Self:
        known = [point.budget for point in self.base]
        if len(set(known)) != len(known):
            raise ValueError(f"base holds a budget twice: {known}")
        for name in ("batch", "negatives"):
            axis = getattr(self.axes, name)
            missing = [] if axis is None else [b for b in axis.budgets if b not in known]
            if missing:
                raise ValueError(f"axes.{name} needs a base point for budget {missing[0]:g}")
        return self

    @model_validator(mode="after")
    def _shares_fit_the_embedder(self) -> Self:
        """A table does not count in N_emb; of other kinds share 0 is the share axis's control."""
        table = self.embedder.kind == "table"
        if table and self.axes.share is not None:
            raise ValueError(
                "axes.share: the embedder.kind table is counted apart, it has no share"
            )
        held = [(f"base.{i}", point.share, point.depth) for i, point in enumerate(self.base)]
        if self.axes.allocation is not None:
            axis = self.axes.allocation
            held.append(("axes.allocation", axis.share, axis.depth))
        for where, share, depth in held:
            if table and (share, depth) != (0, 0):
                raise ValueError(f"{where}: with embedder.kind table share and depth are 0")
            if not table and share == 0:
                raise ValueError(f"{where}.share: 0 is for embedder.kind table")
        return self

    @model_validator(mode="after")
    def _batches_hold_the_candidates(self) -> Self:
        """Draws from a batch are without replacement (model/candidates.py): M <= B L."""
        checks = [("objective.in_batch", self.objective.in_batch, self.execution.batch)]
        if self.axes.negatives is not None:
            stage2 = self.axes.negatives
            largest = max((stage2.in_batch, *stage2.popular))
            checks.append(("axes.negatives: in_batch or popular", largest, stage2.batch))
        for name, candidates, batch in checks:
            if candidates > batch * self.data.context:
                raise ValueError(
                    f"{name} asks for {candidates} of the {batch * self.data.context} targets "
                    f"that {batch} sequences of {self.data.context} events have"
                )
        return self

    def base_point(self, budget: float) -> BasePoint:
        """The base point of a budget (the validator has made sure that it exists)."""
        return next(point for point in self.base if point.budget == budget)


def load_study(path: Path) -> Study:
    """Read and check a study file.

    Raises:
        ConfigError: the file is missing, is no YAML mapping, or holds an unknown key or an
            impossible value; the message names every offending key by its path.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such study file")
    try:
        raw: Any = yaml.load(path.read_text(), Loader=_FloatLoader)  # noqa: S506 (safe subclass)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    return parse_study(raw, where=str(path), folder=path.parent)


def parse_study(raw: Any, where: str, folder: Path | None = None) -> Study:
    """Check a parsed study.

    Args:
        raw: what its YAML says.
        where: stands in front of every message.
        folder: searched for an embedder class of the user's before what is installed.

    Raises:
        ConfigError: an unknown key or an impossible value, every one by its path.
    """
    if not isinstance(raw, dict):
        raise ConfigError(f"{where}: a study is a mapping of keys, not {type(raw).__name__}")
    try:
        return Study.model_validate(raw, context={"folder": folder})
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in item['loc']) or 'study'}: {item['msg']}"
            for item in error.errors()
        ]
        raise ConfigError(f"{where}: this study cannot be used:\n" + "\n".join(lines)) from None


def study_schema() -> dict[str, Any]:
    """The JSON schema of a study file."""
    schema = Study.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


class _FloatLoader(yaml.SafeLoader):
    """SafeLoader that reads 1e11 as a number (YAML 1.1 wants 1.0e+11)."""


_FloatLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    __import__("re").compile(
        r"^[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)$|^[-+]?[0-9][0-9_]*\.[0-9_]*$"
    ),
    list("-+0123456789."),
)
