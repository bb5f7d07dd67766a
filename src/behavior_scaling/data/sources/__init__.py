"""Registered sources: one module each, found by name, and where their files are kept.

Choices: a source's module is imported when it is asked for, so that naming one costs nothing; a
source is made from the study's data settings, which say which part of it is meant.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources.base import Source, SourceInfo

__all__ = ["Source", "SourceInfo", "cache_folder", "get", "infos", "mirror_folder", "names"]

OWN = "behavior_scaling.data.own:OwnTables"
_SOURCES = {
    name: f"behavior_scaling.data.sources.{place}"
    for name, place in {
        "amazon-2023": "amazon_2023:Amazon2023",
        "git-activity": "git_activity:GitActivity",
        "ml-100k": "ml_100k:MovieLens100k",
        "ml-1m": "ml_1m:MovieLens1m",
        "ml-32m": "ml_32m:MovieLens32m",
        "online-retail-ii": "online_retail_ii:OnlineRetailII",
        "otto": "otto:Otto",
        "rees46": "rees46:Rees46",
        "retailrocket": "retailrocket:RetailRocket",
        "world-high": "world:World",
        "world-low": "world:World",
        "world-middle": "world:World",
        "world-payments": "world:World",
        "yambda": "yambda:Yambda",
    }.items()
}


def names() -> list[str]:
    """Names of the registered sources, sorted."""
    return sorted(_SOURCES)


def get(config: DataConfig) -> Source:
    """The source that a study's data settings name.

    Raises:
        DataError: there is none; the message lists those that there are.
    """
    if not config.described and config.source not in _SOURCES:
        raise DataError(
            f"no source is named {config.source!r}; there are {', '.join(names())}, or give a "
            f"YAML file that describes your own tables"
        )
    module, made = (OWN if config.described else _SOURCES[config.source]).split(":")
    source: Source = getattr(import_module(module), made)(config)
    return source


def infos() -> list[SourceInfo]:
    """Facts about every registered source, sorted by name."""
    return [get(DataConfig(source=name)).info for name in names()]


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
