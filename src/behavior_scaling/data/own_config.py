"""The description of one's own tables: a YAML that names files, columns and kinds (docs/data.md).

Choices: as in a study, unknown keys are refused and a part is frozen; a column's kind is stated,
never inferred, so that a new value in the data cannot turn a number into a category; files are
named relative to the YAML, which so can move with its data.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from behavior_scaling.config_parts import Part, by_path
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.tables import EventKind, FeatureSchema, ItemKind

RESERVED = ("user_id", "item_id", "timestamp", "session_id", "line")
_UNSAFE = re.compile(r";|--|/\*|\b(select|copy|attach|install|load|pragma)\b", re.IGNORECASE)

Files = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    Field(min_length=1, description="Paths or globs, relative to this file."),
]
Separator = Annotated[
    str | None, Field(min_length=1, max_length=1, description="Of a text file's columns.")
]


class Time(Part):
    """The column of times, and how it is to be read."""

    column: str
    unit: Literal["s", "ms", "us", "ns", "auto"] = Field(
        "auto", description="Of a column of numbers; auto: refused where it is not plain."
    )
    zone: str = Field("UTC", description="Of local times, i.e. text or timestamps without one.")
    format: str | None = Field(None, description="Of text, as strptime; without it ISO 8601.")

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{zone!r} is no time zone; write one like Europe/London") from None
        return zone

    @field_validator("format")
    @classmethod
    def _complete(cls, form: str | None) -> str | None:
        if form is not None and not re.search(r"%[YyGs]|%c|%x", form):
            raise ValueError(f"{form!r} names no year; write one like '%d/%m/%Y %H:%M'")
        return form


class ItemFeature(Part):
    """A feature of the items; written as its kind alone where nothing else is to be said."""

    kind: ItemKind
    separator: str | None = Field(
        None, min_length=1, description="Between the values of a multi or vector column of text."
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _separator_fits(self) -> Self:
        if self.separator is not None and self.kind not in ("multi", "vector"):
            raise ValueError(f"separator: a {self.kind} feature has one value; drop the separator")
        return self


class EventTable(Part):
    """Which files hold the events, and which columns mean what."""

    files: Files
    user: str
    item: str
    time: Time
    session: str | None = None
    features: dict[str, EventKind] = Field(default_factory=dict)
    where: str | None = Field(
        None,
        description="Keep the rows where this expression (DuckDB's SQL over the file's own "
        "columns) is true; of text files the numeric features are numbers and the rest is text.",
    )
    separator: Separator = None

    @field_validator("time", mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @field_validator("where")
    @classmethod
    def _only_a_condition(cls, where: str | None) -> str | None:
        found = _UNSAFE.search(where or "")
        if found:
            raise ValueError(f"{found.group()!r}: only a condition on the row's own columns")
        return where

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        roles = [self.user, self.item, self.time.column]
        if len(set(roles)) < len(roles):
            raise ValueError(f"user, item and time name a column twice: {', '.join(roles)}")
        _check_names(self.features)
        return self


_CATEGORY = ItemFeature(kind="categorical")


class ItemTable(Part):
    """Which files hold the items, and the kinds of their features, in order of priority.

    Without files the features are columns of the events, and an item's are those of its first
    event in time: a text that was changed later is not seen.
    """

    files: Files | None = None
    id: str | None = Field(None, description="Column of the item's id; only with files.")
    features: dict[str, ItemFeature] = Field(min_length=1)
    separator: Separator = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.files is None) != (self.id is None):
            raise ValueError("files and id go together: a table of items has both, and without "
                             "one its features are columns of the events")  # fmt: skip
        _check_names({name: one for name, one in self.features.items() if name != self.id})
        if self.id is not None and self.features.get(self.id, _CATEGORY).kind != "categorical":
            raise ValueError(f"features.{self.id}: as a feature the id is categorical")
        return self


class Description(Part):
    """One's own tables."""

    title: str | None = None
    licence: str | None = None
    citation: str | None = None
    events: EventTable
    items: ItemTable | None = Field(
        None, description="Without it the items are those of the events, their id their feature."
    )

    @property
    def schema_(self) -> FeatureSchema:
        """What the canonical columns will be; an id that is a feature is called item_id."""
        events = tuple(self.events.features.items())
        if self.items is None:
            return FeatureSchema((("item_id", "categorical"),), events)
        own = self.items.id or self.events.item
        return FeatureSchema(
            tuple(
                ("item_id" if name == own else name, one.kind)
                for name, one in self.items.features.items()
            ),
            events,
        )


def read_description(path: Path) -> Description:
    """Read and check a description.

    Raises:
        DataError: the file is missing, is no YAML mapping, or holds an unknown key or an
            impossible value; the message names every offending key by its path.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such description of tables")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not valid YAML: {error}") from None
    return parse_description(text, str(path))


def parse_description(text: str, where: str) -> Description:
    """As read_description, of a text; `where` stands in front of every message."""
    try:
        raw: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(f"{where}: not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise DataError(f"{where}: a description is a mapping of keys, not {type(raw).__name__}")
    try:
        return Description.model_validate(raw)
    except ValidationError as error:
        said = by_path(error, "description")
        raise DataError(f"{where}: this description cannot be used:\n{said}") from None


def _check_names(features: dict[str, Any]) -> None:
    clash = [name for name in features if name.lower() in RESERVED]
    if clash:
        raise ValueError(
            f"features.{clash[0]}: the name is kept for the canonical column; rename yours"
        )
    lower = [name.lower() for name in features]
    if len(set(lower)) < len(lower):
        raise ValueError("features: two names differ in nothing but case; rename one")
