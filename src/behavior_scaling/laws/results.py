"""What a fit returns: estimates with an interval and an honest status, per curve and per axis.

Choices: a number is never shown without its status; `value` is None wherever the data do not
identify it; everything is a frozen dataclass that turns into plain JSON and back.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, Self

Status = Literal[
    "converged",
    "at bound",
    "not identified",
    "vertex outside the grid",
    "max iterations",
    "too few points",
]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval (in the value's own unit) and status."""

    value: float | None
    low: float | None
    high: float | None
    status: Status
    reason: str = ""


@dataclass(frozen=True)
class CurveFit:
    """One curve: one axis, one metric, one budget."""

    budget: float
    runs: int
    cells: int
    optimum: Estimate  # of x: N*, s*, B_crit or B*, K*
    best: Estimate  # the metric there, in the metric's own unit
    coefficients: dict[str, Estimate]
    curve_x: tuple[float, ...]  # the fitted curve, in own units; empty where nothing was fitted
    curve_y: tuple[float, ...]
    noise: float | None  # pooled seed standard deviation used, on the fitted scale
    flags: tuple[str, ...] = ()  # "data-limited", "transform-dependent", "pre-bigram"
    derived: dict[str, Estimate] = field(default_factory=dict)  # D*, D/N, in events, over V, ...

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Self:
        """From plain JSON values; a missing or unknown key raises KeyError or TypeError."""
        parsed = raw | {
            "optimum": Estimate(**raw["optimum"]),
            "best": Estimate(**raw["best"]),
            "coefficients": _estimates(raw["coefficients"]),
            "derived": _estimates(raw["derived"]),
            "curve_x": tuple(raw["curve_x"]),
            "curve_y": tuple(raw["curve_y"]),
            "flags": tuple(raw["flags"]),
        }
        return cls(**parsed)


@dataclass(frozen=True)
class AxisFit:
    """All curves of one axis for one metric, and what varies over budgets."""

    axis: str
    arm: str
    metric: str  # column of the runs table
    form: str  # the fitted form, in words and symbols
    transform: str  # what was done to the metric before fitting
    x: str  # column of the runs table on the horizontal axis
    curves: tuple[CurveFit, ...]
    exponents: dict[str, Estimate]  # over budgets: N, D, share, ...
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Self:
        """Inverse of to_dict; a missing or unknown key raises KeyError or TypeError."""
        parsed = raw | {
            "curves": tuple(CurveFit.from_dict(curve) for curve in raw["curves"]),
            "exponents": _estimates(raw["exponents"]),
            "notes": tuple(raw["notes"]),
        }
        return cls(**parsed)


@dataclass(frozen=True)
class Agreement:
    """Rank correlation of a loss with a ranking metric over cells; +1: lower loss ranks better."""

    axis: str
    arm: str
    budget: float | None  # None: partial correlation pooled over budgets and axes
    loss: str
    metric: str
    cells: int
    correlation: Estimate
    p_value: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Self:
        """Inverse of to_dict; a missing or unknown key raises KeyError or TypeError."""
        return cls(**(raw | {"correlation": Estimate(**raw["correlation"])}))


def _estimates(raw: dict[str, dict[str, Any]]) -> dict[str, Estimate]:
    return {name: Estimate(**value) for name, value in raw.items()}
