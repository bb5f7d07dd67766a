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
    paths = make_tables(copy)
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
