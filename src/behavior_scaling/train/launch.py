"""A run on several devices of one node: a process each, for this run alone.

Choices: a bundle trains many runs one after the other, on one device or several, so the processes
of a run are started for it (`python -m behavior_scaling.train.worker`) and not by Lightning, which
would start the whole script again. They meet over a file in a folder of their own, so that no two
runs of a node fight for a port. The parent tells them what to do over their standard input, whose
end tells them that the parent is gone; they answer over their standard output, a line of JSON at a
time. Signals are the parent's business: workers take one for a request to stop, from whomever it
comes, and agree on the step after which they do. One that is killed takes the others with it within
seconds; that is an interruption, because what it computed can be computed again. One node only.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from behavior_scaling.records.record import Record
from behavior_scaling.sizes.execution import Execution
from behavior_scaling.train.interrupt import InterruptedRunError
from behavior_scaling.train.job import Job

LOOK_SECONDS = 0.1  # between two looks at the workers
GRACE_SECONDS = 2.0  # for the others to fail, too, once one has: whose fault it was shows then
WORKER = "behavior_scaling.train.worker"


class WorkerLostError(InterruptedRunError):
    """A process of the run was killed; the checkpoint stays, and the next attempt goes on."""


class WorkerError(RuntimeError):
    """An error in a process of the run; the text has its traceback."""


def check_execution(execution: Execution) -> None:
    """Refuse what this machine cannot do.

    Raises:
        ValueError: a strategy that does not go with the number of devices, more devices than
            there are, or what DeepSpeed does not take here.
        MissingPackageError: DeepSpeed is asked for and not installed.
    """
    strategy, devices = execution.strategy, execution.devices
    if min(devices, execution.accumulate) < 1:
        raise ValueError(f"execution: devices and accumulate start at 1, not {execution}")
    if (strategy == "single") != (devices == 1):
        raise ValueError(
            f"execution.strategy {strategy} with {devices} devices: one device is single, several "
            f"are ddp, fsdp or deepspeed"
        )
    if strategy == "deepspeed":
        from behavior_scaling.train.lightning_import import import_lightning

        import_lightning()
        from behavior_scaling.train.zero import check_installed

        check_installed()
        if not torch.cuda.is_available() or execution.accumulate > 1:
            raise ValueError("execution.strategy deepspeed needs CUDA, and accumulate = 1")
    if torch.cuda.is_available() and devices > torch.cuda.device_count():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        raise ValueError(
            f"execution.devices is {devices}, but {torch.cuda.device_count()} are visible "
            f"(CUDA_VISIBLE_DEVICES: {visible})"
        )


def train_in_workers(
    job: Job,
    data: Path,
    log: Callable[[str], None],
    stopped: Callable[[], bool],
    told: Callable[[dict[str, float]], None],
) -> Record:
    """Train a run by processes of its own, one a device; all but these as of train_run.

    Args:
        job: the run, its folder, and how it is laid out over devices.
        data: folder of the prepared data.
        log: takes lines of progress.
        stopped: whether the run has been asked to stop.
        told: takes numbers of progress.

    Raises:
        InterruptedRunError: `stopped` said so, or a worker got a signal.
        WorkerLostError: a worker was killed.
        WorkerError: a worker failed.
    """
    asked = False
    failed_at: float | None = None
    ends: list[dict[str, Any]] = []  # what workers said last, in the order in which they did
    with _Workers(job, data) as workers:
        while True:
            for message in workers.messages():
                if "log" in message:
                    log(message["log"])
                elif "told" in message:
                    told(message["told"])
                else:
                    ends.append(message)
            codes = workers.codes()
            if stopped() and not asked:
                workers.stop()
                asked = True
            if failed_at is None and any(codes):
                failed_at = time.monotonic()
            over = None not in codes
            if over or (failed_at and time.monotonic() - failed_at > GRACE_SECONDS):
                break
        ends += [message for message in workers.messages() if not {"log", "told"} & set(message)]
    return _outcome(codes, ends)


def _outcome(codes: list[int | None], ends: list[dict[str, Any]]) -> Record:
    for rank, code in enumerate(codes):
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            raise WorkerLostError(f"process {rank} of {len(codes)} was killed by {name}")
    for end in ends:
        if "error" in end:
            raise WorkerError(end["error"])
    for rank, code in enumerate(codes):
        if code:
            raise WorkerError(f"process {rank} of {len(codes)} ended with {code}, without a word")
    for end in ends:
        if "stopped" in end:
            raise InterruptedRunError(end["stopped"])
        if "record" in end:
            return Record.from_json(end["record"], where="the record of a worker")
    raise WorkerError("all processes ended well, and none had a record")


class _Workers:
    """The processes; leaving the context ends those that still run."""

    def __init__(self, job: Job, data: Path):
        self._folder = tempfile.TemporaryDirectory(prefix="behavior-scaling-")
        size = job.execution.devices
        self._queue: queue.Queue[dict[str, Any]] = queue.Queue()
        line = json.dumps({"job": job.to_json(), "data": str(data.absolute())})
        self._processes = [self._start(rank, size) for rank in range(size)]
        self._readers = [
            threading.Thread(target=self._read, args=(process,), daemon=True)
            for process in self._processes
        ]
        for reader in self._readers:
            reader.start()
        self._say(line)

    def _start(self, rank: int, size: int) -> subprocess.Popen[str]:
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
        environment = os.environ | {name: str(value) for name, value in places.items()}
        environment["MEETING_FILE"] = str(Path(self._folder.name) / "meeting")
        if sys.platform == "linux":  # host names of compute nodes may lead anywhere
            environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
        return subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [sys.executable, "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self._queue.put(json.loads(line))

    def _say(self, line: str) -> None:
        for process in self._processes:
            try:
                if process.stdin is not None:
                    process.stdin.write(line + "\n")
                    process.stdin.flush()
            except BrokenPipeError:
                pass  # it has ended; its code says how

    def messages(self) -> list[dict[str, Any]]:
        """What has been said since, waiting a moment where it is nothing."""
        found: list[dict[str, Any]] = []
        try:
            found.append(self._queue.get(timeout=LOOK_SECONDS))
            while True:
                found.append(self._queue.get_nowait())
        except queue.Empty:
            return found

    def codes(self) -> list[int | None]:
        """Exit codes; None of those that still run."""
        return [process.poll() for process in self._processes]

    def stop(self) -> None:
        """Ask all to stop after a step."""
        self._say("stop")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for reader in self._readers:
            reader.join()
        for process in self._processes:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        self._folder.cleanup()
