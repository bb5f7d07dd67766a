"""Batch size: loss and recall@10 against sequences a step, at the base point."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from behavior_scaling.report.figures import axis
from behavior_scaling.report.inputs import Results

LAYOUT = axis.Layout(
    axis="batch",
    x_label="batch B (sequences a step)",
    what="batch size",
    optimum_title="Best batch by budget",
    optimum_unit="sequences",
    exponents=["B_crit", "batch"],
    paper=(("batch_loss", "loss, recall@10 "), ("batch_ndcg", "NDCG@10, MRR@10 ")),
)


def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws."""
    return axis.draw(results, LAYOUT)
