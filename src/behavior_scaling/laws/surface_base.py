"""Where each optimum of the surface is looked for: what is held, and how far the runs reach.

Choices: what an axis holds (share, D/N, N and s, candidates, batch) is the geometric mean over its
cells of that budget; a minimum is looked for over the range of all admitted runs of the stage. The
share's range has two pieces where some embedders have no blocks: those cost next to nothing for
each token, so each piece has its own cost function and they meet between the two groups of runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from behavior_scaling.laws.arrays import Array
from behavior_scaling.laws.cost_model import Kind, kinds
from behavior_scaling.laws.cost_path import Held
from behavior_scaling.laws.table import numbers

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Base:
    """Where an optimum is looked for."""

    axis: str
    arm: str
    held: Held
    kind: Kind
    cells: pd.DataFrame
    reach: tuple[tuple[Kind, float, float], ...]  # ranges of z by kind of run, adjoining


def base_points(runs: pd.DataFrame, frame: pd.DataFrame) -> list[Base]:
    """One for every budget of the allocation and share axes and of the arms of negatives.

    Args:
        runs: the runs table (rows: run x axis), for which run stands on which axis.
        frame: the runs that a surface admits, each once: they give the ranges.
    """
    rows = runs[runs["id"].isin(frame["id"]) & ~runs["control"].fillna(False).astype(bool)]
    out = []
    for axis in ("allocation", "share", "negatives"):
        on_axis = rows[rows["axis"] == axis]
        for arm in sorted(set(on_axis["arm"].fillna(""))):
            on_arm = on_axis[on_axis["arm"].fillna("") == arm].drop_duplicates("id")
            for budget in sorted(set(on_arm["budget"])):
                cells = on_arm[on_arm["budget"] == budget]
                out.append(_base(axis, arm, cells, on_arm, frame))
    return out


def _base(
    axis: str, arm: str, cells: pd.DataFrame, on_arm: pd.DataFrame, frame: pd.DataFrame
) -> Base:
    def mean(name: str) -> float:
        return float(np.exp(np.mean(np.log(numbers(cells, name)))))

    n_emb, n_ctx, n_cand = mean("n_emb"), mean("n_ctx"), mean("n_cand_distinct")
    share = float(np.exp(np.mean(np.log(numbers(cells, "n_emb") / _total(cells)))))
    ratio = float(np.exp(np.mean(np.log(numbers(cells, "positions") / _total(cells)))))
    all_kinds = kinds(cells)
    kind = max(sorted(set(all_kinds)), key=all_kinds.count)
    items = mean("n_items") if "n_items" in cells.columns else np.nan
    drawn = numbers(cells, "uniform") if "uniform" in cells.columns else np.zeros(len(cells))
    distinct = numbers(cells, "n_cand_distinct")
    in_batch = 0.0
    if drawn.max() > 0:
        rest = np.maximum(items - drawn, 1.0)
        inside = np.clip((distinct - drawn) * items / rest, 0.0, distinct)
        in_batch = float(np.mean(inside[drawn < items])) if (drawn < items).any() else 0.0
    held = Held(
        share=share,
        ratio=ratio,
        n_emb=n_emb,
        n_ctx=n_ctx,
        n_cand=n_cand,
        batch=mean("batch"),
        unique=mean("unique_positions"),
        budget=float(cells["budget"].iloc[0]),
        stage=kind[0],
        uniform_share=1 - in_batch / n_cand if kind[1] else 0.0,
        in_batch=in_batch,
        n_items=items,
    )
    return Base(axis, arm, held, kind, cells, _reach(axis, kind, on_arm, frame))


def _total(frame: pd.DataFrame) -> Array:
    return numbers(frame, "n_emb") + numbers(frame, "n_ctx")


def _reach(
    axis: str, kind: Kind, on_arm: pd.DataFrame, frame: pd.DataFrame
) -> tuple[tuple[Kind, float, float], ...]:
    """Ranges of z that runs cover; along the share, embedders without blocks come first."""
    if axis == "negatives":
        z = np.log(numbers(on_arm, "n_cand_distinct"))
        return ((kind, float(z.min()), float(z.max())),)
    stage = frame[frame["stage"] == kind[0]]
    if axis == "allocation":
        z = np.log(_total(stage))
        return ((kind, float(z.min()), float(z.max())),)
    z = np.log(numbers(stage, "n_emb") / _total(stage))
    blocks = np.array([k[2] for k in kinds(stage)])
    if blocks.all() or not blocks.any():
        return ((kind, float(z.min()), float(z.max())),)
    shallow, deep = z[~blocks], z[blocks]
    joint = float(min(deep.min(), 0.5 * (shallow.max() + deep.min())))
    joint = max(joint, float(shallow.min()))
    return (
        ((kind[0], kind[1], False), float(shallow.min()), joint),
        ((kind[0], kind[1], True), joint, float(z.max())),
    )
