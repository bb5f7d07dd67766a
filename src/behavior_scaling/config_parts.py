"""The parts of a study that say how a run is made: data, both halves of the model, objective.

Choices: see config.py; a part is frozen and refuses unknown keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

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

WORLD = "world-"  # how the sources of synthetic worlds are named
EMBEDDERS = ("transformer", "mlp", "tabtransformer", "table")  # of a study, its own class aside


class Part(BaseModel):
    """A part of a study: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def by_path(error: ValidationError, whole: str) -> str:
    """Every problem of a YAML file on a line of its own, by the key's path; `whole` has none."""
    return "\n".join(
        f"  {'.'.join(str(part) for part in item['loc']) or whole}: {item['msg']}"
        for item in error.errors()
    )


class WorldConfig(Part):
    """How much of a synthetic world is drawn; the world itself is named by the source."""

    users: PositiveInt = Field(20_000, description="Users drawn: the first of an endless order.")
    seed: NonNegativeInt = 0


class DataConfig(Part):
    """Which events, and how they become sequences and feature tokens."""

    source: str = Field(
        description="Name of a registered source, e.g. ml-100k, or a YAML file that describes "
        "your own tables (docs/data.md)."
    )
    variant: str | None = Field(
        None, description="Which part of a source, where it has several: a category, a size."
    )
    clones: tuple[str, ...] = Field((), description="git-activity: folders of git clones.")
    world: WorldConfig = WorldConfig()
    mirror: str | None = Field(
        None, description="Folder searched for the source's file before downloading it."
    )
    context: int = Field(64, ge=2, description="L: events in a window.")
    tokens: PositiveInt = Field(24, description="T: feature tokens an item has at most.")
    codebook: int = Field(65536, ge=256, description="Rows of the fixed, hashed codebook.")
    numeric_bins: int = Field(16, ge=2, description="Bins of a numeric feature (train quantiles).")
    subwords: NonNegativeInt = Field(
        4, description="Letters of the sub-words that stand for rare words; 0: words only."
    )
    split: Literal["time", "leave_one_out", "last_n"] = Field(
        "time", description="The time split, or one of the literature's for comparison."
    )
    train_fraction: Fraction = Field(
        0.8, description="Share of events before the global cut-off t1 of the time split."
    )
    last_n: PositiveInt = Field(10, description="Events a half that split: last_n holds out.")
    train_users: float = Field(
        1.0, gt=0, le=1, description="Share of users, the first of one order, that train."
    )
    eval_share: float = Field(
        1.0, gt=0, le=1, description="Share of users, the first of one order, who are scored."
    )
    session_gap: PositiveInt = Field(
        3600, description="Seconds of silence that end a session where the source names none."
    )
    least_targets: NonNegativeInt = Field(
        1000, description="Evaluation targets below which a split is refused."
    )

    @property
    def name(self) -> str:
        """The source's name; of a description of one's own, the file's."""
        return Path(self.source).stem if self.described else self.source

    @property
    def is_world(self) -> bool:
        """Whether the source is a synthetic world, whose entropy is known."""
        return self.source.startswith(WORLD)

    @property
    def described(self) -> bool:
        """Whether the source is a YAML file that describes one's own tables."""
        return self.source.endswith((".yaml", ".yml"))


class EmbedderConfig(Part):
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


class ContextualizerConfig(Part):
    """The contextualizer's ladder of (width, layers)."""

    kind: Literal["transformer"] = "transformer"
    ladder: tuple[tuple[PositiveInt, PositiveInt], ...] = (
        (4, 1), (6, 1), (8, 1), (10, 1), (12, 1), (14, 1), (16, 1), (18, 1), (20, 1), (22, 1),
        (24, 1), (26, 1), (28, 1), (30, 1), (32, 1), (36, 1), (40, 1), (44, 1), (36, 2), (40, 2),
        (44, 2), (48, 2), (64, 2), (80, 2), (96, 2), (112, 2), (128, 2),
    )  # fmt: skip
    head_dim: PositiveInt = Field(16, description="Width of a head; narrower models have one head.")
    event_features: tuple[str, ...] = Field(
        (),
        description="What it sees of past events besides their items: gap, calendar, and the "
        "event features of the source by name. None: items alone.",
    )
    event_width: PositiveInt = Field(
        8, description="Width of the fixed vectors that event features are, before one matrix."
    )

    temperature: PositiveFloat = Field(
        1.0, description="What scores <h, v> / sqrt(d) are multiplied by at the start; learned."
    )

    @field_validator("event_features")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} stands twice; name an event feature once")
        return names

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


class ObjectiveConfig(Part):
    """Stage-1 candidates and the loss over them."""

    kind: Literal["corrected", "as_paper", "full"] = "corrected"
    in_batch: NonNegativeInt = Field(
        1024, description="M: targets of the batch drawn a step, without replacement: M <= B L."
    )
    uniform: NonNegativeInt = Field(0, description="K: items drawn uniformly a step.")
    same_sequence: Literal["past", "mask", "keep"] | None = Field(
        None,
        description="Items of a position's own sequence: past (of its history with certainty, no "
        "others; needs corrected), mask (none) or keep; by default past, as_paper mask.",
    )

    @model_validator(mode="after")
    def _some_candidates(self) -> Self:
        if self.kind != "full" and self.in_batch + self.uniform == 0:
            raise ValueError("in_batch and uniform are both 0: a position would have no negatives")
        return self

    @model_validator(mode="after")
    def _past_is_corrected(self) -> Self:
        if self.kind == "as_paper" and self.same_sequence == "past":
            raise ValueError("same_sequence: as_paper corrects nothing, it has mask or keep")
        return self

    def own_items(self, kind: str) -> Literal["past", "mask", "keep"]:
        """What becomes of a sequence's own items under an objective of this kind."""
        stated = self.same_sequence
        if stated is None or (stated == "past" and kind == "as_paper"):
            return "mask" if kind == "as_paper" else "past"
        return stated


class LearningRateRule(Part):
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


class OptimizerConfig(Part):
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


class ExecutionConfig(Part):
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
    gpu: str | None = Field(
        None,
        description="GPU that runs are planned for, a name of sizes/gpus.py; none: plan for a CPU.",
    )
    utilisation: Fraction = Field(
        0.35, description="Share of the GPU's peak that large matrix products reach, for the plan."
    )
    longest_hours: PositiveFloat = Field(
        24.0, description="Hours a run may take on one GPU before the plan gives it several."
    )
    most_devices: PositiveInt = Field(8, description="GPUs of a node that one run may take.")
    strategy: Literal["auto", "single", "ddp", "fsdp", "deepspeed"] = Field(
        "auto", description="How a run uses its devices; auto: as the plan says."
    )
    devices: PositiveInt | None = Field(
        None, description="Devices of a run; none: as the plan says."
    )
    accumulate: PositiveInt | None = Field(
        None, description="Parts that a step's batch is cut into; none: as the plan says."
    )
    compile: bool = Field(False, description="Compile both parts of the model (torch.compile).")
