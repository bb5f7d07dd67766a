"""All laws of a study: from the runs table to the contents of laws/*.json.

Choices: one AxisFit per axis, arm and headline metric whose column exists, and one joint surface
per metric; session starts are fitted only where the slice is large enough; users are drawn once,
for every law together. Metrics do not touch one another, so that several processes may share them
without a change in any number. Where the raw loss is the restored one in every run (with corrected
candidates it is), its laws are the same and are not fitted again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws.backtest import backtest
from behavior_scaling.laws.calibration import calibration
from behavior_scaling.laws.critical_batch import critical_batches
from behavior_scaling.laws.floors import LOSS, Floors
from behavior_scaling.laws.prediction_score import Prediction, check_prediction, score_metric
from behavior_scaling.laws.results import AxisFit
from behavior_scaling.laws.study_agreement import (
    LOSSES,
    MIXED,
    MIXED_AXES,
    TRAINING,
    study_agreement,
)
from behavior_scaling.laws.study_axes import fit_axis
from behavior_scaling.laws.study_choice import study_choice_costs
from behavior_scaling.laws.study_compute import compute_fit
from behavior_scaling.laws.surface import surface_fits
from behavior_scaling.laws.table import (
    AXES,
    Group,
    check_runs,
    groups,
    metric_values,
    numbers,
    seed_noise,
)
from behavior_scaling.laws.users import Users, draw_users
from behavior_scaling.laws.workers import worker_pool

if TYPE_CHECKING:
    import pandas as pd

RESTORED = "validation/restored/all"
SESSION = "validation/restored/session_start"
RANKINGS = ("recall@10", "ndcg@10", "mrr@10")
RAW = "validation/raw/all"
HEADLINE = (LOSS, f"{RAW}/cross_entropy", *(f"{RESTORED}/{name}" for name in RANKINGS))
SESSION_METRICS = tuple(f"{SESSION}/{name}" for name in ("cross_entropy", *RANKINGS))
MIN_POSITIONS = 500
MIN_USERS = 100


def fit_study(
    runs: pd.DataFrame,
    floors: Floors | None,
    *,
    users: pd.DataFrame | None = None,
    probes: pd.DataFrame | None = None,
    prediction: Prediction | None = None,
    seed: int = 0,
    resamples: int = 400,
    workers: int = 1,
    only: Collection[str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Fit every law of a study.

    Args:
        runs: the runs table, one row per (axis, arm, cell, run).
        floors: {split: {slice: {floor: {metric: value}}}}; None: no curve is checked by Markov.
        users: sums by user group (users.py); None: intervals hold seeds only.
        probes: what runs measured on their way (critical_batch.py); None: no steps-to-target and
            no gradient noise scale.
        prediction: what `predict` wrote before a budget was run, to be scored; None: none.
        seed: of every resample and permutation.
        resamples: noise redraws, redrawn users and cell resamples behind an interval.
        workers: processes that share the metrics; numbers do not depend on it. More than one asks
            for an importable main module (Python's rule for spawned processes).
        only: the metrics to fit; None: all.

    Returns:
        {'allocation' | 'share' | 'batch' | 'negatives' | 'compute': {'axis', 'fits'},
        'surface': {'surface'}, 'critical_batch': {'critical_batch'}, 'backtest': {'backtest'},
        'prediction': {'prediction', 'lift'}, 'agreement': {'agreement', 'choice_cost'},
        'calibration': {'calibration', 'variations'}}; an axis absent from the table has an empty
        list, and so has a study without a prediction or variations.

    Raises:
        LawsError: naming the column that is missing or holds an impossible value.
    """
    check_runs(runs)
    if prediction is not None:
        check_prediction(prediction, runs)
    metrics, rankings = (
        [name for name in names if only is None or name in only]
        for names in (headline_metrics(runs), ranking_metrics(runs))
    )
    predicted = () if prediction is None else tuple(prediction["metrics"])
    runs = _without_metrics(runs, {*metrics, *rankings, *LOSSES, *predicted})
    found = groups(runs)
    drawn = None if users is None else draw_users(users, seed=seed, resamples=resamples)
    work = _Work(runs, tuple(found), floors, drawn, prediction, seed, resamples)
    again = _same_loss(runs, metrics)
    done = list(_shared(work, [name for name in metrics if name not in again], workers))
    done[1:1] = [done[0].renamed(name) for name in again]
    fits = [fit for part in done for fit in part.fits]
    by_axis = {axis: [fit for fit in fits if fit.axis == axis] for axis in (*AXES, "compute")}
    costs = study_choice_costs(
        runs,
        found,
        LOSSES,
        rankings,
        users=drawn,
        seed=seed,
        resamples=resamples,
        said={(axis, TRAINING): MIXED for axis in MIXED_AXES},
    )
    return {
        **{a: {"axis": a, "fits": [f.to_dict() for f in by_axis[a]]} for a in by_axis},
        "surface": {"surface": [row for part in done for row in part.surface]},
        "critical_batch": {
            "critical_batch": critical_batches(found, by_axis["batch"], probes, LOSS)
        },
        "backtest": {"backtest": [row for part in done for row in part.backtest]},
        "prediction": {
            "prediction": [row for part in done for row in part.prediction],
            "lift": [row for part in done for row in part.lift],
        },
        "agreement": {
            "agreement": study_agreement(found, rankings, seed, resamples),
            "choice_cost": costs,
        },
        "calibration": calibration(runs),
    }


