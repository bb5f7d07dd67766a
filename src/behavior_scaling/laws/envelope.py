"""Approach 1 of Hoffmann et al. (arXiv 2203.15556, section 3.1): the lower envelope of loss curves.

For each of many compute levels the model whose loss curve is lowest there; N_opt and D_opt on that
envelope as power laws of C. A model is a group of rows with (nearly) equal N, its curve the loss
over C, log-log linear between its rows.

Choices: a level counts only where the lowest model has a smaller and a larger one beside it whose
curves reach that level: where the smallest or largest wins, the optimum may lie beyond. The
envelope is a staircase, one step a model, and a line through all levels of a k-step staircase has
slope (1 - 1/k^2) times the true one; so each model enters once, at the mean log C of its step and
weighted by its length, which is exact for log-spaced models under L = E + A N^-alpha + B D^-beta
with C = 6ND. Intervals come from resampling models; they are wide rather than narrow (97 to 100 of
100 held the truth on planted curves), because a resample lacks a third of the models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError, percentile_ends, vector
from behavior_scaling.laws.on_table_curves import near_equal
from behavior_scaling.laws.parts import exponential, nothing
from behavior_scaling.laws.results import Estimate, Status

FORM = "N_opt = k_N C^a, D_opt = k_D C^b on the lower envelope of the models' loss curves over C"
LEVELS = 1500
MIN_STEPS = 3
SAME_N = 0.01
PARAMETERS = ("N_exponent", "D_exponent", "k_N", "k_D")
UNBOUNDED = 230.0  # a logarithm
LOST = 0.05  # share of resamples without an envelope beyond which there is no interval

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Envelope:
    """Power laws along the envelope and the steps that they were fitted to."""

    parameters: dict[str, Estimate]  # N_exponent = a, D_exponent = b, k_N, k_D
    derived: dict[str, Estimate]  # N_opt and D_opt at the top of the envelope
    standard_errors: dict[str, float]  # of the exponents
    steps: tuple[tuple[float, float, float, float], ...]  # (C, N, D, loss), ascending in C
    models: int  # with a curve
    objective: float | None  # half the squared residuals of log N, weights with mean 1
    notes: tuple[str, ...]

    @property
    def status(self) -> Status:
        """That of the exponent of N."""
        return self.parameters["N_exponent"].status


@dataclass(frozen=True)
class _Grid:
    """Every model's curve at every level; models ascending in N."""

    log_c: Array  # [levels]
    log_n: Array  # [models]
    log_d: Array  # [models, levels]
    log_y: Array  # [models, levels], inf outside a model's own C


@dataclass(frozen=True)
class _Line:
    """A fit through the steps: exponents and log coefficients."""

    theta: Array  # a, b, log k_N, log k_D
    steps: Array  # [steps, 4] of log C, log N, log D, log loss
    weight: Array  # [steps]


def fit_envelope(
    n: npt.ArrayLike,
    d: npt.ArrayLike,
    c: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    tolerance: float = SAME_N,
    seed: int = 0,
    resamples: int = 1000,
) -> Envelope:
    """Fit approach 1.

    Args:
        n: [rows] parameters.
        d: [rows] positions (tokens, events).
        c: [rows] compute, in the table's own convention.
        y: [rows] loss, positive.
        tolerance: rows whose N lie within this share of one another are one model.
        seed: of the resampling.
        resamples: of models, with replacement.

    Returns:
        An Envelope; 'too few points' where fewer than three models have two rows along C, 'not
        identified' where fewer than three models make the envelope or it has no slope.

    Raises:
        LawsError: lengths differ or an entry is not positive.
    """
    ns, ds, cs, ys = (
        vector(values, name, positive=True)
        for name, values in zip("ndcy", (n, d, c, y), strict=True)
    )
    if not ns.size == ds.size == cs.size == ys.size:
        raise LawsError("n, d, c, y: lengths differ")
    grid, alone = _grid(ns, ds, cs, ys, tolerance)
    models = grid.log_n.size
    notes = [f"{models} models with two rows or more along C, equal N within {tolerance:.1%}"]
    if alone:
        notes.append(f"{alone} models with one C only have no curve: left out")
    if models < MIN_STEPS:
        reason = f"{models} models have two rows or more along C; {MIN_STEPS} needed"
        return _without(nothing("too few points", reason), models, notes)
    if np.ptp(ys) <= 1e-12 * ys.max():
        return _without(nothing("not identified", "the loss is constant"), models, notes)
    winner, inner = _winners(grid, np.ones(models, dtype=bool))
    notes.append(_edge_note(grid, winner))
    line = _line(grid, winner, inner)
    if line is None or line.steps.shape[0] < MIN_STEPS:
        steps = 0 if line is None else line.steps.shape[0]
        reason = f"{steps} models make the envelope; {MIN_STEPS} needed"
        return _without(nothing("not identified", reason), models, notes)
    return _with_interval(grid, line, seed, resamples, notes)


