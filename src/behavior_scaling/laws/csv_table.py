"""A user's table: read, and checked before any number enters a fit.

Choices: headers are read by hand, since a data frame renames a repeated one without a word; only
the columns that a law uses are checked, so that others may hold anything; every message names the
file, the column and the line (1-based, the header is line 1) or, for Parquet and tables in memory,
the row (1-based). Nothing is guessed: no decimal comma, no thousands separator, no missing value.
"""

from __future__ import annotations

import csv
import difflib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from behavior_scaling.laws.arrays import Array, LawsError

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = {".csv": ",", ".tsv": "\t"}
NAMED = 20  # columns that a message lists
SMALLEST, LARGEST = 1e-100, 1e100  # squares and products of entries stay finite
Mask = npt.NDArray[np.bool_]
Column = Sequence[Any] | npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Table:
    """Columns as they were read."""

    source: str  # file name, or 'table'
    unit: str  # what a row's number counts: 'line' or 'row'
    lines: npt.NDArray[np.int64]  # [rows]
    columns: Mapping[str, Column]  # [rows] each: text from a file, anything from memory

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.lines.size)

    def place(self, column: str, row: int) -> str:
        """Where a value stands, for a message."""
        return f"{self.source}: column {column!r}, {self.unit} {self.lines[row]}"

    def column(self, name: str) -> Column:
        """A column by its header.

        Raises:
            LawsError: there is none; the message suggests close names.
        """
        if name in self.columns:
            return self.columns[name]
        raise LawsError(f"{self.source}: no column {name!r}{_hint(name, list(self.columns))}")

    def numbers(self, name: str) -> Array:
        """A column as positive finite numbers, [rows].

        Raises:
            LawsError: naming the first entry that is empty, text, NaN, infinite, not positive, or
                so large or small that its square is not.
        """
        values = np.empty(self.rows)
        faults = []
        for row, entry in enumerate(self.column(name)):
            number = _number(entry)
            if number is None:
                text = str(entry).strip()
                faults.append((row, f"{text!r} is not a number" if text else "is empty"))
            elif not math.isfinite(number):
                faults.append((row, f"{number} is not finite"))
            elif number <= 0:
                faults.append((row, f"{number:g} is not positive"))
            elif not SMALLEST < number < LARGEST:
                faults.append((row, f"{number:g} is beyond {SMALLEST:g} to {LARGEST:g}"))
            else:
                values[row] = number
        if faults:
            row, text = faults[0]
            more = f" ({len(faults) - 1} more rows like it)" if len(faults) > 1 else ""
            raise LawsError(f"{self.place(name, row)}: {text}{more}")
        return values

    def matching(self, name: str, wanted: str) -> Mask:
        """Which rows hold this value: equal as text, or as numbers where both are numbers.

        Raises:
            LawsError: no such column, or no such row; the message lists values that occur.
        """
        entries = [str(entry).strip() for entry in self.column(name)]
        number = _number(wanted)
        mask = np.array(
            [e == wanted or (number is not None and _number(e) == number) for e in entries],
            dtype=bool,
        )
        if not mask.any():
            raise LawsError(
                f"{self.source}: column {name!r} holds no {wanted!r}"
                f"{_hint(wanted, list(dict.fromkeys(entries)), 'values')}"
            )
        return mask

    def keep(self, mask: Mask) -> Table:
        """The rows of a mask."""
        kept = {name: list(compress(column, mask)) for name, column in self.columns.items()}
        return Table(self.source, self.unit, self.lines[mask], kept)


