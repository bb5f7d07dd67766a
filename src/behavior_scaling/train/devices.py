"""GPUs of this machine, one process each: a command takes free ones before it touches CUDA.

Choices: a device is taken by a lock (flock) on a small file of its UUID in a folder of the user's,
so the system frees it however the holder ends; whoever waits stands in a queue of one more lock,
so that a run of several devices is not starved by runs of one; UUIDs, not numbers, are handed to
CUDA, whose order of devices need not be nvidia-smi's (by which numbers are read here). What a batch
system has handed out to a job stays as it is, unless it is more than the command needs: then the
job's commands share it. Other users' processes are not seen. Without a GPU nothing happens.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from behavior_scaling.train.interrupt import InterruptedRunError, stop_flag

VISIBLE = "CUDA_VISIBLE_DEVICES"
JOB = "SLURM_JOB_ID"
LOOK_SECONDS = 0.5
_LINE = re.compile(r"^(\s*)(GPU|MIG)\b.*\(UUID: ([^)]+)\)\s*$")


class DeviceError(ValueError):
    """The machine does not have the devices that a run wants."""


def list_devices() -> list[str]:
    """UUIDs of the machine's GPUs, in nvidia-smi's order; none where there is no nvidia-smi."""
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"],  # noqa: S607 - wherever the driver has put it
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_listing(listed.stdout)


def parse_listing(text: str) -> list[str]:
    """UUIDs in the output of `nvidia-smi -L`; the instances of a partitioned GPU stand for it."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        _, kind, uuid = match.groups()
        if kind == "MIG" and found and found[-1][0] == "GPU":
            found.pop()
        found.append((kind, uuid))
    return [uuid for _, uuid in found]


def visible_devices(listed: Sequence[str], environment: MutableMapping[str, str]) -> list[str]:
    """Those that CUDA_VISIBLE_DEVICES leaves, by UUID; all of them where it is not set."""
    if VISIBLE not in environment:
        return list(listed)
    chosen: list[str] = []
    for name in (part.strip() for part in environment[VISIBLE].split(",")):
        if name.isdecimal() and int(name) < len(listed):
            chosen.append(listed[int(name)])
        elif name.startswith(("GPU-", "MIG-")):
            chosen += [uuid for uuid in listed if uuid.startswith(name)][:1]
        else:  # CUDA ignores what follows a name that it does not know
            break
    return chosen


@contextmanager
def devices(
    count: int,
    log: Callable[[str], None],
    listing: Callable[[], list[str]] = list_devices,
    environment: MutableMapping[str, str] = os.environ,
    folder: Path | None = None,
) -> Iterator[list[str]]:
    """Hold `count` devices and let CUDA see no others; waits while too few are free.

    Args:
        count: how many; with 0, or on a machine without a GPU, nothing is taken.
        log: told, once, that it has to wait.
        listing: UUIDs of the machine's devices.
        environment: CUDA_VISIBLE_DEVICES is read here, and written while they are held.
        folder: for the lock files; by default one of the user's in the folder for temporary files.

    Yields:
        UUIDs of the devices that are held; empty where none had to be taken.

    Raises:
        DeviceError: fewer are visible than asked for.
        InterruptedRunError: SIGINT or SIGTERM came while waiting.
    """
    visible = visible_devices(listing(), environment) if count else []
    if not visible:
        yield []
        return
    if len(visible) < count:
        raise DeviceError(
            f"a run of this bundle uses {count} devices and {len(visible)} are visible here: "
            f"set execution.devices (and execution.strategy), or train it on another machine"
        )
    if JOB in environment and len(visible) == count:
        yield []
        return
    before = environment.get(VISIBLE)
    with ExitStack() as held:
        taken = _take(count, visible, _folder() if folder is None else folder, held, log)
        environment[VISIBLE] = ",".join(taken)
        try:
            yield taken
        finally:
            if before is None:
                del environment[VISIBLE]
            else:
                environment[VISIBLE] = before


def _take(
    count: int, visible: list[str], folder: Path, held: ExitStack, log: Callable[[str], None]
) -> list[str]:
    taken: list[str] = []
    with ExitStack() as queue, stop_flag() as stopped:
        first = asked = False
        while True:
            first = first or _lock(folder, "queue", queue)
            for uuid in visible if first else ():
                if len(taken) < count and uuid not in taken and _lock(folder, uuid, held):
                    taken.append(uuid)
            if len(taken) == count:
                return sorted(taken, key=visible.index)
            if not asked:
                log(f"waiting for {count} free of {len(visible)} devices")
                asked = True
            if stopped():
                raise InterruptedRunError("stopped while waiting for a device")
            time.sleep(LOOK_SECONDS)


def _lock(folder: Path, name: str, keep: ExitStack) -> bool:
    """Try to hold the lock of a name until `keep` is closed."""
    file: IO[str] = (folder / f"{name.replace('/', '_')}.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    keep.callback(file.close)
    return True


def _folder() -> Path:
    """A folder of this user alone, the same one for all of their processes."""
    folder = Path(tempfile.gettempdir()) / f"behavior-scaling-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise DeviceError(f"{folder}: belongs to someone else; set TMPDIR to a folder of yours")
    return folder
