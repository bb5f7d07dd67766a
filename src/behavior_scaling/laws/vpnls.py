"""VPNLS: approach 3 by variable projection, L = E + A N^-alpha + B D^-beta in linear residuals.

Choices: for given exponents the law is linear in E, A, B >= 0, so only (alpha, beta) are searched
(variable projection: Golub and Pereyra, SIAM J. Numer. Anal. 10, 1973; for scaling laws with
non-negative least squares inside, arXiv 2603.22339). The non-negative solution is exact, by looking
at all eight sets of active coefficients at once; a log-spaced grid of exponents is refined around
its best node until the exponents no longer move. It needs no starts for the amplitudes, and it is
least squares on the loss itself: no Huber, no log residuals.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, vector
from behavior_scaling.laws.law_fit import LawFit
from behavior_scaling.laws.nonnegative import nonnegative
from behavior_scaling.laws.parametric import FORM, optimum_at_largest
from behavior_scaling.laws.term_law import fit_problem
from behavior_scaling.laws.term_problem import EXPONENTS, Asked, Input, checked

GRID = 48  # exponents a side
ZOOMS = 12  # refinements, each of a third of the width
NODES = 7  # exponents a side of a refinement


def search(y: Array, n: Array, d: Array) -> tuple[float, float, Array]:
    """Best (alpha, beta) and the coefficients (E, A, B) there, inputs over their geometric means.

    Args:
        y: [points] losses.
        n: [points] log parameters less their mean.
        d: [points] log positions less their mean.
    """
    low, high = np.log(EXPONENTS)
    step = (high - low) / (GRID - 1)
    axes = [np.linspace(low, high, GRID)] * 2
    for _ in range(ZOOMS + 1):
        pairs = np.array(list(itertools.product(*axes)))
        alpha, beta = np.exp(pairs[:, :1]), np.exp(pairs[:, 1:])
        terms = [np.ones((len(pairs), y.size)), np.exp(-alpha * n), np.exp(-beta * d)]
        coefficients, cost = nonnegative(np.stack(terms, axis=2), y)
        at = int(np.argmin(cost))
        axes = [
            np.clip(np.linspace(c - 1.5 * step, c + 1.5 * step, NODES), low, high)
            for c in pairs[at]
        ]
        step /= 2
    return float(alpha[at, 0]), float(beta[at, 0]), coefficients[at]


def fit_vpnls(
    y: npt.ArrayLike,
    n: npt.ArrayLike,
    d: npt.ArrayLike,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
) -> LawFit:
    """Fit approach 3 by variable projection.

    Args:
        y: [points] losses, positive.
        n: [points] parameters.
        d: [points] positions.
        bootstrap: resamples of rows; 0 for no intervals.
        seed: of the resamples.

    Returns:
        As `fit_parametric`; the search's minimum is the one start of the shared solver.

    Raises:
        LawsError: anything that `fit_terms` refuses.
    """
    ns, ds = vector(n, "n", positive=True), vector(d, "d", positive=True)
    inputs = [Input("A", "alpha", ns), Input("B", "beta", ds)]
    problem = checked(y, inputs, Asked("linear", None, bootstrap, seed), True)
    ys = problem.y
    log_n, log_d = np.log(ns), np.log(ds)
    alpha, beta, (e, a, b) = search(ys, log_n - log_n.mean(), log_d - log_d.mean())
    tiny = 1e-9 * float(np.median(ys))
    start = [
        np.log(max(e, tiny)),
        np.log(max(a, tiny)) + alpha * log_n.mean(),
        alpha,
        np.log(max(b, tiny)) + beta * log_d.mean(),
        beta,
    ]
    return fit_problem(
        "vpnls",
        f"{FORM}, variable projection, least squares on L",
        problem,
        starts=[start],
        derived=lambda p: optimum_at_largest(p, ns, ds),
    )
