"""Stopping in good order on SIGINT and SIGTERM.

Choices: the first signal only raises a flag, which training reads after every step (it then
writes its checkpoint and leaves) and the bundle between runs; the handlers that stood before are
put back at once, so that a second signal acts as it would have without us.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptedRunError(Exception):
    """Training was asked to stop; its checkpoint, if it had taken a step, is written."""


@contextmanager
def stop_flag() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether a signal has come; outside the main thread never."""
    came = False
    if threading.current_thread() is not threading.main_thread():
        yield lambda: came
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def raise_flag(_number: int, _frame: FrameType | None) -> None:
        nonlocal came
        came = True
        put_back()

    for number in SIGNALS:
        signal.signal(number, raise_flag)
    try:
        yield lambda: came
    finally:
        put_back()
