"""The study: everything a YAML file under config/ may say; with config_parts.py the only defaults.

Choices: unknown keys are refused (a misspelt key must not silently fall back to a default);
base points are literal numbers, so that no result feeds back into the design of a study; the
JSON schema that the Snakefile validates against is generated from these classes. A file may say
`extends: other.yaml` (beside it): its own top-level keys then replace the other's, whole blocks at
a time, so that one design runs on several sources; one level, so that a reader opens two files.
`parts: [other.yaml]` names studies beside it whose results its report holds, too (other data, other
axes); one level, and never taken over by `extends`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from behavior_scaling.config_axes import Axes, BasePoint
from behavior_scaling.config_parts import (
    ContextualizerConfig,
    DataConfig,
    EmbedderConfig,
    ExecutionConfig,
    ObjectiveConfig,
    OptimizerConfig,
    Part,
    by_path,
)

EXTENDS = "extends"
PARTS = "parts"


class ConfigError(ValueError):
    """A study file that cannot be used; the message names the file and the key's path."""


class Study(Part):
    """One study: one YAML file, one folder under results/."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    runs: Literal["train", "archive"] = "train"
    parts: tuple[str, ...] = Field((), description="Study files beside this one, read along.")
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
        for name in ("batch", "batch_as_paper", "negatives"):
            axis = getattr(self.axes, name)
            missing = [] if axis is None else [b for b in axis.budgets if b not in known]
            if missing:
                raise ValueError(f"axes.{name} needs a base point for budget {missing[0]:g}")
        return self

    @model_validator(mode="after")
    def _shares_fit_the_embedder(self) -> Self:
        """A table does not count in N_emb; of other kinds share 0 is the share axis's control."""
        table = self.embedder.kind == "table"
        for name in ("share", "share_at_optimum"):
            if table and getattr(self.axes, name) is not None:
                raise ValueError(
                    f"axes.{name}: the embedder.kind table is counted apart, it has no share"
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

    @model_validator(mode="after")
    def _parts_lie_beside(self) -> Self:
        for name in self.parts:
            if Path(name).name != name:
                raise ValueError(f"{PARTS} names study files beside this one, not {name!r}")
        if len(set(self.parts)) != len(self.parts):
            raise ValueError(f"{PARTS} names a file twice: {', '.join(self.parts)}")
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


def load_parts(path: Path, study: Study) -> dict[Path, Study]:
    """The parts of a study by file, in the order of its file.

    Args:
        path: of the study's own file.
        study: the study.

    Raises:
        ConfigError: a part is no file or cannot be used, has parts itself, or has a name that
            the study or another part has.
    """
    parts: dict[Path, Study] = {}
    for name in study.parts:
        other = path.with_name(name)
        if not other.is_file():
            raise ConfigError(f"{path}: {PARTS}: {other} is no file")
        part = load_study(other)
        if part.parts:
            raise ConfigError(f"{path}: {PARTS}: {other} has parts itself: one level only")
        if part.name in {study.name, *(one.name for one in parts.values())}:
            raise ConfigError(
                f"{path}: {PARTS}: {other} is named {part.name!r}, as another study here is; "
                "each needs a name of its own"
            )
        parts[other] = part
    return parts


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


def with_keys(study: Study, changes: dict[str, Any]) -> Study:
    """A study with some keys changed, each named by its path, and no axes.

    Raises:
        ConfigError: an unknown key or an impossible value.
    """
    raw = study.model_dump(mode="python", exclude={"axes", "base"})
    for path, value in changes.items():
        part = raw
        *parents, last = path.split(".")
        for name in parents:
            part = part.get(name, {}) if isinstance(part, dict) else {}
        if not isinstance(part, dict) or last not in part:
            raise ConfigError(f"variations: a study has no key {path!r}")
        part[last] = value
    return parse_study({**raw, "axes": {}}, where=f"variation {changes}")


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
    taken = {key: value for key, value in base.items() if key != PARTS}
    return taken | {key: value for key, value in raw.items() if key != EXTENDS}


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
