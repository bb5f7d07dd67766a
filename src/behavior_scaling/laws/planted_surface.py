"""A known joint surface in a designed grid: its table of runs, its own optima, and its refits.

    L = E + A_c (N_ctx / n)^-a_c + A_e (N_emb / n)^-a_e + G (D / d)^-g,   C = 6 D (N_ctx + T N_emb)

over the cells of an allocation axis (share held) and of a share axis (D/N held), fresh data, one
batch size and one set of candidates. The cost is a formula that one of the surface's conventions
knows exactly, so that the planted optima follow from the planted law alone; they are found here by
a fine grid along each iso-cost curve, independently of cost_path.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.planted_fits import LOSS, Draws
from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.surface_data import surface_data
from behavior_scaling.laws.surface_fit import fit_surface, redraw
from behavior_scaling.laws.surface_optima import exponents, optima
from behavior_scaling.laws.surface_parameters import parameters

if TYPE_CHECKING:
    import pandas as pd

CONVENTION = "6D(N_ctx+T*N_emb)"
TOKENS = 12
FINE = 20001
REFITS = 200


@dataclass(frozen=True)
class SurfaceTruth:
    """The planted surface; n and d are its own references."""

    floor: float = 5.3
    context: tuple[float, float] = (0.45, 0.30)  # size at N_ctx = n, exponent
    embedder: tuple[float, float] = (0.15, 0.35)
    data: tuple[float, float] = (0.6, 0.28)
    n: float = 1e4
    d: float = 2e5

    def loss(self, n_emb: Array, n_ctx: Array, positions: Array) -> Array:
        """The loss of cells, without noise."""
        (a, alpha), (b, beta), (g, gamma) = self.context, self.embedder, self.data
        terms = a * (n_ctx / self.n) ** -alpha + b * (n_emb / self.n) ** -beta
        return np.asarray(self.floor + terms + g * (positions / self.d) ** -gamma)


@dataclass(frozen=True)
class SurfaceGrid:
    """Budgets, sizes and shares; every cell with two seeds."""

    budgets: tuple[float, ...]
    sizes: tuple[float, ...]  # over the planted N*, at every budget
    shares: tuple[float, ...]  # of the share axis, none: no such axis
    share: float = 0.1  # that the allocation axis holds
    ratio: float = 30.0  # D/N that the share axis holds
    seeds: int = 2


def price(n: Array, share: Array | float) -> Array:
    """FLOPs of one position."""
    return np.asarray(6.0 * n * (1 - share + TOKENS * np.asarray(share)))


def best_size(truth: SurfaceTruth, budget: float, share: float) -> float:
    """N* at a share."""
    n = np.exp(np.linspace(np.log(1e2), np.log(1e8), FINE))
    loss = truth.loss(share * n, (1 - share) * n, budget / price(n, share))
    return float(n[np.argmin(loss)])


def best_share(truth: SurfaceTruth, budget: float, ratio: float) -> float:
    """s* at a D/N."""
    s = np.exp(np.linspace(np.log(1e-4), np.log(0.95), FINE))
    n = _size_at(budget, s, ratio)
    return float(s[np.argmin(truth.loss(s * n, (1 - s) * n, ratio * n))])


def _size_at(budget: float, share: Array, ratio: float) -> Array:
    return np.asarray(np.sqrt(budget / (ratio * price(np.ones_like(share), share))))


def planted_optima(truth: SurfaceTruth, grid: SurfaceGrid) -> dict[str, float]:
    """What the surface's fit should find."""
    sizes = [best_size(truth, c, grid.share) for c in grid.budgets]
    out = {f"N* at {c:g}": n for c, n in zip(grid.budgets, sizes, strict=True)}
    if grid.shares:
        out |= {f"s* at {c:g}": best_share(truth, c, grid.ratio) for c in grid.budgets}
    slope = np.polyfit(np.log(grid.budgets), np.log(sizes), 1)[0]
    return out | {
        "exponent N": float(slope),
        "E": truth.floor,
        "a_c": truth.context[1],
        "g": truth.data[1],
    }


def surface_runs(truth: SurfaceTruth, grid: SurfaceGrid) -> pd.DataFrame:
    """The grid's runs table, its loss without noise."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for budget in grid.budgets:
        n = best_size(truth, budget, grid.share) * np.array(grid.sizes)
        rows += _rows("allocation", budget, n, np.full(n.size, grid.share), truth, grid.seeds)
        s = np.array(grid.shares)
        rows += _rows("share", budget, _size_at(budget, s, grid.ratio), s, truth, grid.seeds)
    table = pd.DataFrame(rows)
    table.insert(0, "id", [f"run{i:05d}" for i in range(len(table))])
    return table


def _rows(
    axis: str, budget: float, n: Array, share: Array, truth: SurfaceTruth, seeds: int
) -> list[dict[str, Any]]:
    positions = budget / price(n, share)
    loss = truth.loss(share * n, (1 - share) * n, positions)
    held = {
        "arm": "", "stage": 1, "outcome": "done", "control": False, "n_cand_distinct": 200.0,
        "batch": 16, "context": 64, "tokens": TOKENS, "in_batch": 256, "uniform": 0,
        "objective": "corrected", "unique_positions": 1e9, "n_items": 1000,
        "steps_after_warmup": 1000, "embedder_depth": 1,
    }  # fmt: skip
    return [
        held
        | {
            "axis": axis,
            "budget": budget,
            "seed": seed,
            "n_emb": share[i] * n[i],
            "n_ctx": (1 - share[i]) * n[i],
            "n_total": n[i],
            "share": share[i],
            "positions": positions[i],
            "epochs": positions[i] / 1e9,
            "flops_nominal": budget,
            LOSS: loss[i],
        }
        for i in range(n.size)
        for seed in range(seeds)
    ]


def surface_draws(
    truth: SurfaceTruth, grid: SurfaceGrid, sd: float, seed: int, replicates: int
) -> dict[str, Draws]:
    """The surface fitted to every replicate, by estimand as planted_optima names them."""
    runs = surface_runs(truth, grid)
    clean = runs[LOSS].to_numpy(dtype=np.float64)
    names = list(planted_optima(truth, grid))
    found: dict[str, list[Estimate]] = {name: [] for name in names}
    for index in range(replicates):
        rng = np.random.default_rng([seed, index])
        runs[LOSS] = clean + sd * rng.standard_normal(clean.size)
        one = _estimates(runs, seed + index)
        for name in names:
            found[name].append(one.get(name, _ABSENT))
    return {name: Draws.of(values) for name, values in found.items()}


_ABSENT = Estimate(None, None, None, "not identified", "the fit gives no such estimate")


def _estimates(runs: pd.DataFrame, seed: int) -> dict[str, Estimate]:
    surface = fit_surface(surface_data(runs, LOSS), seed=seed)
    known = surface.law.parts and surface.error.value is not None
    draws = redraw(surface, REFITS, seed) if known else np.zeros((0, surface.parameters.size))
    points, _ = optima(surface, draws, runs, (CONVENTION,))
    symbol = {"allocation": "N*", "share": "s*"}
    out = {f"{symbol[point.axis]} at {point.budget:g}": point.optimum for point in points}
    named = parameters(surface, draws)
    out |= {name: named[name] for name in ("E", "a_c", "g") if name in named}
    return out | _exponents(exponents(points))


def _exponents(rows: Sequence[dict[str, Any]]) -> dict[str, Estimate]:
    for row in rows:
        if (row["axis"], row["of"], row["convention"]) == ("allocation", "optimum", CONVENTION):
            return {"exponent N": Estimate(**row["exponent"])}
    return {}
