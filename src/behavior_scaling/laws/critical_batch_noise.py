"""Critical batch from the gradient noise scale: mean noise over mean signal, in sequences.

McCandlish et al. (arXiv 1812.06162, eq. 2.9): B_simple = tr(Sigma) / |G|^2. Every probe of a run
brings an unbiased estimate of each, so their ratio is taken of averages, never averaged itself.
Choices: probes after warm-up in the last half of the run's positions; runs count alike; variance
from the scatter of probes around their run's mean, or from the runs' means where there are five
runs or more, since then the runs themselves tell how far they differ; the interval is Fieller's
set of the ratio, which is bounded exactly where the signal differs from zero at 95% (the limit of
redrawing probes or runs). Else the scale is 'not identified', and a lower bound may remain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError, t_quantile
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.results import Estimate

MIN_RUNS = 5  # from which on runs are the units
MIN_PROBES = 4


def noise_scale(runs: Sequence[npt.ArrayLike]) -> Estimate:
    """The simple noise scale of runs, one array [probes, 2] of (noise, signal) each.

    Noise is tr(Sigma) of one sequence, signal |G|^2; the scale is in sequences.

    Raises:
        LawsError: an array has another shape or holds what is not finite.
    """
    probes = [np.asarray(run, dtype=np.float64) for run in runs]
    for i, run in enumerate(probes):
        if run.ndim != 2 or run.shape[1] != 2 or not np.isfinite(run).all():
            raise LawsError(f"runs[{i}]: expected finite (noise, signal) pairs [probes, 2]")
    probes = [run for run in probes if len(run)]
    count = sum(len(run) for run in probes)
    if count < MIN_PROBES:
        return nothing("too few points", f"{count} probes; {MIN_PROBES} needed")
    means = np.stack([run.mean(axis=0) for run in probes])
    if len(probes) >= MIN_RUNS:
        covariance, df = np.cov(means.T) / len(probes), len(probes) - 1
        units = f"{len(probes)} runs"
    else:
        df = count - len(probes)
        if df < 1:
            return nothing("too few points", f"{count} probes of {len(probes)} runs: no scatter")
        centred = np.concatenate([run - run.mean(axis=0) for run in probes])
        each = sum(1 / len(run) for run in probes) / len(probes) ** 2
        covariance = centred.T @ centred / df * each
        units = f"{count} probes of {len(probes)} runs"
    return fieller(means.mean(axis=0), covariance, df, f"scatter of {units}")


def fieller(mean: Array, covariance: Array, df: float, reason: str) -> Estimate:
    """A positive ratio mean[0] / mean[1] with Fieller's 95% set (1954).

    Args:
        mean: [2] of numerator and denominator.
        covariance: [2, 2] of the means.
        df: degrees of freedom of the covariance.
        reason: of a ratio that is identified.
    """
    t2 = t_quantile(df) ** 2
    # (m0 - r m1)^2 <= t^2 (V00 - 2 r V01 + r^2 V11), that is a r^2 - 2 b r + c <= 0
    a = float(mean[1] ** 2 - t2 * covariance[1, 1])
    b = float(mean[0] * mean[1] - t2 * covariance[0, 1])
    c = float(mean[0] ** 2 - t2 * covariance[0, 0])
    root = float(np.sqrt(max(b * b - a * c, 0.0)))
    if a > 0 and mean[1] > 0 and mean[0] > 0:
        low, high = (b - root) / a, (b + root) / a
        return Estimate(float(mean[0] / mean[1]), max(low, 0.0), high, "converged", reason)
    if mean[0] <= 0:
        return nothing("not identified", f"the gradient noise is not positive; {reason}")
    if a > 0:
        return nothing("not identified", f"the gradient's signal is negative; {reason}")
    said = f"the signal's interval contains zero; {reason}"
    if c > 0 and a < 0:  # outside the roots, of which one is negative: what remains is a bound
        return Estimate(None, max((b - root) / a, (b + root) / a), None, "not identified", said)
    return nothing("not identified", said)
