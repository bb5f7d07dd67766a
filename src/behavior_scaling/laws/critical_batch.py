"""The critical batch size in three ways, by metric and budget, in sequences and in events.

(a) 'curve': the knee of a metric over B through D_eff in L(N, D) (batch.py), for every metric.
(b) 'steps': steps-to-target and McCandlish's hyperbola (critical_batch_steps.py).
(c) 'noise': the gradient noise scale (critical_batch_noise.py).
Choices: the clean arm of the batch axis only, admissible runs only, and within a budget one N and
one number of in-batch candidates; (b) and (c) are measured on the way, from the restored validation
cross-entropy and from gradients of the loss, so they exist for the loss and for no other metric.
The three answer different questions (data efficiency at a fixed D, speed to a fixed loss, a local
quadratic picture), so they are shown side by side, never averaged; where two intervals do not
overlap, both entries say so. A bound counts as the half-line that it leaves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from behavior_scaling.laws import batch
from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.critical_batch_noise import noise_scale
from behavior_scaling.laws.critical_batch_steps import (
    CAVEAT,
    FORM,
    Crossing,
    loss_curve,
    steps_to_target,
)
from behavior_scaling.laws.parts import carried, nothing
from behavior_scaling.laws.results import AxisFit, Estimate
from behavior_scaling.laws.table import Group, numbers

if TYPE_CHECKING:
    import pandas as pd

PROBE_COLUMNS = (
    "id", "step", "positions", "validation_cross_entropy", "gradient_noise", "gradient_signal",
)  # fmt: skip
LAST_SHARE = 0.5  # of a run's positions: probes before it are not averaged
QUARTERS = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))
NOISE_FORM = "mean tr(Sigma) / mean |G|^2 over probes in the last half of training"
LOSS_ONLY = "steps-to-target and the gradient noise scale exist for the loss, not for this metric"
NO_PROBES = "no probes: neither steps-to-target nor a gradient noise scale"
Method = Literal["curve", "steps", "noise"]


@dataclass(frozen=True)
class Moment:
    """The critical batch at one target loss (steps) or stretch of training (noise)."""

    at: float  # nats, or the middle of the stretch as a share of the run's positions
    sequences: Estimate


@dataclass(frozen=True)
class CriticalBatch:
    """One method at one budget for one metric."""

    method: Method
    metric: str
    budget: float
    runs: int
    form: str
    sequences: Estimate
    events: Estimate
    coefficients: dict[str, Estimate]  # steps: S_min, E_min (sequences), target (nats)
    trajectory: tuple[Moment, ...]  # over targets, or over training
    crossings: tuple[Crossing, ...]  # of the headline target: the points of the hyperbola
    disagreements: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


def critical_batches(
    found: Sequence[Group], fits: Sequence[AxisFit], probes: pd.DataFrame | None, loss: str
) -> list[dict[str, Any]]:
    """CriticalBatch.to_dict() of every metric, budget and method.

    Args:
        found: groups of the runs table.
        fits: of the batch axis.
        probes: one row per (run id, probe), columns PROBE_COLUMNS; None: (a) alone.
        loss: the metric whose loss the probes follow.

    Raises:
        LawsError: a column of the probes is missing, or an entry is impossible.
    """
    out = []
    for fit in fits:
        if fit.arm != "clean":
            continue
        said = (LOSS_ONLY,) if fit.metric != loss else (NO_PROBES,) if probes is None else ()
        out += [_from_curve(fit, i, said) for i in range(len(fit.curves))]
    group = next((g for g in found if (g.axis, g.arm) == ("batch", "clean")), None)
    if probes is not None and group is not None and len(group.frame):
        _check(probes)
        for budget in np.unique(numbers(group.frame, "budget")):
            out += _from_probes(group.frame, float(budget), probes, loss)
    order = {"curve": 0, "steps": 1, "noise": 2}
    compared = [_compared(entry, out) for entry in out]
    metrics = list(dict.fromkeys(entry.metric for entry in out))
    compared.sort(key=lambda e: (metrics.index(e.metric), e.budget, order[e.method]))
    return [entry.to_dict() for entry in compared]


def _from_curve(fit: AxisFit, i: int, notes: tuple[str, ...]) -> CriticalBatch:
    curve = fit.curves[i]
    none = nothing(curve.optimum.status, curve.optimum.reason)
    return CriticalBatch(
        "curve",
        fit.metric,
        curve.budget,
        curve.runs,
        fit.form,
        curve.optimum,
        curve.derived.get("events", none),
        {},
        (),
        (),
        (),
        notes,
    )


def _from_probes(
    frame: pd.DataFrame, budget: float, probes: pd.DataFrame, loss: str
) -> list[CriticalBatch]:
    """The entries 'steps' and 'noise' of one budget."""
    rows = frame[numbers(frame, "budget") == budget]
    b, steps, unique, context = (
        numbers(rows, c) for c in ("batch", "steps_after_warmup", "unique_positions", "context")
    )
    kept = rows[batch.admissible(b, steps, unique, context)]
    probed = probes[probes["id"].isin(kept["id"])]
    kept = kept[kept["id"].isin(probed["id"])]
    per_sequence = 1.0
    if len(kept):
        sequences = numbers(kept, "steps") * numbers(kept, "batch")
        per_sequence = float(np.median(numbers(kept, "positions") / sequences))
    mixed = [c for c in ("n_total", "in_batch") if kept[c].nunique() > 1] if len(kept) else []
    runs = [_Run.of(row, probed) for _, row in kept.iterrows()]
    return [
        _entry(method, loss, budget, runs, per_sequence, mixed) for method in ("steps", "noise")
    ]


@dataclass(frozen=True, eq=False)
class _Run:
    """One run and its probes after warm-up, ascending in step."""

    batch: float
    positions: float
    probes: pd.DataFrame

    @classmethod
    def of(cls, row: pd.Series[Any], probes: pd.DataFrame) -> _Run:
        own = probes[probes["id"] == row["id"]].sort_values("step")
        warm = float(row["steps"]) - float(row["steps_after_warmup"])
        after = own[own["step"] > warm]
        return cls(float(row["batch"]), float(row["positions"]), after)

    def gradients(self, first: float, last: float) -> Any:
        """[probes, 2] of noise and signal between two shares of the run's positions."""
        share = self.probes["positions"] / self.positions
        pairs = self.probes.loc[(share > first) & (share <= last + 1e-9)]
        values = pairs[["gradient_noise", "gradient_signal"]].to_numpy(dtype=np.float64)
        return values[np.isfinite(values).all(axis=1)]


