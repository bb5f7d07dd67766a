"""Laws in worlds of known entropy: loss over compute by world, and what it has to do with entropy.

Choices: E of L = E + a C^-b is not fitted but known: the oracle's cross-entropy on the very
validation positions (the draw of positions moves model and oracle alike), so that three budgets
identify b of L - E; the plain power law, the form of the claim about entropy, stands beside it.
Worlds are ordered by H_L over fresh events. A budget's best loss is the isoFLOP vertex or lowest
cell (study_compute.py). Cells of one seed give no seed noise; then the scatter around the
parabolas, pooled over a world's budgets, serves as noise. Users are not redrawn: E and the losses
share theirs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws.arrays import LawsError, t_quantile
from behavior_scaling.laws.curve import CurveData
from behavior_scaling.laws.floors import LOSS, Floors
from behavior_scaling.laws.isoflop import MAX_EPOCHS, fit_allocation
from behavior_scaling.laws.noise import NoiseLevel
from behavior_scaling.laws.parabola import fit_parabola
from behavior_scaling.laws.parametric import fit_parametric
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.power import MIN_FLOOR_BUDGETS, fit_power
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.study_compute import BestLoss, best_losses
from behavior_scaling.laws.table import check_runs, groups, metric_curves, numbers, seed_noise
from behavior_scaling.laws.transforms import IDENTITY
from behavior_scaling.laws.worlds_across import across
from behavior_scaling.laws.worlds_repeated import repetitions

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 200  # of runs, behind the interval of the parametric E
DRIFTING = ("world-payments",)  # whose oracle is told times, amounts and types (docs/worlds.md)
BELOW = "the oracle is told times, amounts and types, which lowers E below what models can reach"
POOLED = "no replicates: scatter of the cells around the parabolas, pooled over the budgets"


@dataclass(frozen=True, eq=False)
class World:
    """A study in one synthetic world, as its own laws left it."""

    study: str
    seed: int  # of the world
    runs: pd.DataFrame
    floors: Floors
    surface: Mapping[str, Estimate]  # parameters of the joint surface of the loss
    size: Estimate  # exponent of N* over C

    @property
    def source(self) -> str:
        """Name of the world."""
        return str(self.runs["source"].iloc[0])

    @property
    def unique(self) -> int:
        """U: unique training positions; 0 where no run says."""
        known = numbers(self.runs, "unique_positions")
        return int(np.max(known[np.isfinite(known)], initial=0))  # a run not done has none

    @property
    def oracle(self) -> dict[str, float]:
        """Cross-entropy on the validation positions and H over fresh events, nats, with s.e.

        Raises:
            LawsError: the floors know no oracle.
        """
        try:
            row = self.floors["validation"]["all"]["oracle"]
            names = ("cross_entropy", "standard_error", "H", "H_se")
            return {name: float(row[name] or 0.0) for name in names}
        except (KeyError, TypeError):
            raise LawsError(
                f"{self.study}: its floors hold no validation/all/oracle with H; run `truth` and "
                "`floors` again"
            ) from None


def fit_worlds(worlds: Sequence[World], *, seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Every world's law, what runs across worlds, and fresh against repeated data.

    Returns:
        {'worlds', 'across', 'repetition'}: lists, the contents of laws/worlds.json.

    Raises:
        LawsError: a table of runs cannot be read, or a world's floors hold no oracle.
    """
    rows = [_world(one, seed) for one in worlds]
    fresh = [_freshest(one, worlds) for one in worlds]
    return {
        "worlds": [_plain(row) for row in rows],
        "across": across([row for row, kept in zip(rows, fresh, strict=True) if kept]),
        "repetition": repetitions(worlds),
    }


def _freshest(one: World, worlds: Sequence[World]) -> bool:
    """Whether no other study of the same world has more unique positions."""
    same = [other for other in worlds if (other.source, other.seed) == (one.source, one.seed)]
    return one is max(same, key=lambda other: other.unique)


def _world(world: World, seed: int) -> dict[str, Any]:
    truth = world.oracle
    curves = allocation_curves(world.runs)
    found = best_losses(LOSS, curves, fit_allocation(curves).best) if curves else []
    floor = truth["cross_entropy"]
    fitted = world.surface.get("E", nothing("too few points", "no joint surface was fitted"))
    notes = [BELOW] if world.source in DRIFTING else []
    low = [f"{one.budget:g}" for one in found if one.lowest]
    if low:
        notes.append(f"lowest cell instead of a vertex at {', '.join(low)} (biased low)")
    if curves and curves[0].noise.reason == POOLED:
        notes.append(POOLED)
    return {
        "study": world.study,
        "source": world.source,
        "seed": world.seed,
        "unique_positions": world.unique,
        "epochs": _epochs(curves),
        "oracle": truth,
        "budgets": [_budget(one, floor) for one in found],
        "known": _known(found, floor),
        "plain": _power(found, [one.loss for one in found]),
        "free": _free(found, seed),
        "E": {"surface": fitted, "parametric": _parametric(world, seed)},
        "N": world.size,
        "notes": notes,
    }


