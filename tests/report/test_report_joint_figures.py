"""The figures of the joint surface, its optima, the critical batch and the backtest.

What is drawn is held against the planted laws files, status by status.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from behavior_scaling.laws.study import fit_study
from behavior_scaling.laws.write import write_laws
from behavior_scaling.report import style
from behavior_scaling.report.figures import marks
from behavior_scaling.report.figures.optima import JOINT, PER_AXIS
from behavior_scaling.report.figures.surface import surface_cells
from behavior_scaling.report.inputs import ReportError, load_results

from .report_drawing import draw, words

NAMES = ("surface", "optima", "critical_batch", "backtest")
LOSS = "validation/restored/all/cross_entropy"
Edit = Callable[[str, Callable[[dict[str, Any]], None]], None]


def drawn(axes: Axes, gid: str) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for line in axes.lines:
        if line.get_gid() == gid:
            found += [(float(x), float(y)) for x, y in np.asarray(line.get_xydata(), dtype=float)]
    return sorted(found)


def panel(figure: Figure, label: str) -> list[Axes]:
    """By loss, by recall@10."""
    return [axes for axes in figure.axes if axes.get_ylabel().startswith(label)]


def arrows(axes: Axes) -> list[int]:
    """Directions of the arrows of a panel; labels in the margin are annotations too."""
    return [int(np.sign(note.xyann[1])) for note in axes.texts
            if isinstance(note, Annotation) and not note.get_text()]  # fmt: skip


LOOK = marks.Series("one", "#112233", "o")
FULL = {"y": 3.0, "y_low": 2.0, "y_high": 5.0, "status": "converged"}


@pytest.mark.parametrize(
    ("change", "value", "bounded", "ends", "directions"),
    [
        ({}, 1, 0, 2, []),
        ({"status": "at bound", "y_high": None}, 0, 1, 1, [1]),
        ({"status": "at bound", "y_low": None}, 0, 1, 1, [-1]),
        ({"status": "at bound", "y_low": None, "y_high": None}, 0, 1, 0, []),
        ({"status": "not identified", "y": None, "y_high": None}, 0, 0, 1, [1]),
        ({"status": "not identified", "y": None, "y_low": None}, 0, 0, 1, [-1]),
        ({"status": "vertex outside the grid", "y": None}, 0, 0, 2, []),
    ],
)
def test_each_status_has_its_own_sign(
    change: dict[str, Any], value: int, bounded: int, ends: int, directions: list[int]
) -> None:
    axes = Figure().subplots()
    row = {k: np.nan if v is None else v for k, v in (FULL | change).items()}
    assert marks.draw_estimate(axes, 1.0, row, LOOK)
    counts = [len(drawn(axes, gid)) for gid in ("value", "bounded", "end")]
    assert counts == [value, bounded, ends]
    assert arrows(axes) == directions


def test_nothing_known_is_a_cross_in_the_strip_below_the_data() -> None:
    axes = Figure().subplots()
    rows = pd.DataFrame(
        [FULL | {"x": 1e10}, FULL | {"x": 1e11} | dict.fromkeys(("y", "y_low", "y_high"), np.nan)]
    ).assign(kind="estimate", label="one")
    axes.set_xscale("log")
    marks.draw_series(axes, rows, [LOOK])
    (cross,) = drawn(axes, "missing")
    assert cross[0] == pytest.approx(1e11)
    assert axes.get_ylim()[0] < cross[1] < 2.0  # below the lowest interval
    assert [axes.get_yscale(), drawn(axes, "value")] == ["log", [(1e10, 3.0)]]


def test_series_of_one_budget_never_reach_the_next() -> None:
    for places in ([1e10], [1e10, 3e10], [1e10, 1.5e10, 1e11]):
        step = marks.dodge(places, 5)
        nearest = min((b / a for a, b in pairwise(places)), default=3.0)
        assert 1 < step**4 < nearest


def test_optima_hold_every_estimate_of_the_laws(shared_results: Path) -> None:
    _, table = draw("optima", shared_results)
    rows = table[(table["kind"] == "estimate") & (table["metric"] == LOSS)]
    body = json.loads((shared_results / "laws" / "surface.json").read_text())
    optima = body["surface"][0]["optima"]
    joint = rows[rows["label"] != PER_AXIS]
    assert len(joint) == len(optima) == 4 * (3 + 2 + 4)
    for one in optima:
        own = joint[(joint["label"] == JOINT[one["convention"]]) & (joint["x"] == one["budget"])
                    & (joint["arm"] == one["arm"])]  # fmt: skip
        symbol = {"allocation": "N*", "share": "s*", "negatives": "K*"}[one["axis"]]
        (row,) = own[own["panel"].str.contains(symbol, regex=False)].to_dict("records")
        assert row["status"] == one["optimum"]["status"]
        assert row["cost"] == pytest.approx(one["cost"])
        for column, key in (("y", "value"), ("y_low", "low"), ("y_high", "high")):
            value = one["optimum"][key]
            assert (row[column] == pytest.approx(value)) if value else np.isnan(row[column])
    alone = rows[rows["label"] == PER_AXIS]
    fits = json.loads((shared_results / "laws" / "allocation.json").read_text())["fits"]
    values = [curve["optimum"]["value"] for curve in fits[0]["curves"]]
    assert list(alone[alone["panel"].str.startswith("N*")]["y"]) == pytest.approx(values)


def test_optima_draw_each_status_and_say_why(shared_results: Path) -> None:
    figure, _ = draw("optima", shared_results)
    share, by_recall = panel(figure, "s* (of N)")
    assert len(drawn(share, "bounded")) == 4
    assert sorted(arrows(share)) == [-1] * 4 + [1] * 4
    assert not drawn(share, "missing")
    assert len(drawn(by_recall, "missing")) == 1  # the axis alone at the smaller budget
    assert {y for _, y in drawn(share, "paper")} == {0.02}
    model = panel(figure, "N* (parameters)")[0]
    assert len(drawn(model, "value")) == 3 * 5
    assert not drawn(model, "missing")
    text = words(figure)
    assert "at bound: joint surface at C = 3×10¹⁰ (largest value)" in text
    assert "paper (10¹⁵ to 10¹⁹): ≈ 2%, fitted 1.1 to 3.7% [A] [1]" in text
    assert "0.50 (0.45 to 0.55)" in text  # an exponent
    assert "cost function of stage 1 off by up to 8%" in text


def test_a_panel_without_any_value_is_words(shared_results: Path) -> None:
    figure, _ = draw("optima", shared_results)
    assert "not identified: joint surface at C = 3×10¹⁰ and 10¹¹ (AICc -2.5" in words(figure)


def test_residuals_are_observed_minus_fitted_of_the_cells_of_the_axis(
    shared_results: Path,
) -> None:
    results = load_results(shared_results, shared_results / "floors.json")
    surface = results.surface(LOSS)
    assert surface is not None
    figure, table = draw("surface", shared_results)
    runs = results.runs[(results.runs["outcome"] == "done") & ~results.runs["control"]]
    observed, fitted = (np.array([row[k] for row in surface.fit]) for k in ("observed", "fitted"))
    for axis, column in (("share", "share"), ("negatives", "n_cand_distinct")):
        own = table[table["panel"] == f"residual: {axis}"]
        expected = sorted(
            (run[column], run[LOSS] - fitted[np.argmin(np.abs(observed - run[LOSS]))])
            for run in runs[runs["axis"] == axis].to_dict("records")
        )
        shown = sorted(zip(own["x"], own["y"], strict=True))
        assert np.array(shown) == pytest.approx(np.array(expected), rel=1e-6, abs=1e-6)
    cells = table[(table["panel"] == LOSS) & (table["kind"] == "cell")]
    first = figure.axes[0]
    assert drawn(first, "cell") == sorted(zip(cells["x"], cells["y"], strict=True))
    assert len(cells) == len(surface.fit)
    assert to_hex(first.lines[0].get_markeredgecolor()) != to_hex(style.INK)


def test_surface_says_which_parts_it_kept(shared_results: Path) -> None:
    figure, _ = draw("surface", shared_results)
    text = words(figure)
    for gain in ("+12.5", "+33.2", "+60.0", "+6.0"):
        assert text.count(gain) == 2  # loss and recall@10
    assert text.count("left out") == 2 * 6 + 1  # and once in the reading
    assert "cells scatter around the curve by more than seed noise" in text


def test_a_surface_of_other_runs_is_refused(results_dir: Path, edit_laws: Edit) -> None:
    def shift(body: dict[str, Any]) -> None:
        body["surface"][0]["fit"][3]["observed"] *= 1.001

    edit_laws("surface", shift)
    results = load_results(results_dir)
    with pytest.raises(ReportError, match=r"surface.json: the surface of .* another table of runs"):
        surface_cells(results, results.surfaces[0])


def test_critical_batch_stands_side_by_side_and_marks_disagreement(shared_results: Path) -> None:
    figure, table = draw("critical_batch", shared_results)
    first = figure.axes[0]
    assert [y for _, y in drawn(first, "value")] == [8.0, 20.0]
    assert [y for _, y in drawn(first, "bounded")] == [2.0]
    assert sorted(arrows(first)) == [-1, 1]
    assert len(drawn(first, "missing")) == 1
    places = [text.get_position()[0] for text in first.texts if text.get_text() == "≠"]
    assert places == [3e10]
    text = words(figure)
    assert text.count("knee: 6 to 11, steps: 15 to 26") == 1
    assert "240 (180 to 330)" in text  # events
    assert "10.0" in text  # the noise scale's bound stands in the table
    noise = table[(table["panel"] == "noise") & (table["kind"] == "estimate")]
    assert list(noise["x"]) == [0.125, 0.375, 0.625, 0.875]


def test_the_hyperbola_goes_through_its_crossings(shared_results: Path) -> None:
    _, table = draw("critical_batch", shared_results)
    rows = table[table["panel"] == "steps"]
    points, curve = rows[rows["kind"] == "crossing"], rows[rows["kind"] == "fit"]
    assert len(points) == 5
    on_curve = (curve["x"] / 100 - 1) * (curve["y"] / 2000 - 1)
    assert np.allclose(on_curve, 1.0, rtol=1e-5)
    assert np.allclose((points["x"] / 100 - 1) * (points["y"] / 2000 - 1), 1.0)
    assert curve["x"].min() <= points["x"].min() + 1e-6
    assert curve["x"].max() >= points["x"].max() - 1e-6


def test_backtest_draws_what_was_predicted_and_says_what_was_not(shared_results: Path) -> None:
    figure, table = draw("backtest", shared_results)
    axes = figure.axes[0]
    assert drawn(axes, "covered") == [(6.0, 6.02), (6.1, 6.12)]
    assert drawn(axes, "missed") == [(6.2, 6.22)]
    text = words(figure)
    assert "2 of 3 cells in their 90% interval; CRPS 0.0125 (last budget again 0.250 and" in text
    assert (
        "share (C = 10¹¹) by loss; allocation (C = 10¹¹) by recall@10: too few points: budgets "
        "left of this axis: 1; 3 needed."
    ) in text
    assert "9.5k (8.8k to 10.1k)" in text  # the held-out budget's own N*
    scores = table[table["kind"] == "score"].set_index("label")
    assert list(scores.loc[["surface", "last", "log_linear"], "crps"]) == [0.0125, 0.25, 0.5]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("empty", [True, False])
def test_without_the_laws_there_is_a_sentence(results_dir: Path, name: str, empty: bool) -> None:
    for law in ("surface", "critical_batch", "backtest"):
        path = results_dir / "laws" / f"{law}.json"
        if empty:
            path.write_text(json.dumps({law: []}))
        else:
            path.unlink()
    figure, table = draw(name, results_dir)
    said = {
        "surface": "no joint surface of loss was fitted",
        "optima": "No joint surface was fitted.",
        "critical_batch": "no critical batch was fitted",
        "backtest": "No backtest was made.",
    }[name]
    assert said in words(figure)
    assert name == "optima" or not len(table[table["kind"] != "note"].query("kind != 'paper'"))
    assert style.encode(figure, "svg").startswith(b"<?xml")


@pytest.mark.parametrize("name", NAMES)
def test_every_run_failed(results_dir: Path, name: str) -> None:
    runs = pd.read_parquet(results_dir / "runs.parquet")
    runs["outcome"] = "failed"
    runs.to_parquet(results_dir / "runs.parquet")
    for path in (results_dir / "laws").iterdir():
        path.unlink()
    figure, _ = draw(name, results_dir)
    assert style.encode(figure, "svg").startswith(b"<?xml")


def test_damaged_files_are_named(results_dir: Path, edit_laws: Edit) -> None:
    def lose(body: dict[str, Any]) -> None:
        del body["surface"][1]["optima"]

    edit_laws("surface", lose)
    with pytest.raises(ReportError, match=r"surface.json: surface\[1\] is not what laws writes"):
        load_results(results_dir)
    (results_dir / "laws" / "surface.json").write_text("{}")
    with pytest.raises(ReportError, match=r"surface.json: no readable 'surface' list"):
        load_results(results_dir)


def test_what_the_laws_write_is_what_the_figures_read(results_dir: Path) -> None:
    """No planted file: the fit step's own output, without probes and with too few budgets."""
    runs = pd.read_parquet(results_dir / "runs.parquet")
    runs = runs[runs["axis"].isin(["allocation", "batch"])]
    runs.to_parquet(results_dir / "runs.parquet")
    floors = json.loads((results_dir / "floors.json").read_text())
    for path in (results_dir / "laws").iterdir():
        path.unlink()
    columns = [c for c in runs.columns if "/" not in c or c == LOSS]
    write_laws(fit_study(runs[columns], floors, resamples=20), results_dir / "laws")
    results = load_results(results_dir, results_dir / "floors.json")
    assert [s.metric for s in results.surfaces] == [LOSS]
    assert len(surface_cells(results, results.surfaces[0])) == results.surfaces[0].cells
    for name in NAMES:
        draw(name, results_dir)