def _grid(n: Array, d: Array, c: Array, y: Array, tolerance: float) -> tuple[_Grid, int]:
    label = near_equal(n, tolerance)
    groups = [np.flatnonzero(label == k) for k in range(int(label.max(initial=-1)) + 1)]
    usable = [at for at in groups if np.unique(c[at]).size >= 2]
    if not usable:
        empty = np.zeros((0, LEVELS))
        return _Grid(np.zeros(LEVELS), np.zeros(0), empty, empty), len(groups)
    rows = np.concatenate(usable)
    log_c = np.linspace(np.log(c[rows].min()), np.log(c[rows].max()), LEVELS)
    log_n = np.array([np.log(n[at]).mean() for at in usable])
    curves = [_curve(log_c, np.log(c[at]), np.log(d[at]), np.log(y[at])) for at in usable]
    log_d, log_y = (np.stack([curve[i] for curve in curves]) for i in (0, 1))
    return _Grid(log_c, log_n, log_d, log_y), len(groups) - len(usable)


def _curve(levels: Array, log_c: Array, log_d: Array, log_y: Array) -> tuple[Array, Array]:
    """One model's log D and log loss at the levels; rows of one C are averaged."""
    at, index = np.unique(log_c, return_inverse=True)
    count = np.bincount(index)
    d, y = (np.bincount(index, v) / count for v in (log_d, log_y))
    outside = (levels < at[0] - 1e-9) | (levels > at[-1] + 1e-9)
    return np.interp(levels, at, d), np.where(outside, np.inf, np.interp(levels, at, y))


def _winners(grid: _Grid, present: Mask) -> tuple[npt.NDArray[np.int64], Mask]:
    """[levels] the lowest model, and whether a smaller and a larger one reach the level too."""
    at = np.flatnonzero(present)
    log_y = grid.log_y[at]
    reaches = np.isfinite(log_y)
    low = np.argmin(log_y, axis=0)
    first = np.argmax(reaches, axis=0)
    last = at.size - 1 - np.argmax(reaches[::-1], axis=0)
    inner = reaches.any(axis=0) & (low > first) & (low < last)
    changes = np.flatnonzero(np.diff(low))  # the first and last step are cut by the covered range
    if changes.size:
        inner[: changes[0] + 1] = inner[changes[-1] + 1 :] = False
    return at[low], inner


def _line(grid: _Grid, winner: npt.NDArray[np.int64], inner: Mask) -> _Line | None:
    """Weighted lines through the steps, ascending in C; None where they have no slope."""
    models, index, count = np.unique(winner[inner], return_inverse=True, return_counts=True)
    if models.size < 2:
        return None
    levels = np.flatnonzero(inner)
    mean = [
        np.bincount(index, values) / count
        for values in (
            grid.log_c[levels],
            grid.log_d[winner[levels], levels],
            grid.log_y[winner[levels], levels],
        )
    ]
    order = np.argsort(mean[0], kind="stable")
    steps = np.stack([mean[0], grid.log_n[models], mean[1], mean[2]], axis=1)[order]
    weight = (count / count.mean())[order]
    center = np.average(steps, axis=0, weights=weight)
    x = steps[:, 0] - center[0]
    spread = float(weight @ x**2)
    if spread <= 0:
        return None
    a, b = (float(weight @ (x * steps[:, i])) / spread for i in (1, 2))
    theta = np.array([a, b, center[1] - a * center[0], center[2] - b * center[0]])
    return _Line(theta, steps, weight)


