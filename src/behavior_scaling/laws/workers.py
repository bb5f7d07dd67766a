"""Processes that share work and end with the process that began them.

Choices: workers are spawned, because a fork would copy numpy's threads half-way; each listens to a
pipe whose other end only the parent holds, so that it leaves when the parent fails or is killed
(left alone, it would wait for work for ever).
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from threading import Thread


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of that many processes; after an error they are gone, whatever they were at."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    with (
        here,
        there,
        ProcessPoolExecutor(
            workers, mp_context=context, initializer=_listen, initargs=(here,)
        ) as pool,
    ):
        try:
            yield pool
        except BaseException:
            there.close()
            raise


def _listen(parent: Connection) -> None:
    Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Connection) -> None:
    try:
        parent.recv()
    except (EOFError, OSError):
        os._exit(1)
