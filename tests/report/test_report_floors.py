"""Floors near the data are lines; a far one is named at its edge and squeezes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from behavior_scaling.report.figures.panels import draw_floors, draw_upright_floor
from behavior_scaling.report.floors import best_run, slices
from behavior_scaling.report.inputs import ReportError, load_results
from behavior_scaling.report.names import TABLES
from behavior_scaling.report.tables import make_tables

from .report_drawing import draw, words

LOSS = "validation/restored/all/cross_entropy"


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


def with_best(results_dir: Path, **values: float) -> None:
    """Give the run of lowest loss more columns."""
    path = results_dir / "runs.parquet"
    runs = pd.read_parquet(path)
    done = runs[(runs["outcome"] == "done") & ~runs["control"]]
    for name, value in values.items():
        runs[name] = np.nan
        runs.loc[done[LOSS].idxmin(), name] = value
    runs.to_parquet(path)


def test_the_best_run_is_marked_where_a_floor_is_not_beaten(results_dir: Path) -> None:
    start = "restored/session_start"
    with_best(results_dir, **{
        f"validation/{start}/recall@10": 0.09, f"test/{start}/cross_entropy": 6.41,
        f"test/{start}/recall@10": 0.0971,
    })  # fmt: skip
    results = load_results(results_dir, results_dir / "floors.json")
    run = best_run(results)
    assert run is not None
    assert run[LOSS] == results.runs.loc[~results.runs["control"], LOSS].min()
    found = {(part.split, part.name): part for part in slices(results)}
    valid, test = found["validation", "session_start"], found["test", "session_start"]
    # The planted loss of session starts is .31 above that of all positions; .09 against .097.
    assert valid.behind == {"cross_entropy": "markov", "recall@10": "markov"}
    assert test.behind == {"cross_entropy": "markov"}  # level with the floor is not beaten
    assert (test.small, test.positions) == (True, 208)
    assert (found["test", "all"].small, found["test", "all"].best) == (False, {})

    make_tables(results_dir, results_dir / "floors.json")
    rows = pd.read_csv(results_dir / "tables" / "floors.csv", keep_default_na=False)
    own = rows[rows["slice"] == "session_start"]
    assert list(own["rule"]) == [*["unigram", "recency", "markov", "item_knn", "best run"]] * 2
    assert list(own[own["rule"] == "best run"]["behind"]) == [
        "cross_entropy; recall@10",
        "cross_entropy",
    ]
    text = (results_dir / "tables" / "floors.md").read_text()
    assert "0.090, behind Markov" in text
    assert "208 (small)" in text
    assert "Small: under 500 positions or 100 users" in text

    figure, table = draw("floors", results_dir)
    best = table[(table["kind"] == "best") & (table["slice"] == "session_start")]
    assert dict(zip(best["panel"] + "/" + best["metric"], best["status"], strict=True)) == {
        "validation/cross_entropy": "behind", "validation/recall@10": "behind",
        "test/cross_entropy": "behind", "test/recall@10": "beats",
    }  # fmt: skip
    drawn = [line for axes in figure.axes for line in axes.lines if line.get_gid() == "best"]
    assert [line.get_markerfacecolor() == "white" for line in drawn].count(
        True
    ) == 4  # and validation/all
    assert {line.get_alpha() for line in drawn} == {0.35, 1}


def test_every_results_table_names_the_floor_to_beat(results_dir: Path) -> None:
    make_tables(results_dir, results_dir / "floors.json")
    for name in TABLES:
        text = (results_dir / "tables" / f"{name}.md").read_text()
        assert ("Floor to beat" in text) == (
            name not in ("claims", "failures", "floors", "truth", "worlds")
        ), name
        frame = pd.read_csv(results_dir / "tables" / f"{name}.csv")
        if "metric" in frame.columns and name not in ("claims", "failures"):
            loss = frame[frame["metric"] == LOSS]
            assert (loss["floor"] == "markov").all()
            assert (loss["floor_value"] == 6.41).all()
    optima = pd.read_csv(results_dir / "tables" / "optima.csv")
    recall = optima[optima["metric"] == LOSS.replace("cross_entropy", "recall@10")]
    assert set(recall["floor_value"]) == {0.097}


@pytest.mark.parametrize(
    ("name", "gids"), [("agreement", ["floor"] * 5), ("surface", ["floor"] * 2)]
)
def test_law_figures_draw_the_floors(shared_results: Path, name: str, gids: list[str]) -> None:
    figure, table = draw(name, shared_results)
    lines = [line.get_gid() for line in figure.axes[0].lines]
    assert [gid for gid in lines if gid == "floor"] == gids
    assert "Markov floor" in words(figure)
    if name == "agreement":
        assert "upright: Markov floor, loss 6.410" in words(figure)
    assert (table["kind"] == "floor").any()


@pytest.mark.parametrize("name", ["optima", "critical_batch"])
def test_figures_without_the_metric_say_the_floor(shared_results: Path, name: str) -> None:
    figure, _ = draw(name, shared_results)
    assert "Floor to beat" in words(figure)
    assert "loss 6.410 (Markov; reached: " in words(figure)


def test_a_far_upright_floor_is_not_drawn() -> None:
    for value, drawn in ((6.6, 1), (7.4, 1), (9.0, 0), (2.0, 0)):
        axes = Figure().subplots()
        axes.plot([6.0, 7.0], [1, 2])
        draw_upright_floor(axes, value)
        assert len([line for line in axes.lines if line.get_gid() == "floor"]) == drawn


@pytest.mark.parametrize(
    "text", ["{", '{"validation": {"markov": {"cross_entropy": 6.4}}}', '{"validation": 3}']
)
def test_floors_of_another_layout_are_refused(results_dir: Path, text: str) -> None:
    path = results_dir / "floors.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=r"floors.json: not what `behavior-scaling floors`"):
        load_results(results_dir, path)
