"""Leases: one holder at a time among real processes, whoever dies, sleeps or has a wrong clock."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from behavior_scaling.records import lease as lease_module
from behavior_scaling.records import process as process_module
from behavior_scaling.records.lease import FOLDER, Leases, _remove, holders
from behavior_scaling.records.process import this_process

RUN = "ab" * 32

HOLD = """
import sys, time
from pathlib import Path
from behavior_scaling.records.lease import Leases
assert Leases(Path(sys.argv[1])).take(sys.argv[2])
print("held", flush=True)
time.sleep(60)
"""

RACE = """
import sys, time
from pathlib import Path
from behavior_scaling.records.lease import Leases
root, run_id, now = Path(sys.argv[1]), sys.argv[2], [0.0]
leases = Leases(root, clock=lambda: now[0])
print(leases.take(run_id), flush=True)
sys.stdin.readline()
now[0] = 180.0
print("won" if leases.take(run_id) else "lost", flush=True)
sys.stdin.readline()
"""

COUNT = """
import sys
from pathlib import Path
from behavior_scaling.records.lease import Leases
leases, total = Leases(Path(sys.argv[1])), Path(sys.argv[3])
for _ in range(50):
    while (lease := leases.take(sys.argv[2])) is None:
        pass
    with lease:
        total.write_text(str(int(total.read_text()) + 1))
"""


def script(text: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", text, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def foreign(root: Path, **changes: object) -> Path:
    """A lease of another host, as that host would have written it."""
    owner = dataclasses.asdict(this_process()) | {"host": "elsewhere"} | changes
    body = owner | {"token": "t", "since": "2026-01-01T00:00:00+00:00", "beat": 3, "progress": {}}
    path = root / FOLDER / f"{RUN}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body))
    return path


def test_a_lease_is_held_by_one_and_free_when_it_is_given_back(tmp_path: Path) -> None:
    mine, other = Leases(tmp_path), Leases(tmp_path)
    lease = mine.take(RUN)
    assert lease is not None
    with lease:
        assert other.take(RUN) is None
        assert mine.take(RUN) is None
        assert lease.held()
        free = other.take("cd" * 32)
        assert free is not None
        with free:
            assert [one.run_id for one in holders(tmp_path)] == [RUN, "cd" * 32]
    assert holders(tmp_path) == []
    again = other.take(RUN)
    assert again is not None
    with again:
        assert again.held()


def test_processes_exclude_each_other(tmp_path: Path) -> None:
    total = tmp_path / "total"
    total.write_text("0")
    processes = [script(COUNT, tmp_path, RUN, total) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    for process in processes:
        process.communicate()
    assert total.read_text() == "150"


@pytest.mark.parametrize("reaped", [True, False])
def test_the_lease_of_a_killed_process_is_free_at_once(tmp_path: Path, reaped: bool) -> None:
    with script(HOLD, tmp_path, RUN) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        leases = Leases(tmp_path)
        assert leases.take(RUN) is None
        assert [one.pid for one in holders(tmp_path)] == [process.pid]
        process.send_signal(signal.SIGKILL)
        if reaped:
            process.wait()
        else:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and still listed
        assert holders(tmp_path) == []
        lease = leases.take(RUN)
        assert lease is not None
        with lease:
            assert lease.held()


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({}, False),
        ({"started": "1"}, True),  # its number was given to another process since
        ({"pid": 2**22 + 1}, True),  # above any number that Linux gives
        ({"boot": "before"}, True),
        ({"boot": "before", "machine": ""}, False),  # perhaps another machine of that name
        ({"machine": "another"}, False),
        ({"host": "elsewhere", "started": "1"}, False),
        ({"table": "pid:[1]", "started": "1"}, False),  # in a container of its own
    ],
)
def test_only_what_is_certain_is_said_of_a_process(
    changes: dict[str, object], gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = dataclasses.replace(this_process(), machine="m")
    monkeypatch.setattr(process_module, "this_process", lambda: here)
    assert dataclasses.replace(here, **changes).gone() is gone  # type: ignore[arg-type]


def test_another_hosts_lease_is_stale_when_nothing_has_changed_on_our_own_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    leases = Leases(tmp_path, clock=lambda: now)
    path = foreign(tmp_path)
    assert leases.take(RUN) is None
    now += 179.9
    monkeypatch.setattr(time, "time", lambda: 4e9)  # the clocks that jump have no say
    os.utime(path, (0, 0))
    assert leases.take(RUN) is None
    path.write_text(path.read_text().replace('"beat": 3', '"beat": 4'))
    os.utime(path, (0, 0))
    now += 0.2
    assert leases.take(RUN) is None  # it has changed: the time begins anew
    now += 179.9
    assert leases.take(RUN) is None
    now += 0.1
    lease = leases.take(RUN)
    assert lease is not None
    with lease:
        assert [one.host for one in holders(tmp_path)] == [this_process().host]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_lease_that_was_never_written_whole_is_waited_out(tmp_path: Path, content: str) -> None:
    now = 0.0
    leases = Leases(tmp_path, clock=lambda: now)
    foreign(tmp_path).write_text(content)
    assert leases.take(RUN) is None
    assert holders(tmp_path) == []
    now = 180.0
    lease = leases.take(RUN)
    assert lease is not None
    with lease:
        assert lease.held()


def test_of_all_who_see_a_lease_go_stale_at_once_one_gets_it(tmp_path: Path) -> None:
    foreign(tmp_path)
    processes = [script(RACE, tmp_path, RUN) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "None\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.stdout.readline() for process in processes if process.stdout]
    assert sorted(said) == ["lost\n"] * 3 + ["won\n"]
    for process in processes:
        process.communicate("\n")
    assert [file.name for file in (tmp_path / FOLDER).iterdir()] == [f"{RUN}.json"]


def test_a_lease_taken_over_meanwhile_is_put_back(tmp_path: Path) -> None:
    path = foreign(tmp_path)
    stale = path.read_bytes()
    path.write_text("the next holder's")
    assert not _remove(path, stale)
    assert path.read_text() == "the next holder's"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_who_was_taken_over_notices_and_touches_nothing(tmp_path: Path) -> None:
    slept = Leases(tmp_path, beat_seconds=0.01).take(RUN)
    assert slept is not None
    with slept:
        path = tmp_path / FOLDER / f"{RUN}.json"
        path.unlink()
        path.write_text("the next holder's")
        deadline = time.monotonic() + 30
        while not slept.lost and time.monotonic() < deadline:
            time.sleep(0.01)
        assert slept.lost
        assert not slept.held()
        slept._write()  # a beat that was on its way
    assert path.read_text() == "the next holder's"


def test_holders_show_beats_and_what_was_said(tmp_path: Path) -> None:
    lease = Leases(tmp_path, beat_seconds=0.01).take(RUN)
    assert lease is not None
    with lease:
        lease.say({"steps": 20.0, "loss": 3.5})
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            seen = next(iter(holders(tmp_path)), None)  # None: read while it was written
            if seen and seen.beat >= 2 and seen.progress:
                break
            time.sleep(0.01)
        assert seen is not None
        assert (seen.run_id, seen.pid, seen.progress) == (
            RUN, os.getpid(), {"steps": 20.0, "loss": 3.5},
        )  # fmt: skip
        assert 0 <= seen.age_seconds < 60


def test_a_full_disk_leaves_no_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lease_module.os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        Leases(tmp_path).take(RUN)
    assert list((tmp_path / FOLDER).iterdir()) == []
