"""Archived runs trained again, beside the archive and the store: for `verify`.

Choices: runs are trained by the code that trained them (bundle.py), several at a time in processes
of their own, each of as many threads as its runs have, which is the fastest way on a few cores;
records go to scratch stores, one a stage; a stage-2 run gets the archived embedder of its parent,
checked by its hash, as a parent's record in the store of its stage, and a parent that is itself to
be trained again is so in the other one, where no record of it stands.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from behavior_scaling.records.archive import WEIGHTS, Archive
from behavior_scaling.records.record import Record, RecordError
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import Store
from behavior_scaling.sizes.execution import Execution

WORKER = "behavior_scaling.train.retrain_worker"


class RetrainError(ValueError):
    """A process that trains ended without an answer."""


@dataclass(frozen=True)
class Task:
    """A run to train, and on what."""

    spec: RunSpec
    data: Path  # folder of the prepared data
    execution: Execution

    def line(self, store: Path | None) -> str:
        """For a worker: train into that store, or without one say the machine's rate."""
        body = {
            "spec": self.spec.to_dict(),
            "data": str(self.data.absolute()),
            "execution": asdict(self.execution),
            "store": None if store is None else str(store.absolute()),
        }
        return json.dumps(body) + "\n"


def scratch(folder: Path, stage: int) -> Store:
    """The store below a scratch folder in which runs of a stage are trained."""
    return Store(folder / f"stage{stage}")


def plant_parent(archive: Archive, run_id: str, folder: Path) -> None:
    """Put a parent's record with its archived embedder where its stage-2 children look for it.

    Raises:
        RecordError: the embedder is missing or not the one that the parent's record names.
    """
    record = archive.load(run_id)
    weights = archive.file(run_id, WEIGHTS)
    store = scratch(folder, stage=2)
    work_dir = store.work_dir(run_id)
    shutil.copyfile(weights, work_dir / WEIGHTS)
    planted = store.commit(record, work_dir)
    if planted.files[WEIGHTS] != record.files.get(WEIGHTS):
        raise RecordError(f"{weights}: not the embedder that the parent's record names")


def retrain(tasks: Sequence[Task], folder: Path, processes: int) -> Iterator[Record]:
    """Train runs, several at a time.

    Args:
        tasks: in the order in which they are begun.
        folder: a scratch folder, in which the parents of stage-2 runs are planted.
        processes: at a time.

    Yields:
        The records, in the order in which they are finished; a failure is an outcome.

    Raises:
        RetrainError: a process was killed, or could not start.
    """
    to_do: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in tasks:
        to_do.put(task)
    done: queue.SimpleQueue[RunSpec | Exception] = queue.SimpleQueue()

    def work(worker: subprocess.Popen[str]) -> None:
        try:
            while True:
                task = to_do.get_nowait()
                _ask(worker, task.line(scratch(folder, task.spec.stage).root))
                done.put(task.spec)
        except queue.Empty:
            return
        except RetrainError as error:  # for the one who waits
            done.put(error)

    threads = max((task.spec.threads for task in tasks), default=1)
    with _workers(min(processes, len(tasks)), threads) as workers:
        hands = [threading.Thread(target=work, args=(worker,)) for worker in workers]
        for hand in hands:
            hand.start()
        try:
            for _ in tasks:
                found = done.get()
                if isinstance(found, Exception):
                    raise found
                yield scratch(folder, found.stage).load(found.id)
        finally:
            for worker in workers:
                worker.kill()
            for hand in hands:
                hand.join()


def matmul_gflops(task: Task) -> float | None:
    """The rate of a stage-1 run's matrix products on this machine, in 10^9 FLOPs a second.

    Raises:
        RetrainError: the process that measures it was killed, or could not start.
    """
    with _workers(1, task.spec.threads) as workers:
        gflops: float | None = _ask(workers[0], task.line(None))["gflops"]
    return gflops


@contextmanager
def _workers(count: int, threads: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that wait for tasks; they end with the context."""
    workers = [
        subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [sys.executable, "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )
        for _ in range(count)
    ]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    pipe.close()


def _ask(worker: subprocess.Popen[str], line: str) -> dict[str, Any]:
    if worker.stdin is None or worker.stdout is None:
        raise RetrainError("a process without pipes")
    try:
        worker.stdin.write(line)
        worker.stdin.flush()
        answer = worker.stdout.readline()
    except (BrokenPipeError, ValueError):
        answer = ""
    if not answer:
        code = worker.wait()
        raise RetrainError(f"a process that trains ended with status {code}, without an answer")
    found: dict[str, Any] = json.loads(answer)
    return found
