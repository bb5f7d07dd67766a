"""`status` at work: live, after every run, from the command line, on studies of every kind."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from behavior_scaling.cli import main
from behavior_scaling.commands import status as status_module
from behavior_scaling.commands.status import Look, after_every_run, watch
from behavior_scaling.data.store import META
from behavior_scaling.layout import Layout
from behavior_scaling.records import survey as survey_module
from behavior_scaling.records.archive import write_archive
from behavior_scaling.records.lease import STALE_SECONDS, Holder, holders
from behavior_scaling.records.spec import DataSpec
from behavior_scaling.records.store import RECORD
from behavior_scaling.sweep.progress import Progress

from .status_planted import DATA, Planted, V, plant


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    return plant(tmp_path, monkeypatch)


def test_watching_ends_when_every_run_has_an_outcome(planted: Planted) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        planted.now += seconds
        planted.record(len(slept) - 1, outcome="failed" if len(slept) == 3 else "done", error="E")

    shown: list[Progress] = []
    last = watch(planted.look(), shown.append, sleep, 2.5)
    assert slept == [2.5] * 7
    assert [seen.counts["done"] for seen in shown] == [0, 1, 2, 2, 3, 4, 5, 6]
    assert last is shown[-1]
    assert (last.to_come, last.counts["failed"]) == (0, 1)


def test_a_beat_that_changes_is_a_sign_of_life_whatever_the_files_date_says(
    planted: Planted,
) -> None:
    planted.hold(0, "node1", 5000)  # a server whose clock is far behind
    look = planted.look()
    assert look().counts["running"] == 0
    planted.now = 10.0
    planted.held = [dataclasses.replace(planted.held[0], beat=2)]
    assert look().counts["running"] == 1
    planted.now = 10.0 + STALE_SECONDS - 1
    assert look().counts["running"] == 1
    planted.now = 10.0 + STALE_SECONDS
    assert look().counts["running"] == 0


def test_a_lease_in_the_store_is_a_run_at_work(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_module, "holders", holders)
    look = planted.look()
    planted.now = time.time()
    lease = planted.store.lease(planted.specs[3].id)
    assert lease is not None
    with lease:
        assert [run.state for run in look().runs].index("running") == 3
    assert look().counts["running"] == 0


def test_training_logs_the_line_after_every_run_and_reads_only_what_is_new(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    parse = survey_module._entry
    monkeypatch.setattr(
        survey_module, "_entry", lambda path, names: (read.append(path), parse(path, names))[1]
    )
    lines: list[str] = []
    done = after_every_run(planted.study, planted.plan, V, DATA, planted.store, lines.append)
    for number in range(3):
        planted.record(number)
        done(planted.specs[number].id, "done")
    assert [text.split(";")[0] for text in lines] == [f"tiny: {k} of 7 done" for k in (1, 2, 3)]
    assert len(read) == 3
    monkeypatch.setattr(status_module, "holders", lambda root: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # a fault of ours is not hidden
        done("", "done")

    def unreachable(root: Path) -> list[Holder]:
        raise OSError("stale file handle")

    monkeypatch.setattr(status_module, "holders", unreachable)
    done("", "done")
    assert "could not be told: OSError('stale file handle')" in lines[-1]


def call(planted: Planted, *words: str) -> int:
    return main(["status", "--config", str(planted.config), "--results", "results", *words])


def test_the_exit_status_says_whether_all_is_done(
    planted: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(planted, "--line") == 1
    assert capsys.readouterr().out == ("tiny: 0 of 7 done; about 1 min and 0.019 core-hours left\n")
    for number in range(7):
        planted.record(number)
    assert call(planted, "--json", "state.json") == 0
    assert "every run has an outcome" in capsys.readouterr().out
    state = json.loads(Path("state.json").read_text())
    assert (state["counts"], state["to_come"]) == ({"done": 7}, 0)
    assert [run["id"] for run in state["runs"]] == [spec.id for spec in planted.specs]
    ranks = planted.store.path(planted.specs[0].id) / RECORD
    ranks.write_text(ranks.read_text().replace('"seconds": 10', '"seconds": 11'))
    assert call(planted) == 1  # an altered record, which only hashes show
    assert "altered: record_hash" in capsys.readouterr().out
    assert call(planted, "--line") == 0


def test_watching_a_file_prints_its_line_when_it_changes_and_stops_at_ctrl_c(
    planted: Planted, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            planted.record(0)
        if len(slept) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(status_module.time, "sleep", sleep)
    assert call(planted, "--watch") == 1
    told = capsys.readouterr()
    assert [text.split(";")[0] for text in told.out.splitlines()] == [
        "tiny: 0 of 7 done", "tiny: 1 of 7 done",
    ]  # fmt: skip
    assert told.err == ""
    assert slept == [5.0] * 4


def _heed_ctrl_c() -> None:
    """Jobs in the background of a script ignore it, and so do those that they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_terminal_is_drawn_again_and_left_in_order_at_ctrl_c(planted: Planted) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "behavior_scaling", "status", "--watch", "0.05"]
    command += ["--config", str(planted.config), "--results", "none"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "40", "NO_COLOR": "1"}
    with subprocess.Popen(
        command, stdout=theirs, stderr=theirs, start_new_session=True, env=environment,
        preexec_fn=_heed_ctrl_c,
    ) as process:  # fmt: skip
        os.close(theirs)
        told = b""
        while told.count(b"0/7") < 3:  # drawn three times
            told += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
            while more := os.read(ours, 4096):
                told += more
        assert process.wait() == 1
    os.close(ours)
    assert b"Traceback" not in told
    assert not re.search(rb"\x1b\[[0-9;]*[39][0-7]m", told)  # NO_COLOR
    assert told.rindex(b"\x1b[?25h") > told.rindex(b"\x1b[?25l")  # the cursor is back


