"""The rows of a table that a law is fitted to: chosen, checked, completed, counted.

Choices: rows are chosen first (`where`), so that a table of several experiments can hold anything
elsewhere; then every named column is checked; then rows whose y is at or above the k-th largest are
dropped (the rule of the Chinchilla refit, arXiv 2404.10102). Of N, D and C = 6 N D two give the
third, and a note says so, as it does where the three disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from behavior_scaling.laws.arrays import Array, LawsError
from behavior_scaling.laws.csv_table import Table

SIZES = ("n", "d", "c")  # C = 6 N D
LEAST_RESAMPLES = 50
RESIDUALS = ("log", "linear")


@dataclass(frozen=True)
class Options:
    """Settings of a fit; None: the law's own default."""

    tolerance: float | None = None
    delta: float | None = None
    residuals: str | None = None
    bootstrap: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        """Refuse values that no law can use."""
        for name in ("tolerance", "delta"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and (name == "delta" or np.isfinite(value))):
                raise LawsError(f"{name}: {value!r} is not a positive number")
        if self.residuals not in (None, *RESIDUALS):
            raise LawsError(f"residuals: {self.residuals!r} is neither 'log' nor 'linear'")
        if self.bootstrap is not None and self.bootstrap < LEAST_RESAMPLES:
            raise LawsError(
                f"bootstrap: {self.bootstrap} resamples; an interval needs {LEAST_RESAMPLES}"
            )
        if self.seed is not None and self.seed < 0:
            raise LawsError(f"seed: {self.seed} is negative")


@dataclass(frozen=True, eq=False)
class Rows:
    """What a law is fitted to; arrays [rows], positive and finite."""

    law: str
    y: Array
    columns: Mapping[str, Array]  # of n, d, c, x, unique: those named or computed
    named: Mapping[str, str]  # {role: column} of y and the columns
    options: Options
    notes: tuple[str, ...]

    def __getitem__(self, role: str) -> Array:
        """A column by its role."""
        return self.columns[role]

    def check_varying(self, *roles: str) -> None:
        """Refuse rows that leave a law nothing to see.

        Raises:
            LawsError: y or one of these columns has one value only.
        """
        for role in ("y", *roles):
            values = self.y if role == "y" else self.columns[role]
            if np.ptp(values) <= 1e-12 * values.max():
                name = (
                    repr(self.named[role]) if role in self.named else f"{role.upper()} (computed)"
                )
                raise LawsError(
                    f"column {name}: {values[0]:g} in all {values.size} rows; law {self.law} needs "
                    "it to vary"
                )


def rows_of(
    table: Table,
    law: str,
    named: Mapping[str, str],
    wanted: Sequence[str],
    options: Options,
    where: Mapping[str, object],
    drop_largest: int | None,
) -> Rows:
    """Choose, check and complete the rows.

    Args:
        table: as it was read.
        law: for messages.
        named: {role: column} for y and any of n, d, c, x, unique.
        wanted: which of n, d, c the law can use; one that is not named follows from the others.
        options: of the fit.
        where: {column: value} that rows must hold.
        drop_largest: k of the rule above.

    Raises:
        LawsError: a column or value that is not there, or an entry that is no positive number.
    """
    notes = []
    for column, value in where.items():
        table = table.keep(table.matching(column, str(value)))
        notes.append(f"{table.rows} rows with {column} = {value}")
    values = {role: table.numbers(column) for role, column in named.items()}
    if law == "share" and (values["x"] >= 1).any():
        row = int(np.argmax(values["x"] >= 1))
        raise LawsError(
            f"{table.place(named['x'], row)}: {values['x'][row]:g} is not a share between 0 and 1"
        )
    keep = np.ones(table.rows, dtype=bool)
    if drop_largest is not None:
        if not 1 <= drop_largest < table.rows:
            raise LawsError(f"drop_largest: {drop_largest} of {table.rows} rows")
        threshold = np.sort(values["y"])[-drop_largest]
        keep = values["y"] < threshold
        notes.append(
            f"{int((~keep).sum())} rows with {named['y']} at or above {threshold:.6g} (the largest "
            f"{drop_largest}, ties included): left out"
        )
    kept = {role: column[keep] for role, column in values.items()}
    y = kept.pop("y")
    notes += _complete(kept, named, wanted)
    return Rows(law, y, kept, named, options, tuple(notes))


def _complete(
    columns: dict[str, Array], named: Mapping[str, str], wanted: Sequence[str]
) -> list[str]:
    """Add the wanted one of N, D, C that is missing, and say so; or how far the three disagree."""
    missing = [role for role in SIZES if role not in columns]
    if not missing:
        ratio = columns["c"] / (6 * columns["n"] * columns["d"])
        low, high = float(ratio.min()), float(ratio.max())
        if low < 0.99 or high > 1.01:
            return [f"C / (6 N D) runs from {low:.3g} to {high:.3g}: another convention of C"]
        return []
    if len(missing) > 1 or missing[0] not in wanted:
        return []
    if missing == ["c"]:
        columns["c"] = 6 * columns["n"] * columns["d"]
        return [f"C = 6 N D, from {named['n']} and {named['d']}"]
    role, other = ("d", "n") if missing == ["d"] else ("n", "d")
    columns[role] = columns["c"] / (6 * columns[other])
    return [f"{role.upper()} = C / (6 {other.upper()}), from {named['c']} and {named[other]}"]
