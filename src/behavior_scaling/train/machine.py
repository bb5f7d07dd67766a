"""Where and with what a run was made: recorded beside its numbers, no part of them."""

from __future__ import annotations

import platform
import resource
import sys
from importlib import metadata

import torch

PACKAGES = ("behavior-scaling", "torch", "lightning", "numpy", "safetensors")


def device() -> torch.device:
    """The accelerator that runs use: CUDA where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages whose numerics a run depends on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def machine() -> dict[str, str]:
    """System, processor and instruction set; on CUDA the device's name."""
    used = device()
    return {
        "system": platform.platform(),
        "processor": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(used) if used.type == "cuda" else "cpu",
    }


def peak_memory_bytes() -> int:
    """The most memory that this process has held so far (its earlier runs included)."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
