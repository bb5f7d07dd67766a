"""One process of a run on several devices: `python -m behavior_scaling.train.worker`.

Started by launch.py, never by hand. Its first line of input is the job; after that `stop`, or the
end of the input, which means that the parent is gone and ends the process at once. A signal is a
request to stop, too: it is waited for in a thread and never reaches Lightning's handlers, which
would exchange messages with the other processes in the middle of whatever this one is at.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, TextIO

from behavior_scaling.train.interrupt import SIGNALS, InterruptedRunError


class Orders:
    """What this process is told from outside."""

    def __init__(self, source: TextIO):
        self._source = source
        self._stop = threading.Event()

    def watch(self) -> None:
        """Listen from now on, to the parent and to signals (which are blocked before)."""
        for listener in (self._listen, self._wait):
            threading.Thread(target=listener, daemon=True).start()

    def stopped(self) -> bool:
        """Whether it has been asked to stop."""
        return self._stop.is_set()

    def _listen(self) -> None:
        for _ in self._source:
            self._stop.set()
        os._exit(1)

    def _wait(self) -> None:
        while True:
            signal.sigwait(SIGNALS)
            self._stop.set()


def main() -> int:
    """Train, and say how it ended as the last line."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    mouth = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is printed by the way is no message
    lock = threading.Lock()

    def say(**message: Any) -> None:
        with lock:
            mouth.write(json.dumps(message) + "\n")
            mouth.flush()

    orders = Orders(sys.stdin)
    line = sys.stdin.readline()
    if not line:
        return 1
    orders.watch()
    try:
        say(**_train(json.loads(line), orders, say))
    except InterruptedRunError as error:
        say(stopped=str(error))
    except Exception as error:
        say(error="".join(traceback.format_exception(error)))
        return 1
    return 0


def _train(task: dict[str, str], orders: Orders, say: Any) -> dict[str, str]:
    from behavior_scaling.train.lightning_import import import_lightning

    import_lightning()
    import torch
    from torch import distributed

    from behavior_scaling.data.store import Dataset
    from behavior_scaling.train.attempt import NotTheFirstError, attempt
    from behavior_scaling.train.job import Job
    from behavior_scaling.train.machine import device
    from behavior_scaling.train.peers import PATIENCE

    job = Job.from_json(task["job"])
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    cuda = device().type == "cuda"
    if cuda:
        torch.cuda.set_device(rank)
    distributed.init_process_group(
        "nccl" if cuda else "gloo",
        init_method=f"file://{os.environ['MEETING_FILE']}",
        rank=rank,
        world_size=size,
        timeout=PATIENCE,
        device_id=torch.device("cuda", rank) if cuda else None,
    )
    first = rank == 0
    try:
        record = attempt(
            job,
            Dataset.open(Path(task["data"])),
            rank,
            (lambda text: say(log=text)) if first else (lambda text: None),
            orders.stopped,
            (lambda numbers: say(told=numbers)) if first else (lambda numbers: None),
        )
    except NotTheFirstError:
        return {"done": "training"}
    return {"record": record.to_json()}


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # threads and groups of others are not waited for
