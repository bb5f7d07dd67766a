"""From git clones to two Parquet tables: who touched which file, and the files.

git_activity_events.parquet: user_id, item_id, ts (unix seconds), action (A, M, D, T), old_size,
new_size (bytes, -1 where there is none), n_files, commit_id; ordered by time, then commit, then
path. git_activity_items.parquet: item_id, repo, path, ext, top_dir, depth.

Choices: left out are merges, commits of more than 30 files (imports and reformatting), commits of
bots (`is_bot`) and commits whose time lies before 1980 or in the future. A user is an e-mail
address after the clone's own mailmap; only a keyed hash of it is kept while this runs, and users
are numbered in the hashes' order, so that a number says nothing to who has not the key. Names and
addresses are written nowhere. Items and commits are numbered in order of their first event. A
path that is not UTF-8 is shown with backslashes; files are told apart by their bytes.
"""

from __future__ import annotations

import hashlib
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from behavior_scaling.data.engine import engine, literal, paths
from behavior_scaling.data.sources.git_log import Clone, Commit, commits, sizes

EVENTS = "git_activity_events.parquet"
ITEMS = "git_activity_items.parquet"
MOST_FILES = 30
EARLIEST = 315_532_800  # 1980-01-01
DAY = 86_400
LONGEST_EXT = 8  # letters; what is longer is taken for a part of the name

_BATCH = 50_000  # rows
_BOT = re.compile(
    r"\[bot\]|(?:^|[\s._+-])bots?(?:$|[\s._+@-])|"
    r"\b(?:dependabot|renovate|greenkeeper|github-actions|pre-commit-ci|allcontributors|"
    r"mergify|snyk|pyup|imgbot|weblate)\b",
    re.IGNORECASE,
)
_STAGED = pa.schema([
    ("nth", pa.int64()), ("ts", pa.int64()), ("user", pa.int32()), ("item", pa.int32()),
    ("place", pa.int32()), ("action", pa.string()), ("old", pa.string()), ("new", pa.string()),
    ("n_files", pa.int32()),
])  # fmt: skip
_SIZES = pa.schema([("object", pa.string()), ("size", pa.int64())])


def is_bot(name: str, email: str) -> bool:
    """Whether name or address say so: '[bot]', 'bot' as a word, or a well-known service."""
    return bool(_BOT.search(name) or _BOT.search(email.split("@")[0] + "@"))


def derive(clones: Sequence[Clone], key: bytes, out: Path, scratch: Path) -> None:
    """Write both tables into a folder.

    Args:
        clones: whose histories are read, in this order.
        key: of the hash that numbers the users, 16 to 64 bytes.
        out: an existing folder.
        scratch: an existing folder for files that vanish with it.

    Raises:
        DataError: git could not read a history, or the engine could not write.
    """
    reader = _Reader(key, int(time.time()) + DAY)
    staged = [scratch / f"events_{n}.parquet" for n in range(len(clones))]
    sized = [scratch / f"sizes_{n}.parquet" for n in range(len(clones))]
    with engine(scratch) as connection:
        for clone, events, contents in zip(clones, staged, sized, strict=True):
            _write(events, _STAGED, reader.rows(clone))
            objects = scratch / "objects.txt"
            connection.execute(
                f"COPY (SELECT old FROM {_read(events)} WHERE old IS NOT NULL UNION "
                f"SELECT new FROM {_read(events)} WHERE new IS NOT NULL) "
                f"TO {literal(str(objects))} (FORMAT csv, HEADER false)"
            )
            _write(contents, _SIZES, sizes(clone, objects))
        connection.register("users", reader.users())
        connection.register("files", reader.files(clones))
        _write_tables(connection, staged, sized, out)


