"""Small tools that every law shares: checked vectors, quantiles and profile intervals.

Choices: quantiles come from scipy.special (scipy.stats takes half a second longer to import);
every interval of this package is a two-sided 95% one, and a one-sided bound is one end of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Callable

Array = npt.NDArray[np.float64]
LEVEL = 0.95


class LawsError(ValueError):
    """Input that no law can be fitted to; the message names the column or array."""


def vector(values: npt.ArrayLike, name: str, *, positive: bool = False) -> Array:
    """A one-dimensional float array without NaN or infinity, strictly positive if asked.

    Raises:
        LawsError: naming the array and the first entry that breaks the rule.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise LawsError(f"{name}: expected one dimension, got shape {array.shape}")
    bad = ~np.isfinite(array)
    if positive:
        bad |= ~(array > 0)
    if bad.any():
        index = int(np.flatnonzero(bad)[0])
        wanted = "positive and finite" if positive else "finite"
        raise LawsError(
            f"{name}: entry {index} is {float(array[index])!r}; every entry must be {wanted}"
        )
    return array


def t_quantile(df: float) -> float:
    """Two-sided 95% quantile of Student's t; df = inf gives the normal one."""
    if not df > 0:
        raise LawsError(f"df: {df!r} degrees of freedom; a t quantile needs more than none")
    upper = 0.5 + LEVEL / 2
    return float(special.ndtri(upper) if np.isinf(df) else special.stdtrit(df, upper))


def f_quantile(numerator: float, denominator: float) -> float:
    """95% quantile of the F distribution; an infinite denominator gives chi-squared / df."""
    if np.isinf(denominator):
        return float(special.chdtri(numerator, 1 - LEVEL) / numerator)
    return float(special.fdtri(numerator, denominator, LEVEL))


def percentile_ends(sample: Array) -> tuple[float, float]:
    """Both ends of the 95% percentile interval of a sample [r]."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(sample, [tail, 1 - tail])
    return float(low), float(high)


def accepted_range(grid: Array, excess: Array, limit: float) -> tuple[float | None, float | None]:
    """Outermost grid values whose profile excess is at most the limit.

    Between nodes the root of the excess is taken as linear, which is exact for a parabola. An end
    that is still accepted at the edge of the grid is None (unbounded as far as was searched).
    """
    inside = np.flatnonzero(excess <= limit)
    if inside.size == 0:
        return None, None
    first, last = int(inside[0]), int(inside[-1])
    low = None if first == 0 else _crossing(grid, excess, limit, first - 1, first)
    high = None if last == grid.size - 1 else _crossing(grid, excess, limit, last + 1, last)
    return low, high


def _crossing(grid: Array, excess: Array, limit: float, outside: int, inside: int) -> float:
    near, far, wanted = (np.sqrt(max(v, 0.0)) for v in (excess[inside], excess[outside], limit))
    share = (wanted - near) / (far - near) if np.isfinite(far) and far > near else 0.0
    return float(grid[inside] + share * (grid[outside] - grid[inside]))


def lowest(values: Array, axis: int) -> Array:
    """Minimum along an evenly spaced axis: of the parabola through the three lowest nodes."""
    v = np.moveaxis(values, axis, -1)
    i = np.clip(np.argmin(v, axis=-1), 1, v.shape[-1] - 2)[..., None]
    left, middle, right = (np.take_along_axis(v, i + k, axis=-1)[..., 0] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    safe = np.where(bend > 0, bend, 1.0)
    vertex = middle - (left - right) ** 2 / (8 * safe)
    inside = (bend > 0) & (np.abs(left - right) <= 2 * safe)
    return np.asarray(np.where(inside, np.maximum(vertex, 0.0), v.min(axis=-1)))


def mapped(function: Callable[[float], float], value: float | None) -> float | None:
    """The function of a value, None where there is none."""
    return None if value is None else float(function(value))
