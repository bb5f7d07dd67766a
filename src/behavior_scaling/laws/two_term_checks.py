"""Two checks beside the two-term law: a cubic in log x, and a law whose rise is softened.

Choices: the log-cubic needs no exponent bounds and no shared shape, so an optimum that it does
not see is one of the form; its interval redraws seed noise and users around the cells. The floor
variant b (x + s0)^-beta, s0 shared over budgets, lets starvation end before x = 0; it is searched
on the exponent grid and gives a point, no interval.
"""

from __future__ import annotations

import numpy as np

from behavior_scaling.laws.arrays import LEVEL, Array, percentile_ends
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.noise import error_variance, resample
from behavior_scaling.laws.parts import exponential, nothing
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.two_term_grid import coarse_grid, free, shifted, slopes, sums
from behavior_scaling.laws.two_term_profile import Profile

FLOORS = 12
FINE = 801


def log_cubic(data: CurveData, seed: int, resamples: int) -> Estimate:
    """Minimum of c0 + c1 z + c2 z^2 + c3 z^3, z = log x, inside the grid."""
    if data.points < 5:
        return nothing("too few points", f"{data.points} distinct values of x; a cubic needs five")
    z = np.log(data.x)
    center, half = float((z[0] + z[-1]) / 2), float((z[-1] - z[0]) / 2)
    u = (z - center) / half
    design = np.stack([np.ones_like(u), u, u**2, u**3], axis=1)
    root = 1.0 / np.sqrt(data.spread)
    solve = np.linalg.pinv(design * root[:, None]) * root  # [4, cells]
    fitted = design @ (solve @ data.y)
    error = error_variance(
        float(np.sum((root * (data.y - fitted)) ** 2)), data.cells - 4, data.noise, data.tiny
    )
    minimum = _cubic_minimum((solve @ data.y)[:, None])[0]
    if np.isnan(minimum):
        return nothing("not identified", "the cubic has no minimum")
    if not -1 <= minimum <= 1:
        return nothing("vertex outside the grid", "the cubic's minimum lies outside the cells")
    if error.value is None:
        return nothing("not identified", error.reason)
    redrawn = fitted[None, :] + resample(error, data.spread, resamples, seed)
    if data.users is not None:
        redrawn = redrawn + data.users[np.arange(resamples) % len(data.users)]
    minima = _cubic_minimum(solve @ redrawn.T)
    tail = (1 - LEVEL) / 2
    if np.mean(np.isnan(minima)) > tail:
        return nothing("not identified", "redrawn noise often leaves the cubic without a minimum")
    low, high = percentile_ends(minima[~np.isnan(minima)])
    return exponential(
        Estimate(
            center + half * float(minimum),
            center + half * float(min(low, minimum)),
            center + half * float(max(high, minimum)),
            "converged",
            error.reason,
        )
    )


def _cubic_minimum(coefficients: Array) -> Array:
    """The local minimum of each column's cubic [4, n]; NaN where there is none."""
    _, c1, c2, c3 = coefficients
    inner = c2**2 - 3 * c1 * c3
    root = np.sqrt(np.maximum(inner, 0.0))
    plus = c2 + root  # z = -c1 / (c2 + root) is the root of the slope with positive curvature
    with np.errstate(divide="ignore", invalid="ignore"):
        stable = np.where(plus > 0, -c1 / plus, (root - c2) / (3 * c3))
    return np.where((inner > 0) & np.isfinite(stable), stable, np.nan)


def floor_variants(fit: Profile) -> tuple[Estimate, ...]:
    """Optimum of every budget under y0 + a x^alpha + b (x + s0)^-beta."""
    alphas, betas = coarse_grid()
    smallest = min(float(d.log_u.min()) for d in fit.budgets)
    largest = max(float(d.log_u.max()) for d in fit.budgets)
    floors = [0.0, *np.exp(np.linspace(smallest - 3.0, largest, FLOORS))]
    totals = np.stack(
        [np.sum([free(sums(d, alphas, betas, s0)) for d in fit.budgets], axis=0) for s0 in floors]
    )
    best, i, j = np.unravel_index(int(np.argmin(totals)), totals.shape)
    s0, alpha, beta = float(floors[best]), float(alphas[i, j]), float(betas[i, j])
    own = s0 * float(np.exp(fit.log_reference))
    said = f"s0 = {own:.3g}, alpha = {alpha:.2f}, beta = {beta:.2f}; a point without an interval"
    out = []
    for d in fit.budgets:
        a, b = slopes(sums(d, np.array(alpha), np.array(beta), s0))
        z = np.linspace(float(d.log_u.min()), float(d.log_u.max()), FINE)
        y = a * np.exp(alpha * z) + b * np.exp(-beta * shifted(z, s0))
        at = int(np.argmin(y))
        if at in (0, FINE - 1):
            out.append(nothing("vertex outside the grid", f"lowest at an end; {said}"))
        else:
            x = float(np.exp(z[at] + fit.log_reference))
            out.append(Estimate(x, None, None, "converged", said))
    return tuple(out)
