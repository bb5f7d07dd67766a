"""Which parts of the surface the runs show, and which stay in the fit without a number.

Choices: backward elimination, twice. A part goes from the fit when the residual variance per degree
of freedom is no lower with it (F <= 1: it explains no more than noise would). A part that stays has
a number only if it is worth more than 4 of AICc in the elimination that goes on from there; one
that is worth less is 'not identified', and yet stays in the fit, because every other estimate must
carry the doubt about it: in replicates of a planted study of 83 runs, leaving out what was there
but hardly showed made 95% intervals of N* cover 74%, keeping it 96%. AICc counts runs with their
replicates; where cells scatter around the surface by more than seed noise, replicates tell nothing
of that scatter and it counts cells. A part whose input does not vary is never tried. Losses keep
E >= 0 and E is one of the parts; on the scales of maximised metrics zero means nothing (log(1 - m)
is 0 at m = 0), so there E has no bound and stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.criteria import GAIN, aicc
from behavior_scaling.laws.many import minimise_many
from behavior_scaling.laws.noise import error_variance
from behavior_scaling.laws.solve import Solution, solve
from behavior_scaling.laws.surface_data import SurfaceData
from behavior_scaling.laws.surface_law import NEEDS, PARTS, SurfaceLaw, bounds, starts
from behavior_scaling.laws.transforms import IDENTITY

STARTS = 32
FEW_STARTS = 4  # in elimination, the optimum of the larger law among them
ROUGH, ROUGH_STEPS = 1e-6, 60  # tolerance and steps in elimination: AICc needs three digits
VARIES = 0.05  # range of an input's logarithm below which it does not vary


@dataclass(frozen=True)
class Left:
    """A part that has no number, and why."""

    part: str
    reason: str


@dataclass(frozen=True, eq=False)
class Chosen:
    """What is fitted, and what of it the runs show."""

    law: SurfaceLaw
    solution: Solution
    shown: tuple[str, ...]
    gains: Mapping[str, float]  # AICc that a shown part is worth
    left: tuple[Left, ...]


def varying_parts(inputs: Mapping[str, Array]) -> tuple[tuple[str, ...], tuple[Left, ...]]:
    """The parts that the runs' inputs could show, and those that they cannot."""
    epochs = inputs["positions"] / inputs["unique"]
    second = inputs["stage2"] > 0.5
    children = inputs["budget"][second]

    def moves(values: Array) -> bool:
        return bool(np.ptp(np.log(values)) > VARIES)

    shown = {
        "E": True,
        "context": moves(inputs["n_ctx"]),
        "embedder": moves(inputs["n_emb"]),
        "data": moves(inputs["positions"]),
        "candidates": moves(inputs["n_cand"]),
        "uniform": bool(np.ptp(inputs["uniform_share"]) > VARIES),
        "repetition": bool(epochs.max() > 1 + VARIES and moves(np.maximum(epochs, 1.0))),
        "batch": moves(inputs["batch"]),
        "stage": bool(second.any() and not second.all()),
        "stage trend": np.unique(children).size > 1,
    }
    for child, parent in NEEDS.items():
        shown[child] = shown[child] and shown[parent]
    parts = tuple(part for part in PARTS if shown[part])
    left = tuple(Left(p, "its input does not vary over the runs") for p in PARTS if not shown[p])
    return parts, left