def _entry(
    method: Method,
    loss: str,
    budget: float,
    runs: Sequence[_Run],
    per_sequence: float,
    mixed: Sequence[str],
) -> CriticalBatch:
    coefficients: dict[str, Estimate] = {}
    crossings: tuple[Crossing, ...] = ()
    trajectory: tuple[Moment, ...] = ()
    notes: tuple[str, ...] = ()
    if mixed:
        value = nothing("not identified", f"runs of one budget differ in {', '.join(mixed)}")
    elif method == "steps":
        found = steps_to_target([c for c in (_curve(run) for run in runs) if c is not None])
        first, notes = found[0], (CAVEAT,)
        value, crossings = first.knee, first.crossings
        trajectory = tuple(Moment(h.target, h.knee) for h in found if h.target is not None)
        coefficients = {"S_min": first.least_steps, "E_min": first.least_sequences}
        if first.target is not None:
            said = "chosen: the lowest loss that every batch reaches"
            coefficients["target"] = Estimate(first.target, None, None, "converged", said)
    else:
        value = noise_scale([run.gradients(LAST_SHARE, 1.0) for run in runs])
        trajectory = tuple(
            Moment((a + b) / 2, noise_scale([run.gradients(a, b) for run in runs]))
            for a, b in QUARTERS
        )
    return CriticalBatch(
        method,
        loss,
        budget,
        len(runs),
        FORM if method == "steps" else NOISE_FORM,
        value,
        carried(value, lambda sequences: sequences * per_sequence),
        coefficients,
        trajectory,
        crossings,
        (),
        notes,
    )


def _curve(run: _Run) -> Any:
    """The run's losses over steps; None without two of them."""
    usable = run.probes[np.isfinite(run.probes["validation_cross_entropy"])]
    if len(usable) < 2:
        return None
    return loss_curve(run.batch, usable["step"], usable["validation_cross_entropy"])


def _compared(entry: CriticalBatch, others: Sequence[CriticalBatch]) -> CriticalBatch:
    """The entry with the methods of its metric and budget whose intervals it does not meet."""
    said = []
    for other in others:
        same = (other.metric, other.budget) == (entry.metric, entry.budget)
        ours, theirs = _range(entry.sequences), _range(other.sequences)
        if not same or other.method == entry.method or ours is None or theirs is None:
            continue
        if ours[0] > theirs[1] or theirs[0] > ours[1]:
            said.append(
                f"{entry.method}: {_words(ours)} sequences, {other.method}: {_words(theirs)}"
            )
    return replace(entry, disagreements=tuple(said))


def _range(value: Estimate) -> tuple[float, float] | None:
    """What an estimate allows, bounds as half-lines; None where it says nothing."""
    if value.low is None and value.high is None:
        return None
    return (0.0 if value.low is None else value.low, np.inf if value.high is None else value.high)


def _words(ends: tuple[float, float]) -> str:
    low, high = ends
    if np.isinf(high):
        return f"at least {low:.3g}"
    return f"at most {high:.3g}" if low == 0 else f"{low:.3g} to {high:.3g}"


def _check(probes: pd.DataFrame) -> None:
    missing = [column for column in PROBE_COLUMNS if column not in probes.columns]
    if missing:
        raise LawsError(f"probes: column {missing[0]!r} is missing")
    for column in ("step", "positions"):
        values = probes[column].to_numpy(dtype=np.float64)
        good = np.isfinite(values) & (values > 0)
        if not good.all():
            at = int(np.flatnonzero(~good)[0])
            raise LawsError(
                f"probes: column {column!r} holds {float(values[at])!r} in run "
                f"{probes['id'].iloc[at]}; it must be positive"
            )
