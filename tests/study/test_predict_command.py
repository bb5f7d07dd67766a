"""`predict` and `fit --prediction`: written once, before the runs; scored after them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.cli import main
from behavior_scaling.commands import predict as command
from behavior_scaling.laws import prediction
from behavior_scaling.laws import study as laws_study
from behavior_scaling.laws.planted_surface import SurfaceGrid, SurfaceTruth, surface_runs

LOSS = "validation/restored/all/cross_entropy"
BUDGETS = (1e11, 3e11, 1e12, 3e12)
STUDY = """\
name: planted
title: a planted study
runs: archive
data: {{source: ml-100k}}
axes:
  allocation: {{budgets: {budgets}, seeds: [0, 1], share: 0.1, depth: 1, parameters: {sizes}}}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A study file, and the runs of its three smaller budgets."""
    sizes = [[1e4]] * len(BUDGETS)
    (tmp_path / "planted.yaml").write_text(STUDY.format(budgets=list(BUDGETS), sizes=sizes))
    write_runs(tmp_path, done=False)
    return tmp_path


def write_runs(place: Path, *, done: bool) -> None:
    grid = SurfaceGrid(BUDGETS, tuple(2.0 ** np.linspace(-1.5, 1.5, 7)), ())
    runs = surface_runs(SurfaceTruth(), grid).assign(study="planted")
    runs[LOSS] += 0.01 * np.random.default_rng(0).standard_normal(len(runs))
    if not done:
        late = runs["budget"] == BUDGETS[-1]
        runs.loc[late, "outcome"] = "missing"
        runs.loc[late, [LOSS, "n_cand_distinct", "unique_positions", "epochs"]] = np.nan
    (place / "results" / "planted").mkdir(parents=True, exist_ok=True)
    runs.to_parquet(place / "results" / "planted" / "runs.parquet")


def predict(place: Path, *words: str) -> int:
    study, results = str(place / "planted.yaml"), str(place / "results")
    return main(["predict", "--config", study, "--results", results, *words])


def written(place: Path) -> Path:
    return place / "results" / "archive" / "planted" / "prediction.json"


def test_a_prediction_is_written_once_and_kept(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert predict(place) == 0
    out = capsys.readouterr().out
    assert "commit it before the budget runs" in out
    assert "3e+12 FLOPs, from 42 runs below" in out
    first = written(place).read_text()
    body = json.loads(first)
    assert (body["study"], body["held_out"], len(body["made_from"]["runs"])) == (
        "planted",
        3e12,
        42,
    )
    assert len(body["metrics"][LOSS]["cells"]) == 7
    body["date"] = "2020-01-01"
    written(place).write_text(json.dumps(body))
    assert predict(place) == 0  # the same but for its date
    assert "the same prediction was made on 2020-01-01; kept" in capsys.readouterr().out
    assert json.loads(written(place).read_text()) == body
    assert [path.name for path in written(place).parent.iterdir()] == ["prediction.json"]

    other = partial(prediction.make_prediction, seed=1)
    monkeypatch.setattr(command, "make_prediction", other)
    assert predict(place) == 2
    assert "differs from this one; a prediction is made once and kept" in capsys.readouterr().err
    assert json.loads(written(place).read_text()) == body


def test_no_prediction_after_the_fact(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_runs(place, done=True)
    assert predict(place) == 2
    assert "14 runs of 3e+12 FLOPs or more are done already" in capsys.readouterr().err
    write_runs(place, done=False)
    assert predict(place, "--below", "1e12") == 2
    assert "14 runs of 1e+12 FLOPs or more are done already" in capsys.readouterr().err
    assert not written(place).exists()
    (place / "results" / "planted" / "runs.parquet").unlink()
    assert predict(place) == 2
    assert "`behavior-scaling collect` writes it" in capsys.readouterr().err


def fit(place: Path, prediction: Path | None) -> int:
    floors = {"validation": {"all": {"markov": {"cross_entropy": 6.0}}}}
    (place / "floors.json").write_text(json.dumps(floors))
    results = place / "results" / "planted"
    words = ["fit", "--runs", str(results / "runs.parquet"), "--floors", str(place / "floors.json")]
    more = [] if prediction is None else ["--prediction", str(prediction)]
    return main([*words, *more, "--out", str(results / "laws")])


def test_the_fit_scores_it_and_needs_none(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(laws_study, "surface_fits", lambda *_, **__: [])
    monkeypatch.setattr(laws_study, "backtest", lambda *_, **__: [])
    laws = place / "results" / "planted" / "laws" / "prediction.json"
    assert predict(place) == 0
    write_runs(place, done=True)
    assert fit(place, None) == 0
    assert json.loads(laws.read_text()) == {"prediction": [], "lift": []}
    assert fit(place, written(place)) == 0
    body = json.loads(laws.read_text())
    (row,) = body["prediction"]
    assert (row["axis"], row["same_runs"], row["hindsight"]) == ("allocation", True, False)
    assert row["scores"]["surface"]["rmse"] < 0.3 * row["scores"]["last"]["rmse"]
    assert [r["forecast"] for r in body["lift"] if r["ahead"] and r["kind"] == "doubling"] == [
        "surface",
        "power_law",
    ]
    capsys.readouterr()
    other = json.loads(written(place).read_text())
    written(place).write_text(json.dumps(other | {"study": "another"}))
    assert fit(place, written(place)) == 2
    assert "made for the study another, not for planted" in capsys.readouterr().err
    written(place).write_text('{"study": "planted"}')
    assert fit(place, written(place)) == 2
    assert "key 'date' is missing" in capsys.readouterr().err
    written(place).write_text("{")
    assert fit(place, written(place)) == 2
    assert "restore it from git" in capsys.readouterr().err


def test_a_prediction_belongs_to_a_study(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = place / "t.csv"
    pd.DataFrame({"x": [1.0], "y": [1.0]}).to_csv(table)
    assert main(["fit", "--law", "power", "--csv", str(table), "--prediction", str(table)]) == 2
    assert "--prediction (all laws of a study)" in capsys.readouterr().err
