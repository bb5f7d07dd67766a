"""Any law on anyone's table: `fit_table`, the function behind `behavior-scaling fit --law`.

Choices: columns are named by the caller and never guessed; an option that a law has no use for is
an error, so that nobody believes it did something; what the rows cannot tell is a status in the
result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy.typing as npt

from behavior_scaling.laws import on_table_axes, on_table_joint
from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.csv_table import Table, as_table
from behavior_scaling.laws.law_fit import LawFit
from behavior_scaling.laws.on_table_rows import SIZES, Options, Rows, rows_of

if TYPE_CHECKING:
    import pandas as pd

COMMON = ("y", "where", "drop_largest")
ROBUST = ("delta", "residuals", "bootstrap", "seed")
BUDGETED = ("tolerance", "bootstrap", "seed")


@dataclass(frozen=True)
class Law:
    """What a law reads and which function fits it."""

    fit: Callable[[Rows], LawFit]
    needs: tuple[str, ...]  # columns: of n, d, c, x, unique; two of n, d, c give the third
    sizes: tuple[str, ...]  # of n, d, c: those that enter it
    settings: tuple[str, ...]
    some: tuple[str, ...] = ()  # columns of which it needs at least one
    optional: tuple[str, ...] = ()

    @property
    def uses(self) -> tuple[str, ...]:
        """What it takes besides COMMON; n, d and c stand for one another."""
        columns = (*self.needs, *self.some, *(SIZES if self.sizes else ()), *self.optional)
        return tuple(dict.fromkeys((*columns, *self.settings)))


LAWS: dict[str, Law] = {
    "envelope": Law(
        on_table_axes.fit_envelope_rows, SIZES, SIZES, ("tolerance", "bootstrap", "seed")
    ),
    "isoflop": Law(on_table_axes.fit_isoflop, SIZES, SIZES, ("tolerance",), optional=("unique",)),
    "parametric": Law(on_table_joint.fit_parametric_rows, (), ("n", "d"), ROBUST, ("n", "d")),
    "vpnls": Law(on_table_joint.fit_vpnls_rows, ("n", "d"), ("n", "d"), ("bootstrap", "seed")),
    "power": Law(on_table_joint.fit_power_rows, (), (), ROBUST, on_table_joint.POWER_COLUMNS),
    "repetition": Law(on_table_joint.fit_repetition_rows, ("n", "d", "unique"), ("n", "d"), ROBUST),
    "share": Law(on_table_axes.fit_share, ("x", "c"), ("c",), BUDGETED),
    "negatives": Law(on_table_axes.fit_negatives, ("x", "c"), ("c",), BUDGETED),
    "batch": Law(on_table_axes.fit_batch_rows, ("x", "c"), ("c", "d"), ("tolerance",)),
}


def fit_table(
    law: str,
    table: Mapping[str, npt.ArrayLike] | pd.DataFrame | Table,
    *,
    y: str,
    n: str | None = None,
    d: str | None = None,
    c: str | None = None,
    x: str | None = None,
    unique: str | None = None,
    where: Mapping[str, object] | None = None,
    drop_largest: int | None = None,
    tolerance: float | None = None,
    delta: float | None = None,
    residuals: str | None = None,
    bootstrap: int | None = None,
    seed: int | None = None,
) -> LawFit:
    """Fit a law to a table.

    Args:
        law: a key of LAWS.
        table: columns of equal length, a data frame, or what `csv_table.read_table` returns.
        y: column of the loss, positive, lower is better.
        n: column of parameters.
        d: column of positions (tokens, events) trained on, repeats included.
        c: column of compute; for isoflop, share, negatives and batch it groups the budgets. Of n,
            d and c two give the third by C = 6 N D; parametric with n or d alone has one term.
        x: column of the law's own variable: share of the embedder, candidates, batch size; power
            takes x or one of n, d, c.
        unique: column of distinct positions, for repetition and the epochs of isoflop.
        where: {column: value}: only the rows with these values.
        drop_largest: leave out the rows whose y is at or above the k-th largest.
        tolerance: rows are one budget (envelope: one model) if C (N) agrees within this share;
            default 0.05 (0.01).
        delta: Huber's threshold on the residuals, infinite for least squares; default 1e-3, for
            power least squares.
        residuals: 'log' (default) or 'linear': the scale on which losses are compared.
        bootstrap: resamples behind the intervals; default 4000 (envelope 1000, share and
            negatives 400).
        seed: of every random draw; default 0.

    Returns:
        A LawFit; what the rows cannot tell is a status, never a number.

    Raises:
        LawsError: an unknown law or column, an option that the law has no use for, or an entry
            that is no positive finite number; the message names column and row.
    """
    columns = {"n": n, "d": d, "c": c, "x": x, "unique": unique}
    settings = {
        "tolerance": tolerance, "delta": delta, "residuals": residuals, "bootstrap": bootstrap,
        "seed": seed,
    }  # fmt: skip
    named = {role: column for role, column in columns.items() if column is not None}
    _check(law, named, [name for name, value in settings.items() if value is not None])
    options = Options(tolerance, delta, residuals, bootstrap, seed)
    known = LAWS[law]
    rows = rows_of(
        as_table(table), law, {"y": y, **named}, known.sizes, options, where or {}, drop_largest
    )
    return known.fit(rows)


def _check(law: str, named: Mapping[str, str], settings: list[str]) -> None:
    """Refuse an unknown law, a column that it lacks, and options that it would ignore.

    Raises:
        LawsError: saying what the law uses.
    """
    if law not in LAWS:
        raise LawsError(f"law {law!r} is not known; laws: {', '.join(LAWS)}")
    known = LAWS[law]
    idle = [name for name in (*named, *settings) if name not in known.uses]
    if idle:
        used = ", ".join((*known.uses, *COMMON))
        raise LawsError(f"law {law} does not use {idle[0]!r}; it uses {used}")
    if known.some and not set(known.some) & set(named):
        raise LawsError(f"law {law} needs a column for one of {', '.join(known.some)}")
    for role in known.needs:
        other = [name for name in SIZES if name != role] if role in SIZES else []
        if role not in named and not (other and set(other) <= set(named)):
            instead = f", or {' and '.join(other)} to compute it from" if other else ""
            raise LawsError(f"law {law} needs a column for {role!r}{instead}")
    given = [role for role in SIZES if role in named]
    extra = [role for role in given if known.sizes and role not in known.sizes]
    if extra and len(given) == 2 and not set(SIZES) - set(given) <= set(known.sizes):
        beside = next(role for role in given if role != extra[0])
        raise LawsError(f"law {law} does not use {extra[0]!r} beside {beside!r}")
