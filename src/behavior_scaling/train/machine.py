"""Where and with what a run was made: recorded beside its numbers, no part of them."""

from __future__ import annotations

import platform
import re
import resource
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

PACKAGES = ("behavior-scaling", "torch", "lightning", "numpy", "safetensors")
RESET = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")


def device() -> torch.device:
    """The accelerator that runs use: CUDA where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages whose numerics a run depends on."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


@cache
def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed as a package"


def machine() -> dict[str, str]:
    """System, processor and instruction set; on CUDA the device's name."""
    used = device()
    return {
        "system": platform.platform(),
        "processor": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(used) if used.type == "cuda" else "cpu",
    }


class PeakMemory:
    """The most memory held since this was made.

    On CUDA what torch has allocated there; else the process's resident memory, interpreter and
    libraries included. Where the system cannot forget an earlier peak (no Linux), earlier runs of
    the job count too. `source` says which of the three it is.
    """

    def __init__(self) -> None:
        self.source = "process, earlier runs included (ru_maxrss)"
        if device().type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.source = "run (torch.cuda.max_memory_allocated)"
        elif _forget_peak():
            self.source = "process during the run (VmHWM)"

    def bytes(self) -> int:
        """The peak so far."""
        if "cuda" in self.source:
            return torch.cuda.max_memory_allocated()
        high = _high_water() if "VmHWM" in self.source else None
        if high is not None:
            return high
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used if sys.platform == "darwin" else used * 1024


def _forget_peak() -> bool:
    """Set the process's high-water mark to what it holds now, as proc(5) says."""
    try:
        RESET.write_text("5")
    except OSError:
        return False
    return _high_water() is not None


def _high_water() -> int | None:
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
