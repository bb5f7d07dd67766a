"""Figures: the same bytes every time, drawn from their CSV, honest about what is not there."""

import itertools
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from behavior_scaling.report import figures, style
from behavior_scaling.report.figures import make_figure
from behavior_scaling.report.inputs import ReportError
from behavior_scaling.report.names import FIGURES

from .report_drawing import draw, words

LOSS = "validation/restored/all/cross_entropy"
RECALL = "validation/restored/all/recall@10"
AXIS_FIGURES = ("allocation", "share", "batch", "negatives", "agreement", "compute")
Edit = Callable[[str, Callable[[dict[str, Any]], None]], None]


def points(axes: Axes, gid: str) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for line in axes.lines:
        if line.get_gid() == gid:
            xy = np.asarray(line.get_xydata(), dtype=float)
            found += [(float(x), float(y)) for x, y in xy]
    return sorted(found)


def rewrite_runs(results_dir: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = results_dir / "runs.parquet"
    change(pd.read_parquet(path)).to_parquet(path)


def test_second_drawing_gives_the_same_bytes(shared_results: Path, drawn: Path) -> None:
    for name in FIGURES:
        figure, _ = draw(name, shared_results)
        for kind in ("svg", "png", "pdf") if name in ("agreement", "optima") else ("svg",):
            assert style.encode(figure, kind) == (drawn / f"{name}.{kind}").read_bytes(), name
    assert len(list(drawn.iterdir())) == 4 * len(FIGURES)  # and nothing half-written


def test_another_process_gives_the_same_bytes_and_never_loads_torch(
    shared_results: Path, drawn: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from behavior_scaling.report.figures import *; "
        "results = Path(sys.argv[1]); "
        "make_figure('share', results, results / 'floors.json', Path(sys.argv[2])); "
        "sys.exit('torch' in sys.modules)"
    )
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\nsavefig.dpi: 50\n")
    subprocess.run(
        [sys.executable, "-c", code, str(shared_results), str(tmp_path)],
        check=True, cwd=tmp_path,  # a user's own matplotlibrc has no say
    )  # fmt: skip
    for kind in ("pdf", "svg", "png", "csv"):
        fresh, first = tmp_path / f"share.{kind}", drawn / f"share.{kind}"
        assert fresh.read_bytes() == first.read_bytes(), kind


def test_neither_company_nor_order_changes_a_byte(
    shared_results: Path, drawn: Path, tmp_path: Path
) -> None:
    names = ("floors", "compute", "batch")
    paths = figures.make_figures(names, shared_results, shared_results / "floors.json", tmp_path)
    assert sorted(paths) == sorted(tmp_path.iterdir())
    assert {path.stem for path in paths} == set(names)
    for path in paths:
        assert path.read_bytes() == (drawn / path.name).read_bytes(), path.name


def test_files_carry_no_date(drawn: Path) -> None:
    for name in FIGURES:
        assert b"CreationDate" not in (drawn / f"{name}.pdf").read_bytes()
        assert "<dc:date>" not in (drawn / f"{name}.svg").read_text()


@pytest.mark.parametrize(("panel", "metric"), [(0, LOSS), (1, RECALL)])
def test_csv_holds_exactly_what_is_drawn(
    shared_results: Path, drawn: Path, panel: int, metric: str
) -> None:
    figure, _ = draw("allocation", shared_results)
    axes = figure.axes[panel]
    table = pd.read_csv(drawn / "allocation.csv")
    rows = table[table["panel"] == metric]
    for kind in ("fit", "cell"):
        own = rows[rows["kind"] == kind]
        assert len(own) > 10
        assert points(axes, kind) == sorted(zip(own["x"], own["y"], strict=True)), kind
    vertices = rows[(rows["kind"] == "vertex") & (rows["status"] == "converged")]
    assert points(axes, "vertex") == sorted(zip(vertices["x"], vertices["y"], strict=True))
    ends = [(x, r.y) for r in vertices.itertuples() for x in (r.x_low, r.x_high)]
    assert points(axes, "interval") == sorted(ends)
    floors = rows[rows["kind"] == "floor"]
    assert sorted({y for _, y in points(axes, "floor")}) == sorted(floors["y"])
    drawn_lines = {line.get_gid() for line in axes.lines}
    assert drawn_lines <= {
        "fit", "cell", "control", "vertex", "interval", "floor", "run", "joint", "joint interval",
    }  # fmt: skip
    joint = rows[rows["kind"] == "joint"]
    assert len(joint) == 3
    assert points(axes, "joint") == sorted(zip(joint["x"], joint["y"], strict=True))


def test_csv_is_right_about_the_runs(shared_results: Path, drawn: Path) -> None:
    table = pd.read_csv(drawn / "allocation.csv")
    runs = pd.read_parquet(shared_results / "runs.parquet")
    runs = runs[(runs["axis"] == "allocation") & (runs["outcome"] == "done")]
    shown = table[(table["kind"] == "run") & (table["panel"] == LOSS)]
    assert sorted(shown["y"]) == pytest.approx(sorted(runs[LOSS]), rel=1e-7)
    means = runs.groupby(["budget", "n_total"])[LOSS].mean()
    cell = table[(table["kind"] == "cell") & (table["panel"] == LOSS)]
    cell = cell.set_index(["budget", "x"])
    for key, mean in means.items():
        assert cell.loc[key, "y"] == pytest.approx(mean, rel=1e-7)
    written = shared_results / "laws" / "allocation.json"
    curve = json.loads(written.read_text())["fits"][0]["curves"][0]
    fit = table[(table["kind"] == "fit") & (table["panel"] == LOSS) & (table["budget"] == 1e10)]
    assert list(fit["y"]) == pytest.approx(curve["curve_y"], rel=1e-7)
    epochs = table[table["panel"] == "epochs"]
    assert sorted(epochs["y"]) == pytest.approx(
        sorted(runs.groupby(["budget", "n_total"])["epochs"].mean()), rel=1e-7
    )


def test_floors_are_drawn_and_named(shared_results: Path) -> None:
    figure, _ = draw("compute", shared_results)
    assert {y for _, y in points(figure.axes[0], "floor")} == {6.73, 6.41}
    assert {y for _, y in points(figure.axes[1], "floor")} == {0.039, 0.004, 0.097, 0.081}
    for words_of in ("Markov floor", "popularity floor", "item-kNN floor"):
        assert words_of in words(figure)


@pytest.mark.parametrize(("name", "run"), [
    ("allocation", "C = 10¹⁰, N = 1,600, seed 1 (diverged)"),
    ("negatives", "C = 10¹¹, K = 0, M = 1024, seed 0 (failed)"),
])  # fmt: skip
def test_runs_that_did_not_finish_are_named(
    shared_results: Path, drawn: Path, name: str, run: str
) -> None:
    figure, _ = draw(name, shared_results)
    assert run in words(figure)
    table = pd.read_csv(drawn / f"{name}.csv")
    rows = table[table["kind"] == "left out"]
    assert [f"{r.label} ({r.status})" for r in rows.itertuples()] == [run]


def test_a_missing_record_is_named_too(results_dir: Path) -> None:
    def lose(runs: pd.DataFrame) -> pd.DataFrame:
        row = runs.index[(runs["axis"] == "share") & (runs["budget"] == 3e10)][1]
        runs.loc[row, ["outcome", "error"]] = ["missing", "no such record"]
        runs.loc[row, [LOSS, RECALL, "epochs", "seconds"]] = np.nan
        return runs

    rewrite_runs(results_dir, lose)
    figure, _ = draw("share", results_dir)
    assert "C = 3×10¹⁰, s = 2%, seed 0 (missing)" in words(figure)


def test_statuses_other_than_converged_are_said_and_not_drawn(shared_results: Path) -> None:
    figure, table = draw("share", shared_results)
    assert "C = 3×10¹⁰: s*: not identified (one term alone fits as well" in words(figure)
    assert len(points(figure.axes[1], "vertex")) == 1
    figure, _ = draw("allocation", shared_results)
    assert "C = 10¹¹: N*: above 40,000, vertex outside the grid" in words(figure)
    assert "data-limited" in words(figure)
    optima = table[(table["kind"] == "optimum") & (table["metric"] == RECALL)]
    assert list(optima["status"]) == ["not identified", "converged"]


def test_the_paper_is_quoted_with_its_mark(shared_results: Path) -> None:
    figure, _ = draw("allocation", shared_results)
    assert "paper (10¹⁵ to 10¹⁹): N* ∝ C^a, a = 0.617 [1]" in words(figure)
    figure, table = draw("share", shared_results)
    assert "≈ 2%, fitted 1.1 to 3.7% [A] [1]" in words(figure)
    band = table[(table["kind"] == "paper")].iloc[0]
    assert (band["y_low"], band["y_high"]) == (0.011, 0.037)


def test_controls_stand_apart_from_the_fit(shared_results: Path) -> None:
    figure, table = draw("share", shared_results)
    controls = table[(table["kind"] == "control") & (table["panel"] == LOSS)]
    assert set(controls["x"]) == {0.0}
    drawn_x = {x for x, _ in points(figure.axes[0], "control")}
    assert len(drawn_x) == 1
    assert drawn_x.pop() < min(x for x, _ in points(figure.axes[0], "cell"))


@pytest.mark.parametrize("name", ["allocation", "share", "batch", "negatives"])
def test_an_axis_that_was_not_run_says_so(results_dir: Path, name: str) -> None:
    rewrite_runs(results_dir, lambda runs: runs[runs["axis"] != name])
    body = {"axis": name, "fits": []}
    (results_dir / "laws" / f"{name}.json").write_text(json.dumps(body))
    figure, _ = draw(name, results_dir)
    assert "no finished run" in words(figure)
    assert "axis not run in this study" in words(figure)
    assert style.encode(figure, "png").startswith(b"\x89PNG")


@pytest.mark.parametrize("name", AXIS_FIGURES)
def test_without_any_fit_the_points_are_drawn_and_the_reason_given(
    results_dir: Path, name: str
) -> None:
    shutil.rmtree(results_dir / "laws")
    figure, table = draw(name, results_dir)
    said = {
        "agreement": "no correlation was computed",
        "compute": "no trend of loss was fitted",
    }.get(name, "no fit of loss was made")
    labels = set(table[table["kind"] == "note"]["label"])
    assert said in labels
    assert said in words(figure)
    assert (table["kind"] == "cell").sum() > 5
    assert not (table["kind"] == "fit").any()


def test_every_run_failed(results_dir: Path) -> None:
    def fail(runs: pd.DataFrame) -> pd.DataFrame:
        runs["outcome"], runs["error"] = "failed", "power cut"
        runs[[LOSS, RECALL, "train_loss"]] = np.nan
        return runs

    rewrite_runs(results_dir, fail)
    shutil.rmtree(results_dir / "laws")
    for name in AXIS_FIGURES:
        figure, _ = draw(name, results_dir)
        assert "and" in words(figure)
        assert "more" in words(figure)
        style.encode(figure, "png")


def test_agreement_marks_only_what_was_computed(shared_results: Path) -> None:
    figure, table = draw("agreement", shared_results)
    rho = table[table["kind"] == "correlation"]
    coloured = len(figure.axes[-1].patches)
    assert coloured == (rho["status"] == "converged").sum()
    assert "too few points (5)" in words(figure)
    assert "+0.90, p = 0.001 (64)" in words(figure)


def test_unknown_figure_and_missing_files_are_refused(results_dir: Path, tmp_path: Path) -> None:
    floors = results_dir / "floors.json"
    with pytest.raises(ReportError, match="no figure is called 'shares'"):
        make_figure("shares", results_dir, floors, tmp_path)
    with pytest.raises(ReportError, match=r"absent.json: missing"):
        make_figure("share", results_dir, tmp_path / "absent.json", tmp_path)
    (results_dir / "laws" / "share.json").write_text('{"axis": "share"')
    with pytest.raises(ReportError, match=r"share.json: no readable 'fits'"):
        make_figure("share", results_dir, floors, tmp_path)
    rewrite_runs(results_dir, lambda runs: runs.drop(columns="epochs"))
    with pytest.raises(ReportError, match=r"runs.parquet: column 'epochs' is missing"):
        make_figure("share", results_dir, floors, tmp_path)
    (results_dir / "runs.parquet").unlink()
    with pytest.raises(ReportError, match=r"runs.parquet: missing; run `behavior-scaling collect`"):
        make_figure("share", results_dir, floors, tmp_path)


def test_labels_are_moved_apart_and_stay_in_order() -> None:
    moved = style.spread([0.1, 0.11, 0.12, 0.5, 0.9], 0.05)
    assert all(b - a >= 0.05 - 1e-12 for a, b in itertools.pairwise(moved))
    assert moved[3:] == [0.5, 0.9]
    assert sum(moved[:3]) / 3 == pytest.approx(0.11)
    chain = style.spread([0.0, 0.04, 0.08, 0.12], 0.05)
    assert np.diff(chain) == pytest.approx([0.05] * 3)


def test_larger_budgets_are_darker_and_have_their_own_marker() -> None:
    budgets = [1e10, 3e10, 1e11, 3e11, 1e12]
    colours, markers = style.budget_colours(budgets), style.budget_markers(budgets)
    light = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (colours[c] for c in budgets)]
    assert light == sorted(light, reverse=True)
    assert min(-np.diff(light)) > 0.03
    assert len(set(markers.values())) == len(budgets)
    assert not math.isclose(light[0], light[-1], abs_tol=0.3)
