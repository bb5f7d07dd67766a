"""The notebook runs as a script and prints what the results folder holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from behavior_scaling.report.text import LOSS

ROOT = Path(__file__).parents[2]


def test_the_notebook_reads_a_study(shared_results: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "notebooks" / "reading_a_study.py")],
        env=os.environ | {"STUDY_RESULTS": str(shared_results)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    runs = pd.read_parquet(shared_results / "runs.parquet")
    rows = runs[(runs["axis"] == "allocation") & (runs["outcome"] == "done")]
    for budget, own in rows.groupby("budget"):
        best = own.loc[own[LOSS].idxmin()]
        said = f"C = {budget:g}: best cell N = {best['n_total']:,.0f} at {best[LOSS]:.3f} nats"
        assert said in done.stdout
