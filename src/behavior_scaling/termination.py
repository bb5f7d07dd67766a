"""SIGTERM ends a step on its way out, not on the spot, so that its temporary files go with it.

Choices: the signal becomes SystemExit with status 143 (128 + 15, as a shell says it); a handler
that somebody else has set stays (training sets its own inside, which writes a checkpoint first);
work that Python cannot leave half-way, a query of the engine, keeps the system's way of ending at
once; SIGINT has Python's own exception.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STATUS = 128 + signal.SIGTERM


@contextmanager
def terminable() -> Iterator[None]:
    """While it lasts, SIGTERM raises SystemExit; outside the main thread nothing changes."""
    with _handled(signal.SIG_DFL, _leave):
        yield


@contextmanager
def at_once() -> Iterator[None]:
    """Within `terminable`: while it lasts, SIGTERM ends the process on the spot again."""
    with _handled(_leave, signal.SIG_DFL):
        yield


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(STATUS)


@contextmanager
def _handled(standing: signal._HANDLER, other: signal._HANDLER) -> Iterator[None]:
    """The other handler in the place of the standing one, if that one stands."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not standing:
        yield
        return
    signal.signal(signal.SIGTERM, other)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, standing)