class _Reader:
    """Numbers users, files and commits as they come."""

    def __init__(self, key: bytes, latest: int) -> None:
        self._key = key
        self._latest = latest
        self._users: dict[bytes, int] = {}
        self._files: dict[tuple[str, bytes], int] = {}
        self._commits = 0

    def rows(self, clone: Clone) -> Iterator[tuple[Any, ...]]:
        """Events of a clone as _STAGED has them; says on stderr what was left out."""
        counts: Counter[str] = Counter()
        for commit in commits(clone, MOST_FILES):
            why = self._left_out(commit)
            counts[why or "kept"] += 1
            if why:
                continue
            user = self._user(commit.email or commit.name)
            for place, change in enumerate(commit.changes):
                item = self._files.setdefault((clone.name, change.path), len(self._files))
                yield (self._commits, commit.time, user, item, place, change.action,
                       change.old, change.new, len(commit.changes))  # fmt: skip
            self._commits += 1
        others = ", ".join(f"{n:,} {why}" for why, n in sorted(counts.items()) if why != "kept")
        cut = "; its history is cut (a shallow clone)" if clone.shallow else ""
        print(
            f"git-activity: {clone.name}: {counts['kept']:,} commits, left out: "
            f"{others or 'none'}{cut}",
            file=sys.stderr,
        )

    def users(self) -> pa.Table:
        """The number that each user gets: the place of the keyed hash among all of them."""
        codes = [self._users[digest] for digest in sorted(self._users)]
        return pa.table({
            "user": pa.array(codes, pa.int32()), "user_id": pa.array(range(len(codes)), pa.int32())
        })  # fmt: skip

    def files(self, clones: Sequence[Clone]) -> pa.Table:
        """Every file with its features."""
        shown = [path.decode("utf-8", "backslashreplace") for _, path in self._files]
        repos = pa.array([repo for repo, _ in self._files], pa.string())
        return pa.table(
            {
                "item": pa.array(range(len(shown)), pa.int32()),
                "repo": repos,
                "path": pa.array(shown, pa.string()),
                "ext": pa.array([extension(path) for path in shown], pa.string()),
                "top_dir": pa.array(
                    [path.split("/")[0] if "/" in path else "" for path in shown], pa.string()
                ),
                "depth": pa.array([path.count("/") for path in shown], pa.int32()),
            }
        )

    def _left_out(self, commit: Commit) -> str | None:
        if len(commit.changes) > MOST_FILES:
            return f"of more than {MOST_FILES} files"
        if is_bot(commit.name, commit.email):
            return "of bots"
        if commit.time is None or not EARLIEST <= commit.time <= self._latest:
            return "of impossible times"
        return None

    def _user(self, address: str) -> int:
        text = address.strip().lower().encode("utf-8", "replace")
        digest = hashlib.blake2b(text, key=self._key, digest_size=16).digest()
        return self._users.setdefault(digest, len(self._users))


def extension(path: str) -> str:
    """Letters after the last dot of the file's name, in lower case; '' where there are none."""
    stem, dot, last = path.split("/")[-1].rpartition(".")
    return last.lower() if dot and stem.strip(".") and len(last) <= LONGEST_EXT else ""


def _write(file: Path, schema: pa.Schema, rows: Iterator[tuple[Any, ...]]) -> None:
    with pq.ParquetWriter(file, schema) as writer:
        while batch := list(islice(rows, _BATCH)):
            columns = zip(*batch, strict=True)
            arrays = [pa.array(column, f.type) for column, f in zip(columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _read(*files: Path) -> str:
    return f"read_parquet({paths(files)})"


def _write_tables(
    connection: duckdb.DuckDBPyConnection, staged: Sequence[Path], sized: Sequence[Path], out: Path
) -> None:
    connection.execute(
        f"CREATE TEMP TABLE numbered AS SELECT item, row_number() OVER (ORDER BY first) - 1 AS "
        f"item_id FROM (SELECT item, min((ts, nth, place)) AS first FROM {_read(*staged)} "
        f"GROUP BY item)"
    )
    connection.execute(
        f"COPY (WITH contents AS (SELECT DISTINCT object, size FROM {_read(*sized)}) "
        f"SELECT user_id::INTEGER AS user_id, item_id::INTEGER AS item_id, ts, action, "
        f"coalesce(o.size, -1) AS old_size, coalesce(n.size, -1) AS new_size, n_files, "
        f"(dense_rank() OVER (ORDER BY ts, nth) - 1)::INTEGER AS commit_id "
        f"FROM {_read(*staged)} JOIN users USING (user) JOIN numbered USING (item) "
        f"LEFT JOIN contents o ON o.object = old LEFT JOIN contents n ON n.object = new "
        f"ORDER BY ts, nth, place) TO {literal(str(out / EVENTS))} (FORMAT parquet)"
    )
    connection.execute(
        f"COPY (SELECT item_id::INTEGER AS item_id, repo, path, ext, top_dir, depth FROM files "
        f"JOIN numbered USING (item) ORDER BY item_id) TO {literal(str(out / ITEMS))} "
        f"(FORMAT parquet)"
    )
