"""`behavior-scaling fit` on any table: what is printed, what is written, how it fails."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from behavior_scaling import cli
from behavior_scaling.commands import report
from behavior_scaling.laws.csv_table import read_table
from behavior_scaling.laws.on_table import LAWS, fit_table
from behavior_scaling.laws.on_table_text import described

BUDGETS = (1e18, 1e19, 1e20)


@pytest.fixture
def runs(tmp_path):
    """A CSV of isoFLOP curves with N* = 1e8 (C / 1e19)^0.5."""
    rows = [
        (round(n), c, 3 - 0.1 * np.log10(c / 1e18) + 0.03 * np.log(n / best) ** 2)
        for c in BUDGETS
        for best in [1e8 * (c / 1e19) ** 0.5]
        for n in best * 2.0 ** np.arange(-2, 3)
    ]
    path = tmp_path / "runs.csv"
    pd.DataFrame(rows, columns=["N", "C", "loss"]).to_csv(path, index=False)
    return path


@pytest.fixture
def fit(capsys):
    """Run the command: exit status, standard output, standard error."""

    def run(*args):
        status = cli.main(["fit", *(str(arg) for arg in args)])
        out = capsys.readouterr()
        return status, out.out, out.err

    return run


def test_the_command_knows_the_laws_of_the_library():
    assert set(cli.TABLE_LAWS) == set(LAWS)


def test_it_prints_the_library_s_result_and_writes_it(runs, fit, tmp_path):
    out = tmp_path / "new" / "fit.json"
    status, text, err = fit(
        "--law", "isoflop", "--csv", runs, "--n", "N", "--c", "C", "--y", "loss", "--json", out
    )
    result = fit_table("isoflop", read_table(runs), n="N", c="C", y="loss")
    assert (status, err) == (0, "")
    assert text == described(result) + "\n"
    written = json.loads(out.read_text())
    assert set(written) == set(result.to_dict())
    assert written["parameters"]["N_exponent"]["value"] == pytest.approx(0.5, abs=1e-6)
    assert [path.name for path in out.parent.iterdir()] == ["fit.json"]


@pytest.mark.parametrize("suffix", [".tsv", ".parquet"])
def test_other_kinds_of_table_give_the_same_answer(runs, fit, tmp_path, suffix):
    frame = pd.read_csv(runs)
    path = tmp_path / f"runs{suffix}"
    if suffix == ".tsv":
        frame.to_csv(path, sep="\t", index=False)
    else:
        frame.to_parquet(path)
    args = ("--law", "isoflop", "--n", "N", "--c", "C", "--y", "loss", "--csv")
    assert fit(*args, path) == fit(*args, runs)


def test_rows_are_chosen_by_where(runs, fit, tmp_path):
    frame = pd.read_csv(runs)
    other = frame.assign(loss=-1.0, set="b")
    path = tmp_path / "two.csv"
    pd.concat([frame.assign(set="a"), other]).to_csv(path, index=False)
    args = ("--law", "isoflop", "--csv", path, "--n", "N", "--c", "C", "--y", "loss")
    status, text, _ = fit(*args, "--where", "set=a")
    assert status == 0
    assert "15 rows with set = a" in text
    status, _, err = fit(*args)
    assert status == 2
    assert (
        err == f"behavior-scaling: {path}: column 'loss', line 17: -1 is not positive "
        "(14 more rows like it)\n"
    )


ISOFLOP = ("--law", "isoflop", "--n", "N", "--c", "C", "--y", "loss")


@pytest.mark.parametrize(
    ("content", "args", "text"),
    [
        ("", ISOFLOP, "the file is empty"),
        ("N,C,loss,N\n1,2,3,4\n", ISOFLOP, "columns 1 and 4 are both named 'N'"),
        ("N,C,loss\n1e6,1e15,nan\n", ISOFLOP, "column 'loss', line 2: nan is not finite"),
        ("N,C,loss\n1e6,1e15,inf\n", ISOFLOP, "column 'loss', line 2: inf is not finite"),
        ("N,C,loss\n1e6,0,1\n", ISOFLOP, "column 'C', line 2: 0 is not positive"),
        ("N,C,loss\n1e6,abc,1\n", ISOFLOP, "column 'C', line 2: 'abc' is not a number"),
        ("N,C,Loss\n1e6,1,1\n", ISOFLOP, "no column 'loss'; did you mean 'Loss'?"),
        ("N,C,loss\n1,2,3\n", (*ISOFLOP, "--delta", "1"), "isoflop does not use 'delta'; it uses"),
        ("N,C,loss\n1,2,3\n", (*ISOFLOP, "--x", "N"), "isoflop does not use 'x'; it uses"),
        ("N,C,loss\n1,2,3\n", (*ISOFLOP[:4], "--y", "loss"), "isoflop needs a column for 'd', or"),
        ("N,C,loss\n1,2,3\n", (*ISOFLOP, "--where", "N"), "--where 'N' is not COLUMN=VALUE"),
        ("N,C,loss\n1,2,3\n", (*ISOFLOP, "--where", "N=7"), "column 'N' holds no '7'; values: '1'"),
        ("N,C,loss\n1,2,3\n", (*ISOFLOP, "--json", "a.txt"), "--json a.txt: the name must end"),
        ("N,C,loss\n1,2,3\n", ISOFLOP[:6], "--y is missing"),
        ("N,C,loss\n1,2,3\n", ("--law", "iso", *ISOFLOP[2:]), "law 'iso' is not known; laws: "),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, fit, content, args, text):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    status, out, err = fit("--csv", path, *args)
    assert status == 2
    assert out == ""
    assert err.startswith("behavior-scaling: ")
    assert text in err
    assert err.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["bad.csv"]


def test_a_failing_fit_writes_nothing(tmp_path, fit):
    path, out = tmp_path / "bad.csv", tmp_path / "fit.json"
    path.write_text("N,C,loss\n1e6,1e15,-1\n")
    assert fit("--csv", path, *ISOFLOP, "--json", out)[0] == 2
    assert not out.exists()


def test_what_stood_at_json_survives_a_folder_that_cannot_be_written(runs, fit, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("kept")
    status, _, err = fit("--csv", runs, *ISOFLOP, "--json", blocked / "fit.json")
    assert status == 2
    assert err.startswith("behavior-scaling: ")
    assert blocked.read_text() == "kept"


def test_a_table_and_a_study_exclude_one_another(runs, fit):
    status, _, err = fit("--csv", runs, *ISOFLOP, "--runs", "runs.parquet")
    assert status == 2
    assert "--law (one law on any table) and --runs (all laws of a study) exclude" in err
    status, _, err = fit("--runs", "a", "--floors", "b", "--out", "c", "--n", "N")
    assert status == 2
    assert "--n belongs to --law with --csv" in err
    status, _, err = fit("--runs", "a", "--floors", "b")
    assert status == 2
    assert "--out is missing; a study needs --runs, --floors and --out" in err
    assert (
        fit("--law", "isoflop")[2]
        .strip()
        .endswith("--law and --csv go together: which law, on which table")
    )
    assert fit("--csv", runs)[0] == 2


def test_a_study_s_step_is_called_as_before(fit, monkeypatch):
    seen = []
    monkeypatch.setattr(report, "fit", lambda args: seen.append(vars(args)) or 0)
    study = ("--runs", "r.parquet", "--users", "u.parquet", "--floors", "f.json", "--out", "laws")
    assert fit(*study) == (0, "", "")
    assert [str(seen[0][name]) for name in ("runs", "users", "probes", "floors", "out")] == [
        "r.parquet", "u.parquet", "None", "f.json", "laws",
    ]  # fmt: skip


def test_help_names_every_law_without_loading_numpy():
    code = (
        "import sys\nfrom behavior_scaling import cli\n"
        "try:\n    cli.main(['fit', '--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'numpy' not in sys.modules and 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for law in LAWS:
        assert law in done.stdout


def test_fitting_a_table_loads_no_torch(runs):
    code = (
        "import sys\nfrom behavior_scaling import cli\n"
        f"assert cli.main(['fit', '--csv', {str(runs)!r}, *{list(ISOFLOP)!r}]) == 0\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