def choose(data: SurfaceData, law: SurfaceLaw, *, seed: int) -> Chosen:
    """Both eliminations, from a law with every part that the inputs could show.

    Args:
        data: the cells.
        law: of those parts.
        seed: of the starts.
    """
    found = _solved(data, law, seed)
    fitted: tuple[SurfaceLaw, Solution] | None = None
    left: list[Left] = []
    while True:
        trials = {
            part: _trial(data, law.without(part), law, found.parameters, seed + 1)
            for part in law.parts
            if (part != "E" or has_floor(data)) and law.without(part).parts
        }
        by_runs = _counts_runs(data, law, found.objective)
        whole = _criterion(data, law, found.objective, by_runs)
        gains, worth = {}, {}
        for part, (_, objective) in trials.items():
            rest = law.without(part)
            gains[part] = _criterion(data, rest, objective, by_runs) - whole
            worth[part] = _f_ratio(data, law, found.objective, rest, objective, by_runs)
        if fitted is None and min(worth.values(), default=np.inf) > 1:
            fitted = law, found
        value = worth if fitted is None else gains
        if fitted is not None and min(gains.values(), default=np.inf) > GAIN:
            break
        weakest = min(value, key=lambda part: value[part])
        rest = law.without(weakest)
        kept = "" if fitted is None else " (the fit keeps it, so that the rest carry the doubt)"
        said = f"AICc {gains[weakest]:+.1f} without it: the runs do not show it{kept}"
        left += [Left(part, said) for part in law.parts if part not in rest.parts]
        law, found = rest, _solved(data, rest, seed, near=trials[weakest][0], count=FEW_STARTS)
    final, solution = fitted
    if solution.starts < STARTS:  # on the way it was followed from few
        solution = _solved(data, final, seed + 2, near=solution.parameters)
    return Chosen(final, solution, law.parts, gains, tuple(left))


def has_floor(data: SurfaceData) -> bool:
    """Whether zero bounds the metric's scale: E of a loss cannot be negative."""
    return data.transform is IDENTITY


def limits(data: SurfaceData, law: SurfaceLaw) -> tuple[Array, Array]:
    """Bounds [p] of the parameters."""
    return bounds(law, float(np.ptp(data.y)), floor=has_floor(data))


def _starts(data: SurfaceData, law: SurfaceLaw, count: int, seed: int) -> Array:
    return starts(law, data.y, data.weight, count, seed, floor=has_floor(data))


def _solved(
    data: SurfaceData,
    law: SurfaceLaw,
    seed: int,
    near: Array | None = None,
    count: int = STARTS,
) -> Solution:
    points = _starts(data, law, count, seed)
    if near is not None:
        points[0] = near
    return solve(law, data.y, points, *limits(data, law), weights=data.weight)


def _trial(
    data: SurfaceData, rest: SurfaceLaw, law: SurfaceLaw, theta: Array, seed: int
) -> tuple[Array, float]:
    """Parameters and objective of a smaller law, from a larger one's optimum and a few starts."""
    old = dict(zip(law.names, theta, strict=True))
    points = _starts(data, rest, FEW_STARTS, seed)
    points[0] = [old[name] for name in rest.names]
    fits = minimise_many(
        rest, data.y, points, *limits(data, rest), weights=data.weight,
        tolerance=ROUGH, max_iterations=ROUGH_STEPS,
    )  # fmt: skip
    best = int(np.argmin(fits.objective))
    return fits.parameters[best], float(fits.objective[best])


def _counts_runs(data: SurfaceData, law: SurfaceLaw, objective: float) -> bool:
    """Whether AICc counts runs with their replicates: seed noise is known and explains the rest."""
    error = error_variance(2 * objective, data.cells - len(law.names), data.noise, data.tiny)
    return data.noise.variance is not None and not error.reason


def _criterion(data: SurfaceData, law: SurfaceLaw, objective: float, by_runs: bool) -> float:
    rss, count = max(2 * objective, data.tiny * data.cells), len(law.names) + 1
    if by_runs:
        return aicc(rss + data.within, int(data.repeats.sum()), count)
    return aicc(rss, data.cells, count)


def _f_ratio(
    data: SurfaceData,
    law: SurfaceLaw,
    objective: float,
    rest: SurfaceLaw,
    other: float,
    by_runs: bool,
) -> float:
    """Residual sum that a part explains, per parameter, over the residual variance with it."""
    rss, count = max(2 * objective, data.tiny * data.cells), len(law.names)
    if by_runs:
        variance = (rss + data.within) / (float(data.repeats.sum()) - count)
    else:
        variance = rss / (data.cells - count)
    return (2 * other - rss) / (count - len(rest.names)) / variance
