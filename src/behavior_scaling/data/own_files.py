"""The files of one's own tables: found by glob, judged, and as one FROM clause.

Choices: every column of a text file is read as text, so that leading zeros survive and nothing
depends on a sample of the first rows; its header is read here, line by line of each file, since
the engine would take a wrong delimiter for a table of one column. Rows are numbered within their
file, from 1, the header left out.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from behavior_scaling.data.engine import FILE_BITS, literal, paths
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.plausible import PARQUET, check_files

SEPARATORS = {".csv": ",", ".tsv": "\t"}
LINE = "__line"  # of the FROM clause; a column of the user's may be called line
TEXT = "VARCHAR"
_LONGEST_HEADER = 1 << 20  # letters


@dataclass(frozen=True)
class Opened:
    """Files of one format and one set of columns.

    Attributes:
        files: in order.
        types: of every column, as the engine names them; of text files all VARCHAR.
        sql: a FROM clause with every column and LINE.
    """

    files: tuple[Path, ...]
    types: dict[str, str]
    sql: str

    @property
    def is_text(self) -> bool:
        """Whether these are text files."""
        return format_of(self.files[0]) != "parquet"


def find(patterns: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """Files that match, relative to a folder, each once, in order of the patterns and names.

    Raises:
        DataError: a pattern matches nothing.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        base, relative = folder, pattern
        if Path(pattern).is_absolute():
            base = Path(Path(pattern).anchor)
            relative = str(Path(pattern).relative_to(base))
        files = sorted(path for path in base.glob(relative) if path.is_file())
        if not files:
            raise DataError(f"{pattern}: no such file in {folder.resolve()}")
        found.update(dict.fromkeys(files))
    return tuple(found)


def format_of(file: Path) -> str:
    """'parquet', '.csv' or '.tsv'.

    Raises:
        DataError: the name ends otherwise.
    """
    if file.suffix in PARQUET:
        return "parquet"
    suffix = Path(file.stem).suffix if file.suffix == ".gz" else file.suffix
    if suffix not in SEPARATORS:
        raise DataError(
            f"{file}: files end in .parquet, .csv, .csv.gz, .tsv or .tsv.gz; convert this one"
        )
    return suffix


def open_files(
    connection: duckdb.DuckDBPyConnection, files: tuple[Path, ...], separator: str | None
) -> Opened:
    """Judge files and say how to read them.

    Args:
        connection: used to learn the types.
        files: one at least.
        separator: of text files; None: a comma in .csv, a tab in .tsv.

    Raises:
        DataError: files differ in format or columns, cannot be what they claim, or a text file
            has a header of one column, an empty or a doubled name.
    """
    formats = [format_of(file) for file in files]
    check_files(files)
    if len(set(formats)) > 1:
        raise DataError(f"{files[0]} and {_other(files, formats)} differ in format; choose one")
    headers = [tuple(_columns(file, separator)) for file in files]
    if len(set(headers)) > 1:
        raise DataError(
            f"{files[0]} and {_other(files, headers)} differ in columns: {list(headers[0])} and "
            f"{list(next(header for header in headers if header != headers[0]))}"
        )
    sql = _parquet(files) if formats[0] == "parquet" else _text(files, headers[0], separator)
    try:
        described = connection.sql(f"DESCRIBE SELECT * FROM {sql}").fetchall()
    except duckdb.Error as error:
        raise DataError(f"{files[0]}: {first_line(error)}") from None
    return Opened(files, {column: kind for column, kind, *_ in described if column != LINE}, sql)


def first_line(error: Exception) -> str:
    """What the engine says, without the copy of the offending line and its advice."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    dropped = ("Original Line", "Possible", "*", "LINE ")
    kept = [line.strip()[:200] for line in lines[:6] if not line.startswith(dropped)]
    return " ".join(kept[:2])


def _other(files: Sequence[Path], traits: Sequence[object]) -> Path:
    return next(file for file, trait in zip(files, traits, strict=True) if trait != traits[0])


def _columns(file: Path, separator: str | None) -> list[str]:
    if format_of(file) == "parquet":
        return list(pq.read_schema(file).names)
    names = read_header(file, separator or SEPARATORS[format_of(file)])
    doubled = [column for column in names if names.count(column) > 1 or not column.strip()]
    if doubled:
        raise DataError(f"{file}: the header names {doubled[0]!r} twice or not at all; mend it")
    return names


def read_header(file: Path, separator: str) -> list[str]:
    """The column names in a text file's first line.

    Raises:
        DataError: no UTF-8, no end of the line in sight, or only one column.
    """
    try:
        with (gzip.open if file.suffix == ".gz" else open)(file, "rb") as opened:
            first = opened.readline(_LONGEST_HEADER)
        line = first.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: the header is unreadable: {error}; write it as UTF-8") from None
    if len(first) == _LONGEST_HEADER:
        raise DataError(f"{file}: the first line has no end within {_LONGEST_HEADER:,} bytes")
    names: list[str] = next(csv.reader([line.rstrip("\r\n")], delimiter=separator), [])
    if len(names) < 2:
        guess = next((mark for mark in ";\t|," if line.count(mark)), None)
        advice = f"is the separator {guess!r}? write separator: {guess!r}" if guess else "mend it"
        raise DataError(f"{file}: only one column: {line.strip()[:80]!r}; {advice}")
    return names


def _parquet(files: tuple[Path, ...]) -> str:
    return (
        f"(SELECT * EXCLUDE (file_row_number, file_index), (file_index::BIGINT << {FILE_BITS}) | "
        f"(file_row_number + 1) AS {LINE} FROM (SELECT *, file_index FROM "
        f"read_parquet({paths(files)}, file_row_number = true)))"
    )


def _text(files: tuple[Path, ...], header: tuple[str, ...], separator: str | None) -> str:
    mark = literal(separator or SEPARATORS[format_of(files[0])])
    columns = ", ".join(f"{literal(column)}: '{TEXT}'" for column in header)
    parts = [
        f"SELECT *, (CAST({number} AS BIGINT) << {FILE_BITS}) | row_number() OVER () AS {LINE} "
        f"FROM read_csv({literal(str(file))}, auto_detect = false, header = true, "
        f"delim = {mark}, quote = '\"', escape = '\"', columns = {{{columns}}})"
        for number, file in enumerate(files)
    ]
    return f"({' UNION ALL '.join(parts)})"
