"""Registered sources: one module each, found by name, and where their files are kept."""

from __future__ import annotations

import os
from pathlib import Path

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources.base import Source, SourceInfo
from behavior_scaling.data.sources.ml_100k import MovieLens100k

__all__ = ["Source", "SourceInfo", "cache_folder", "get", "mirror_folder", "names"]

_SOURCES: dict[str, Source] = {source.info.name: source for source in (MovieLens100k(),)}


def names() -> list[str]:
    """Names of the registered sources, sorted."""
    return sorted(_SOURCES)


def get(name: str) -> Source:
    """The source of that name.

    Raises:
        DataError: there is none; the message lists those that there are.
    """
    if name not in _SOURCES:
        raise DataError(f"no source is named {name!r}; there are {', '.join(names())}")
    return _SOURCES[name]


def cache_folder() -> Path:
    """Where fetched files are kept: $BEHAVIOR_SCALING_CACHE, else ~/.cache/behavior-scaling."""
    named = os.environ.get("BEHAVIOR_SCALING_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "behavior-scaling"


def mirror_folder(named: str | None = None) -> Path | None:
    """The folder of mirrors: the study's own, else $BEHAVIOR_SCALING_MIRROR, else none.

    Raises:
        DataError: the folder that is named does not exist.
    """
    folder = named or os.environ.get("BEHAVIOR_SCALING_MIRROR")
    if not folder:
        return None
    if not Path(folder).is_dir():
        raise DataError(f"{folder}: the folder of mirrors does not exist; create or unset it")
    return Path(folder)
