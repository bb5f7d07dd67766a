"""How far runs at one nominal budget lie apart in cost under another convention.

An isoFLOP group serves a convention only where its converted cost varies by less than 5%
(definitions.md, 'N, s, C'); elsewhere the joint surface is minimised along that convention's own
iso-cost curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_scaling.laws.cost_model import CONVENTIONS
from behavior_scaling.laws.table import Group, numbers

if TYPE_CHECKING:
    import pandas as pd

REUSED_BELOW = 0.05
MEASURED = {
    "nominal": "flops_nominal",
    "executed": "flops_executed",
    "6D(N_ctx+T*N_emb)": "flops_6dnt",
    "6ND": "flops_6nd",
}


def cost_spreads(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """One row per convention, axis, arm and budget: the spread of converted cost, and what follows.

    Args:
        groups: the (axis, arm) groups of a runs table (table.groups).

    Returns:
        Rows of convention, axis, arm, budget, runs, spread (largest over smallest, less one; None
        where the cost is not known for every run) and reused.
    """
    out = []
    for group in groups:
        budgets = numbers(group.frame, "budget")
        for budget in np.unique(budgets):
            cells = group.frame[budgets == budget]
            for convention in CONVENTIONS:
                spread = _spread(cells, MEASURED[convention])
                out.append(
                    {
                        "convention": convention,
                        "axis": group.axis,
                        "arm": group.arm,
                        "budget": float(budget),
                        "runs": len(cells),
                        "spread": spread,
                        "reused": spread is not None and spread < REUSED_BELOW,
                    }
                )
    return out


def _spread(cells: pd.DataFrame, column: str) -> float | None:
    if column not in cells.columns:
        return None
    cost = numbers(cells, column)
    if not np.all(np.isfinite(cost) & (cost > 0)):
        return None
    return float(cost.max() / cost.min() - 1)
