"""Processes to strike: forked from one that has torch at hand, so that each costs a moment.

A child runs a few lines of Python. Before them come the means of striking it at a known point: `at`
calls a function when the file of that name is whole but for its rename (files.replacing syncs it
then), `full_from` makes the kernel refuse every further byte from the moment that file is begun.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

SECONDS = 60.0  # more than any of these tests takes
TORCH = "behavior_scaling.train.fit"

STRIKES = """
import os, resource, signal, sys, tempfile, time
from pathlib import Path

def at(name, nth, strike):
    synced, seen = os.fsync, []
    def fsync(handle):
        synced(handle)
        if name in os.path.basename(os.readlink(f"/proc/self/fd/{handle}")):
            seen.append(handle)
            if len(seen) == nth:
                strike(handle)
    os.fsync = fsync

def kill_half_way(handle):
    os.ftruncate(handle, os.fstat(handle).st_size // 2)
    os.kill(os.getpid(), signal.SIGKILL)

def kill(handle):
    os.kill(os.getpid(), signal.SIGKILL)

def pause(handle):
    Path(PAUSED).touch()
    time.sleep(600)

def full_from(name):
    for stream in (1, 2):  # logs are files, too
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    make = tempfile.mkstemp
    def mkstemp(*arguments, **options):
        if options.get("prefix", "") == f".{name}.":
            resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))
        return make(*arguments, **options)
    tempfile.mkstemp = mkstemp
"""

BUNDLE = """
from behavior_scaling.data.store import Dataset
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import Store
from behavior_scaling.train.bundle import train_bundle

specs = [RunSpec.from_dict(one) for one in SPECS]
train_bundle(specs, Dataset.open(Path(DATA)), Store(Path(STORE)), 0.0, print)
"""

STEP = """
from behavior_scaling.cli import main
sys.exit(main(WORDS))
"""


class Child:
    """A process that runs `code` with the names given; its output goes to `log`."""

    def __init__(self, log: Path, code: str, **names: Any):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["__main__", TORCH])
        output = f"import os\nfor n in (1, 2): os.dup2(os.open({str(log)!r}, 1 | 64 | 1024), n)\n"
        self.log = log
        self.process = context.Process(target=exec, args=(output + STRIKES + code, names))
        self.process.start()

    def end(self) -> int:
        """Its exit status; negative: the signal that killed it."""
        self.process.join(SECONDS)
        status = self.process.exitcode
        if status is None:
            self.process.kill()
            raise AssertionError(f"still running after {SECONDS} s: {self.text}")
        return status

    def strike(self, file: Path, number: int) -> int:
        """Send a signal once a file is there; its exit status."""
        wait_for(file.exists, self)
        assert self.process.pid is not None
        os.kill(self.process.pid, number)
        return self.end()

    @property
    def text(self) -> str:
        """What it has said."""
        return self.log.read_text() if self.log.exists() else ""


def wait_for(reached: Any, child: Child | None = None) -> None:
    """Wait until `reached()` is true, and no longer than that the child lives."""
    deadline = time.monotonic() + SECONDS
    while not reached():
        ended = child is not None and child.process.exitcode is not None
        assert not ended, child.text if child else ""
        assert time.monotonic() < deadline, child.text if child else "never came"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs (one that has ended and is not yet buried does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


KILLED = -signal.SIGKILL
TERMINATED = 128 + signal.SIGTERM
