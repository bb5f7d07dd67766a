"""A LawFit as text to read: every number with its interval and status, and how it was found.

Choices: five significant digits for values, three for errors; an estimate without a value shows its
one-sided bound where it has one, and always its reason; budgets with too few points share a line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from behavior_scaling.laws.law_fit import LawFit
from behavior_scaling.laws.results import CurveFit, Estimate

GAP = "  "


def described(fit: LawFit) -> str:
    """Several lines of text, without a newline at the end."""
    blocks = [_head(fit)]
    if fit.parameters:
        blocks.append(_estimates("parameter", fit.parameters, fit.standard_errors))
    if fit.derived:
        blocks.append(_estimates("derived", fit.derived, fit.standard_errors))
    if fit.curves:
        blocks.append(_curves(fit.curves))
    if any(estimate.value is None for estimate in fit.parameters.values()) and fit.minimum:
        values = ", ".join(f"{name} {value:.5g}" for name, value in fit.minimum.items())
        blocks.append(f"minimum of the objective, to compare and not to quote: {values}")
    if fit.notes:
        blocks.append("\n".join(["notes", *(f"  - {note}" for note in fit.notes)]))
    return "\n\n".join(blocks)


def _head(fit: LawFit) -> str:
    rows = [
        ["law", fit.law],
        ["form", fit.form],
        ["points", str(fit.points)],
        ["status", fit.status],
    ]
    if fit.objective is not None:
        mean = "" if fit.objective_mean is None else f"; mean {fit.objective_mean:.6g}"
        rows.append(["objective", f"{fit.objective:.8g} ({_unit(fit)}){mean}"])
    if fit.best_share is not None and fit.starts:
        rows.append(["starts", f"{fit.best_share:.0%} of {fit.starts} reached the best minimum"])
    if fit.condition is not None:
        rows.append(["condition", f"{fit.condition:.3g} (of the scaled Jacobian)"])
    if fit.interval:
        rows.append(["intervals", fit.interval])
    return _aligned(rows)


def _unit(fit: LawFit) -> str:
    if fit.delta is not None:
        return f"sum of Huber({fit.delta:g}) of {fit.residuals} residuals"
    return f"half the sum of squares of {fit.residuals} residuals"


def _estimates(title: str, estimates: Mapping[str, Estimate], errors: Mapping[str, float]) -> str:
    some = any(name in errors for name in estimates)
    rows = [[title, "value", "95% interval", *(["std. error"] * some), "status"]]
    for name, estimate in estimates.items():
        error = [f"{errors[name]:.3g}" if name in errors else "-"] * some
        rows.append([name, *_shown(estimate), *error, _status(estimate)])
    return _aligned(rows)


def _curves(curves: Sequence[CurveFit]) -> str:
    """One line a budget that has cells enough: its optimum, the loss there, and what follows."""
    fitted = [fit for fit in curves if fit.optimum.status != "too few points"]
    names = list(dict.fromkeys(name for fit in fitted for name in fit.derived))
    rows = [["C", "rows", "cells", "optimum", "95% interval", "loss there", *names, "status"]]
    for fit in fitted:
        derived = [_value(fit.derived[n].value) if n in fit.derived else "-" for n in names]
        flags = "".join(f"; {flag}" for flag in fit.flags)
        rows.append(
            [
                f"{fit.budget:.4g}",
                str(fit.runs),
                str(fit.cells),
                *_shown(fit.optimum),
                _value(fit.best.value),
                *derived,
                _status(fit.optimum) + flags,
            ]
        )
    few = [fit for fit in curves if fit.optimum.status == "too few points"]
    if not few:
        return _aligned(rows)
    left = f"too few points at {len(few)} of {len(curves)} C ({sum(f.runs for f in few)} rows)"
    why = few[0].optimum.reason if len(few) == 1 else f"for one, {few[0].optimum.reason}"
    return "\n".join([*([_aligned(rows)] if fitted else []), f"{left}: {why}"])


def _shown(estimate: Estimate) -> tuple[str, str]:
    """Value and interval; '-' where there is none."""
    low, high = estimate.low, estimate.high
    if low is not None and high is not None:
        return _value(estimate.value), f"{_value(low)} to {_value(high)}"
    if low is not None:
        return _value(estimate.value), f"above {_value(low)}"
    return _value(estimate.value), "-" if high is None else f"below {_value(high)}"


def _status(estimate: Estimate) -> str:
    return f"{estimate.status}: {estimate.reason}" if estimate.reason else estimate.status


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, the last one ragged."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    lines = [
        GAP.join([cell.ljust(width) for cell, width in zip(row, widths, strict=False)] + [row[-1]])
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