def allocation_curves(runs: pd.DataFrame) -> list[CurveData]:
    """The allocation axis by loss, every budget with a noise level where there is any to be had."""
    check_runs(runs)
    noise = seed_noise(runs, LOSS)
    group = next((group for group in groups(runs) if group.axis == "allocation"), None)
    if group is None or group.frame.empty:
        return []
    curves, _ = metric_curves(group, LOSS, IDENTITY, noise)
    if all(data.noise.known for data in curves):
        return curves
    squares, df = 0.0, 0
    for data in curves:
        if data.points >= 3 and data.cells > 3:
            rest = data.y - fit_parabola(data).predict(np.log(data.x))
            squares += float(np.sum(rest**2 / data.spread))
            df += data.cells - 3
    if not df:
        return curves
    level = NoiseLevel(squares / df, float(df), POOLED)
    return [replace(data, noise=level) for data in curves]


def _epochs(curves: Sequence[CurveData]) -> list[float] | None:
    """Fewest and most times that a cell's events were seen; None without a finished run."""
    epochs = [value for data in curves for value in data.columns["epochs"]]
    return [float(min(epochs)), float(max(epochs))] if epochs else None


def _budget(one: BestLoss, floor: float) -> dict[str, Any]:
    margin = None if one.variance is None else t_quantile(np.inf) * float(np.sqrt(one.variance))

    def around(value: float) -> Estimate:
        if margin is None:
            return Estimate(value, None, None, "converged", "noise unknown")
        return Estimate(value, value - margin, value + margin, "converged")

    return {
        "budget": one.budget,
        "loss": around(one.loss),
        "gap": around(one.loss - floor),
        "at": "lowest cell" if one.lowest else "vertex",
    }


def _known(found: Sequence[BestLoss], floor: float) -> dict[str, Estimate]:
    """a and b of L - E = a C^-b."""
    below = [one.budget for one in found if one.loss <= floor]
    if below:
        reason = f"the best loss is not above the known E at {below[0]:g}"
        return dict.fromkeys(("a", "b"), nothing("not identified", reason))
    return _power(found, [one.loss - floor for one in found])


def _power(found: Sequence[BestLoss], values: Sequence[float]) -> dict[str, Estimate]:
    """a and b of the plain power law of some values."""
    if not found:
        return dict.fromkeys(("a", "b"), nothing("too few points", "no run of this axis finished"))
    law = fit_power([one.budget for one in found], values, _variances(found), floor=False)
    return {name: law.coefficients[name] for name in ("a", "b")}


def _free(found: Sequence[BestLoss], seed: int) -> dict[str, Estimate]:
    """E, a and b of L = E + a C^-b, where budgets are enough to tell E."""
    if len(found) < MIN_FLOOR_BUDGETS:
        reason = f"{len(found)} budgets; {MIN_FLOOR_BUDGETS} are needed to tell E from b"
        return dict.fromkeys(("E", "a", "b"), nothing("too few points", reason))
    budgets, losses = [one.budget for one in found], [one.loss for one in found]
    return dict(fit_power(budgets, losses, _variances(found), seed=seed).coefficients)


def _variances(found: Sequence[BestLoss]) -> list[float] | None:
    known = [one.variance for one in found if one.variance is not None and one.variance > 0]
    return known if len(known) == len(found) else None


def _parametric(world: World, seed: int) -> Estimate:
    """E of approach 3 over the world's runs, which has no term for repeated events."""
    runs = world.runs[(world.runs["outcome"] == "done") & (world.runs["axis"] == "allocation")]
    runs = runs[~runs["control"].fillna(False).astype(bool)].drop_duplicates("id")
    epochs = numbers(runs, "epochs")
    if epochs.size and epochs.max() > MAX_EPOCHS:
        reason = f"events are seen up to {epochs.max():.0f} times, for which the law has no term"
        return nothing("not identified", reason)
    y, n, d = (numbers(runs, name) for name in (LOSS, "n_total", "positions"))
    try:
        return fit_parametric(y, n, d, bootstrap=RESAMPLES, seed=seed).parameters["E"]
    except LawsError as error:
        return nothing("too few points", str(error))


def _plain(value: Any) -> Any:
    """Estimates as dictionaries, wherever they stand."""
    if isinstance(value, Estimate):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value
