"""claims.yaml as typed objects: the paper's statements, their marks, and our estimators' names.

Choices: the file is checked when it is read (unknown keys and marks are refused), and it is the
only place where a value of the paper stands: figures, tables and the paper print it from here.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from behavior_scaling.report.verdict import Kind, Range


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PaperValue(_Part):
    """What the paper reports: words, and a point or a range."""

    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""


class Null(_Part):
    """What would have to be true if the claim were not."""

    values: tuple[float, ...]
    text: str


class Ours(_Part):
    """Which of our estimates is held against the claim: exactly one of the keys below `arm`."""

    axis: str | None = None
    metric: str | None = None
    arm: str | None = None
    curve: Literal["optimum"] | None = None
    cells: Literal["best", "rise", "bend"] | None = None  # see estimates_cells.py
    derived: str | None = None
    coefficient: str | None = None
    exponent: tuple[str, ...] | None = None  # one of these keys
    difference: tuple[str, str] | None = None  # of two exponents
    ratio: tuple[str, str] | None = None
    agreement: str | None = None
    lift: bool = False  # the relative error of a committed forecast, see estimates_across.py
    worlds: Literal["plain", "known", "N"] | None = None  # an exponent over the worlds' entropy
    change: bool = False  # of the agreement, from the smallest budget to the largest
    loss: str | None = None
    joint: bool = False  # the joint surface answers first, the axis alone stands beside it

    @model_validator(mode="after")
    def _one_estimator(self) -> Self:
        kinds = (
            "curve", "cells", "derived", "coefficient", "exponent", "difference", "ratio",
            "agreement", "worlds",
        )  # fmt: skip
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        given += ["lift"] if self.lift else []
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of {', '.join(kinds)}, lift; found {given or 'none'}"
            )
        if self.joint and (self.coefficient or self.agreement or self.cells or self.lift):
            raise ValueError("the joint surface gives optima, what follows from them and exponents")
        return self


class Claim(_Part):
    """One statement of the paper."""

    id: str
    statement: str
    short: str = ""  # the statement in a few words: given for the claims of the short table
    marks: tuple[str, ...]
    paper: PaperValue
    kind: Kind
    budgets: Range | None = None
    stated_null: Null | None = None
    ours: Ours | None = None
    why: str | None = None

    @model_validator(mode="after")
    def _ours_or_why(self) -> Self:
        if (self.ours is None) == (self.why is None):
            raise ValueError(f"claim {self.id}: give either `ours` or `why`")
        return self

    @property
    def mark_text(self) -> str:
        """'[A] [1]'."""
        return " ".join(f"[{mark}]" for mark in self.marks)


class ClaimList(_Part):
    """The file: marks and their meaning, the paper's budgets, the claims."""

    marks: dict[str, str]
    budgets: Range
    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def _known_marks(self) -> Self:
        names = [claim.id for claim in self.claims]
        if len(set(names)) != len(names):
            raise ValueError(f"a claim id stands twice in {names}")
        for claim in self.claims:
            unknown = [mark for mark in claim.marks if mark not in self.marks]
            if unknown or not claim.marks:
                raise ValueError(f"claim {claim.id}: unknown or no mark {unknown}")
        return self

    def claim(self, name: str) -> Claim:
        """A claim by its id; KeyError if there is none."""
        return {claim.id: claim for claim in self.claims}[name]

    def budgets_of(self, claim: Claim) -> Range:
        """The paper's budgets for a claim."""
        return claim.budgets or self.budgets


@cache
def load_claims() -> ClaimList:
    """The claims that ship with the package.

    Raises:
        pydantic.ValidationError: the file holds an unknown key, mark or a claim without `ours`.
    """
    text = resources.files("behavior_scaling.report").joinpath("claims.yaml").read_text("utf-8")
    return ClaimList.model_validate(yaml.safe_load(text))


def marks_text() -> str:
    """'[A] abstract or the author's own page; [2] ...': every mark with its meaning."""
    return "; ".join(f"[{mark}] {meaning}" for mark, meaning in load_claims().marks.items())