def _with_interval(
    grid: _Grid, line: _Line, seed: int, resamples: int, notes: list[str]
) -> Envelope:
    models = grid.log_n.size
    rng = np.random.default_rng(seed)
    sample = []
    for _ in range(resamples):
        present = np.zeros(models, dtype=bool)
        present[rng.integers(models, size=models)] = True
        redrawn = _line(grid, *_winners(grid, present))
        if redrawn is not None:
            sample.append(redrawn.theta)
    lost = 1 - len(sample) / resamples
    steps = tuple(_own_units(row) for row in line.steps)
    residual = line.steps[:, 1] - line.theta[2] - line.theta[0] * line.steps[:, 0]
    objective = float(0.5 * line.weight @ residual**2)
    notes = [*notes, f"{len(steps)} models make the envelope"]
    if lost > LOST:
        reason = f"{lost:.0%} of resamples of the models leave no envelope"
        failed = _without(nothing("not identified", reason), models, notes)
        return replace(failed, steps=steps, objective=objective)
    top = float(line.steps[-1, 0])
    drawn = np.array(sample)
    a, b = (_estimate(float(line.theta[i]), drawn[:, i]) for i in (0, 1))
    logs = [_estimate(float(line.theta[i]), drawn[:, i]) for i in (2, 3)]
    at_top = [
        _estimate(
            float(line.theta[i + 2] + line.theta[i] * top), drawn[:, i + 2] + drawn[:, i] * top
        )
        for i in (0, 1)
    ]
    at = f"at C = {np.exp(top):.3g}"
    errors = np.std(drawn[:, :2], axis=0, ddof=1)
    return Envelope(
        dict(zip(PARAMETERS, (a, b, *map(_exponential, logs)), strict=True)),
        {
            f"N_opt {at}": _exponential(at_top[0]),
            f"D_opt {at}": _exponential(at_top[1]),
        },
        {"N_exponent": float(errors[0]), "D_exponent": float(errors[1])},
        steps,
        models,
        objective,
        tuple(notes),
    )


def _estimate(value: float, sample: Array) -> Estimate:
    low, high = percentile_ends(sample)
    return Estimate(value, min(low, value), max(high, value), "converged")


def _exponential(estimate: Estimate) -> Estimate:
    """From logarithms; ends far beyond any number of parameters are open."""
    low, high = (
        end if end is not None and abs(end) < UNBOUNDED else None
        for end in (estimate.low, estimate.high)
    )
    return exponential(replace(estimate, low=low, high=high))


def _own_units(row: Array) -> tuple[float, float, float, float]:
    c, n, d, y = (float(v) for v in np.exp(row))
    return c, n, d, y


def _without(missing: Estimate, models: int, notes: list[str]) -> Envelope:
    return Envelope(dict.fromkeys(PARAMETERS, missing), {}, {}, (), models, None, tuple(notes))


def _edge_note(grid: _Grid, winner: npt.NDArray[np.int64]) -> str:
    """Where the smallest or largest model wins, in shares of the levels that a curve reaches."""
    reaches = np.isfinite(grid.log_y)
    some = reaches.any(axis=0)
    smallest = winner == np.argmax(reaches, axis=0)
    largest = winner == grid.log_n.size - 1 - np.argmax(reaches[::-1], axis=0)
    low, high = (float(np.mean(wins[some])) for wins in (smallest, largest))
    return (
        f"the lowest model is the smallest that reaches it at {low:.0%} of compute and the largest "
        f"that reaches it at {high:.0%}: not used there"
    )
