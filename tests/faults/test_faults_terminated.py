"""SIGTERM and kill -9 of preparation, evaluation, fitting and plotting.

The old file or the new one, no half of either; nothing is left lying about after SIGTERM; a next
call completes.
"""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from behavior_scaling.cli import main
from behavior_scaling.data.store import Dataset
from behavior_scaling.files import write_text
from behavior_scaling.termination import STATUS, terminable
from behavior_scaling.train.interrupt import InterruptedRunError

from .faults_processes import KILLED, STEP, TERMINATED, Child, alive, wait_for

POOL = """
from behavior_scaling.laws.workers import worker_pool
from behavior_scaling.termination import terminable
with terminable(), worker_pool(2) as pool:
    asleep = [pool.submit(time.sleep, 600) for _ in range(4)]
    Path(PIDS).write_text(" ".join(map(str, pool._processes)))
    while not any(one.running() for one in asleep):
        time.sleep(0.01)
    Path(PAUSED).touch()
    asleep[0].result()
"""


def hidden(folder: Path) -> list[Path]:
    return list(folder.rglob(".*"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_preparation(shop, tmp_path: Path, number: int) -> None:
    """SIGTERM leaves nothing; what kill -9 leaves is hidden, and gone after the next call."""
    config, raw = shop
    whole, out = tmp_path / "whole", tmp_path / "made" / "data"
    words = ["prepare", "--config", str(config), "--raw", str(raw), "--out"]
    assert main([*words, str(whole)]) == 0
    paused = tmp_path / "paused"
    names = {"PAUSED": str(paused), "WORDS": [*words, str(out)]}
    struck = Child(tmp_path / "log", "at('offsets.npy', 1, pause)" + STEP, **names)
    status = struck.strike(paused, number)
    assert status == (TERMINATED if number == signal.SIGTERM else KILLED), struck.text
    assert not out.exists()
    assert bool(hidden(tmp_path)) == (number == signal.SIGKILL)

    assert main([*words, str(out)]) == 0
    assert contents(out) == contents(whole)
    assert not hidden(tmp_path)
    Dataset.open(out, verify=True)


def test_a_query_of_the_engine_ends_at_once(tmp_path: Path) -> None:
    """It would not look at a signal before its end; its files are in the hidden folder."""
    code = """
from behavior_scaling.data.engine import engine
from behavior_scaling.termination import terminable
with terminable(), engine(Path(WORK)) as connection:
    Path(PAUSED).touch()
    connection.execute("SELECT sum(sin(i)) FROM range(1000000000000) numbers(i)").fetchone()
"""
    (tmp_path / "work").mkdir()
    names = {"WORK": str(tmp_path / "work"), "PAUSED": str(tmp_path / "paused")}
    struck = Child(tmp_path / "log", code, **names)
    assert struck.strike(tmp_path / "paused", signal.SIGTERM) == -signal.SIGTERM


def test_evaluation(bundle, spec, store, undisturbed, monkeypatch) -> None:
    """What is left of a run that has trained is short: it is finished, and no other is begun."""
    from behavior_scaling.evaluate import ranking

    windows, expected = ranking.eval_windows, undisturbed(spec).numeric_hash

    def signalled(*arguments, **options):  # type: ignore[no-untyped-def]
        monkeypatch.undo()
        os.kill(os.getpid(), signal.SIGTERM)
        return windows(*arguments, **options)

    monkeypatch.setattr(ranking, "eval_windows", signalled)
    other = replace(spec, seed=1)
    with pytest.raises(InterruptedRunError, match="stopped before run 2 of 2"):
        bundle(spec, other)
    assert store.load(spec.id).numeric_hash == expected
    assert store.state(other.id) == "absent"

    assert "done already" in bundle(spec, other)[0]
    assert store.load(other.id).numeric_hash == undisturbed(other).numeric_hash


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_plotting(results: Path, tmp_path: Path, number: int) -> None:
    folder = Path(shutil.copytree(results, tmp_path / "quick"))
    drawn = folder / "figures"
    for kind in ("pdf", "svg", "png", "csv"):
        write_text(drawn / f"floors.{kind}", "drawn before")
    words = ["figure", "floors", "--results", str(folder), "--floors", str(folder / "floors.json")]
    paused = tmp_path / "paused"
    names = {"PAUSED": str(paused), "WORDS": words}
    struck = Child(tmp_path / "log", "at('floors.svg', 1, pause)" + STEP, **names)
    status = struck.strike(paused, number)
    assert status == (TERMINATED if number == signal.SIGTERM else KILLED), struck.text
    kept = {path.suffix for path in drawn.glob("floors.*") if path.read_bytes() == b"drawn before"}
    assert kept == {".svg", ".png", ".csv"}  # the PDF came first, and is whole
    assert (drawn / "floors.pdf").read_bytes().rstrip().endswith(b"%%EOF")
    assert bool(hidden(drawn)) == (number == signal.SIGKILL)

    assert main(words) == 0
    assert not [path for path in drawn.glob("floors.*") if path.read_bytes() == b"drawn before"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_writing_the_laws(tmp_path: Path, number: int) -> None:
    code = """
from behavior_scaling.laws.write import write_laws
from behavior_scaling.termination import terminable
with terminable():
    write_laws({"allocation": {"a": 1}, "batch": {"b": 2}}, Path(LAWS))
"""
    laws = tmp_path / "laws"
    for name in ("allocation", "batch"):
        write_text(laws / f"{name}.json", "fitted before")
    paused = tmp_path / "paused"
    names = {"PAUSED": str(paused), "LAWS": str(laws)}
    struck = Child(tmp_path / "log", "at('batch.json', 1, pause)" + code, **names)
    status = struck.strike(paused, number)
    assert status == (TERMINATED if number == signal.SIGTERM else KILLED), struck.text
    assert (laws / "allocation.json").read_text() == '{\n "a": 1\n}\n'
    assert (laws / "batch.json").read_text() == "fitted before"
    assert bool(hidden(laws)) == (number == signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_that_share_the_fits_end_with_their_parent(tmp_path: Path, number: int) -> None:
    """Left alone they would wait for work for ever, on a machine that is paid by the hour."""
    pids, paused = tmp_path / "pids", tmp_path / "paused"
    struck = Child(tmp_path / "log", POOL, PAUSED=str(paused), PIDS=str(pids))
    status = struck.strike(paused, number)
    assert status == (TERMINATED if number == signal.SIGTERM else KILLED), struck.text
    workers = [int(pid) for pid in pids.read_text().split()]
    assert len(workers) == 2
    wait_for(lambda: not any(alive(pid) for pid in workers))


def test_sigterm_is_an_exit_and_is_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left, terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert left.value.code == STATUS == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_handler_that_stands_already_stays() -> None:
    def mine(_number: int, _frame: object) -> None: ...

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with terminable():
            assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_error_of_its_own_stays_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to do with it"), terminable():
        raise ValueError("nothing to do with it")
