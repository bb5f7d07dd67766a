"""Importing Lightning without a second that no run needs.

Lightning imports torchmetrics, and torchmetrics imports scipy.signal, which drags in all of
scipy's signal processing and statistics, for one line: it sets the alias `scipy.signal.hamming`
where that name is absent, for an audio metric of another package. While Lightning is imported,
an empty module that has the name stands in; after that the true scipy.signal is imported by
whoever asks for it, as if nothing had been. What is lost is the alias. A process that holds
scipy.signal or torchmetrics already is left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

NAME = "scipy.signal"


def import_lightning() -> None:
    """Import lightning.pytorch; the first import of it should be this one."""
    with _standing_in():
        import lightning.pytorch  # noqa: F401


@contextmanager
def _standing_in() -> Iterator[None]:
    if NAME in sys.modules or "torchmetrics" in sys.modules:
        yield
        return
    empty = ModuleType(NAME)
    empty.hamming = None  # type: ignore[attr-defined]
    sys.modules[NAME] = empty
    try:
        yield
    finally:
        if sys.modules.get(NAME) is empty:
            del sys.modules[NAME]
