"""Laws of all rows at once, on any table: approach 3, VPNLS, repetition, and one power law.

Choices: settings that nobody gave are each law's own; an infinite Huber delta is least squares.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.law_fit import LawFit
from behavior_scaling.laws.on_table_rows import Rows
from behavior_scaling.laws.parametric import DELTA, RESAMPLES, fit_parametric, fit_power_law
from behavior_scaling.laws.repetition import fit_repetition
from behavior_scaling.laws.vpnls import fit_vpnls

POWER_COLUMNS = ("x", "c", "n", "d")


def fit_parametric_rows(rows: Rows) -> LawFit:
    """Approach 3; with N or D alone its one-term kin."""
    rows.check_varying(*(role for role in ("n", "d") if role in rows.columns))
    fit = fit_parametric(
        rows.y,
        rows.columns.get("n"),
        rows.columns.get("d"),
        residuals=rows.options.residuals or "log",
        delta=_delta(rows, DELTA),
        bootstrap=_resamples(rows),
        seed=rows.options.seed or 0,
    )
    return _noted(fit, rows)


def fit_vpnls_rows(rows: Rows) -> LawFit:
    """Approach 3 by variable projection: linear residuals, least squares."""
    rows.check_varying("n", "d")
    fit = fit_vpnls(
        rows.y, rows["n"], rows["d"], bootstrap=_resamples(rows), seed=rows.options.seed or 0
    )
    return _noted(fit, rows)


def fit_repetition_rows(rows: Rows) -> LawFit:
    """Approach 3 with data that repeat."""
    rows.check_varying("n", "d")
    fit = fit_repetition(
        rows.y,
        rows["n"],
        rows["d"],
        rows["unique"],
        residuals=rows.options.residuals or "log",
        delta=_delta(rows, DELTA),
        bootstrap=_resamples(rows),
        seed=rows.options.seed or 0,
    )
    return _noted(fit, rows)


def fit_power_rows(rows: Rows) -> LawFit:
    """A power law of one column.

    Raises:
        LawsError: more than one column is named.
    """
    named = [role for role in POWER_COLUMNS if role in rows.columns]
    if len(named) > 1:
        raise LawsError(f"law power takes one column, x or c or n or d, not {' and '.join(named)}")
    rows.check_varying(named[0])
    fit = fit_power_law(
        rows.y,
        rows[named[0]],
        residuals=rows.options.residuals or "log",
        delta=_delta(rows, None),
        bootstrap=_resamples(rows),
        seed=rows.options.seed or 0,
    )
    symbol = "x" if named[0] == "x" else named[0].upper()
    return _noted(replace(fit, form=fit.form.replace("C^", f"{symbol}^")), rows)


def _delta(rows: Rows, default: float | None) -> float | None:
    delta = default if rows.options.delta is None else rows.options.delta
    return None if delta is None or np.isinf(delta) else delta


def _resamples(rows: Rows) -> int:
    return RESAMPLES if rows.options.bootstrap is None else rows.options.bootstrap


def _noted(fit: LawFit, rows: Rows) -> LawFit:
    return replace(fit, notes=(*rows.notes, *fit.notes))
