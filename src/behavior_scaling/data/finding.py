"""A finding of validation, and a table that findings are counted in.

Choices: the lenient rows of a table are kept once in a database file of the scratch folder, so
that a text file is parsed once and every check is a query whose memory the engine bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import duckdb

from behavior_scaling.data.engine import name
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.own_columns import TEXT
from behavior_scaling.data.own_files import LINE, first_line
from behavior_scaling.data.own_query import OwnTable

Level = Literal["error", "warning", "note"]
SHOWN = 3  # rows of a finding


@dataclass(frozen=True)
class Finding:
    """One problem.

    Attributes:
        level: error: cannot be prepared; warning: costs something; note: worth knowing.
        check: name of the check.
        table: 'events' or 'items'.
        column: of the description, or ''.
        count: rows, users, items or columns that have it, as `what` says.
        what: the problem, with its count.
        cost: what it costs if left.
        advice: what to do.
        rows: the first that have it, as people count.
    """

    level: Level
    check: str
    table: str
    column: str
    count: int
    what: str
    cost: str
    advice: str
    rows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """A table of one's own as the engine keeps it while it is checked.

    Attributes:
        connection: holds it under `name`, with the canonical columns, LINE and, for every column
            that may hold unusable values, a column of those.
        name: 'events' or 'items'.
        own: where it comes from.
        total: its rows.
        unusable: column to the name of its column of unusable values.
    """

    connection: duckdb.DuckDBPyConnection
    name: str
    own: OwnTable
    total: int
    unusable: dict[str, str]

    def one(self, select: str, condition: str = "true") -> tuple[Any, ...]:
        """The one row of an aggregate over the rows where a condition holds."""
        return ask(self.connection, f"SELECT {select} FROM {self.name} WHERE {condition}")[0]

    def count(self, condition: str) -> int:
        """Rows where a condition holds."""
        return int(self.one("count(*)", condition)[0])

    def first(self, condition: str, shown: str | None = None) -> tuple[str, ...]:
        """The first rows where a condition holds, each with a value of the SQL `shown`."""
        found = ask(
            self.connection,
            f"SELECT {LINE}, CAST({shown or 'NULL'} AS {TEXT}) FROM {self.name} "
            f"WHERE {condition} ORDER BY {LINE} LIMIT {SHOWN}",
        )
        return tuple(
            self.own.row(line) + (f": {value[:60]}" if value is not None else "")
            for line, value in found
        )

    def found(
        self,
        level: Level,
        check: str,
        column: str,
        condition: str,
        what: str,
        cost: str,
        advice: str,
        shown: str | None = None,
    ) -> list[Finding]:
        """The finding of the rows where a condition holds; none without such a row.

        Args:
            level: of the finding, as are check, column, cost and advice.
            check: its name.
            column: of the description.
            condition: SQL.
            what: the problem, after 'in N events (x%) '.
            cost: what it costs if left.
            advice: what to do.
            shown: SQL of the value that stands beside a row; None: no value.
        """
        count = self.count(condition)
        if not count:
            return []
        said, rows = f"in {self.share(count)} {what}", self.first(condition, shown)
        return [Finding(level, check, self.name, column, count, said, cost, advice, rows)]

    def share(self, count: int) -> str:
        """A count of rows, and which share of all it is."""
        return counted(count, self.name.rstrip("s")) + f" ({percent(count, self.total)})"


def keep(connection: duckdb.DuckDBPyConnection, table: str, own: OwnTable) -> Kept:
    """Read a table leniently into the engine's file.

    Raises:
        DataError: a file's structure is broken; the message names its line.
    """
    select = [f"{one.value} AS {name(column)}" for column, one in own.columns.items()]
    unusable = {}
    for place, (column, one) in enumerate(own.columns.items()):
        if one.bad != "false":
            unusable[column] = f"__unusable_{place}"
            shown = f"left(CAST({one.raw} AS {TEXT}), 60)"
            select.append(f"CASE WHEN {one.bad} THEN {shown} END AS {unusable[column]}")
    try:
        connection.execute(
            f"CREATE TABLE {table} AS SELECT {', '.join(select)}, {LINE} FROM {own.rows}"
        )
    except duckdb.Error as error:
        files = ", ".join(file.name for file in own.opened.files[:3])
        raise DataError(f"{table}: {files}: {first_line(error)}") from None
    total = int(ask(connection, f"SELECT count(*) FROM {table}")[0][0])
    return Kept(connection, table, own, total, unusable)


def ask(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """All rows of a query that gives few."""
    rows: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
    return rows


def counted(count: int, what: str) -> str:
    """'1 event', '12,304 events'."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def percent(part: int, whole: int) -> str:
    """A share as people read it; one that is not 0 doesn't print as 0."""
    share = 100 * part / whole if whole else 0.0
    return "<0.1%" if 0 < share < 0.1 else f"{share:.1f}%"
