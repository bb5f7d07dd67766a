"""Whether files can be what they claim to be, before anything reads them.

Choices: a Parquet file is judged by its footer alone (pyarrow; no page is read): the claims of a
damaged or hostile file must not decide how much memory or time preparation takes. A text file is
judged by its first bytes. Bounds are wide: eight rows a byte is past what a table with an id of
its own in every row can reach, and a chunk that unpacks a thousandfold is no table of events.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from behavior_scaling.data.errors import DataError

ROWS_A_BYTE = 8
UNPACKED_A_BYTE = 1000  # of a row group's column, once it unpacks to more than SMALL
SMALL = 1 << 26  # bytes
PARQUET = (".parquet", ".pq")
_PACKED = (".zip", ".xlsx", ".zst")  # judged by who unpacks them
_HEAD = 1 << 16  # bytes of a text file that are looked at
_PARQUET_MAGIC = b"PAR1"
_TAIL = 8  # bytes after the footer: its length and the magic
_MAGIC = {
    _PARQUET_MAGIC: "a Parquet file",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip file",
}


def check_files(files: Sequence[Path]) -> None:
    """Refuse what is absent, empty, damaged, of another format than its name says, or a bomb.

    Raises:
        DataError: the first such file, what is wrong with it and what to do.
    """
    for file in files:
        if not file.is_file():
            raise DataError(f"{file}: no such file")
        if file.stat().st_size == 0:
            raise DataError(f"{file}: the file is empty (0 bytes); fetch or write it again")
        if file.suffix in PARQUET:
            _check_parquet(file)
        elif file.suffix not in _PACKED:
            _check_text(file)


def size_text(size: int) -> str:
    """A number of bytes as people read it."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"


def _check_parquet(file: Path) -> None:
    size = file.stat().st_size
    try:
        with pq.ParquetFile(file) as opened:
            metadata = opened.metadata
            groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{file}: not a readable Parquet file ({reason}); it is truncated, damaged or of "
            f"another format: fetch or write it again"
        ) from None
    again = "the file is damaged or made to mislead; write it again"
    if not 0 <= metadata.num_rows <= ROWS_A_BYTE * size:
        raise DataError(f"{file}: claims {metadata.num_rows:,} rows in {size_text(size)}; {again}")
    if sum(group.num_rows for group in groups) != metadata.num_rows:
        raise DataError(f"{file}: its row groups do not add up to {metadata.num_rows:,}; {again}")
    end = size - metadata.serialized_size - _TAIL
    for group in groups:
        for column in (group.column(i) for i in range(group.num_columns)):
            packed, unpacked = column.total_compressed_size, column.total_uncompressed_size
            start = column.dictionary_page_offset or column.data_page_offset
            if start < len(_PARQUET_MAGIC) or not 0 <= packed <= end - start:
                raise DataError(
                    f"{file}: column {column.path_in_schema} claims to lie outside the file's "
                    f"{size_text(size)}; {again}"
                )
            if unpacked > max(SMALL, UNPACKED_A_BYTE * packed):
                raise DataError(
                    f"{file}: column {column.path_in_schema} claims to unpack from "
                    f"{size_text(packed)} to {size_text(unpacked)}; {again}"
                )


def _check_text(file: Path) -> None:
    with file.open("rb") as opened:
        head = opened.read(_HEAD)
    zipped = file.suffix == ".gz"
    for magic, what in _MAGIC.items():
        if head.startswith(magic) and not (zipped and magic == b"\x1f\x8b"):
            raise DataError(f"{file}: is {what}, not what its name says; rename or unpack it")
    if zipped and not head.startswith(b"\x1f\x8b"):
        raise DataError(f"{file}: is no gzip file; rename or compress it")
    if not zipped and b"\0" in head:
        raise DataError(
            f"{file}: byte {head.index(0) + 1:,} is NUL; the file is binary or UTF-16, not text: "
            f"write it as UTF-8"
        )
