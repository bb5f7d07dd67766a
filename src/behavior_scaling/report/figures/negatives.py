"""Negatives: loss and recall@10 against distinct candidates, in both arms (stage 2)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from behavior_scaling.report.figures import axis
from behavior_scaling.report.inputs import Results

LAYOUT = axis.Layout(
    axis="negatives",
    x_label="distinct candidates a step",
    what="candidates",
    optimum_title="Best number by budget",
    optimum_unit="distinct candidates",
    exponents=["negatives", "candidates", "K"],
    paper=(("negatives_loss", "K* by loss "), ("negatives_recall", "K* by recall@10 ")),
    control="Stars: controls outside the fits, with no uniform candidates (K = 0) or, at all "
    "items, with the full softmax.",
)


def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws."""
    return axis.draw(results, LAYOUT)
