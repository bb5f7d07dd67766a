"""Values of item features in canonical form, checked a column of a batch at a time.

Choices: text is stripped and what is then empty is missing; categories are text whatever type they
came in, so that ids read as int32, as int64 or as text agree; numbers are float64 and vectors
float32, both with one zero and at most 1e30 in size; every refusal names the first row in
question, counted from 1 in catalogue order, and its item.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.events import LARGEST
from behavior_scaling.data.tables import ItemKind

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Strings:
    """Texts, categories or lists of them: row i owns the next counts[i] values; 0 is missing."""

    counts: NDArray[np.int64]  # [n]
    values: pa.LargeStringArray  # [sum of counts], stripped, none empty

    @property
    def missing(self) -> Bools:
        """Rows without a value [n]."""
        missing: Bools = self.counts == 0
        return missing

    def parts(self) -> tuple[NDArray[np.generic], ...]:
        """Arrays that determine the values, each the concatenation of its parts over batches."""
        _, offsets, data = self.values.buffers()
        if not len(self.values):
            return self.counts, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint8)
        at = self.values.offset
        ends = np.frombuffer(offsets, dtype=np.int64)[at : at + len(self.values) + 1]
        letters = np.frombuffer(data, dtype=np.uint8)[ends[0] : ends[-1]]
        return self.counts, np.diff(ends), letters


@dataclass(frozen=True)
class Numbers:
    """Numbers; NaN is missing."""

    values: NDArray[np.float64]  # [n]

    @property
    def missing(self) -> Bools:
        """Rows without a value [n]."""
        return np.isnan(self.values)

    def parts(self) -> tuple[NDArray[np.generic], ...]:
        """See Strings.parts."""
        return (self.values,)


@dataclass(frozen=True)
class Vectors:
    """Vectors of the rows that have one."""

    missing: Bools  # [n]
    values: NDArray[np.float32]  # [n - missing, dim]; dim 0 where all are missing

    def parts(self) -> tuple[NDArray[np.generic], ...]:
        """See Strings.parts."""
        return self.missing, self.values


Values = Strings | Numbers | Vectors


@dataclass(frozen=True)
class Place:
    """Where values stand, for messages."""

    column: str
    before: int  # rows of earlier batches
    ids: pa.Array

    def refuse(self, bad: Bools, what: Callable[[int], str]) -> None:
        """Raise for the first row where `bad` is true."""
        if bad.any():
            row = int(np.argmax(bad))
            raise self.error(row, what(row))

    def error(self, row: int, what: str) -> DataError:
        """What to raise for a row."""
        return DataError(
            f"{self.column}: row {self.before + row + 1}: {what} "
            f"(item_id {self.ids[row].as_py()!r})"
        )


def canonical(values: pa.Array, kind: ItemKind, place: Place) -> Values:
    """Values of one column in canonical form.

    Raises:
        DataError: a value is not of the column's kind, not finite, or too large.
    """
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    if values.null_count == len(values):
        values = pa.nulls(len(values))  # whatever type such a column was read as
    try:
        return _read(values, kind, place)
    except pa.ArrowException as error:
        what = f"values of the type {values.type} cannot be read as {kind}: {error}"
        raise DataError(f"{place.column}: {what}; cast the column") from error


def _read(values: pa.Array, kind: ItemKind, place: Place) -> Values:
    if kind == "numeric":
        return _numbers(values, place)
    if kind == "vector":
        return _vectors(values, place)
    if kind == "multi":
        return _several(values, place)
    if kind == "text" and not (_is_text(values.type) or pa.types.is_null(values.type)):
        _refuse_first(values, "is not text", place)
    if _is_list(values.type):
        _refuse_first(values, "is a list of values: its column is of the kind 'multi'", place)
    texts = _texts(values)
    return Strings(_valid(texts).astype(np.int64), texts.drop_null())


def _texts(values: pa.Array) -> pa.LargeStringArray:
    """Stripped text of scalars; null where missing or empty, or a float's NaN."""
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    texts = pc.utf8_trim_whitespace(values.cast(pa.large_string()))
    return pc.if_else(pc.equal(texts, ""), None, texts)


