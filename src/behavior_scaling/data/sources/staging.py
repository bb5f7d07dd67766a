"""Text files of a source, read once by the engine and kept as Parquet while the data are prepared.

Choices: columns and types are stated, never guessed, and a header must be the stated one, so that
another column, type or number of fields is an error that names the file and its line; preparation
reads events several times, so they are parsed once; a gzip file's checksum is verified here, as
the engine unpacks without looking at it.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from behavior_scaling.data.engine import engine, literal, name
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.plausible import check_files

Number = Literal["BIGINT", "DOUBLE"]

CHUNK = 1 << 20  # bytes of a gzip file unpacked at once


def stage(file: Path, rows: str, work: Path, label: str) -> Path:
    """Write the rows that a SELECT makes of one text file to Parquet, in their order.

    Args:
        file: what the SELECT reads.
        rows: the SELECT.
        work: folder of the Parquet file.
        label: name of the Parquet file, without its suffix.

    Raises:
        DataError: the file is missing, damaged or holds a value that is not of its column's type;
            or the work folder is full.
    """
    check_files([file])
    if file.suffix == ".gz":
        _check_gzip(file)
    staged = work / f"{label}.parquet"
    try:
        with engine(work) as connection:
            connection.execute(f"COPY ({rows}) TO {literal(str(staged))} (FORMAT parquet)")
    except DataError as error:
        malformed = _malformed(file) if ".jsonl" in file.suffixes else None
        raise DataError(f"{file}: {malformed or error}") from error
    return staged


def delimited(
    file: Path,
    columns: Mapping[str, str],
    *,
    delimiter: str = ",",
    header: bool = True,
    quote: str = '"',
    encoding: str = "utf-8",
) -> str:
    """A FROM clause over a text file of one record a line; an empty field is NULL.

    Args:
        file: plain, or compressed with gzip where its name ends in .gz.
        columns: name to type, all of them, in the file's order.
        delimiter: between fields.
        header: whether the first line names the columns.
        quote: around a field that holds the delimiter; '' for none.
        encoding: as the engine names it.

    Raises:
        DataError: the file is missing or damaged, or its header names other columns.
    """
    check_files([file])
    if header:
        _check_header(file, list(columns), delimiter)
    options = {
        "columns": _struct(columns),
        "header": str(header).lower(),
        "delim": literal(delimiter),
        "quote": literal(quote),
        "escape": literal(quote),
        "encoding": literal(encoding),
        "auto_detect": "false",
    }
    return f"read_csv({literal(str(file))}, {_named(options)})"


def json_lines(file: Path, columns: Mapping[str, str]) -> str:
    """A FROM clause over a file of one JSON object a line, with `row` counting them from 1.

    Args:
        file: plain, or compressed with gzip where its name ends in .gz.
        columns: keys that are read and their types, VARCHAR for numbers (see `required`); a key
            that is absent is NULL.
    """
    options = {
        "columns": _struct(columns),
        "format": "'newline_delimited'",
        "auto_detect": "false",
    }
    table = f"read_json({literal(str(file))}, {_named(options)})"
    return f"(SELECT *, row_number() OVER () AS row FROM {table})"


def required(value: str, key: str, kind: Number | None = None) -> str:
    """The value of a key in json_lines; the reading fails where there is none, naming the row.

    Args:
        value: an expression; of a number, its text.
        key: what it is called, for the message.
        kind: what a number is read as; a fraction is no BIGINT (the engine would round it).
    """
    cast = f"TRY_CAST({value} AS {kind})" if kind else value
    whole = f"if(contains({value}, '.'), NULL, {cast})" if kind == "BIGINT" else cast
    wrong = {None: "", "BIGINT": " or no whole number", "DOUBLE": " or no number"}[kind]
    message = literal(f": {key} is missing{wrong}")
    return f"coalesce({whole}, error('row ' || row || {message}))"


def earliest(value: str, time: str) -> str:
    """An aggregate: the value (not NULL) of the least time, by `line` where times are equal."""
    return f"arg_min({value}, {time}::HUGEINT * {1 << 64} + line)"


def within_second(milliseconds: str) -> str:
    """A `line` that orders the events of one second by their milliseconds, then by their rows."""
    return f"(({milliseconds} % 1000) << 40) + line AS line"


def _struct(columns: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{name(key)}: {literal(kind)}" for key, kind in columns.items()) + "}"


def _named(options: Mapping[str, str]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in options.items())


def _check_header(file: Path, expected: list[str], delimiter: str) -> None:
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened:
            first = opened.readline(CHUNK)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(file, error) from None
    found = first.decode("utf-8-sig", errors="replace").rstrip("\r\n").split(delimiter)
    missing = [column for column in expected if column not in found]
    if missing:
        raise DataError(f"{file}: column {missing[0]!r} is missing; there are {found}")
    if found != expected:
        raise DataError(f"{file}: its columns are {found}, not {expected}: another version?")


def _malformed(file: Path) -> str | None:
    """The first line that is no JSON; the engine's own count of lines goes astray."""
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened:
        for row, line in enumerate(opened, start=1):
            try:
                json.loads(line)
            except ValueError as error:
                return f"row {row} is no JSON: {error}"
    return None


def _check_gzip(file: Path) -> None:
    try:
        with gzip.open(file) as opened:
            while opened.read(CHUNK):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(file, error) from None


def _damaged(file: Path, error: Exception) -> DataError:
    return DataError(f"{file}: truncated or damaged ({error}); fetch it again")
