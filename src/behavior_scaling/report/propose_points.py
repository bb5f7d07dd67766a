"""What the laws suggest for the next study: a base point a budget, as YAML lines.

Choices: the joint surface answers first, the axis alone where the surface identifies nothing; a
budget that was not run is reached from the nearest identified one along the fitted exponent, and
says so; the ends of its interval take the exponent's ends. A share that is not identified stays as
the study has it, a size that is not identified gives no line: what cannot be said is a comment
with its reason, never a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from behavior_scaling.config import Study
from behavior_scaling.laws.results import Estimate
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.text import LOSS, estimate_text, flops, percent

Found = tuple[Estimate, str]  # an estimate, and where it is from


def point_lines(results: Results, study: Study, budgets: Sequence[float]) -> Iterator[str]:
    """YAML lines of `base`, comments included.

    Args:
        results: of the study that was run, its parts included.
        study: that study; gives depth, and the share where none is identified.
        budgets: of the next study.
    """
    yield f"# {results.study}, by {LOSS}: N at a held share, s* at a held D/N"
    yield "base:"
    ratios = []
    for budget in budgets:
        size, how = at_budget(results, "allocation", budget)
        ratio, _ = at_budget(results, "allocation", budget, "D_over_N")
        ratios.append(None if ratio.value is None else float(f"{ratio.value:.3g}"))
        yield f"  # C = {flops(budget)}: N {_said(size, how)}"
        yield f"  #   D/N {_said(ratio, how)}"
        share, where = at_budget(results, "share", budget)
        yield f"  #   s* {_said(share, where, 'share')}"
        held, depth = _held(study, budget)
        kept = share.value if share.status == "converged" and share.value else held
        if size.status != "converged" or size.value is None:
            yield "  #   no line: N is not identified"
        elif kept is None:
            yield "  #   no line: s* is not identified and the study holds no share"
        else:
            if kept is held:
                yield f"  #   share as the study holds it: {percent(held)}"
            n = f"{float(f'{size.value:.2g}'):g}"
            yield (
                f"  - {{budget: {_yaml(budget)}, parameters: {_yaml(float(n))}, "
                f"share: {float(f'{kept:.2g}'):g}, depth: {depth}}}"
            )
    if budgets and None not in ratios:
        yield "# axes.share_at_optimum:"
        yield f"#   ratio: [{', '.join(f'{ratio:g}' for ratio in ratios)}]"


def at_budget(results: Results, axis: str, budget: float, derived: str = "") -> Found:
    """An optimum (or one of its derived values) at a budget, by the joint surface or the axis."""
    shown = results.for_axis(axis)
    found = [one for one in (_joint(shown, axis, derived), _alone(shown, axis, derived)) if one]
    for known, _, how in found:
        if budget in known and known[budget].status == "converged":
            return known[budget], how
    for known, exponent, how in found:
        near = [c for c, one in known.items() if one.status == "converged" and one.value]
        if budget in known or not near or exponent is None or exponent.value is None:
            continue
        start = min(near, key=lambda c: abs(math.log(c / budget)))
        said = f"from C = {flops(start)} with exponent {estimate_text(exponent)}"
        return _carried(known[start], exponent, budget / start, said), how
    for known, _, how in found:
        if budget in known:
            return known[budget], how
    why = (
        "this budget was not run, and no exponent leads there" if found else "the axis was not run"
    )
    return Estimate(None, None, None, "not identified", why), "laws"


Known = tuple[dict[float, Estimate], Estimate | None, str]


def _joint(results: Results, axis: str, derived: str) -> Known | None:
    surface = results.surface(LOSS)
    optima = surface.optimum(axis, "") if surface else []
    if surface is None or not optima:
        return None
    grown = {"": "optimum", "D": "D"}.get(derived)
    slope = surface.exponent(axis, "", grown) if grown else None
    known = {
        one.budget: one.derived[derived] if derived else one.optimum
        for one in optima
        if not derived or derived in one.derived
    }
    return known, slope.exponent if slope else None, "joint surface"


def _alone(results: Results, axis: str, derived: str) -> Known | None:
    located = results.find(axis, LOSS)
    if located is None:
        return None
    fit = located.fit
    name = "" if derived else {"allocation": "N", "share": "share"}[axis]
    known = {
        curve.budget: curve.derived[derived] if derived else curve.optimum
        for curve in fit.curves
        if not derived or derived in curve.derived
    }
    return known, fit.exponents.get(name), "axis alone"


def _carried(start: Estimate, exponent: Estimate, ratio: float, said: str) -> Estimate:
    """An estimate times ratio^exponent; each end takes the exponent's end that widens it."""
    powers = [e for e in (exponent.low, exponent.high, exponent.value) if e is not None]
    factors = [ratio**power for power in powers]
    value = None if start.value is None else start.value * ratio ** (exponent.value or 0.0)
    low = None if start.low is None or exponent.low is None else start.low * min(factors)
    high = None if start.high is None or exponent.high is None else start.high * max(factors)
    return Estimate(value, low, high, exponent.status, said)


def _held(study: Study, budget: float) -> tuple[float | None, int]:
    """Share and depth of the study at a budget: its base point, the nearest one, its allocation."""
    axis = study.axes.allocation
    if study.base:
        point = min(study.base, key=lambda one: abs(math.log(one.budget / budget)))
        return point.share, point.depth
    return (axis.share, axis.depth) if axis else (None, 0)


def _said(estimate: Estimate, how: str, unit: str = "") -> str:
    reason = f": {estimate.reason}" if estimate.reason else ""
    return f"{estimate_text(estimate, unit)} [{how}]{reason}"


def _yaml(value: float) -> str:
    """A number as the study files write large ones: 1.0e11."""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"