def test_a_study_that_is_not_begun_is_told_in_words(
    planted: Planted, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (Layout(Path("results"), planted.study).data / META).unlink()
    assert call(planted) == 1
    out = capsys.readouterr().out
    assert "data      not prepared yet" in out
    assert "0/7" in out
    assert "estimates alone, for no run of this study has finished" in out
    sizes = SimpleNamespace(n_items=None)
    monkeypatch.setattr("behavior_scaling.data.known.known_sizes", lambda *_: sizes)
    assert call(planted, "--watch") == 1
    assert capsys.readouterr().out.startswith("tiny: not begun; how many runs it has")


def test_data_that_are_prepared_while_it_watches_are_noticed(planted: Planted) -> None:
    specs: list[DataSpec | None] = [None, DATA]
    look = Look(planted.study, planted.plan, V, planted.store, lambda: specs.pop(0))
    planted.record(0)
    assert (look().prepared, specs) == (False, [DATA])
    assert look().counts["done"] == 1
    assert look().prepared


def test_a_shipped_study_is_looked_up_in_its_archive(
    planted: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    planted.config.write_text(planted.config.read_text().replace("runs: train", "runs: archive"))
    assert call(planted) == 1
    assert "its records are shipped, but results/archive/tiny holds none" in capsys.readouterr().out
    for number in range(7):
        planted.record(number)
    ids = [spec.id for spec in planted.specs]
    folder = Path("results/archive/tiny")
    write_archive(folder, planted.store, ids[:6], DATA, {})
    assert call(planted, "--watch", "1") == 1
    assert capsys.readouterr().out == "tiny: 6 of 7 done\n"
    write_archive(folder, planted.store, ids, DATA, {})
    assert call(planted) == 0
    assert "shipped records in results/archive/tiny; nothing is trained" in capsys.readouterr().out


def test_status_loads_no_torch() -> None:
    code = (
        "import sys, behavior_scaling.commands.status, behavior_scaling.commands.status_view;"
        " print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'lightning'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
