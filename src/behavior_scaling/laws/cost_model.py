"""What a loss position costs, as a smooth function of (N_emb, N_ctx, n_cand, B), by convention.

Conventions: nominal and executed FLOPs (fitted to the runs' own), 6 D (N_ctx + T N_emb) and 6 N D
(by their formulas). Choices: a sum of monomials with coefficients that cannot be negative, fitted
in relative error over what a two-part model spends: matrices ~ N_ctx; attention, and anything else
that is linear in the width d, ~ N_ctx^1/2 (d grows as its root at fixed depth); logits ~ n_cand d,
and n_cand^2 d where drawn candidates merge; the embedder T N_emb, N_emb, its attention T N_emb^1/2,
and T N_emb B^-1/2, because a larger batch repeats items that are embedded once. One function for
each kind of run: stage, whether there are uniform candidates, and whether the embedder has blocks
(one at depth 0 costs next to nothing, whatever T). The largest relative error is part of the
result: widths and depths come in steps, which no smooth function follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.table import numbers

if TYPE_CHECKING:
    import pandas as pd

CONVENTIONS = ("nominal", "executed", "6D(N_ctx+T*N_emb)", "6ND")
COLUMNS = {"nominal": "flops_nominal", "executed": "flops_executed"}
TOLERATED = 0.05  # relative error above which a cost gets a note

# Exponents of (N_emb, N_ctx, n_cand, B).
Powers = tuple[float, float, float, float]
CONTEXT: tuple[Powers, ...] = ((0, 1, 0, 0), (0, 0.5, 0, 0), (0, 0.5, 1, 0), (0, 0.5, 2, 0))
EMBEDDER: tuple[Powers, ...] = ((1, 0, 0, 0), (0.5, 0, 0, 0), (1, 0, 0, -0.5))
WITH_UNIFORM: tuple[Powers, ...] = ((1, 0, 1, -1),)  # uniform candidates are embedded besides

Kind = tuple[int, bool, bool]  # stage, uniform candidates, embedder with blocks


@dataclass(frozen=True)
class Cost:
    """FLOPs of one loss position under one convention."""

    convention: str
    terms: tuple[tuple[float, Powers], ...]
    error: float  # largest relative error over the runs it was fitted to; 0 for a formula
    runs: int

    def parts(self, n_emb: Array, n_ctx: Array, n_cand: Array, batch: Array) -> list[Array]:
        """Every term, in FLOPs; inputs broadcast and may be complex."""
        logs = [np.log(x) for x in (n_emb, n_ctx, n_cand, batch)]
        out = []
        for coefficient, powers in self.terms:
            used = [p * z for p, z in zip(powers, logs, strict=True) if p]
            out.append(np.asarray(coefficient * np.exp(reduce(np.add, used))))
        return out

    def per_position(self, n_emb: Array, n_ctx: Array, n_cand: Array, batch: Array) -> Array:
        """FLOPs of one loss position."""
        return np.asarray(reduce(np.add, self.parts(n_emb, n_ctx, n_cand, batch)))

    def with_degree(
        self, n_emb: Array, n_ctx: Array, n_cand: Array, batch: Array
    ) -> tuple[Array, Array]:
        """FLOPs of one loss position, and d log cost / d log N with the share held."""
        parts = self.parts(n_emb, n_ctx, n_cand, batch)
        total = reduce(np.add, parts)
        grown = [(t[1][0] + t[1][1]) * part for t, part in zip(self.terms, parts, strict=True)]
        return np.asarray(total), np.asarray(reduce(np.add, grown) / total)


def kinds(frame: pd.DataFrame) -> list[Kind]:
    """The kind of every run; without columns for them: no uniform candidates, with blocks."""

    def column(name: str, default: float) -> Array:
        return numbers(frame, name) if name in frame.columns else np.full(len(frame), default)

    stage, uniform = column("stage", 1.0), column("uniform", 0.0)
    depth = column("embedder_depth", 1.0)
    return [
        (int(s), bool(k > 0), bool(d > 0 or s == 2))
        for s, k, d in zip(stage, uniform, depth, strict=True)
    ]


def costs(frame: pd.DataFrame, convention: str) -> dict[Kind, Cost] | str:
    """The cost function of every kind of run, or why there is none.

    Args:
        frame: runs, each once.
        convention: one of CONVENTIONS.
    """
    found = kinds(frame)
    if convention == "6ND":
        terms: tuple[tuple[float, Powers], ...] = ((6.0, (1, 0, 0, 0)), (6.0, (0, 1, 0, 0)))
        return {kind: Cost(convention, terms, 0.0, found.count(kind)) for kind in set(found)}
    if convention not in COLUMNS:
        tokens = numbers(frame, "tokens") if "tokens" in frame.columns else np.zeros(0)
        if np.unique(tokens).size != 1:
            return "no column 'tokens' with one number of tokens an item"
        terms = ((6.0 * float(tokens[0]), (1, 0, 0, 0)), (6.0, (0, 1, 0, 0)))
        return {kind: Cost(convention, terms, 0.0, found.count(kind)) for kind in set(found)}
    name = COLUMNS[convention]
    if name not in frame.columns:
        return f"no column {name!r}"
    total = numbers(frame, name)
    if not np.all(np.isfinite(total) & (total > 0)):
        return f"column {name!r} is not positive in every run"
    out = {}
    for kind in sorted(set(found)):
        rows = np.array([other == kind for other in found])
        out[kind] = _fitted(frame[rows], convention, total[rows], kind)
    return out


def _fitted(frame: pd.DataFrame, convention: str, total: Array, kind: Kind) -> Cost:
    from scipy import optimize  # not every law needs it, and it is slow to import

    stage, uniform, _ = kind
    powers = CONTEXT + (EMBEDDER if stage == 1 else ())
    powers += WITH_UNIFORM if stage == 1 and uniform else ()
    inputs = [numbers(frame, name) for name in ("n_emb", "n_ctx", "n_cand_distinct", "batch")]
    cost = total / numbers(frame, "positions")
    one = Cost(convention, tuple((1.0, p) for p in powers), 0.0, 0)
    design = np.stack(one.parts(*inputs), axis=1) / cost[:, None]
    size = np.linalg.norm(design, axis=0)
    weight, _ = optimize.nnls(design / size, np.ones(len(cost)))
    weight = weight / size
    error = float(np.max(np.abs(design @ weight - 1)))
    terms = tuple((float(w), p) for w, p in zip(weight, powers, strict=True) if w > 0)
    return Cost(convention, terms, error, len(cost))
