"""LawFit: what a law fitted to any table returns.

Choices: one shape for every law, so that a caller reads parameters, derived numbers and their
statuses in the same place; the objective is the one that was asked for, in raw units, as a sum and
as a mean (published code uses both).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from behavior_scaling.laws.results import CurveFit, Estimate, Status


@dataclass(frozen=True)
class LawFit:
    """One law on one table."""

    law: str
    form: str  # in words and symbols
    residuals: str  # 'log' or 'linear'
    delta: float | None  # Huber's threshold; None: least squares
    points: int  # rows that entered
    parameters: dict[str, Estimate]
    derived: dict[str, Estimate]
    objective: float | None  # sum of Huber(r), or of r^2 / 2, over points; None: none was minimised
    objective_mean: float | None
    standard_errors: dict[str, float]  # over bootstrap resamples
    status: Status
    best_share: float | None  # of starts that reached the best minimum
    starts: int
    condition: float | None  # of the scaled Jacobian; None: singular or not defined
    interval: str  # how the intervals were made
    minimum: dict[str, float] = field(default_factory=dict)  # the parameters at the objective's
    # minimum, shown by the rows or not: to compare with other code, not to be quoted
    curves: tuple[CurveFit, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)
