"""A figure drawn from a results folder, and the words in it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from behavior_scaling.report import style
from behavior_scaling.report.inputs import load_results


def draw(name: str, results_dir: Path) -> tuple[Figure, pd.DataFrame]:
    results = load_results(results_dir, results_dir / "floors.json")
    with style.applied():
        figure: Figure
        table: pd.DataFrame
        figure, table = import_module(f"behavior_scaling.report.figures.{name}").draw(results)
        return figure, table


def words(figure: Figure) -> str:
    texts = [text.get_text() for text in figure.texts]
    texts += [text.get_text() for axes in figure.axes for text in axes.texts]
    return " ".join(" ".join(texts).split())
