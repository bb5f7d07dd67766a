"""What a source is: facts about a public data set, how to get its file, how to read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from behavior_scaling.data.tables import Tables

Verified = Literal["loaded in full", "format tested"]


@dataclass(frozen=True)
class SourceInfo:
    """Facts about a source: a row of the table in docs/sources.md.

    None stands for what nobody has checked: no checksum or count is invented.
    """

    name: str
    version: str
    origin: str  # package or address that the file comes from
    licence: str
    citation: str
    verified: Verified  # 'format tested': on small files made after the published schema
    sha256: str | None = None  # of the origin's file
    size: int | None = None  # bytes of that file
    schema: str = ""  # where the source's format is published
    manual: str = ""  # what a person must do where no download is possible: which file, where
    n_events: int | None = None
    n_users: int | None = None
    n_items: int | None = None  # the catalogue; None: known once the data are prepared


class Source(Protocol):
    """A data set that can be fetched and read."""

    @property
    def info(self) -> SourceInfo:
        """Facts about it."""

    def fetch(self, cache: Path, mirror: Path | None) -> Path:
        """Get the raw data: from the mirror, from the cache, or from the origin.

        Args:
            cache: folder that keeps what was fetched.
            mirror: folder that is searched first; None for none.

        Returns:
            Where the checked raw data lie: a file, or a folder of nothing else.

        Raises:
            DataError: it cannot be had, or its SHA-256 is not the known one; the message says
                which file to put where.
        """

    def load(self, raw: Path, work: Path) -> Tables:
        """Read what fetch returned as canonical tables.

        Args:
            raw: what fetch returned.
            work: an empty folder for files that this makes; it lives until the data are prepared.

        Raises:
            DataError: a file is missing or cannot be used.
        """
