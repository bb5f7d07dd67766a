"""Embedder share: loss and recall@10 against s = N_emb / N at a fixed D/N."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from behavior_scaling.report.figures import axis
from behavior_scaling.report.inputs import Results

LAYOUT = axis.Layout(
    axis="share",
    x_label="embedder share s = N_emb / N",
    what="embedder share",
    optimum_title="Best share by budget",
    optimum_unit="of N",
    exponents=["share"],
    unit="share",
    paper=(("share_optimum", ""),),
    band=True,
    control="Star: control with a fixed embedder (s = 0), outside the fits.",
)


def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws."""
    return axis.draw(results, LAYOUT)