def _several(values: pa.Array, place: Place) -> Strings:
    if pa.types.is_null(values.type):
        return Strings(np.zeros(len(values), dtype=np.int64), pa.array([], pa.large_string()))
    if not _is_list(values.type):
        _refuse_first(values, "is not a list of values; split it", place)
    if _is_list(values.type.value_type):
        _refuse_first(values, "is a list of lists; give a list of values", place)
    lengths = pc.list_value_length(values).fill_null(0).to_numpy().astype(np.int64)
    texts = _texts(values.drop_null().flatten())
    owner = np.repeat(np.arange(len(values)), lengths)
    kept = np.bincount(owner[_valid(texts)], minlength=len(values))
    return Strings(kept.astype(np.int64), texts.drop_null())


def _numbers(values: pa.Array, place: Place) -> Numbers:
    written = _is_text(values.type)
    if written:
        values = _texts(values)
        numbers = _read_numbers(values, place)
    elif _is_number(values.type) or pa.types.is_null(values.type):
        numbers = values.cast(pa.float64(), safe=False)
    else:
        _refuse_first(values, "is not a number", place)
    array = numbers.to_numpy(zero_copy_only=False)
    wrong = np.isinf(array)
    if written:
        wrong = wrong | (np.isnan(array) & _valid(numbers))
    place.refuse(wrong, lambda row: f"{values[row].as_py()!r} is not finite; leave the value out")
    place.refuse(
        np.abs(array) > LARGEST,
        lambda row: f"{float(array[row])!r} is beyond 1e30: leave the value out",
    )
    return Numbers(np.where(np.isnan(array), np.nan, array + 0.0))


def _read_numbers(texts: pa.LargeStringArray, place: Place) -> pa.Array:
    """Numbers that are written out."""
    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        for row, text in enumerate(texts):
            try:
                text.cast(pa.float64())
            except pa.ArrowInvalid:
                raise place.error(row, f"{text.as_py()!r} is not a number") from None
        raise


def _vectors(values: pa.Array, place: Place) -> Vectors:
    if pa.types.is_null(values.type):
        return Vectors(np.ones(len(values), dtype=bool), np.empty((0, 0), dtype=np.float32))
    entry = values.type.value_type if _is_list(values.type) else None
    if entry is None or not (_is_number(entry) or pa.types.is_null(entry)):
        _refuse_first(values, "is not a list of numbers", place)
    present = _valid(values)
    rows = np.flatnonzero(present)
    lengths = pc.list_value_length(values).fill_null(0).to_numpy()
    place.refuse(present & (lengths == 0), lambda _: "the vector is empty; leave the value out")
    dim = int(lengths[rows[0]]) if len(rows) else 0
    place.refuse(
        present & (lengths != dim),
        lambda row: f"the vector has {lengths[row]} entries, others have {dim}",
    )
    flat = values.drop_null().flatten().cast(pa.float64(), safe=False)
    matrix = flat.to_numpy(zero_copy_only=False).reshape(len(rows), dim)
    for wrong, what in (
        (~np.isfinite(matrix), "that is missing or not finite"),
        (np.abs(matrix) > LARGEST, "beyond 1e30"),
    ):
        bad = wrong.any(1)
        if bad.any():
            row = int(rows[np.argmax(bad)])
            raise place.error(row, f"the vector has an entry {what}; leave the value out")
    return Vectors(~present, matrix.astype(np.float32) + np.float32(0))


def _refuse_first(values: pa.Array, what: str, place: Place) -> NoReturn:
    """Raise for the first value of a column whose type cannot be used."""
    row = int(np.argmax(_valid(values)))
    raise place.error(row, f"{values[row].as_py()!r} {what}")


def _valid(values: pa.Array) -> Bools:
    valid: Bools = values.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    )
