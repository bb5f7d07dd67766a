"""The proof of coverage: every law planted in designed grids, scored against one rule.

The rule, for each estimand on each grid: where at least 80% of the replicates give a number
('converged'), the 95% intervals of these cover the truth in 90 to 98% of them; elsewhere at most 5%
of all replicates hold a confident wrong number. Replicates are finite, so a fault is an observed
share that a sound one would hardly give: the exact binomial chance of a share as far out is below
2.5% even at the nearest end of the rule (with 400 replicates: 86.75% covered or less, 99.5% or
more; 7.5% wrong or more). An interval that truly covers 95% is then called faulty less than once in
10^6 cases; one that covers 85% is caught in 85% of cases, one that covers 83% in 98%, and every law
is judged on several estimands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

from behavior_scaling.laws.planted import Compute
from behavior_scaling.laws.planted_cases import PIVOT, Case, cases, chinchilla_cases
from behavior_scaling.laws.planted_design import draw_noise
from behavior_scaling.laws.planted_fits import Draws, run_task
from behavior_scaling.laws.planted_surface import (
    SurfaceGrid,
    SurfaceTruth,
    planted_optima,
    surface_draws,
)
from behavior_scaling.laws.power import fit_power
from behavior_scaling.laws.power_analysis import planted_values, task
from behavior_scaling.laws.power_analysis_score import Score, score

SEED = 7
IDENTIFIED = 0.8
COVERED = (0.90, 0.98)
WRONG = 0.05
DOUBT = 0.025

Runner = Callable[[int], tuple[Mapping[str, float], Mapping[str, Draws]]]


@dataclass(frozen=True)
class Proof:
    """One law on one grid, ready to be run."""

    law: str
    grade: str  # easy, borderline or hopeless
    grid: str  # in words
    replicates: int
    run: Runner  # replicates -> planted values and draws, by estimand

    def scores(self, replicates: int | None = None) -> list[Score]:
        """Scores of every estimand."""
        planted, draws = self.run(replicates or self.replicates)
        return [
            score(name, draws[name], value, additive=not _ratio(name))
            for name, value in planted.items()
            if name in draws
        ]


def fault(one: Score) -> str:
    """What breaks the rule, in words; empty where it holds."""
    if one.coverage is not None and one.converged >= IDENTIFIED:
        covered, count = one.coverage.value, one.statuses["converged"]
        hits = round(covered * count)
        few = at_most(hits, count, COVERED[0]) < DOUBT
        many = at_most(count - hits, count, 1 - COVERED[1]) < DOUBT
        return f"identified, and its intervals cover {covered:.1%}" if few or many else ""
    wrong = 0 if one.wrong is None else round(one.wrong.value * one.replicates)
    if at_most(one.replicates - wrong, one.replicates, 1 - WRONG) < DOUBT:
        return f"confidently wrong in {wrong / one.replicates:.1%}"
    return ""


def at_most(hits: int, count: int, chance: float) -> float:
    """Binomial chance of at most so many hits."""
    return float(special.bdtr(hits, count, chance))


def proofs() -> list[Proof]:
    """All laws on all designed grids."""
    out = [_case_proof(case) for case in cases()]
    out += [_power_proof(*case) for case in _POWER]
    return out + [_surface_proof(*case) for case in _SURFACE]


def _ratio(name: str) -> bool:
    """Whether an estimand's bias is a ratio: optima; not exponents and floors."""
    return name.startswith("optimum") or "*" in name


def biased() -> list[Proof]:
    """Approach 2 on isoFLOP curves of Chinchilla's form: its known bias, held against no rule."""
    return [_case_proof(case) for case in chinchilla_cases()]


def _case_proof(case: Case) -> Proof:
    axis = case.design.axes[0]

    def run(replicates: int) -> tuple[Mapping[str, float], Mapping[str, Draws]]:
        sd = dict.fromkeys(case.design.keys, case.sd)
        noise = draw_noise(case.design, sd, SEED, replicates)
        planted = planted_values(axis, case.truth)
        return planted, run_task(task(axis, case.truth, noise, SEED))

    return Proof(case.law, case.grade, case.grid, case.replicates, run)


# grade, budgets, decades between them, sd of the best loss, replicates
_POWER = (
    ("easy", 7, 0.5, 0.02, 400),
    ("borderline", 5, 0.5, 0.1, 400),
    ("hopeless", 5, 0.25, 0.15, 400),
)


def _power_proof(grade: str, budgets: int, step: float, sd: float, replicates: int) -> Proof:
    law = Compute(5.3, 6.5, 0.2)
    ratio = 10.0 ** (step * (np.arange(budgets) - (budgets - 1) / 2))
    clean = np.array([law.best(float(r)) for r in ratio])

    def run(replicates: int) -> tuple[Mapping[str, float], Mapping[str, Draws]]:
        fits = []
        for index in range(replicates):
            noise = sd * np.random.default_rng([SEED, index]).standard_normal(budgets)
            variances = np.full(budgets, sd**2)
            fits.append(fit_power(PIVOT * ratio, clean + noise, variances, seed=index))
        planted = {"E": law.floor, "b": law.fall}
        return planted, {n: Draws.of([fit.coefficients[n] for fit in fits]) for n in planted}

    grid = f"{budgets} budgets, {step:g} decades apart, sd {sd:g}"
    return Proof("L over C with floor", grade, grid, replicates, run)


_SIZES = {n: tuple(np.geomspace(0.25, 4.0, n).tolist()) for n in (4, 5)}
_SURFACE = (
    (
        "easy", "4 budgets, 5 sizes within 4x, 5 shares 1% to 40%, sd .005", 0.005, 400,
        SurfaceGrid((1e10, 3e10, 1e11, 3e11), _SIZES[5], (0.01, 0.03, 0.08, 0.2, 0.4)),
    ),
    (
        "borderline", "3 budgets, 4 sizes within 4x, 4 shares 3% to 40%, sd .06", 0.06, 200,
        SurfaceGrid((1e10, 3e10, 1e11), _SIZES[4], (0.03, 0.08, 0.2, 0.4)),
    ),
    (
        "hopeless", "2 budgets, 4 sizes within 2x, 3 shares 8% to 20%, sd .3", 0.3, 200,
        SurfaceGrid((1e11, 2e11), (0.5, 0.8, 1.25, 2.0), (0.08, 0.14, 0.2)),
    ),
)  # fmt: skip


def _surface_proof(grade: str, words: str, sd: float, replicates: int, grid: SurfaceGrid) -> Proof:
    truth = SurfaceTruth()

    def run(replicates: int) -> tuple[Mapping[str, float], Mapping[str, Draws]]:
        return planted_optima(truth, grid), surface_draws(truth, grid, sd, SEED, replicates)

    return Proof("surface", grade, words, replicates, run)
