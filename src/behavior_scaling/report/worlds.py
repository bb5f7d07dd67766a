"""What the laws left of the parts in synthetic worlds (laws/worlds.json), as typed objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from behavior_scaling.laws.results import Estimate
from behavior_scaling.report.joint import Origin, Row, typed

FILE = "laws/worlds.json"
NONE = "This study has no parts in worlds of known entropy."
EXPONENTS = {  # of laws/worlds_across.py: words
    "plain": "b of L = a·C^−b",
    "known": "b of L − E = a·C^−b, E known",
    "N": "a of N* ∝ C^a",
}


@dataclass(frozen=True)
class Reached:
    """The best loss of a budget, nats an event, and how far it lies above the oracle."""

    budget: float
    loss: Estimate
    gap: Estimate
    at: str  # 'vertex' or 'lowest cell'


@dataclass(frozen=True)
class WorldLaw:
    """One study in a world of known entropy."""

    study: str
    source: str
    unique: int  # unique training positions
    epochs: tuple[float, float] | None  # fewest and most
    entropy: float  # H_L over fresh events, nats an event
    entropy_error: float  # its standard error
    oracle: float  # cross-entropy on the validation positions: the known E
    budgets: tuple[Reached, ...]
    known: dict[str, Estimate]  # a and b of L - E = a C^-b
    plain: dict[str, Estimate]  # a and b of L = a C^-b
    free: dict[str, Estimate]  # E, a and b of L = E + a C^-b
    fitted: dict[str, Estimate]  # E of the joint surface ('surface') and of approach 3
    size: Estimate  # exponent of N*
    notes: tuple[str, ...]
    origin: Origin

    def exponent(self, what: str) -> Estimate:
        """One of EXPONENTS."""
        return {"plain": self.plain["b"], "known": self.known["b"], "N": self.size}[what]


@dataclass(frozen=True)
class Across:
    """How an exponent moves with the worlds' entropy."""

    of: str
    studies: tuple[str, ...]
    slope: Estimate  # per nat
    rank: float | None
    p_value: float | None
    least_p: float | None
    origin: Origin


@dataclass(frozen=True)
class Repetition:
    """Two studies of one world and grid, the second on fewer unique positions."""

    fresh: str
    repeated: str
    source: str
    unique: tuple[int, int]
    worth: Estimate  # R*
    surface: Estimate  # R* of the repeated study's joint surface
    cells: tuple[Row, ...]
    origin: Origin


def world_laws(rows: Sequence[Row], place: str = "") -> tuple[WorldLaw, ...]:
    """The list 'worlds', in ascending entropy."""
    found = typed(rows, "worlds", _world, f"{place}{FILE}")
    return tuple(sorted(found, key=lambda one: (one.entropy, -one.unique)))


def across_worlds(rows: Sequence[Row], place: str = "") -> tuple[Across, ...]:
    """The list 'across'."""
    return typed(rows, "across", _across, f"{place}{FILE}")


def repeated_data(rows: Sequence[Row], place: str = "") -> tuple[Repetition, ...]:
    """The list 'repetition'."""
    return typed(rows, "repetition", _repetition, f"{place}{FILE}")


def _world(raw: Row, origin: Origin) -> WorldLaw:
    truth = raw["oracle"]
    return WorldLaw(
        study=raw["study"],
        source=raw["source"],
        unique=raw["unique_positions"],
        epochs=tuple(raw["epochs"]) if raw["epochs"] else None,
        entropy=truth["H"],
        entropy_error=truth["H_se"],
        oracle=truth["cross_entropy"],
        budgets=tuple(
            Reached(row["budget"], Estimate(**row["loss"]), Estimate(**row["gap"]), row["at"])
            for row in raw["budgets"]
        ),
        known=_estimates(raw["known"]),
        plain=_estimates(raw["plain"]),
        free=_estimates(raw["free"]),
        fitted=_estimates(raw["E"]),
        size=Estimate(**raw["N"]),
        notes=tuple(raw["notes"]),
        origin=origin,
    )


def _across(raw: Row, origin: Origin) -> Across:
    plain = ("of", "rank", "p_value", "least_p")
    return Across(
        **{name: raw[name] for name in plain},
        studies=tuple(raw["studies"]),
        slope=Estimate(**raw["slope"]),
        origin=origin,
    )


def _repetition(raw: Row, origin: Origin) -> Repetition:
    return Repetition(
        fresh=raw["fresh"],
        repeated=raw["repeated"],
        source=raw["source"],
        unique=(raw["unique_fresh"], raw["unique_repeated"]),
        worth=Estimate(**raw["R*"]),
        surface=Estimate(**raw["surface"]),
        cells=tuple(raw["cells"]),
        origin=origin,
    )


def _estimates(raw: dict[str, Row]) -> dict[str, Estimate]:
    return {name: Estimate(**value) for name, value in raw.items()}
