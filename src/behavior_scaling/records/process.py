"""Who runs here: host, boot and process, and whether a process named elsewhere still lives.

Choices: a process is its id and its start, in its own table of processes (a container has one of
its own), since ids are used again; a verdict is given about this machine alone, and only where the
system tells (Linux); of everything else nothing is known, which is no verdict.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
STARTED = 19  # field 22 of proc(5), counted from the one after the name: ticks after boot


@dataclass(frozen=True)
class Process:
    """A process of one boot of one machine; what the system does not tell is empty."""

    host: str
    machine: str  # /etc/machine-id: hosts of one name are told apart by it
    boot: str
    table: str  # the namespace of process ids
    pid: int
    started: str  # ticks after boot

    def gone(self) -> bool:
        """Whether it has certainly ended; False where that cannot be known from here."""
        here = this_process()
        if not here.boot or (self.host, self.machine) != (here.host, here.machine):
            return False
        if self.boot != here.boot:
            return bool(self.machine)
        return self.table == here.table and _ended(self.pid, self.started)


def this_process() -> Process:
    """The process that asks."""
    pid = os.getpid()
    return Process(
        host=socket.gethostname(),
        machine=_text(Path("/etc/machine-id")),
        boot=_text(PROC / "sys/kernel/random/boot_id"),
        table=_table(),
        pid=pid,
        started=_state_and_start(pid)[1],
    )


def _ended(pid: int, started: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # another user's
    state, start = _state_and_start(pid)  # hidden, perhaps (mount option hidepid)
    return state == "Z" or (start != "" and start != started)


def _state_and_start(pid: int) -> tuple[str, str]:
    fields = _text(PROC / str(pid) / "stat").rpartition(")")[2].split()
    return (fields[0], fields[STARTED]) if len(fields) > STARTED else ("", "")


def _table() -> str:
    try:
        return os.readlink(PROC / "self/ns/pid")
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
