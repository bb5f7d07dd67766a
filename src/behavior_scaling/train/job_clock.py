"""When a job began: the start of the process, interpreter and first imports included."""

from __future__ import annotations

import os
import time
from pathlib import Path

STAT = Path("/proc/self/stat")
STARTED = 19  # field 22 of proc(5), counted from the one after the name: ticks after boot


def process_began() -> float:
    """Start of this process on the clock of time.monotonic().

    Where the system does not say it (no Linux), what the process has computed so far is taken for
    its age: a lower bound.
    """
    now = time.monotonic()
    try:
        fields = STAT.read_text().rpartition(")")[2].split()
        began = int(fields[STARTED]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - began
    except (OSError, AttributeError, ValueError, IndexError):
        age = time.process_time()
    return now - max(age, 0.0)
