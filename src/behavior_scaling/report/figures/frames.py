"""The tidy table behind the figure of an axis: every mark of the figure is one row.

Choices: the figure is drawn from this table alone, after rounding, so the CSV beside a figure
holds what is drawn and nothing else; runs that give no point are rows too (kind 'left out').

Kinds of rows: run (one seed), cell (mean over seeds), control (a cell outside the fits), fit
(points of the fitted curve), vertex (a curve's optimum), optimum (optima over budgets), joint (the
joint surface's optimum, in a panel of curves), joint optimum (the same, over budgets), floor,
paper (what the paper reports), form (what was fitted), note (why nothing is), flag (a warning on a
curve), left out (a run that did not finish).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from behavior_scaling.laws.results import AxisFit, Estimate
from behavior_scaling.laws.table import X_COLUMN
from behavior_scaling.report.claims_file import load_claims
from behavior_scaling.report.inputs import Results, cells
from behavior_scaling.report.text import (
    FLAGS,
    budgets_text,
    estimate_text,
    flops,
    optimum_symbol,
    short_metric,
)

COLUMNS = [
    "panel", "kind", "arm", "metric", "budget", "label", "x", "x_low", "x_high",
    "y", "y_low", "y_high", "epochs", "runs", "status",
]  # fmt: skip
Row = dict[str, Any]


def frame(
    rows: list[Row], extra: tuple[str, ...] = (), words: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Rows with every column of COLUMNS, floats where numbers stand, '' where text is absent.

    Args:
        rows: as made by the functions below.
        extra: numeric columns that this figure has besides.
        words: columns of text that it has besides.
    """
    table = pd.DataFrame(rows, columns=[*COLUMNS, *extra, *words])
    text = ["panel", "kind", "arm", "metric", "label", "status", *words]
    table[text] = table[text].astype(object).fillna("")
    rest = [name for name in table.columns if name not in text]
    table[rest] = table[rest].astype(float)
    return table


def curve_rows(results: Results, axis: str, arm: str, metric: str) -> list[Row]:
    """One panel: a metric against the axis' variable, by budget, with fits and floors."""
    panel = panel_name(arm, metric)
    found = results.find(axis, metric, arm)
    column = found.fit.x if found else X_COLUMN[axis]
    base = {"panel": panel, "arm": arm, "metric": metric}
    rows: list[Row] = []
    runs = results.axis_runs(axis, arm)
    done = runs[runs["outcome"] == "done"]
    drawn = list(dict.fromkeys([column, metric, "epochs", "budget"]))  # of hundreds of columns
    for run in done[drawn].to_dict("records"):
        kind = {"kind": "run", "x": run[column], "y": run[metric], "epochs": run["epochs"]}
        rows.append(base | kind | {"budget": run["budget"], "runs": 1})
    for cell in cells(runs, [column, metric, "epochs"]).to_dict("records"):
        kind = {"kind": "control" if cell["control"] else "cell", "budget": cell["budget"]}
        point = {"x": cell[column], "y": cell[metric], "epochs": cell["epochs"]}
        rows.append(base | kind | point | {"runs": cell["runs"]})
    if found:
        rows += _fit_rows(found.fit, base, optimum_symbol(axis, arm))
    elif len(done):
        rows.append(base | {"kind": "note", "label": f"no fit of {short_metric(metric)} was made"})
    for floor, value in results.floor_values(metric).items():
        rows.append(base | {"kind": "floor", "label": floor, "y": value})
    return rows


def optimum_rows(
    results: Results, axis: str, arm: str, metrics: list[str], derived: str | None = None
) -> list[Row]:
    """One panel: the optimum (or one of its derived values) of each metric against budget."""
    rows: list[Row] = []
    panel = panel_name(arm, derived or optimum_symbol(axis, arm))
    for metric in metrics:
        found = results.find(axis, metric, arm)
        for curve in found.fit.curves if found else ():
            estimate = curve.derived.get(derived) if derived else curve.optimum
            if estimate is None:
                continue
            rows.append(
                {"panel": panel, "kind": "optimum", "arm": arm, "metric": metric}
                | {"budget": curve.budget, "x": curve.budget, "label": short_metric(metric)}
                | {"y": estimate.value, "y_low": estimate.low, "y_high": estimate.high}
                | {"status": estimate.status, "runs": curve.runs}
            )
    if not any(row["status"] == "converged" for row in rows):
        why = _why_no_optimum(rows, bool(results.arms(axis)))
        rows.append({"panel": panel, "kind": "note", "arm": arm, "label": why})
    return rows


def joint_rows(results: Results, axis: str, arm: str, metric: str) -> list[Row]:
    """The joint surface's identified optima, to stand on the curves of a panel."""
    surface = results.surface(metric)
    base = {"panel": panel_name(arm, metric), "kind": "joint", "arm": arm, "metric": metric}
    return [
        base
        | {"budget": one.budget, "status": "converged", "y": one.best.value}
        | {"x": one.optimum.value, "x_low": one.optimum.low, "x_high": one.optimum.high}
        for one in (surface.optimum(axis, arm) if surface else ())
        if one.optimum.status == "converged"
    ]


