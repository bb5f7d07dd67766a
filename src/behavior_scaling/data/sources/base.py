"""What a source is: facts about a public data set, how to get its file, how to read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from behavior_scaling.data.events import Tables


@dataclass(frozen=True)
class SourceInfo:
    """Facts about a source; the counts are known from outside and checked in a test."""

    name: str
    version: str
    origin: str  # package or address that the file comes from
    sha256: str  # of that file
    licence: str
    citation: str
    n_events: int
    n_users: int
    n_items: int


class Source(Protocol):
    """A public data set that can be fetched and read."""

    @property
    def info(self) -> SourceInfo:
        """Facts about it."""

    def fetch(self, cache: Path, mirror: Path | None) -> Path:
        """Get the raw data: from the mirror, from the cache, or from the origin.

        Args:
            cache: folder that keeps what was fetched.
            mirror: folder that is searched first; None for none.

        Returns:
            Where the checked raw data lie.

        Raises:
            DataError: it cannot be had, or its SHA-256 is not the known one.
        """

    def load(self, raw: Path) -> Tables:
        """Read what fetch returned into canonical tables.

        Raises:
            DataError: a file is missing or cannot be used.
        """
