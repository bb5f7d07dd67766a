"""The surface's parameters as estimates: own units, intervals, and where there is no number.

Choices: amplitudes are given at the reference inputs. An exponent at its lower bound makes its term
a line in log x: no level goes with it, so its amplitude and E have no number either; E has none
where that happens in more refits than an interval leaves out. Where the runs do not show the E of
a loss, its terms are slopes within the runs, whose exponents fall as E falls: they have no number
either. A B_crit outside the batches that ran is a bound (definitions.md, 'Axes'): below all of them
y goes as a power of B, above as a line.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.parts import exponential, nothing
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.surface_fit import Surface
from behavior_scaling.laws.surface_intervals import TAIL, interval
from behavior_scaling.laws.surface_law import PARTS, POWERS
from behavior_scaling.laws.surface_select import has_floor, limits

NEAR = 1e-4  # of the lower bound of an exponent


def parameters(surface: Surface, draws: Array) -> dict[str, Estimate]:
    """Every parameter of the form, in its own unit; of parts that do not show, no number.

    Args:
        surface: the fit.
        draws: [r, p] redrawn refits; r = 0 leaves out all intervals.
    """
    reasons = {left.part: left.reason for left in surface.left}
    levelless = _levelless(surface, draws) | _floorless(surface)
    out: dict[str, Estimate] = {}
    for part, owned in PARTS.items():
        for name in owned:
            label = name.removeprefix("log ")
            if part not in surface.shown:
                status = "not identified" if surface.law.parts else surface.status
                out[label] = nothing(status, reasons.get(part, ""))
            elif name in levelless:
                out[label] = nothing("not identified", levelless[name])
            else:
                estimate = _estimate(surface, draws, name)
                out[label] = exponential(estimate) if name.startswith("log ") else estimate
    if "B_crit" in out:
        out["B_crit"] = _in_batches(surface, out["B_crit"])
    return out


def _estimate(surface: Surface, draws: Array, name: str) -> Estimate:
    at = surface.law.names.index(name)
    bound = name in surface.at_bound
    like = (
        nothing("at bound", "weak: at its bound") if bound else nothing("converged", surface.reason)
    )
    sample = draws[:, at] if len(draws) else None
    return interval(float(surface.parameters[at]), sample, like)


def _levelless(surface: Surface, draws: Array) -> dict[str, str]:
    """Amplitudes, and E, that an exponent at its lower bound leaves without meaning."""
    if not surface.shown:
        return {}
    names = surface.law.names
    low, _ = limits(surface.data, surface.law)
    found: dict[str, str] = {}
    anywhere = np.zeros(len(draws), dtype=bool)
    for part in (*POWERS, "data"):
        if part not in surface.shown:
            continue
        amplitude, name = PARTS[part]
        at = names.index(name)
        anywhere |= draws[:, at] <= low[at] + NEAR
        if surface.parameters[at] <= low[at] + NEAR:
            reason = f"{name} is at its lower bound: the term is a line in log x, without a level"
            found[amplitude] = found["E"] = reason
    if has_floor(surface.data) and not {*POWERS, "data"} & set(surface.shown):
        found["E"] = "no falling term shows: this is the mean of the runs, not what they fall to"
    if "E" not in found and len(draws) and float(np.mean(anywhere)) > TAIL:
        share = float(np.mean(anywhere))
        found["E"] = f"{share:.0%} of the redrawn fits have an exponent at its lower bound"
    return found


def _floorless(surface: Surface) -> dict[str, str]:
    """Amplitudes and exponents of a loss whose E the runs do not show."""
    if not has_floor(surface.data) or "E" in surface.shown:
        return {}
    reason = "the runs do not show E, and with another E this would be another number"
    return {name: reason for part in (*POWERS, "data") for name in PARTS[part]}


def _in_batches(surface: Surface, knee: Estimate) -> Estimate:
    """B_crit in sequences; a bound where it lies outside the batches that ran."""
    if knee.value is None:
        return knee
    reference = surface.law.reference["batch"]
    value, low, high = (
        None if v is None else v * reference for v in (knee.value, knee.low, knee.high)
    )
    batch = surface.data.inputs["batch"]
    first, last = float(batch.min()), float(batch.max())
    if value is not None and value > last:
        least = None if low is None else min(low, last)
        return Estimate(last, least, None, "at bound", "B_crit at or beyond the largest batch")
    if value is not None and value < first:
        most = None if high is None else max(high, first)
        return Estimate(first, None, most, "at bound", "B_crit at or below the smallest batch")
    return Estimate(value, low, high, knee.status, knee.reason)


def standard_errors(
    surface: Surface, shifts: Array | None, told: Mapping[str, Estimate]
) -> dict[str, dict[str, float | None]]:
    """First-order standard errors of what has a number: from seeds, and from users.

    Args:
        surface: the fit.
        shifts: [r, cells] shifts of y by drawing the users anew, None without users.
        told: the parameters; those that have not converged get no error either.

    Returns:
        By the fitted name: of A_e, G, B_crit and their like the error is of the logarithm.
    """
    if not surface.law.parts or surface.error.value is None:
        return {}
    carrier = surface.carrier()
    seeds = np.sqrt(carrier**2 @ (surface.error.value / surface.data.weight))
    people = None if shifts is None else np.std(shifts @ carrier.T, axis=0)
    return {
        name: {
            "seeds": float(seeds[i]),
            "users": None if people is None else float(people[i]),
        }
        for i, name in enumerate(surface.law.names)
        if told[name.removeprefix("log ")].status == "converged"
    }
