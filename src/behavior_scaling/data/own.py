"""Source: one's own tables, described by a YAML (own_config.py).

Choices: nothing is copied; what is fetched is a list of the described files with their sizes and
SHA-256, kept beside other sources' files, so that a file that has changed since is noticed by name;
the list holds the description itself too.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.engine import engine
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.own_config import read_description
from behavior_scaling.data.own_files import find, format_of
from behavior_scaling.data.own_query import OwnTable, own_queries
from behavior_scaling.data.plausible import check_files
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.tables import Query, Tables
from behavior_scaling.files import sha256_file, write_text


class OwnTables:
    """Tables that a YAML describes; config.source is its path."""

    def __init__(self, config: DataConfig) -> None:
        self.path = Path(config.source)
        self.description = read_description(self.path)

    @property
    def info(self) -> SourceInfo:
        """What the description says of itself."""
        return SourceInfo(
            name=self.path.stem,
            version=self.description.title or self.path.stem,
            origin=str(self.path),
            licence=self.description.licence or "not stated",
            citation=self.description.citation or "not stated",
            verified="loaded in full",
        )

    def fetch(self, cache: Path, mirror: Path | None) -> Path:
        """List the described files with their SHA-256; the mirror has no part in it.

        Raises:
            DataError: a file is missing or cannot be what it claims to be.
        """
        files = self._files()
        for file in files:
            format_of(file)
        check_files(files)
        listing = {
            "description": str(self.path.resolve()),
            "sha256": sha256_file(self.path),
            "files": [
                {
                    "path": str(file.resolve()),
                    "size": file.stat().st_size,
                    "sha256": sha256_file(file),
                }
                for file in files
            ],
        }
        key = hashlib.sha256(listing["description"].encode()).hexdigest()[:8]  # type: ignore[attr-defined]
        out = cache / "own" / f"{self.path.stem}-{key}.json"
        write_text(out, json.dumps(listing, indent=1) + "\n")
        return out

    def load(self, raw: Path, work: Path) -> Tables:
        """Queries over the listed files.

        Args:
            raw: the list that fetch wrote.
            work: an empty folder.

        Raises:
            DataError: a file has changed since it was listed, or cannot be read as described.
        """
        self._check_unchanged(json.loads(raw.read_text()))
        where = self.path.name
        with engine(work) as connection:
            queries = own_queries(connection, self.description, self.path.parent, where)
        events = queries.events
        return Tables(
            Query(events.events(f"{where}: events"), events.opened.files),
            None if queries.items is None else _items(queries.items, f"{where}: items"),
            self.description.schema_,
        )

    def _files(self) -> list[Path]:
        patterns = [self.description.events.files]
        if self.description.items is not None and self.description.items.files is not None:
            patterns.append(self.description.items.files)
        return [file for some in patterns for file in find(some, self.path.parent)]

    def _check_unchanged(self, listing: dict[str, Any]) -> None:
        if sha256_file(self.path) != listing["sha256"]:
            raise DataError(f"{self.path}: altered since it was fetched; fetch it again")
        listed = {entry["path"]: entry["sha256"] for entry in listing["files"]}
        files = {str(file.resolve()): file for file in self._files()}
        for path in sorted(listed.keys() | files.keys()):
            if path not in listed or path not in files or sha256_file(files[path]) != listed[path]:
                raise DataError(f"{path}: added, removed or altered since it was fetched; "
                                f"fetch it again")  # fmt: skip


def _items(table: OwnTable, place: str) -> Query:
    sql = table.strict(place)
    return Query(f"SELECT * EXCLUDE (__line), __line AS line FROM ({sql})", table.opened.files)
