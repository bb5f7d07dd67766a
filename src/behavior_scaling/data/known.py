"""How large a source is, before or after it is prepared: what a plan has to know.

Choices: what is published and checked comes first, so that a plan does not change when the data are
prepared; a source whose size nobody states (one's own tables, a category) is known once prepared,
and of a shipped study from its archive, where no data have to be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data import sources
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.store import META, Dataset
from behavior_scaling.records.manifest import MANIFEST, read_manifest


@dataclass(frozen=True)
class Sizes:
    """Counts of a whole source; None: not known before it is prepared."""

    n_items: int | None  # V
    n_events: int | None
    n_users: int | None


def known_sizes(config: DataConfig, prepared: Path, archived: Path | None = None) -> Sizes:
    """What the source states, completed by the prepared data or the archive if they are there.

    Args:
        config: of the data.
        prepared: their folder.
        archived: the archive's folder, of a study whose records are shipped.

    Raises:
        RecordError: the archive's manifest is damaged.
    """
    info = sources.get(config).info
    stated = Sizes(info.n_items, info.n_events, info.n_users)
    if None in (stated.n_items, stated.n_events, stated.n_users) and (prepared / META).is_file():
        meta = Dataset.open(prepared).meta
        return Sizes(stated.n_items or meta.n_items, meta.n_events, meta.n_users)
    if stated.n_items is None and archived is not None and (archived / MANIFEST).is_file():
        return replace(stated, n_items=read_manifest(archived / MANIFEST).n_items)
    return stated


def known(count: int | None, config: DataConfig, prepared: Path) -> int:
    """One of the counts.

    Raises:
        DataError: it is None: the data have to be prepared first.
    """
    if count is None:
        raise DataError(
            f"{config.name}: how large it is will be known once it is prepared, and {prepared} "
            f"holds no prepared data: run `make data STUDY=...` first"
        )
    return count
