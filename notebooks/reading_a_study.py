# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Reading a study
#
# Everything that the paper prints comes from two places: the table of runs, and the fits. This
# notebook opens both for one study. Open it in Jupyter with jupytext
# (`pip install -e '.[notebooks]'`), or run it as a script:
# `STUDY_RESULTS=results/quick python notebooks/reading_a_study.py`.

# %%
import os
from pathlib import Path

from behavior_scaling.report.inputs import load_results
from behavior_scaling.report.text import LOSS, RECALL, estimate_text

folder = Path(os.environ.get("STUDY_RESULTS", "results/quick"))
results = load_results(folder)
runs = results.runs

# %% [markdown]
# ## The runs
# One row for every cell of every axis; a run on two axes stands in two rows with one id.
# `epochs` says how often each training event was seen: above four, read with care.

# %%
columns = ["budget", "n_total", "share", "positions", "d_over_n", "epochs", LOSS, RECALL]
print(runs[runs["axis"] == "allocation"][columns].to_string(index=False))

# %% [markdown]
# ## The best cell of every budget, and the fitted optimum
# The best cell is one noisy run; the optimum comes from a curve through all of them, with an
# interval, or with the reason why the data do not identify it.

# %%
allocation = runs[(runs["axis"] == "allocation") & (runs["outcome"] == "done")]
best = allocation.loc[allocation.groupby("budget")[LOSS].idxmin()].set_index("budget")
found = results.find("allocation", LOSS)
if found is not None:
    for curve in found.fit.curves:
        cell = best.loc[curve.budget]
        print(
            f"C = {curve.budget:g}: best cell N = {cell['n_total']:,.0f} at {cell[LOSS]:.3f} nats; "
            f"N* = {estimate_text(curve.optimum)}"
        )

# %% [markdown]
# ## Does a lower loss rank better?
# Rank correlation over the cells of one budget and one axis; +1 says yes.

# %%
for row in results.agreements:
    if (row.loss, row.metric) == (LOSS, RECALL):
        where = row.axis if row.budget is None else f"{row.axis} {row.arm} at {row.budget:g}"
        print(f"{where}: {estimate_text(row.correlation)} ({row.cells} cells)")