def _without_metrics(runs: pd.DataFrame, kept: Collection[str]) -> pd.DataFrame:
    """The table without the other metrics: hundreds of columns that every choice of rows copies."""
    return runs[[name for name in runs.columns if "/" not in name or name in kept]]


@dataclass(frozen=True, eq=False)
class _Work:
    """What every metric's laws are fitted from."""

    runs: pd.DataFrame
    axes: tuple[Group, ...]
    floors: Floors | None
    users: Users | None
    prediction: Prediction | None
    seed: int
    resamples: int

    def of(self, metric: str) -> _Work:
        """Without the slices of other metrics: what is sent to another process."""
        if self.users is None:
            return self
        where = tuple(metric.split("/")[:-1])
        slices = {key: sums for key, sums in self.users.slices.items() if key == where}
        return replace(self, users=replace(self.users, slices=slices))


@dataclass(frozen=True)
class _Laws:
    """All laws of one metric."""

    fits: tuple[AxisFit, ...]
    surface: list[dict[str, Any]]
    backtest: list[dict[str, Any]]
    prediction: list[dict[str, Any]]
    lift: list[dict[str, Any]]

    def renamed(self, metric: str) -> _Laws:
        """The same laws of a metric with the same values."""

        def named(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [row | {"metric": metric} for row in rows]

        return _Laws(
            tuple(replace(fit, metric=metric) for fit in self.fits),
            *(named(rows) for rows in (self.surface, self.backtest, self.prediction, self.lift)),
        )


def _same_loss(runs: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    """The raw loss, if it is asked for beside the restored one and equals it in every run."""
    if tuple(metrics[:2]) != HEADLINE[:2]:
        return []
    restored, raw = (metric_values(runs, name) for name in HEADLINE[:2])
    return [HEADLINE[1]] if np.array_equal(restored, raw, equal_nan=True) else []


def _shared(work: _Work, metrics: Sequence[str], workers: int) -> Iterable[_Laws]:
    if workers == 1 or len(metrics) < 2:
        return (_laws(work.of(metric), metric) for metric in metrics)
    with worker_pool(workers) as pool:
        return list(pool.map(_laws, [work.of(metric) for metric in metrics], metrics))


def _laws(work: _Work, metric: str) -> _Laws:
    noise = seed_noise(work.runs, metric)
    options = {"seed": work.seed, "resamples": work.resamples}
    fits = []
    for group in work.axes:
        found = fit_axis(group, metric, noise, work.floors, work.users, **options)
        if found is None:
            continue
        fit, curves, parts = found
        fits.append(fit)
        if group.axis == "allocation":
            fits.append(compute_fit(metric, curves, parts.best, **options))
    scored: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    if work.prediction is not None:
        scored = score_metric(work.runs, work.prediction, metric, **options)
    return _Laws(
        tuple(fits),
        surface_fits(work.runs, work.floors, [metric], axes=work.axes, users=work.users, **options),
        backtest(work.runs, [metric], axes=work.axes, **options),
        *scored,
    )


def headline_metrics(runs: pd.DataFrame) -> list[str]:
    """The metrics that get a law: columns with a value, session starts if the slice is large."""
    return _present(runs, [*HEADLINE, *(SESSION_METRICS if slice_is_large(runs, SESSION) else ())])


def ranking_metrics(runs: pd.DataFrame) -> list[str]:
    """The ranking metrics that losses are held against: of both scores, and session starts."""
    prefixes = [RESTORED, RAW, *([SESSION] if slice_is_large(runs, SESSION) else [])]
    return _present(runs, [f"{prefix}/{name}" for prefix in prefixes for name in RANKINGS])


def _present(runs: pd.DataFrame, names: Sequence[str]) -> list[str]:
    columns = [name for name in names if name in runs.columns]
    return [name for name in columns if np.isfinite(metric_values(runs, name)).any()]


def slice_is_large(runs: pd.DataFrame, prefix: str) -> bool:
    """Whether a slice has at least 500 positions and 100 users in every run that has it."""
    for column, least in (
        (f"{prefix}/n_positions", MIN_POSITIONS),
        (f"{prefix}/n_users", MIN_USERS),
    ):
        if column not in runs.columns:
            return False
        counts = numbers(runs, column)
        counts = counts[np.isfinite(counts)]
        if counts.size == 0 or counts.min() < least:
            return False
    return True
