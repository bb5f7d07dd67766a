"""Laws that work budget by budget, on any table: envelope, isoFLOP, share, negatives, batch.

Choices: each is the law of a study's axis, called on curves made from rows; what a study knows and
a table does not is left out of the answer (epochs without a column of distinct positions, sequences
in events, candidates over the catalogue). The objective is half the weighted sum of squares of the
cells around their curves, each cell weighted by its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from behavior_scaling.laws import batch, isoflop, two_term
from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.envelope import FORM as ENVELOPE_FORM
from behavior_scaling.laws.envelope import SAME_N, fit_envelope
from behavior_scaling.laws.law_fit import LawFit
from behavior_scaling.laws.on_table_curves import Curves, curves_of
from behavior_scaling.laws.on_table_rows import Rows
from behavior_scaling.laws.parts import AxisParts
from behavior_scaling.laws.results import CurveFit, Estimate, Status

SAME_BUDGET = 0.05
RESAMPLES = 400
ENVELOPE_RESAMPLES = 1000
Predict = Callable[[CurveFit, Array], Array]


def fit_envelope_rows(rows: Rows) -> LawFit:
    """Approach 1."""
    options = rows.options
    resamples = options.bootstrap or ENVELOPE_RESAMPLES
    fit = fit_envelope(
        rows["n"],
        rows["d"],
        rows["c"],
        rows.y,
        tolerance=options.tolerance or SAME_N,
        seed=options.seed or 0,
        resamples=resamples,
    )
    return LawFit(
        law=rows.law,
        form=ENVELOPE_FORM,
        residuals="log",
        delta=None,
        points=rows.y.size,
        parameters=fit.parameters,
        derived=fit.derived,
        objective=fit.objective,
        objective_mean=None if fit.objective is None else fit.objective / len(fit.steps),
        standard_errors=fit.standard_errors,
        status=fit.status,
        best_share=None,
        starts=0,
        condition=None,
        interval=f"95% percentiles over {resamples} resamples of the models",
        curves=(),
        notes=(*rows.notes, *fit.notes),
    )


def fit_isoflop(rows: Rows) -> LawFit:
    """Approach 2: a parabola for each budget, then N* and D* over C."""
    unique = rows.columns.get("unique")
    epochs = np.ones_like(rows.y) if unique is None else rows["d"] / unique
    curves = _curves(rows, rows["n"], {"positions": rows["d"], "epochs": epochs})
    parts = isoflop.fit_allocation(curves.data)
    if unique is None:
        parts = _without_epochs(parts)

    def predict(fit: CurveFit, n: Array) -> Array:
        c0, c1, c2 = (fit.coefficients[name].value or 0.0 for name in ("c0", "c1", "c2"))
        return np.asarray(c0 + c1 * np.log(n) + c2 * np.log(n) ** 2)

    parameters = {
        "_exponent".join((name[0], name[1:])): value for name, value in parts.exponents.items()
    }
    return _law_fit(rows, isoflop.FORM, curves, parts, parameters, "N_exponent", predict)


def fit_share(rows: Rows) -> LawFit:
    """The share law: two terms around an optimal share."""
    return _two_term(rows, "share", "s*")


def fit_negatives(rows: Rows) -> LawFit:
    """The negatives law: two terms around an optimal number of candidates."""
    return _two_term(rows, "K", "K*")


def fit_batch_rows(rows: Rows) -> LawFit:
    """The clean batch law: B_crit through D_eff, gamma shared over budgets."""
    notes = ["rows with too few steps or too few batches an epoch are not told apart from others"]
    positions = rows.columns.get("d")
    if positions is None:
        positions = np.ones_like(rows.y)
        notes.append("no D named: taken as equal for all rows of a budget")
    columns = {"positions": positions, "sequence_events": np.ones_like(rows.y)}
    curves = _curves(rows, rows["x"], columns)
    parts = batch.fit_critical_batch(curves.data)
    plain = tuple(replace(fit, derived=_dropped(fit.derived, "events")) for fit in parts.curves)
    parts = replace(parts, curves=plain, notes=(*notes, *parts.notes))
    return _law_fit(rows, batch.CLEAN_FORM, curves, parts, parts.exponents, "gamma", None)


def _two_term(rows: Rows, name: str, symbol: str) -> LawFit:
    curves = _curves(rows, rows["x"], {})
    options = rows.options
    parts = two_term.fit_two_term(
        curves.data, name, seed=options.seed or 0, resamples=options.bootstrap or RESAMPLES
    )

    def predict(fit: CurveFit, x: Array) -> Array:
        c = {key: value.value or 0.0 for key, value in fit.coefficients.items()}
        return np.asarray(c["y0"] + c["a"] * x ** c["alpha"] + c["b"] * x ** -c["beta"])

    exponents = {k: v for k, v in parts.exponents.items() if k != name}
    exponents[f"{symbol} over C"] = parts.exponents[name]
    return _law_fit(rows, two_term.FORM, curves, parts, exponents, None, predict)


def _curves(rows: Rows, x: Array, columns: dict[str, Array]) -> Curves:
    tolerance = rows.options.tolerance or SAME_BUDGET
    return curves_of(rows["c"], x, rows.y, tolerance, columns)


def _law_fit(
    rows: Rows,
    form: str,
    curves: Curves,
    parts: AxisParts,
    parameters: dict[str, Estimate],
    headline: str | None,
    predict: Predict | None,
) -> LawFit:
    """The result of an axis's law; its status is the headline exponent's, else its best curve's."""
    objective, cells = (None, 0) if predict is None else _objective(curves.data, parts, predict)
    return LawFit(
        law=rows.law,
        form=form,
        residuals="linear",
        delta=None,
        points=rows.y.size,
        parameters=parameters,
        derived={},
        objective=objective,
        objective_mean=None if objective is None else objective / cells,
        standard_errors={},
        status=parameters[headline].status if headline else _best_status(parts.curves),
        best_share=None,
        starts=0,
        condition=None,
        interval="95% from t and F quantiles over the seed noise or the scatter around each curve",
        curves=parts.curves,
        notes=(*rows.notes, *curves.notes, *parts.notes),
    )


def _objective(
    data: Sequence[CurveData], parts: AxisParts, predict: Predict
) -> tuple[float | None, int]:
    """Half the weighted sum of squares over the curves that were fitted, and their cells."""
    total, cells = 0.0, 0
    for curve, fit in zip(data, parts.curves, strict=True):
        if fit.coefficients:
            residual = curve.y - predict(fit, curve.x)
            total += 0.5 * float(np.sum(residual**2 / curve.spread))
            cells += curve.cells
    return (total, cells) if cells else (None, 0)


def _best_status(curves: Sequence[CurveFit]) -> Status:
    """'converged' where one optimum did; else the first curve's."""
    statuses: list[Status] = [fit.optimum.status for fit in curves]
    return "converged" if "converged" in statuses else statuses[0]


def _without_epochs(parts: AxisParts) -> AxisParts:
    """Nothing about epochs where no column tells them."""
    curves = tuple(
        replace(fit, derived=_dropped(fit.derived, "N_within_4_epochs")) for fit in parts.curves
    )
    exponents = {name: value for name, value in parts.exponents.items() if name in ("N", "D")}
    return replace(parts, curves=curves, exponents=exponents)


def _dropped(estimates: dict[str, Estimate], name: str) -> dict[str, Estimate]:
    return {key: value for key, value in estimates.items() if key != name}
