"""Designed grids for the proof of coverage: one easy, one borderline, one hopeless for each law.

Every law is planted in the form that its fit assumes (isoFLOP curves as parabolas; what approach 2
does to Chinchilla's form stands apart, as its known bias), on grids of 3 to 7 budgets with two
seeds a cell and noise of 3 to 100 millinats. 'Easy' grids identify what they were laid for,
'borderline' ones do so in some replicates, 'hopeless' ones cannot: too narrow, too noisy, or the
optimum far outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.planted import Bowl, Compute, Knee, Truth
from behavior_scaling.laws.planted_design import StudyDesign, plain_design

PIVOT = 1e11
SEQUENCE = 60.0  # loss positions in a sequence
SLIGHT = 1e-3  # alpha and beta of a parabola: (cosh az - 1) / a^2 -> z^2 / 2


@dataclass(frozen=True)
class Case:
    """One law on one grid."""

    law: str
    grade: str  # easy, borderline or hopeless
    grid: str  # in words
    design: StudyDesign
    truth: Truth
    sd: float  # of a run, nats
    replicates: int


def truth(**laws: Bowl | Knee | Compute) -> Truth:
    """A truth with some laws given; the others play no part."""
    whole = {
        "compute": Compute(5.3, 6.5, 0.2),
        "allocation": Bowl(1e4, 0.55, 0.1, SLIGHT, SLIGHT),
        "share": Bowl(0.02, 0.0, 0.1, 1.0, 0.5),
        "negatives": Bowl(400.0, 0.2, 0.06, 0.8, 0.9),
        "batch": Knee(40.0, 0.1, 0.1, 0.3),
    }
    return Truth(PIVOT, **(whole | laws))  # type: ignore[arg-type]


def half_decades(count: int) -> list[float]:
    """Budgets half a decade apart, around the pivot."""
    return [PIVOT * 10.0 ** ((i - (count - 1) / 2) / 2) for i in range(count)]


def allocation_design(
    planted: Truth, budgets: list[float], reach: float, sizes: int, shift: float = 1.0
) -> StudyDesign:
    """Sizes from N* / reach to N* reach at every budget, D = C / 6N."""
    x = [
        shift * planted.optimum("allocation", c) * np.geomspace(1 / reach, reach, sizes)
        for c in budgets
    ]
    columns = [
        {"positions": c / 6 / n, "epochs": np.full(sizes, 0.5)}
        for c, n in zip(budgets, x, strict=True)
    ]
    return plain_design("allocation", "", budgets, x, columns, seeds=2)


def share_design(budgets: list[float], low: float, high: float, cells: int) -> StudyDesign:
    """The same shares at every budget."""
    return _repeated("share", "", budgets, np.geomspace(low, high, cells))


def negatives_design(budgets: list[float], low: float, high: float, cells: int) -> StudyDesign:
    """The same candidates at every budget."""
    return _repeated("negatives", "uniform", budgets, np.geomspace(low, high, cells))


def batch_design(budgets: list[float], low: int, high: int) -> StudyDesign:
    """Powers of two from low to high at every budget, D fixed."""
    batches = 2.0 ** np.arange(np.log2(low), np.log2(high) + 1)
    return _repeated("batch", "clean", budgets, batches)


def _repeated(axis: str, arm: str, budgets: list[float], x: Array) -> StudyDesign:
    columns = {
        "positions": np.full(x.size, 8e6),
        "sequence_events": np.full(x.size, SEQUENCE),
        "n_items": np.full(x.size, 1e4),
    }
    return plain_design(axis, arm, budgets, [x] * len(budgets), [columns] * len(budgets), seeds=2)


def cases() -> list[Case]:
    """All designed grids of the axis laws."""
    three, four, five = half_decades(3), half_decades(4), half_decades(5)
    two, plain = three[:2], truth()
    return [
        Case(
            "isoFLOP", "easy", "5 budgets, 7 sizes within 4x, sd .01",
            allocation_design(plain, five, 4.0, 7), plain, 0.01, 400,
        ),
        Case(
            "isoFLOP", "borderline", "4 budgets, 7 sizes within 4x, sd .06",
            allocation_design(plain, four, 4.0, 7), plain, 0.06, 400,
        ),
        Case(
            "isoFLOP", "hopeless", "3 budgets, 5 sizes within 1.4x, sd .06",
            allocation_design(plain, three, 1.4, 5), plain, 0.06, 400,
        ),
        Case(
            "isoFLOP", "hopeless", "3 budgets, 7 sizes within 2x, 30x off the vertex, sd .02",
            allocation_design(plain, three, 2.0, 7, shift=30.0), plain, 0.02, 400,
        ),
        Case(
            "share", "easy", "3 budgets, 9 shares .3% to 50%, sd .01",
            share_design(three, 0.003, 0.5, 9), plain, 0.01, 400,
        ),
        Case(
            "share", "borderline", "2 budgets, 8 shares .5% to 30%, sd .08",
            share_design(two, 0.005, 0.3, 8), plain, 0.08, 200,
        ),
        Case(
            "share", "hopeless", "2 budgets, 7 shares 10% to 50%, sd .03",
            share_design(two, 0.1, 0.5, 7), plain, 0.03, 200,
        ),
        Case(
            "negatives", "easy", "3 budgets, 10 K from 10 to 20,000, sd .01",
            negatives_design(three, 10, 20000, 10), plain, 0.01, 400,
        ),
        Case(
            "negatives", "borderline", "2 budgets, 8 K from 50 to 3,000, sd .05",
            negatives_design(two, 50, 3000, 8), plain, 0.05, 200,
        ),
        Case(
            "negatives", "hopeless", "2 budgets, 7 K from 300 to 1,500, sd .05",
            negatives_design(two, 300, 1500, 7), plain, 0.05, 200,
        ),
        Case(
            "batch", "easy", "3 budgets, B from 1 to 1,024, sd .005",
            batch_design(three, 1, 1024), plain, 0.005, 1200,
        ),
        Case(
            "batch", "borderline", "2 budgets, B from 2 to 256, sd .01",
            batch_design(two, 2, 256), plain, 0.01, 400,
        ),
        Case(
            "batch", "hopeless", "2 budgets, B from 1 to 8, sd .02",
            batch_design(two, 1, 8), plain, 0.02, 400,
        ),
    ]  # fmt: skip


def chinchilla_cases() -> list[Case]:
    """IsoFLOP curves whose two exponents differ (.34 and .28), which no parabola follows."""
    planted = truth(allocation=Bowl(1e4, 0.55, 0.1, 0.34, 0.28))
    grids = ((4.0, 1.0, 0.003), (4.0, 1.0, 0.01), (16.0, 1.0, 0.01), (4.0, 2.0, 0.01))
    return [
        Case(
            "isoFLOP", "biased", f"4 budgets, 9 sizes within {reach:g}x{_off(shift)}, sd {sd:g}",
            allocation_design(planted, half_decades(4), reach, 9, shift), planted, sd, 400,
        )
        for reach, shift, sd in grids
    ]  # fmt: skip


def _off(shift: float) -> str:
    return "" if shift == 1.0 else f", centred {shift:g}x above the vertex"
