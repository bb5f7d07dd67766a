"""Who touched which file: prepared tables of 21 public repositories, or any git clones by path.

Choices: a user is an author, an item a file of a repository, a commit a session whose files are
ordered by path; git_tables.py says what is left out. Tables of one's own clones are kept in the
cache under a key of the clones' folders and heads. The key that numbers the users is drawn once
for a cache and kept there ('pseudonyms.key'): with it and an address one can find the address's
number, so don't pass it on; without it the numbers stay, and new ones are drawn for new tables.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.engine import parquet
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.sources.download import find_in_mirror, gather
from behavior_scaling.data.sources.git_log import Clone, open_clone
from behavior_scaling.data.sources.git_tables import EVENTS, ITEMS, derive
from behavior_scaling.data.tables import FeatureSchema, Query, Tables
from behavior_scaling.records.spec import canonical_json

MIRROR = {
    EVENTS: "a09f38a926b7f5279716d963f8f09fff17b047d08299498b4574fca57134dfb1",
    ITEMS: "2394dcf10fc409e2ca37198d88cdcd6ab2557772c4d234849058a38a4f0ce5d1",
}
SCHEMA = FeatureSchema(
    (("repo", "categorical"), ("ext", "categorical"), ("top_dir", "categorical"),
     ("depth", "numeric"), ("path", "text")),
    (("action", "categorical"), ("old_size", "numeric"), ("new_size", "numeric"),
     ("n_files", "numeric")),
)  # fmt: skip
RULES = 1  # raised when git_tables.py makes other tables of the same clones
_KEY_BYTES = 32


class GitActivity:
    """Changes of files by authors; the prepared tables cover 2000 to 2026."""

    info = SourceInfo(
        name="git-activity",
        version="21 repositories, 2026",
        origin="git clones by path (data.clones); the prepared tables from a mirror",
        licence="facts from histories of MIT, BSD and Apache repositories",
        citation="git log of the repositories that the items table names",
        verified="loaded in full",
        manual=f"Name git clones in data.clones, or put {EVENTS} and {ITEMS} into a folder and "
        f"name that folder in BEHAVIOR_SCALING_MIRROR",
        n_events=1_920_891,
        n_users=40_997,
        n_items=261_890,
    )

    def __init__(self, config: DataConfig) -> None:
        self._clones = tuple(Path(clone).expanduser() for clone in config.clones)
        if self._clones:  # the counts are those of the prepared tables
            version = f"{len(self._clones)} clones"
            self.info = replace(
                self.info, version=version, n_events=None, n_users=None, n_items=None
            )

    def fetch(self, cache: Path, mirror: Path | None) -> Path:
        """Derive the tables of the configured clones, or get the mirror's; see Source.fetch."""
        kept = cache / self.info.name
        if self._clones:
            return _derived(_open(self._clones), kept)
        found = [find_in_mirror(mirror, [name]) for name in MIRROR]
        files = [file for file in found if file is not None]
        if len(files) < len(MIRROR):
            raise DataError(f"{self.info.name}: no clones and no prepared tables. "
                            f"{self.info.manual}")  # fmt: skip
        return gather(dict(zip(files, MIRROR.values(), strict=True)), kept / "prepared")

    def load(self, raw: Path, work: Path) -> Tables:
        """Read both tables; see Source.load. A size of -1 is a missing value."""
        events, items = raw / EVENTS, raw / ITEMS
        return Tables(
            Query(
                f"SELECT user_id, item_id, ts AS timestamp, commit_id AS session_id, action, "
                f"nullif(old_size, -1) AS old_size, nullif(new_size, -1) AS new_size, n_files, "
                f"line FROM {parquet([events])}",
                (events,),
            ),
            Query(
                f"SELECT item_id, repo, nullif(ext, '') AS ext, nullif(top_dir, '') AS top_dir, "
                f"depth, path, line FROM {parquet([items])}",
                (items,),
            ),
            SCHEMA,
        )


def _open(folders: Sequence[Path]) -> list[Clone]:
    """The clones, each under a name of its own."""
    clones: dict[str, Clone] = {}
    for folder in folders:
        clone = open_clone(folder)
        if clone.name in clones:
            raise DataError(f"{folder}: is called {clone.name}, as {clones[clone.name].path} is; "
                            f"leave one of them out")  # fmt: skip
        clones[clone.name] = clone
    return list(clones.values())


def _derived(clones: Sequence[Clone], kept: Path) -> Path:
    """The folder of the clones' tables, made if it is not there: whole or not at all."""
    try:
        kept.mkdir(parents=True, exist_ok=True)
        key = _key(kept / "pseudonyms.key")
        folder = kept / _fingerprint(clones, key)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=kept, prefix=".derive.") as name:
                (made := Path(name) / "tables").mkdir()
                (scratch := Path(name) / "scratch").mkdir()
                derive(clones, key, made, scratch)
                made.rename(folder)
    except OSError as error:
        raise DataError(
            f"{kept}: could not be written: {error.strerror or error}; make room or name another "
            f"folder in BEHAVIOR_SCALING_CACHE"
        ) from error
    return folder


def _fingerprint(clones: Sequence[Clone], key: bytes) -> str:
    facts = {
        "rules": RULES,
        "clones": [[str(clone.path.resolve()), clone.name, clone.head] for clone in clones],
        "key": hashlib.blake2b(key, digest_size=8, person=b"which key").hexdigest(),
    }
    return hashlib.sha256(canonical_json(facts).encode()).hexdigest()[:16]


def _key(file: Path) -> bytes:
    """The key of the pseudonyms, drawn if there is none; only its owner can read it."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as drawn:
            drawn.write(secrets.token_bytes(_KEY_BYTES))
        os.link(name, file)  # fails where there is one: two processes end up with the same
    except FileExistsError:
        pass
    finally:
        Path(name).unlink()
    key = file.read_bytes()
    if len(key) != _KEY_BYTES:
        raise DataError(f"{file}: is no key of {_KEY_BYTES} bytes; delete it to draw a new one")
    return key
