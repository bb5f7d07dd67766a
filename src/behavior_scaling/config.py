"""The study: everything a YAML file under config/ may say; with config_parts.py the only defaults.

Choices: unknown keys are refused (a misspelt key must not silently fall back to a default);
base points are literal numbers, so that no result feeds back into the design of a study; the
JSON schema that the Snakefile validates against is generated from these classes. A file may say
`extends: other.yaml` (beside it): its own top-level keys then replace the other's, whole blocks at
a time, so that one design runs on several sources; one level, so that a reader opens two files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from behavior_scaling.config_parts import (
    ContextualizerConfig,
    DataConfig,
    EmbedderConfig,
    ExecutionConfig,
    NonNegativeInt,
    ObjectiveConfig,
    OptimizerConfig,
    Part,
    PositiveFloat,
    PositiveInt,
    Share,
    by_path,
)

EXTENDS = "extends"


class ConfigError(ValueError):
    """A study file that cannot be used; the message names the file and the key's path."""


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


class Axes(Part):
    """The four axes of the paper; an axis that is absent is not run."""

    allocation: AllocationAxis | None = None
    share: ShareAxis | None = None
    batch: BatchAxis | None = None
    negatives: NegativesAxis | None = None


class Study(Part):
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
    """Read and check a study file, and the one that it extends.

    Raises:
        ConfigError: the file is missing, is no YAML mapping, extends a file that does not serve,
            or holds an unknown key or an impossible value; the message names every offending key
            by its path.
    """
    raw = _read(path)
    if isinstance(raw, dict) and EXTENDS in raw:
        raw = _extended(raw, path)
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
        said = by_path(error, "study")
        raise ConfigError(f"{where}: this study cannot be used:\n{said}") from None


def _read(path: Path) -> Any:
    if not path.is_file():
        raise ConfigError(f"{path}: no such study file")
    try:
        return yaml.load(path.read_text(), Loader=_FloatLoader)  # noqa: S506 (safe subclass)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error


def _extended(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """A study with the blocks that it takes from another file."""
    named = raw[EXTENDS]
    if not isinstance(named, str) or Path(named).name != named:
        raise ConfigError(f"{path}: {EXTENDS}: names a study file beside it, not {named!r}")
    other = path.with_name(named)
    if not other.is_file():
        raise ConfigError(f"{path}: {EXTENDS}: {other} is no file")
    base = _read(other)
    if not isinstance(base, dict):
        raise ConfigError(f"{other}: a study is a mapping of keys, not {type(base).__name__}")
    if EXTENDS in base:
        raise ConfigError(f"{path}: {EXTENDS}: {other} extends another file itself: one level only")
    if "name" not in raw:
        raise ConfigError(f"{path}: a study that extends another needs a name of its own")
    return base | {key: value for key, value in raw.items() if key != EXTENDS}


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