def joint_optimum_rows(
    results: Results, axis: str, arm: str, metrics: list[str], derived: str | None = None
) -> list[Row]:
    """The same optima, or one of their derived values, against budget."""
    rows: list[Row] = []
    for metric in metrics:
        surface = results.surface(metric)
        for one in surface.optimum(axis, arm) if surface else ():
            value = one.derived.get(derived) if derived else one.optimum
            if value is None or value.status != "converged":
                continue
            rows.append(
                {"panel": panel_name(arm, derived or optimum_symbol(axis, arm)), "arm": arm}
                | {"kind": "joint optimum", "metric": metric, "budget": one.budget}
                | {"x": one.budget, "label": f"{short_metric(metric)}, joint"}
                | {"y": value.value, "y_low": value.low, "y_high": value.high}
                | {"status": value.status}
            )
    return rows


def exponent_rows(
    results: Results, axis: str, arm: str, metrics: list[str], names: list[str], panel: str
) -> list[Row]:
    """How the optimum grows with compute, in words; `names`: keys of the exponents to look for."""
    rows: list[Row] = []
    for metric in metrics:
        found = results.find(axis, metric, arm)
        known = found.fit.exponents if found else {}
        symbol = panel.rpartition(": ")[2]
        for estimate in [known[name] for name in names if name in known]:
            fitted = estimate.status == "converged"
            words = f"{symbol} ∝ C^e, e = {estimate_text(estimate)}"
            text = words if fitted else _status(estimate, "no exponent:")
            text = f"by {short_metric(metric)}: {text}"
            rows.append({"panel": panel, "kind": "note", "arm": arm, "label": text})
    return rows


def paper_row(panel: str, claim_id: str, what: str, band: bool = False) -> Row:
    """What the paper reports, with its mark and budgets; as a band only where asked for."""
    claims = load_claims()
    claim = claims.claim(claim_id)
    where = budgets_text(claims.budgets_of(claim))
    text = f"paper ({where}): {what}{claim.paper.text} {claim.mark_text}"
    row: Row = {"panel": panel, "kind": "paper", "label": text}
    return row | {"y_low": claim.paper.low, "y_high": claim.paper.high} if band else row


def left_out_rows(results: Results, axis: str) -> list[Row]:
    """One row for each run of the axis that gave no point, worded for a reader."""
    runs = results.axis_runs(axis)
    lost = runs[runs["outcome"] != "done"]
    return [
        {"panel": "", "kind": "left out", "arm": run["arm"], "budget": run["budget"]}
        | {"label": run_name(axis, run), "status": run["outcome"], "epochs": run["epochs"]}
        for run in (lost.to_dict("records") if len(lost) else ())  # slow for no row, too
    ]


def run_name(axis: str, run: Mapping[Any, Any]) -> str:
    """'C = 10¹⁰, N = 2,896, seed 0': enough to find the run in the table."""
    point = {
        "allocation": f"N = {run['n_total']:,.0f}",
        "share": f"s = {100 * run['share']:.3g}%",
        "batch": f"B = {run['batch']:.0f}",
        "negatives": f"K = {run['uniform']:.0f}, M = {run['in_batch']:.0f}",
    }.get(axis, f"N = {run['n_total']:,.0f}")
    return f"C = {flops(run['budget'])}, {point}, seed {run['seed']:.0f}"


def panel_name(arm: str, what: str) -> str:
    """Key of a panel in the table."""
    return f"{arm}: {what}" if arm else what


def _fit_rows(fit: AxisFit, base: Row, optimum: str) -> list[Row]:
    rows: list[Row] = [base | {"kind": "form", "label": fit.form}]
    for curve in fit.curves:
        own = base | {"budget": curve.budget}
        for x, y in zip(curve.curve_x, curve.curve_y, strict=True):
            rows.append(own | {"kind": "fit", "x": x, "y": y})
        estimate, best = curve.optimum, curve.best
        flags = [{"kind": "flag", "label": FLAGS.get(flag, flag)} for flag in curve.flags]
        rows += [own | flag for flag in flags]
        label = "" if estimate.status == "converged" else _status(estimate, f"{optimum}:")
        rows.append(
            own
            | {"kind": "vertex", "label": label, "status": estimate.status, "runs": curve.runs}
            | {"x": estimate.value, "x_low": estimate.low, "x_high": estimate.high}
            | {"y": best.value, "y_low": best.low, "y_high": best.high}
        )
    return rows


def _status(estimate: Estimate, symbol: str) -> str:
    reason = f" ({estimate.reason})" if estimate.reason else ""
    return f"{symbol} {estimate_text(estimate)}{reason}"


def _why_no_optimum(rows: list[Row], was_run: bool) -> str:
    if not was_run:
        return "axis not run in this study"
    statuses = sorted({row["status"] for row in rows})
    return (
        f"no optimum from this axis alone: {', '.join(statuses)}" if statuses else "no fit was made"
    )
