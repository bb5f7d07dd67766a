"""The command line: every step from its --help, errors by message, no torch before it is needed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from behavior_scaling.cli import main

ROOT = Path(__file__).parents[2]
STEPS = (
    "validate", "fetch", "prepare", "floors", "truth", "card", "sweep", "train", "collect",
    "status", "retry", "archive", "verify", "push", "pull", "predict", "fit", "propose", "parts",
    "part", "worlds", "figure", "tables", "claims", "numbers", "paper", "compare",
    "promote", "schema",
)  # fmt: skip


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "behavior_scaling", *words], capture_output=True, text=True
    )


def test_help_lists_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(re.search(rf"^    {step}\b", text, re.MULTILINE) for step in STEPS)


@pytest.mark.parametrize("step", STEPS)
def test_every_step_says_what_it_reads_and_writes(
    step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([step, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    options = re.findall(r"^  (--[a-z-]+|[a-z]+)\b.*\n?.*", text, re.MULTILINE)
    assert options
    assert f"behavior-scaling {step}" in text


def test_every_rule_calls_one_step() -> None:
    calls = []
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for rule in re.split(r"^ *rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            name, shell = rule.split(":")[0], rule.partition("shell:")[2]
            found = re.findall(r"behavior_scaling (\w+)", shell)
            if name not in ("figures", "laws"):  # these only gather files
                assert len(found) == 1, name
                calls += found
    assert set(calls) <= set(STEPS)
    assert {"fetch", "prepare", "floors", "train", "collect", "fit", "figure", "paper"} <= set(
        calls
    )


def test_bad_input_ends_with_one_line_and_status_two(tmp_path: Path) -> None:
    missing = run("sweep", "--config", str(tmp_path / "none.yaml"))
    assert missing.returncode == 2
    assert (
        missing.stderr.strip() == f"behavior-scaling: {tmp_path / 'none.yaml'}: no such study file"
    )
    (tmp_path / "typo.yaml").write_text("name: typo\nbugdet: 1\n")
    typo = run("sweep", "--config", str(tmp_path / "typo.yaml"))
    assert typo.returncode == 2
    assert "bugdet: Extra inputs are not permitted" in typo.stderr
    assert "Traceback" not in typo.stderr


def test_raw_files_that_are_gone_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = {"source": "ml-100k", "path": str(tmp_path / "gone"), "sha256": "0"}
    (tmp_path / "raw.json").write_text(json.dumps(raw))
    study = str(ROOT / "config/quick.yaml")
    arguments = ["--raw", str(tmp_path / "raw.json"), "--out", str(tmp_path / "data")]
    assert main(["prepare", "--config", study, *arguments]) == 2
    assert "gone or altered since it was fetched" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_what_the_dag_and_analysis_import_loads_no_torch() -> None:
    code = (
        "import sys; import behavior_scaling.cli, behavior_scaling.commands.runs,"
        " behavior_scaling.commands.report, behavior_scaling.config, behavior_scaling.layout,"
        " behavior_scaling.data.sources, behavior_scaling.data.store, behavior_scaling.laws.study,"
        " behavior_scaling.report.names, behavior_scaling.report.tables,"
        " behavior_scaling.report.numbers, behavior_scaling.report.figures,"
        " behavior_scaling.sweep.bundles, behavior_scaling.sweep.collect;"
        " print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'lightning'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