def read_table(path: Path) -> Table:
    """Read a .csv (commas), .tsv (tabs) or .parquet file with a header.

    Raises:
        LawsError: another kind of file, an empty one, a repeated column name, or a line whose
            fields do not match the header; the message names the line.
        OSError: the file cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _read_parquet(path)
    if suffix not in DELIMITERS:
        raise LawsError(f"{path}: a table is a .csv, .tsv or .parquet file")
    return _read_text(path, DELIMITERS[suffix])


def as_table(
    table: Mapping[str, npt.ArrayLike] | pd.DataFrame | Table, source: str = "table"
) -> Table:
    """A table from columns in memory.

    Raises:
        LawsError: a repeated name, columns of different lengths, or no rows.
    """
    if isinstance(table, Table):
        return table
    if isinstance(table, Mapping):
        columns = {str(name): np.asarray(values) for name, values in table.items()}
    else:
        names = [str(name) for name in table.columns]
        _distinct(names, source)
        columns = {name: table.iloc[:, i].to_numpy() for i, name in enumerate(names)}
    first = next(iter(columns), "")
    for name, values in columns.items():
        if values.ndim != 1:
            raise LawsError(
                f"{source}: column {name!r} has shape {values.shape}; not one dimension"
            )
        if values.size != columns[first].size:
            raise LawsError(
                f"{source}: column {name!r} has {values.size} rows, {first!r} has "
                f"{columns[first].size}"
            )
    if not columns or columns[first].size == 0:
        raise LawsError(f"{source}: holds no rows")
    return Table(source, "row", np.arange(1, columns[first].size + 1), columns)


def _read_text(path: Path, delimiter: str) -> Table:
    names: list[str] = []
    records: list[list[str]] = []
    lines: list[int] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            line = 1
            for record in reader:
                if not names:
                    names = [name.strip() for name in record]
                    if names:
                        _check_header(names, path, line)
                elif record:
                    if len(record) != len(names):
                        raise LawsError(
                            f"{path}: line {line} has {len(record)} fields, the header has "
                            f"{len(names)}"
                        )
                    records.append(record)
                    lines.append(line)
                line = reader.line_num + 1
    except csv.Error as error:
        raise LawsError(f"{path}: line {line}: {error}") from None
    except UnicodeDecodeError as error:
        raise LawsError(f"{path}: not UTF-8 text ({error.reason})") from None
    if not names:
        raise LawsError(f"{path}: the file is empty")
    if not records:
        raise LawsError(f"{path}: a header and no rows")
    columns = dict(zip(names, zip(*records, strict=True), strict=True))
    return Table(str(path), "line", np.array(lines, dtype=np.int64), columns)


def _check_header(names: list[str], path: Path, line: int) -> None:
    _distinct(names, str(path))
    if all(_number(name) is not None for name in names):
        raise LawsError(f"{path}: line {line} holds numbers; it must name the columns")
    if len(names) == 1 and any(mark in names[0] for mark in ",;\t"):
        raise LawsError(
            f"{path}: the header is one column, {names[0]!r}; a .csv file is separated by commas, "
            "a .tsv file by tabs"
        )


def _read_parquet(path: Path) -> Table:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except ValueError as error:  # pyarrow's errors are ValueErrors
        raise LawsError(f"{path}: not a Parquet file ({str(error).splitlines()[0]})") from None
    return as_table(frame, str(path))


def _distinct(names: Sequence[str], source: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        at = " and ".join(str(i + 1) for i, name in enumerate(names) if name == twice[0])
        raise LawsError(f"{source}: columns {at} are both named {twice[0]!r}")


def _number(entry: Any) -> float | None:
    """An entry as a float; None where it is empty, a truth value or text."""
    if entry is None or isinstance(entry, (bool, np.bool_)):
        return None
    if isinstance(entry, str) and "_" in entry:  # float() would take 1_000
        return None
    try:
        return float(entry)
    except (TypeError, ValueError):
        return None


def _hint(wanted: str, known: Sequence[str], what: str = "columns") -> str:
    """Close names, else the names there are."""
    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(wanted.casefold(), folded, n=3, cutoff=0.6)
    if close:
        return f"; did you mean {' or '.join(repr(folded[name]) for name in close)}?"
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    return f"; {what}: {', '.join(repr(name) for name in known[:NAMED])}{more}"
