"""The engine of preparation: DuckDB, in a folder of its own, within a stated memory.

Choices: DuckDB sorts and joins out of core (benchmarks/engines.py measures it against Polars);
it has no network and installs nothing; intermediate files live in the preparation's scratch folder
and vanish with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.plausible import check_files
from behavior_scaling.data.tables import Query, Table
from behavior_scaling.termination import at_once

MEMORY = "1GB"  # of the engine's own buffers; the arrays of preparation come on top
LONGEST_MESSAGE = 500  # letters
LINE = "line"
FILE_BITS = 40  # a line of several files: the file's number above the row's


@contextmanager
def engine(scratch: Path, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose intermediate files lie below `scratch`.

    Raises:
        DataError: whatever the engine could not read or write, in one line.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": os.environ.get("BEHAVIOR_SCALING_MEMORY", MEMORY),
        "temp_directory": str(scratch),
        "threads": threads or len(os.sched_getaffinity(0)),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(config=settings)
    try:
        with at_once():  # a query that computes does not look at Python's signals
            yield connection
    except duckdb.Error as error:
        raise DataError(f"the events could not be read: {_first_lines(error)}") from error
    finally:
        connection.close()


def view(connection: duckdb.DuckDBPyConnection, name: str, table: Table) -> None:
    """Make a table known to the engine under `name`, with a column `line` that orders its rows.

    Raises:
        DataError: a file is missing or cannot be what it claims to be.
    """
    if isinstance(table, Query):
        check_files(table.files)
        columns = connection.sql(table.sql).columns
        numbered = "" if LINE in columns else f", row_number() OVER () AS {LINE}"
        connection.execute(f"CREATE VIEW {name} AS SELECT *{numbered} FROM ({table.sql})")
        return
    raw = f"{name}_at_hand"
    connection.register(raw, _arrow(table, name))
    connection.execute(f"CREATE VIEW {name} AS SELECT *, row_number() OVER () AS {LINE} FROM {raw}")


def parquet(files: Sequence[Path]) -> str:
    """A FROM clause over Parquet files, with `line` in the order of the files and their rows."""
    return (
        f"(SELECT * EXCLUDE (file_row_number, file_index), (file_index::BIGINT << {FILE_BITS}) | "
        f"(file_row_number + 1) AS {LINE} FROM (SELECT *, file_index FROM "
        f"read_parquet({paths(files)}, file_row_number = true)))"
    )


def paths(files: Sequence[Path]) -> str:
    """Files as a list that the engine reads."""
    return "[" + ", ".join(literal(str(file)) for file in files) + "]"


def literal(text: str) -> str:
    """A text as the engine quotes it."""
    return "'" + text.replace("'", "''") + "'"


def name(column: str) -> str:
    """A column's name as the engine quotes it."""
    return '"' + column.replace('"', '""') + '"'


def _arrow(table: pd.DataFrame | pa.Table, name: str) -> pa.Table:
    """The table in Arrow's types, which mix no kinds within a column."""
    if isinstance(table, pa.Table):
        return table
    try:
        return pa.Table.from_pandas(table, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"{name}: a column mixes kinds of values: {error.args[0]}") from None


def row_of(line: int, table: Table) -> str:
    """A line as people count: its row from 1, and its file where there are several."""
    file, row = divmod(line, 1 << FILE_BITS)
    several = isinstance(table, Query) and len(table.files) > 1
    known = f"{table.files[file].name}, " if several and file < len(table.files) else ""
    return f"{known}row {row}"


def _first_lines(error: Exception) -> str:
    text = " ".join(str(error).split("\n\n")[0].split())  # what follows repeats the whole line
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]} ..."
