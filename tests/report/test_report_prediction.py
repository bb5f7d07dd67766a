"""The committed prediction in figure, tables and numbers, held against planted rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from behavior_scaling.report import style
from behavior_scaling.report.inputs import ReportError, load_results
from behavior_scaling.report.numbers_prediction import prediction_numbers
from behavior_scaling.report.prediction import lifts, predictions
from behavior_scaling.report.tables_prediction import prediction_tables

from .report_drawing import draw, words
from .report_joint_laws import LOSS


def drawn(axes: Axes, gid: str) -> list[tuple[float, float]]:
    lines = [line for line in axes.lines if line.get_gid() == gid]
    return [(float(x), float(y)) for line in lines for x, y in np.asarray(line.get_xydata())]


def test_cells_stand_beside_what_was_said_of_them(results_dir: Path) -> None:
    figure, table = draw("prediction", results_dir)
    axes = figure.axes[0]
    assert drawn(axes, "inside") == [(4e3, 6.1)]
    assert drawn(axes, "outside") == [(8e3, 6.0)]
    assert drawn(axes, "surface") == [(4e3, 6.12), (8e3, 6.08), (16e3, 6.1)]
    assert drawn(axes, "last") == [(4e3, 6.3), (8e3, 6.2), (16e3, 6.25)]
    assert drawn(axes, "log_linear") == []
    text = " ".join(words(figure).split())
    assert "C = 10¹¹, from 28 runs below it, committed 2026-03-04: 1 of 2 cells in their" in text
    assert "the predicted budget has not been run" in text  # recall@10
    assert "the runs it was made from have changed since" in text  # share
    assert "surface not identified: the runs show no data term" in text
    assert "0.0583, 50%" in text
    assert "loss, allocation at 3×10¹⁰ (hindsight)" in text
    assert "9k (8k to 10k)" in text
    cells = table[(table["kind"] == "cell") & (table["metric"] == LOSS)]
    assert list(cells["y"]) == [6.1, 6.0, 6.2]
    assert set(table["budget"].dropna()) == {3e10, 1e11}  # the lift's first step; no hindsight
    assert style.encode(figure, "svg").startswith(b"<?xml")


def test_lifts_are_drawn_for_each_doubling(results_dir: Path) -> None:
    figure, table = draw("prediction", results_dir)
    (axes, *_) = [a for a in figure.axes if a.get_ylabel() == "improvement for 2× C"]
    rows = table[(table["kind"] == "lift") & (table["metric"] == LOSS)]
    last = rows[rows["budget"] == 1e11].set_index("forecast")
    assert last.loc["surface", "y"] == pytest.approx(0.26 / 1.75)
    assert last.loc["power_law", "y_high"] == pytest.approx(0.5 / 1.75)
    assert last.loc["measured", "y_low"] == pytest.approx(0.23 / 1.75)
    np.testing.assert_allclose(sorted(set(rows["x"])), np.sqrt([3e20, 3e21]))
    assert len(drawn(axes, "value")) == 6
    assert {x for x, _ in drawn(axes, "edge")} == {3e10}
    text = words(figure)
    assert "3×10¹⁰ to 10¹¹, joint surface: error 4%" in text
    assert "loss, 5×10¹⁰ to 10¹¹" in text


def test_tables_hold_every_forecast_with_its_origin(results_dir: Path) -> None:
    results = load_results(results_dir, results_dir / "floors.json")
    rows, text = prediction_tables(results)["prediction"]
    cells = rows[rows["of"] == "cells"]
    assert list(cells["forecast"].fillna("")) == ["surface", "last", "last", "", "surface"]
    assert list(cells["rmse"].fillna(0)) == [0.0583, 0.2, 0.2, 0, 0.02]
    assert list(rows[rows["of"] == "N"]["predicted_value"].fillna(0)) == [9000, 0] * 2
    assert rows.iloc[0]["key"] == "prediction[0].scores.surface"
    first = text.iloc[0]
    assert first["joint surface"] == "RMSE 0.0583, 1 of 2 covered"
    assert (first["log-linear"], first["seed noise"]) == ("–", "0.00500")
    assert "axis alone: too few points" in text.iloc[1]["remark"]
    assert text["remark"].str.contains("changed since").sum() == 1
    gain, words_ = prediction_tables(results)["lift"]
    assert list(gain["within"]) == [True, False, True, False, False, None, True]
    assert list(words_["error"]) == ["4%", "20%", "4%", "20%", "7.1%", "–", "4%"]
    assert list(words_["seen before"]) == ["yes"] * 2 + ["no"] * 5
    assert words_.iloc[-1]["lift of"] == "loss, 10¹⁰ to 3×10¹⁰ (hindsight)"
    for frame in (rows, gain):
        assert {"epochs_min", "epochs_max", "file", "key"} <= set(frame.columns)


def test_the_words_are_of_loss_and_recall_alone(results_dir: Path) -> None:
    path = results_dir / "laws" / "prediction.json"
    body = json.loads(path.read_text())
    rest = {"metric": "validation/raw/all/cross_entropy"}
    for name in ("prediction", "lift"):
        body[name] += [row | rest for row in body[name] if row["metric"].endswith("cross_entropy")]
    path.write_text(json.dumps(body))
    for rows, text in prediction_tables(load_results(results_dir)).values():
        assert rest["metric"] in set(rows["metric"])
        assert not text.apply(lambda column: column.str.contains("raw loss")).any(axis=None)
        assert text.iloc[:, 0].str.startswith(("loss", "recall@10")).all()


def test_numbers_leave_hindsight_out(results_dir: Path) -> None:
    results = load_results(results_dir, results_dir / "floors.json")
    numbers = prediction_numbers(results)
    body = json.loads((results_dir / "laws" / "prediction.json").read_text())
    head = "prediction.validation_restored_all_cross_entropy.allocation.surface"
    assert numbers[f"{head}.rmse"]["value"] == 0.0583
    assert numbers[f"{head}.coverage"]["text"] == "50%"
    error = numbers["lift.validation_restored_all_cross_entropy.doubling.surface.error"]
    assert (error["value"], error["text"], error["key"]) == (0.0714, "7.1%", "lift[4].error")
    assert body["lift"][4]["error"] == 0.0714
    assert numbers["prediction.made"]["text"] == "2026-03-04"
    assert "joint surface RMSE 0.0583, 1 of 2 covered" in numbers["prediction.loss"]["text"]
    assert "seed noise alone 0.00500" in numbers["prediction.loss"]["text"]
    assert numbers["prediction.recall"]["text"].endswith("has not been run")
    assert "0.260 (0.240 to 0.280) predicted" in numbers["lift.loss"]["text"]
    assert " 10¹⁰ to" not in f" {numbers['lift.loss']['text']}"  # what the fit had seen


def test_without_a_prediction_there_is_a_sentence(results_dir: Path) -> None:
    (results_dir / "laws" / "prediction.json").write_text('{"prediction": [], "lift": []}')
    figure, table = draw("prediction", results_dir)
    assert "No prediction was committed." in words(figure)
    assert list(table["label"]) == ["no prediction was committed"]
    results = load_results(results_dir, results_dir / "floors.json")
    numbers = prediction_numbers(results)
    assert {n["text"] for n in numbers.values()} == {"no prediction was committed"}
    for rows, text in prediction_tables(results).values():
        assert rows.empty
        assert "epochs_min" in rows.columns
        assert text.empty


@pytest.mark.parametrize(("key", "index"), [("prediction", 2), ("lift", 1)])
def test_damaged_rows_are_named(results_dir: Path, key: str, index: int) -> None:
    path = results_dir / "laws" / "prediction.json"
    body = json.loads(path.read_text())
    del body[key][index]["metric"]
    path.write_text(json.dumps(body))
    results = load_results(results_dir, results_dir / "floors.json")
    read = {"prediction": predictions, "lift": lifts}[key]
    with pytest.raises(ReportError, match=rf"prediction.json: {key}\[{index}\] is not what laws"):
        read(results)


def test_what_the_laws_write_is_what_the_figure_reads(results_dir: Path) -> None:
    """No planted rows: a prediction of the study's own runs, scored by the fit's own function."""
    from behavior_scaling.laws.prediction import predict_metric
    from behavior_scaling.laws.prediction_score import score_metric
    from behavior_scaling.laws.prediction_table import made_from
    from behavior_scaling.laws.write import write_laws

    runs = pd.read_parquet(results_dir / "runs.parquet")
    runs = runs[runs["axis"] == "allocation"]
    lower = runs[runs["budget"] == 1e10].assign(budget=3e9)
    lower["id"] = [f"{i:064x}" for i in range(len(lower))]
    lower["positions"], lower[LOSS] = lower["positions"] * 0.3, lower[LOSS] + 0.3
    lower["flops_nominal"] = 3e9
    runs = pd.concat([lower, runs], ignore_index=True)
    one = predict_metric(runs, 1e11, LOSS, seed=0, resamples=20)
    prediction = {"held_out": 1e11, "level": 0.95, "date": "2026-01-01", "metrics": {LOSS: one}}
    prediction["made_from"] = made_from(runs, 1e11, [LOSS])
    rows, gains = score_metric(runs, prediction, LOSS, seed=0, resamples=20)
    write_laws({"prediction": {"prediction": rows, "lift": gains}}, results_dir / "laws")
    _, table = draw("prediction", results_dir)
    assert len(table[table["kind"] == "cell"]) == 7
    results = load_results(results_dir, results_dir / "floors.json")
    assert len(prediction_tables(results)["lift"][0]) == len(gains)
