"""Approach 3: L(N, D) = E + A N^-alpha + B D^-beta, and its one-term kin, on any table.

Choices: Hoffmann et al. (arXiv 2203.15556, eq. 10) fitted it to the logarithm of the loss under
Huber's function with delta = 1e-3, the sum over points; both are defaults and both may be changed
(log or linear residuals, any delta, or none for least squares). The compute-optimal allocation
under C = k N D is their closed form (eq. 4): N^(alpha + beta) = (A alpha / (B beta)) (C / k)^beta.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError, vector
from behavior_scaling.laws.law_fit import LawFit
from behavior_scaling.laws.term_law import Sample, fit_terms
from behavior_scaling.laws.term_problem import Asked, Input

FORM = "L = E + A N^-alpha + B D^-beta"
DELTA = 1e-3
RESAMPLES = 1000
MIN_FLOOR_SIZES = 5
SAME_SIZE = 1.05  # sizes within this factor are one budget
LOG_MAX = 300.0  # of a ratio's logarithm: keeps squares within double precision
FLOPS = 6.0  # a parameter and position, C = 6 N D


@dataclass(frozen=True)
class Allocation:
    """The best use of a budget under C = k N D."""

    n: float  # parameters
    d: float  # positions
    loss: float


def compute_optimal(
    e: float, a: float, alpha: float, b: float, beta: float, c: float, *, flops: float = FLOPS
) -> Allocation:
    """Minimum of E + A N^-alpha + B D^-beta where C = flops N D (Hoffmann et al., eq. 4)."""
    n = ((alpha * a) / (beta * b) * (c / flops) ** beta) ** (1 / (alpha + beta))
    d = c / flops / n
    return Allocation(n, d, e + a * n**-alpha + b * d**-beta)


def fit_parametric(
    y: npt.ArrayLike,
    n: npt.ArrayLike | None = None,
    d: npt.ArrayLike | None = None,
    *,
    residuals: str = "log",
    delta: float | None = DELTA,
    starts: npt.ArrayLike | None = None,
    bootstrap: int = RESAMPLES,
    seed: int = 0,
) -> LawFit:
    """Fit approach 3.

    Args:
        y: [points] losses, positive.
        n: [points] parameters; None leaves the term of N out.
        d: [points] positions (tokens, events); None leaves the term of D out.
        residuals: 'log' for log L, 'linear' for L.
        delta: Huber's threshold in the residuals' unit; None for least squares.
        starts: [s, p] of (log E, log A, alpha, log B, beta), without an absent term's; None for
            a grid around the data. `hoffmann_grid()` is the published one.
        bootstrap: resamples of rows; 0 for no intervals.
        seed: of the resamples.

    Returns:
        Parameters E, A, alpha, B, beta; with both terms the derived exponents 'N_exponent' =
        beta / (alpha + beta) and 'D_exponent' of the compute-optimal N and D under C = 6 N D,
        and 'D_over_N' at the largest C = 6 N D of the table.

    Raises:
        LawsError: neither n nor d, or anything that `fit_terms` refuses.
    """
    inputs = []
    if n is not None:
        inputs.append(Input("A", "alpha", vector(n, "n", positive=True)))
    if d is not None:
        inputs.append(Input("B", "beta", vector(d, "d", positive=True)))
    if not inputs:
        raise LawsError("parametric: give n, d or both")
    asked = Asked(residuals, delta, bootstrap, seed)
    if len(inputs) == 1:
        term = inputs[0]
        form = f"L = E + {term.amplitude} {'N' if d is None else 'D'}^-{term.exponent}"
        return fit_terms("parametric", form, y, inputs, asked, starts=starts)
    sizes = [term.x for term in inputs]
    if sizes[0].size != sizes[1].size:
        raise LawsError(f"n, d: {sizes[0].size} and {sizes[1].size} entries")

    def derived(p: Sample) -> Sample:
        return optimum_at_largest(p, *sizes)

    return fit_terms("parametric", FORM, y, inputs, asked, starts=starts, derived=derived)


def optimum_at_largest(p: Sample, n: Array, d: Array) -> dict[str, Array]:
    """Exponents of the optimum, and D / N at the largest N D of a table, of parameters [r] each."""
    total, log_nd = p["alpha"] + p["beta"], float(np.max(np.log(n) + np.log(d)))
    log_n = (np.log(p["alpha"] * p["A"]) - np.log(p["beta"] * p["B"]) + p["beta"] * log_nd) / total
    return {
        "N_exponent": p["beta"] / total,
        "D_exponent": p["alpha"] / total,
        "D_over_N": np.exp(np.clip(log_nd - 2 * log_n, -LOG_MAX, LOG_MAX)),
    }


def hoffmann_grid(size: int = 4500) -> Array:
    """[size, 5] starts of Hoffmann et al.'s grid (log E, log A, alpha, log B, beta), evenly taken.

    log E in -1..1, log A and log B in 0..25, alpha and beta in 0..2 (arXiv 2203.15556, app. D.3).
    """
    floors, amplitudes = np.linspace(-1, 1, 5), np.linspace(0, 25, 6)
    exponents = np.linspace(0, 2, 5)
    grid = np.array(list(itertools.product(floors, amplitudes, exponents, amplitudes, exponents)))
    return np.asarray(grid[np.linspace(0, len(grid) - 1, size).astype(np.int64)])


def fit_power_law(
    y: npt.ArrayLike,
    c: npt.ArrayLike,
    *,
    residuals: str = "log",
    delta: float | None = None,
    bootstrap: int = RESAMPLES,
    seed: int = 0,
) -> LawFit:
    """Fit L = E + a C^-b; with fewer than five budgets (C within 5%) the plain law L = a C^-b.

    Args:
        y: [points] losses, positive.
        c: [points] compute, or any other positive size.
        residuals: 'log' or 'linear'.
        delta: Huber's threshold; None for least squares.
        bootstrap: resamples of rows; 0 for no intervals.
        seed: of the resamples.

    Raises:
        LawsError: anything that `fit_terms` refuses.
    """
    x = vector(c, "c", positive=True)
    distinct = budgets(x)
    floor = distinct >= MIN_FLOOR_SIZES
    asked = Asked(residuals, delta, bootstrap, seed)
    said = () if floor else (f"plain power law: {distinct} budgets (C within 5%) cannot tell E",)
    form = "L = E + a C^-b" if floor else "L = a C^-b"
    return fit_terms("power", form, y, [Input("a", "b", x)], asked, floor=floor, notes=said)


def budgets(c: Array) -> int:
    """How many groups of sizes within 5% of their smallest there are."""
    count, ordered = 0, np.sort(c)
    while ordered.size:
        count, ordered = count + 1, ordered[ordered > SAME_SIZE * ordered[0]]
    return count
