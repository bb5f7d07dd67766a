"""Reading a sheet of an xlsx file row by row, within bounds.

Choices: calamine reserves a whole rectangle up to the last cell that a sheet names, and ends the
process where memory runs out; so the sheets' XML is scanned first, and a cell beyond column Z or
with a row number of more than seven digits is refused (a million rows of 26 columns is the most
that Excel and this allow, under 1 GB).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources.archive import DAMAGED, LARGEST

_PIECE = 1 << 20
_OVERLAP = 64  # bytes read again, so that a reference cut by a piece's end is seen
_FAR = re.compile(rb"\br\s*=\s*[\"'](?:[A-Za-z]{2,}[0-9]+|[A-Za-z]?[0-9]{8,})")


def sheet_rows(file: Path, sheet: str, columns: Sequence[str]) -> Iterator[tuple[int, list[Any]]]:
    """Rows of a sheet below its header: number as Excel counts, and a value for each column.

    Args:
        file: the xlsx file.
        sheet: its name.
        columns: names in the header row, in the order wanted.

    Raises:
        DataError: no such file, sheet or column, or a sheet out of bounds.
    """
    _refuse_unbounded(file)
    try:
        with CalamineWorkbook.from_path(file) as book:
            if sheet not in book.sheet_names:
                raise DataError(f"{file}: has no sheet {sheet!r}; there are {book.sheet_names}")
            found = book.get_sheet_by_name(sheet)
            rows = found.iter_rows()
    except CalamineError as error:
        raise DataError(f"{file}: not a readable xlsx file: {error}; fetch it again") from None
    first = found.start[0] + 1 if found.start else 1
    header = [str(value).strip() for value in next(rows, [])]
    missing = [name for name in columns if name not in header]
    if missing:
        raise DataError(f"{file}: sheet {sheet!r}: column {missing[0]!r} is missing; there are "
                        f"{header}")  # fmt: skip
    places = [header.index(name) for name in columns]
    for number, row in enumerate(rows, first + 1):
        yield number, [row[place] for place in places]


def _refuse_unbounded(file: Path) -> None:
    try:
        with zipfile.ZipFile(file) as opened:
            for info in opened.infolist():
                if info.file_size > LARGEST:
                    raise DataError(f"{file}: {info.filename} unpacks to more than {LARGEST} bytes")
                if info.filename.startswith("xl/worksheets/"):
                    _refuse_far_cells(opened, info, file)
    except DAMAGED as error:
        raise DataError(f"{file}: not a readable xlsx file: {error}; fetch it again") from None


def _refuse_far_cells(opened: zipfile.ZipFile, info: zipfile.ZipInfo, file: Path) -> None:
    last = b""
    with opened.open(info) as member:
        while piece := member.read(_PIECE):
            far = _FAR.search(last + piece)
            if far:
                raise DataError(
                    f"{file}: {info.filename} names the cell {far[0].decode()[-24:]!r}, beyond "
                    f"column Z or row 9999999; this is not the sheet that is expected"
                )
            last = piece[-_OVERLAP:]
