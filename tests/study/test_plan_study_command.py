"""`plan-study` as a user calls it: what it prints, writes and refuses."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from behavior_scaling.cli import main

ROOT = Path(__file__).parents[2]
QUICK = ROOT / "config" / "quick.yaml"
OWN = """
name: own
title: My own shop
data: {source: shop.yaml, context: 64, tokens: 12}
axes:
  allocation: {budgets: [1.0e+11], share: 0.25, depth: 1, parameters: [[5000, 10000]]}
"""


def test_a_source_of_known_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table, the CSV and the figure; nothing is downloaded or prepared."""
    out, results = tmp_path / "plan", tmp_path / "results"
    arguments = ["plan-study", "--config", str(QUICK), "--gpu", "l40s", "--results", str(results)]
    assert main([*arguments, "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "data   ml-100k: 1.7k items, 100k events, 943 users" in said.out
    assert "GPU    l40s: 48 GB, of which 43 are used; 92 TFLOP/s in fp32, dense" in said.out
    assert "assumptions, not measured" in said.out
    assert "84 of 84 runs fit one l40s with the batch whole" in said.out
    assert "share s=0 at 1e+11: nearest D/N" in said.out  # what is left out is named
    names = {path.name for path in out.iterdir()}
    assert names == {"plan.csv", "plan.pdf", "plan.png", "plan.svg"}
    assert not results.exists()
    table = pd.read_csv(out / "plan.csv")
    assert len(table) == 84
    wanted = {
        "axis", "cell", "stage", "budget", "seed", "n_total", "share", "steps", "positions",
        "epochs", "flops", "memory_bytes", "memory_weights", "memory_optimizer",
        "memory_activations", "memory_candidates", "memory_catalogue", "strategy", "devices",
        "accumulate", "why", "hours", "gpu_hours", "checkpoint_bytes", "record_bytes",
    }  # fmt: skip
    assert wanted <= set(table.columns)
    assert table["why"].notna().all()


def test_every_run_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan-study", "--config", str(QUICK), "--gpu", "h100", "--results", str(tmp_path)]
    assert main(arguments) == 0
    short = capsys.readouterr().out
    assert main([*arguments, "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(short.splitlines()) + 84 + 2


def test_ones_own_data_by_their_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "own.yaml"
    study.write_text(OWN)
    (tmp_path / "shop.yaml").write_text("events: {file: events.csv}\n")
    arguments = ["plan-study", "--config", str(study), "--gpu", "h100"]
    assert main([*arguments, "--items", "50000", "--events", "2000000"]) == 0
    said = capsys.readouterr().out
    assert "50k items, 2.0M events\n" in said
    assert "as said by the command line" in said
    assert "1.6M training positions, 400k evaluated" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "quick names no execution.gpu; give --gpu, one of a100-40, a100-80, h100"),
        (["--gpu", "tpu"], "no GPU is known as 'tpu'; there are a100-40, a100-80, h100"),
    ],
)
def test_a_gpu_is_asked_for(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan-study", "--config", str(QUICK), *arguments]) == 2
    assert says in capsys.readouterr().err


def test_a_source_of_unknown_size_asks_for_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "own.yaml"
    study.write_text(OWN.replace("shop.yaml", "otto"))
    arguments = ["plan-study", "--config", str(study), "--gpu", "h100", "--results", str(tmp_path)]
    assert main(arguments) == 2
    assert "how large otto is will be known once it is prepared; give --items" in (
        capsys.readouterr().err
    )


def test_what_does_not_fit_is_told_by_the_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A billion items of 44 dimensions: no GPU holds their vectors."""
    arguments = ["plan-study", "--config", str(QUICK), "--gpu", "rtx4090"]
    arguments += ["--items", "1000000000", "--events", "1000000", "--results", str(tmp_path)]
    assert main(arguments) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "which every GPU holds whole; a GPU of more memory is needed" in said
