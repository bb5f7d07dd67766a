"""The main figure: four axes by loss, the paper's value on each, and words where none is drawn."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from behavior_scaling.laws.results import AxisFit
from behavior_scaling.report import style
from behavior_scaling.report.figures import main

from .report_drawing import draw, words

Edit = Callable[[str, Callable[[dict[str, Any]], None]], None]
AXES = ["allocation", "share", "batch", "negatives"]


def rows(table: pd.DataFrame, panel: str, kind: str) -> pd.DataFrame:
    return table[(table["panel"] == panel) & (table["kind"] == kind)]


def marked(axes: Axes) -> list[Any]:
    return [one for one in (*axes.lines, *axes.patches, *axes.texts) if one.get_gid() == "paper"]


def test_every_axis_has_a_panel_by_loss_with_the_paper_and_the_verdict(
    shared_results: Path,
) -> None:
    figure, table = draw("main", shared_results)
    assert len(figure.axes) == 4
    said = words(figure)
    for axes, name, claim in zip(
        figure.axes, AXES, ("a = 0.617", "≈ 2%", "≈ 570", "1M"), strict=True
    ):
        assert axes.get_ylabel() == "validation loss (nats per event)"
        (paper,) = rows(table, name, "paper")["label"]
        assert claim in paper
        assert "; verdict: " in paper
        assert len(rows(table, name, "cell")) > 3
        assert len(rows(table, name, "floor")) == 2  # of those that have a loss
    assert "joint surface: N* ∝ C^0.500" in said
    assert "N* ∝ C^0.520" in said
    assert set(table["source"]) == {"ml-100k"}


def test_the_paper_is_drawn_where_the_axis_reaches_it_and_pointed_to_elsewhere(
    shared_results: Path,
) -> None:
    figure, _ = draw("main", shared_results)
    _, share, batch, negatives = figure.axes
    band, line = marked(share)[1], marked(share)[0]
    assert band.get_x() == pytest.approx(max(0.011, share.get_xlim()[0]))
    assert line.get_xdata()[0] == 0.02
    for axes, text in ((batch, "paper 570 →"), (negatives, "paper 1M →")):
        (arrow,) = marked(axes)
        assert arrow.get_text() == text


def test_the_growth_of_the_paper_goes_through_the_middle_of_our_vertices(
    shared_results: Path,
) -> None:
    _, table = draw("main", shared_results)
    growth = rows(table, "allocation", "paper growth").sort_values("x")
    vertex = rows(table, "allocation", "vertex").dropna(subset="x").sort_values("x")
    logs = np.log(growth["x"].to_numpy())
    slopes = np.diff(logs) / np.diff(np.log(vertex["budget"].to_numpy()))
    assert slopes == pytest.approx([0.617] * (len(growth) - 1), abs=1e-6)
    assert logs.mean() == pytest.approx(np.log(vertex["x"].to_numpy()).mean())
    assert growth["y"].to_numpy() == pytest.approx(vertex["y"].to_numpy())


def test_an_axis_that_was_not_run_says_so_and_draws_nothing(results_dir: Path) -> None:
    runs = pd.read_parquet(results_dir / "runs.parquet")
    runs[runs["axis"] != "batch"].to_parquet(results_dir / "runs.parquet")
    (results_dir / "laws" / "batch.json").unlink()
    figure, table = draw("main", results_dir)
    assert list(rows(table, "batch", "note")["label"]) == ["axis not run in this study"]
    assert not marked(figure.axes[2])
    assert "no finished run" in words(figure)


def test_statuses_are_words_of_the_budgets_they_hold_at(results_dir: Path, edit_laws: Edit) -> None:
    def lost(body: dict[str, Any]) -> None:
        for curve in body["fits"][0]["curves"]:
            reason = "monotone: falls up to the largest x; AICc +9"
            ends = {"value": None, "low": None, "high": None}
            curve["optimum"] |= ends | {"status": "at bound", "reason": reason}

    edit_laws("share", lost)
    _, table = draw("main", results_dir)
    notes = list(rows(table, "share", "note")["label"])
    assert notes[0] == "s* at bound (falls up to the largest x) at 3×10¹⁰ and 10¹¹"


def test_no_growth_is_drawn_from_one_vertex_or_none() -> None:
    assert main._growth(None, 0.617) == []
    empty = AxisFit("allocation", "", "m", "f", "none", "n_total", (), {}, ())
    assert main._growth(empty, 0.617) == []


def test_the_palette_holds_the_budgets_of_every_panel(shared_results: Path) -> None:
    _, table = draw("main", shared_results)
    budgets = set(table["budget"].dropna())
    assert budgets == {1e10, 3e10, 1e11}
    assert len(set(style.budget_colours(sorted(budgets)).values())) == 3
    assert math.isfinite(sum(budgets))
