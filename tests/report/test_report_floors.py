"""Floors near the data are lines; a far one is named at its edge and squeezes nothing."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from behavior_scaling.report.figures.panels import draw_floors


def test_a_far_floor_is_named_with_its_value_and_not_drawn() -> None:
    axes = Figure().subplots()
    axes.plot([1, 2], [6.0, 7.0])
    floors = pd.DataFrame({"y": [7.3, 0.5, 9.0], "label": ["markov", "recency", "unigram"]})
    labels = draw_floors(axes, floors)
    drawn = [line.get_ydata()[0] for line in axes.lines if line.get_gid() == "floor"]  # type: ignore[index]
    assert drawn == [7.3]
    assert [text for _, text, _ in labels] == [
        "Markov floor", "recency 0.5 ↓", "popularity 9 ↑",
    ]  # fmt: skip
    low, high = axes.get_ylim()
    assert [height for height, _, _ in labels] == [7.3, low, high]
    assert 5.5 < low < 6.0
    assert 7.3 < high < 7.8


def test_without_data_every_floor_is_drawn() -> None:
    axes = Figure().subplots()
    draw_floors(axes, pd.DataFrame({"y": [6.4, 1.0], "label": ["markov", "unigram"]}))
    assert len([line for line in axes.lines if line.get_gid() == "floor"]) == 2
