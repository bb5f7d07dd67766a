"""Tables: every one prints epochs, failures are named, nothing half-written."""

from pathlib import Path

import pandas as pd
import pytest

from behavior_scaling.report import tidy
from behavior_scaling.report.names import TABLES
from behavior_scaling.report.tables import make_tables


@pytest.fixture(scope="module")
def tables(shared_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's tables, written once to a copy."""
    import shutil

    copy = Path(shutil.copytree(shared_results, tmp_path_factory.mktemp("tables") / "quick"))
    paths = make_tables(copy, copy / "floors.json")
    assert len(paths) == 2 * len(TABLES)
    return copy / "tables"


@pytest.mark.parametrize("name", [name for name in TABLES if name != "claims"])
def test_every_table_prints_epochs(tables: Path, name: str) -> None:
    assert any("epochs" in column for column in pd.read_csv(tables / f"{name}.csv").columns)
    assert "epochs" in (tables / f"{name}.md").read_text().splitlines()[0]


def test_runs_are_counted_by_hand(tables: Path) -> None:
    rows = pd.read_csv(tables / "runs.csv", keep_default_na=False)
    first = rows.iloc[0]
    assert (first["axis"], first["budget"]) == ("allocation", 1e10)
    assert (first["runs"], first["done"], first["not_done"]) == (14, 13, 1)
    assert (first["cells"], first["seeds"]) == (7, 2)
    assert list(dict.fromkeys(rows["axis"])) == ["allocation", "share", "batch", "negatives"]
    popular = rows[(rows["arm"] == "popular") & (rows["budget"] == 1e11)].iloc[0]
    assert (popular["runs"], popular["not_done"]) == (3, 1)


def test_failures_are_named_with_their_reason(tables: Path) -> None:
    rows = pd.read_csv(tables / "failures.csv")
    assert list(rows["outcome"]) == ["diverged", "failed"]
    assert list(rows["error"]) == ["loss is not finite at step 41", "out of memory"]
    text = (tables / "failures.md").read_text()
    assert "C = 10¹⁰, N = 1,600, seed 1" in text
    assert "out of memory" in text


def test_optima_keep_interval_status_and_origin(tables: Path) -> None:
    rows = pd.read_csv(tables / "optima.csv")
    assert rows["optimum_status"].notna().all()
    converged = rows[rows["optimum_status"] == "converged"]
    assert (converged["optimum_low"] < converged["optimum_value"]).all()
    assert (converged["optimum_value"] < converged["optimum_high"]).all()
    outside = rows[rows["optimum_status"] == "vertex outside the grid"].iloc[0]
    assert pd.isna(outside["optimum_value"])
    assert (outside["file"], outside["key"]) == ("laws/allocation.json", "fits[1].curves[2]")
    share = (tables / "optima_share.md").read_text()
    assert "s\\*: not identified" in share
    assert "allocation" not in share


def test_agreement_and_claims_tables(tables: Path) -> None:
    rows = pd.read_csv(tables / "agreement.csv")
    assert rows[rows["status"] != "converged"]["value"].isna().all()
    assert rows["budget"].isna().sum() == 1
    claims = pd.read_csv(tables / "claims.csv")
    assert set(claims["verdict"]) <= {
        "replicated", "consistent", "contradicted", "out of range", "not identified",
        "not measured",
    }  # fmt: skip
    assert "[A] [1]" in (tables / "claims.md").read_text()


def test_no_failures_is_said(results_dir: Path) -> None:
    path = results_dir / "runs.parquet"
    runs = pd.read_parquet(path)
    runs[runs["outcome"] == "done"].to_parquet(path)
    make_tables(results_dir)
    assert (results_dir / "tables" / "failures.md").read_text() == "*None.*\n"


def test_csv_has_eight_digits_and_is_whole_or_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    frame = pd.DataFrame({"x": [1 / 3, 123456789.123], "label": ["a", ""]})
    tidy.write_csv(frame, path)
    assert path.read_text() == "x,label\n0.33333333,a\n1.2345679e+08,\n"
    assert list(tidy.round_significant(frame)["x"]) == [0.33333333, 123456790.0]

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    before = path.read_text()
    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(OSError, match=r"t\.csv: No space left"):
        tidy.write_csv(pd.DataFrame({"x": [1.0]}), path)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_markdown_escapes_what_would_break_a_table() -> None:
    lines = tidy.markdown(pd.DataFrame({"a": ["x|y", "two\nlines"]})).splitlines()
    assert lines[0] == "| a |"
    assert lines[2:] == ["| x\\|y |", "| two lines |"]


def test_conventions_compare_the_joint_surface_with_the_axis_alone(tables: Path) -> None:
    rows = pd.read_csv(tables / "conventions.csv", keep_default_na=False)
    own = rows[(rows["axis"] == "allocation") & (rows["budget"] == 1e10)]
    own = own[own["metric"].str.endswith("cross_entropy")]
    assert list(own["estimator"]) == ["per axis", *["joint"] * 4]
    assert list(own["convention"])[1:] == ["nominal", "executed", "6D(N_ctx+T*N_emb)", "6ND"]
    assert [float(v) for v in own["value"]][1:] == [3000.0, 3200.0, 3400.0, 3600.0]
    assert [float(v) for v in own["cost"]] == [1e10, 1e10, 1.25e10, 1.5e10, 1.75e10]
    assert own["key"].iloc[4] == "surface[0].optima[27].optimum"
    text = (tables / "conventions.md").read_text()
    assert "| 3,000 (2,500 to 3,900) | 3,200 (2,670 to 4,160) |" in text
    assert "50%, at bound" in text


def test_tables_of_the_later_laws_keep_status_and_reason(tables: Path) -> None:
    surface = pd.read_csv(tables / "surface.csv")
    assert len(surface) == 2 * 14
    left = surface[surface["parameter"] == "R*"].iloc[0]
    assert (bool(left["kept"]), left["status"]) == (False, "not identified")
    assert pd.isna(left["value"])
    assert "0.500 (0.400 to 0.750); AICc +12.5" in (tables / "surface.md").read_text()
    batch = pd.read_csv(tables / "critical_batch.csv")
    noise = batch[batch["method"] == "noise"].iloc[0]
    assert pd.isna(noise["sequences_value"])
    assert (noise["sequences_low"], noise["events_low"]) == (10.0, 300.0)
    assert "above 10.0, not identified" in (tables / "critical_batch.md").read_text()
    assert batch["disagreements"].notna().sum() == 2
    backtest = pd.read_csv(tables / "backtest.csv")
    assert list(backtest["what"]) == ["cells"] * 3 + ["optimum"] * 2 + ["cells"] * 2
    assert backtest["crps"].isna().sum() == 2
    assert "too few points: budgets left of this axis: 1" in (tables / "backtest.md").read_text()
    cost = pd.read_csv(tables / "choice_cost.csv")
    assert list(cost["relative_value"])[:2] == [0.1, 0.0]
    assert (
        "| 1,600 | 2,600 | 0.010 (0.000 to 0.020) | 10% (0% to 20%) |"
        in (tables / "choice_cost.md").read_text()
    )


def test_without_the_later_laws_their_tables_keep_a_header(results_dir: Path) -> None:
    for path in (results_dir / "laws").iterdir():
        path.unlink()
    make_tables(results_dir)
    for name in ("surface", "conventions", "critical_batch", "backtest", "choice_cost"):
        assert "epochs_min" in pd.read_csv(results_dir / "tables" / f"{name}.csv").columns
        assert (results_dir / "tables" / f"{name}.md").read_text() == "*None.*\n"
