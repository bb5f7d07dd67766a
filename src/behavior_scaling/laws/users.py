"""Redrawn users: how far every metric would move had other users been in the evaluation.

Choices (definitions.md, 'Noise'): users fall into groups by a hash, and the groups are redrawn with
replacement (multinomial weights) once, for all runs, slices and metrics together, so that what
runs share stays shared: a group of hard users that is drawn twice raises every curve alike and
moves no optimum. A metric of a replicate is its weighted sum over positions over the weighted
count of positions. Deviations are scaled by sqrt(G / (G - 1)), because G groups redrawn from G
show only (G - 1) / G of their variance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError, t_quantile

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("split", "score", "slice")
REQUIRED = ("id", *KEYS, "group", "n_positions")
MIN_GROUPS = 20  # with users in them: fewer say little about their own spread
PROFILE_NOTE = (
    "users redrawn: a profile accepts a value while its excess is at most t^2 times the variance"
    " over seeds plus z^2 times the variance of the excess's root over users"
)
SLOPE_NOTE = (
    "users redrawn: a vertex is accepted while its squared slope is at most t^2 times its variance"
    " over seeds plus z^2 times its variance over users"
)
SAME = 1e-4  # relative: a metric from its groups and the one in the runs table


@dataclass(frozen=True)
class Sums:
    """One slice of one score: sums over positions by run and group."""

    runs: Mapping[str, int]  # id -> row
    positions: Array  # [runs, groups]
    metrics: Mapping[str, Array]  # name -> [runs, groups]


@dataclass(frozen=True, eq=False)
class Users:
    """User sums of all runs and the weights of every replicate."""

    weights: Array  # [replicates, groups]
    slices: Mapping[tuple[str, ...], Sums]  # (split, score, slice)

    def deviations(self, ids: Sequence[str], metric: str, values: Array) -> Array | str:
        """How far each replicate's metric lies from the runs', [replicates, runs].

        Args:
            ids: of the runs.
            metric: column of the runs table, 'split/score/slice/name'.
            values: [runs] the metric in the runs table, checked against the sums.

        Returns:
            The deviations in the metric's own unit, or why there are none, in words.

        Raises:
            LawsError: the sums of a run do not give the value of the runs table.
        """
        *where, name = metric.split("/")
        sums = self.slices.get(tuple(where))
        if sums is None or name not in sums.metrics:
            return f"no user sums of {metric}"
        missing = [run for run in ids if run not in sums.runs]
        if missing:
            return f"{len(missing)} runs without user sums (first {missing[0]})"
        rows = [sums.runs[run] for run in ids]
        total, counts = sums.metrics[name][rows], sums.positions[rows]
        filled = int(np.sum(counts.sum(axis=0) > 0))
        if filled < MIN_GROUPS:
            return f"{filled} groups of users; {MIN_GROUPS} are needed to redraw them"
        point = total.sum(axis=1) / counts.sum(axis=1)
        wrong = np.abs(point - values) > SAME * np.maximum(np.abs(values), SAME)
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise LawsError(
                f"users: the groups of run {ids[at]} give {metric} = {float(point[at])!r}, the "
                f"runs table {float(values[at])!r}: the two files do not belong together"
            )
        scale = np.sqrt(filled / (filled - 1.0))
        redrawn = (self.weights @ total.T) / (self.weights @ counts.T)
        return np.asarray(scale * (redrawn - point))


def draw_users(users: pd.DataFrame, *, seed: int = 0, resamples: int = 400) -> Users:
    """Check the table of user sums and draw the replicates' weights.

    Args:
        users: one row per (id, split, slice, score, group) with n_positions and, for every other
            column, the sum of that metric over the group's positions.
        seed: of the draws.
        resamples: number of replicates.

    Raises:
        LawsError: a column is missing, a row occurs twice, or an entry is not finite.
    """
    missing = [column for column in REQUIRED if column not in users.columns]
    if missing:
        raise LawsError(f"users: column {missing[0]!r} is missing")
    names = [column for column in users.columns if column not in REQUIRED]
    numbers = {name: _finite(users, name) for name in ("n_positions", *names)}
    if (numbers["n_positions"] < 0).any():
        raise LawsError("users: column 'n_positions' holds a negative number")
    twice = users.duplicated([*KEYS, "id", "group"])
    if twice.any():
        row = users.loc[twice].iloc[0]
        raise LawsError(f"users: group {row['group']} of run {row['id']} occurs twice in a slice")
    groups, group = np.unique(np.asarray(users["group"]), return_inverse=True)
    code, ids = users["id"].astype(str).factorize(sort=True)
    slices: dict[tuple[str, ...], Sums] = {}
    places = users.groupby([users[name].astype(str) for name in KEYS]).indices
    for key, rows in cast("dict[tuple[str, ...], npt.NDArray[np.int64]]", places).items():
        present, run = np.unique(code[rows], return_inverse=True)
        tables = {}
        for name, values in numbers.items():
            tables[name] = np.zeros((present.size, groups.size))
            tables[name][run, group[rows]] = values[rows]
        runs = {str(ids[one]): i for i, one in enumerate(present)}
        slices[key] = Sums(runs, tables.pop("n_positions"), tables)
    rng = np.random.default_rng(seed)
    size = max(groups.size, 1)
    weights = rng.multinomial(groups.size, np.full(size, 1.0 / size), resamples)
    return Users(weights.astype(np.float64), slices)


def _finite(users: pd.DataFrame, column: str) -> Array:
    values = users[column].to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        at = int(np.flatnonzero(~np.isfinite(values))[0])
        raise LawsError(
            f"users: column {column!r} holds {float(values[at])!r} in run {users['id'].iloc[at]}"
        )
    return np.asarray(values)


def with_users(excess: Array, pull: Array, users: Array | None, limit: float) -> Array:
    """A profile's excess, less where redrawn users blur it; to be held against the same limit.

    The excess D(x) of a value x is what fixing it adds to the weighted sum of squares, and its
    root is normal in the cells' noise: x is accepted while D <= t^2 sigma^2 from seeds alone, and
    while D <= t^2 sigma^2 + z^2 Var(sqrt D) once users vary too. By the envelope theorem
    dD / dy = 2 w (f - f_x), f and f_x the best fits without and with x fixed, so that
    Var(sqrt D) = Var(sum w (f - f_x) dy) / D over the replicates' deviations dy.

    Args:
        excess: [k] D at every value of the grid.
        pull: [k, cells] w (f - f_x).
        users: [replicates, cells] deviations, or None: the excess as it is.
        limit: t^2 sigma^2.
    """
    if users is None or limit <= 0:
        return excess
    blur = np.var(users @ pull.T, axis=0) / np.maximum(excess, 1e-300)
    return np.asarray(excess * limit / (limit + t_quantile(np.inf) ** 2 * blur))


def users_sd(replicates: Array) -> float:
    """Standard deviation over replicates [r], by the width of their central 95%.

    A refit that lost its optimum (NaN) takes no part; a few that ran far away do not count.
    """
    kept = replicates[np.isfinite(replicates)]
    if kept.size < 2:
        return 0.0
    low, high = np.quantile(kept, [0.025, 0.975])
    return float(high - low) / (2 * t_quantile(np.inf))


def share_of_width(seeds: float, total: float) -> str:
    """What redrawn users add to a width, in words."""
    part = 1 - (seeds / total) ** 2 if total > 0 else 0.0
    return f"redrawn users: {part:.0%} of the squared width"


def widened(margin: float, sd: float) -> float:
    """Half-width from seeds and from users in quadrature (total variance)."""
    return float(np.hypot(margin, t_quantile(np.inf) * sd))
