"""One's own columns as canonical ones: an SQL value for each, and which rows have none.

Choices: a value that cannot be read is never taken for a missing one: preparation stops at its
row, validation counts it. In text files an empty field is missing everywhere, and in numbers the
marks NA, N/A, NaN, NULL and None too. Ids that went through floating point are taken back where no
digit can have been lost (whole numbers within 2^53). Ids of text files are integers where all of a
column, events and items alike, are written as integers are, and text otherwise ('007' is text).
Times of a text file without a format are numbers, or ISO 8601 with or without an offset; what has
no offset is a local time of the stated zone. Microseconds are kept for order and cut to seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from behavior_scaling.data.engine import literal
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.own_config import Time

TEXT = "VARCHAR"
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER",
            "UBIGINT", "HUGEINT", "UHUGEINT")  # fmt: skip
FLOATS = ("FLOAT", "DOUBLE")
UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 0.001}  # microseconds
WHOLE = r"^(0|-?[1-9][0-9]{0,18})$"  # an integer without leading zeros
EXACT = {"FLOAT": 2**24, "DOUBLE": 2**53}  # whole numbers that a float can tell apart
_FARTHEST = 9_000_000_000_000_000_000  # microseconds
_OFFSET = r"(Z|[+-]\d\d(:?\d\d)?)$"  # at the end of a time in ISO 8601
MISSING = "('', 'na', 'n/a', 'nan', 'null', 'none')"


@dataclass(frozen=True)
class Column:
    """A canonical column in SQL over the columns of a file.

    Attributes:
        raw: the file's own value.
        value: of the canonical type; NULL where missing or unusable.
        bad: true where a value is there that cannot be used.
        what: what to say of such a value.
    """

    raw: str
    value: str
    bad: str
    what: str


def identifier(raw: str, kind: str, whole: bool, place: str) -> Column:
    """An id, as BIGINT where `whole` and as text otherwise.

    Raises:
        DataError: the column is of a type that no id has.
    """
    if kind in FLOATS:
        limit = EXACT[kind]
        value = f"CASE WHEN isfinite({raw}) AND abs({raw}) <= {limit} AND {raw} % 1 = 0 THEN "
        value += f"CAST({raw} AS BIGINT) END"
        present = f"{raw} IS NOT NULL AND NOT isnan({raw})"
        what = f"is no whole number within {limit:,}, beyond which a {kind} loses digits; write "
        what += "the ids as integers or text"
    elif kind in INTEGERS:
        value, present = f"TRY_CAST({raw} AS BIGINT)", f"{raw} IS NOT NULL"
        what = "is beyond 64 bits; write the ids as text"
    elif kind in (TEXT, "UUID") or kind.startswith("ENUM"):
        return _words(raw, f"TRY_CAST({raw} AS BIGINT)" if whole else f"CAST({raw} AS {TEXT})")
    else:
        raise DataError(f"{place}: ids are {kind}; write them as integers or as text")
    bad = f"({present} AND {value} IS NULL)"
    return Column(raw, value if whole else f"CAST({value} AS {TEXT})", bad, what)


def number(raw: str, kind: str, place: str) -> Column:
    """A number as DOUBLE; NaN is missing.

    Raises:
        DataError: the column is of a type that holds no numbers.
    """
    if kind == TEXT:
        given = f"nullif(TRY_CAST({raw} AS DOUBLE), 'nan'::DOUBLE)"
        bad = f"({raw} IS NOT NULL AND {given} IS NULL AND lower(trim({raw})) NOT IN {MISSING})"
        return Column(raw, given, bad, "is no number; mend it or leave the value out")
    if kind not in (*INTEGERS, *FLOATS, "BOOLEAN") and not kind.startswith("DECIMAL"):
        raise DataError(f"{place}: values are {kind}, not numbers; choose another kind")
    return Column(raw, f"nullif(CAST({raw} AS DOUBLE), 'nan'::DOUBLE)", "false", "")


def words(raw: str, kind: str, place: str) -> Column:
    """A category or a text, as VARCHAR.

    Raises:
        DataError: the column is of lists or records.
    """
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "BLOB")):
        raise DataError(f"{place}: values are {kind}, not single ones; choose multi or vector")
    return _words(raw, f"CAST({raw} AS {TEXT})")


def several(raw: str, kind: str, separator: str | None, place: str) -> Column:
    """A list of values as VARCHAR[], without empty ones.

    Raises:
        DataError: text without a separator.
    """
    if kind == TEXT:
        if separator is None:
            raise DataError(f"{place}: the values are text; write {{kind: multi, separator: '|'}}")
        split = f"list_transform(string_split({raw}, {literal(separator)}), lambda v: trim(v))"
        return _words(raw, f"list_filter({split}, lambda v: v <> '')")
    if not kind.endswith("]"):
        raise DataError(f"{place}: values are {kind}, not lists; choose another kind")
    return Column(raw, f"CAST({raw} AS {TEXT}[])", "false", "")


def vector(raw: str, kind: str, separator: str | None, place: str) -> Column:
    """A list of numbers as FLOAT[]; text is cut at the separator, brackets around it are ignored.

    Raises:
        DataError: the column holds no lists of numbers, or text without a separator.
    """
    if kind == TEXT:
        if separator is None:
            raise DataError(f"{place}: the values are text; write {{kind: vector, separator: ' '}}")
        split = f"string_split(trim({raw}, ' []'), {literal(separator)})"
        value = f"TRY_CAST(list_filter({split}, lambda v: trim(v) <> '') AS FLOAT[])"
        bad = f"({raw} IS NOT NULL AND ({value} IS NULL"
        bad += f" OR len(list_filter({value}, lambda v: v IS NULL)) > 0))"
        return Column(raw, value, bad, "is no list of numbers; mend it or leave the value out")
    if not kind.endswith("]") or kind.startswith((TEXT, "STRUCT")):
        raise DataError(f"{place}: values are {kind}, not lists of numbers; choose another kind")
    return Column(raw, f"CAST({raw} AS FLOAT[])", "false", "")


def moment(raw: str, kind: str, time: Time, unit: str | None, place: str) -> Column:
    """A time in microseconds of unix time, as BIGINT.

    Args:
        raw: the column.
        kind: its type.
        time: how it is to be read.
        unit: of numbers, also those written as text; None: these are no numbers.
        place: for messages.

    Raises:
        DataError: the column holds no times, or the description doesn't fit it.
    """
    if unit is not None:
        return _moment_of_number(raw, kind, unit)
    zone = literal(time.zone)
    if kind == "TIMESTAMP WITH TIME ZONE":
        return Column(raw, f"epoch_us({raw})", "false", "")
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        value = f"epoch_us(CAST({raw} AS TIMESTAMP) AT TIME ZONE {zone})"
        return Column(raw, value, "false", "")
    if kind != TEXT:
        raise DataError(f"{place}: times are {kind}; give numbers, timestamps or text")
    if time.format is not None:
        parsed = f"try_strptime({raw}, {literal(time.format)})"
        local = "" if "%z" in time.format else f" AT TIME ZONE {zone}"
        value = f"epoch_us({parsed}{local})"
        what = f"is not written as {time.format!r}; mend it or the format"
    else:
        value = (
            f"CASE WHEN {has_offset(raw)} THEN epoch_us(TRY_CAST({raw} AS TIMESTAMPTZ)) "
            f"ELSE epoch_us(TRY_CAST({raw} AS TIMESTAMP) AT TIME ZONE {zone}) END"
        )
        what = (
            "is no time as ISO 8601 writes it (2024-03-01 09:30:00); write "
            "time: {column: ..., format: '%d/%m/%Y %H:%M'}"
        )
    return Column(raw, value, f"({raw} IS NOT NULL AND {value} IS NULL)", what)


def has_offset(raw: str) -> str:
    """SQL: whether a text, a time in ISO 8601, states its offset from UTC."""
    return f"(regexp_matches({raw}, '{_OFFSET}') AND contains({raw}, ':'))"


def _moment_of_number(raw: str, kind: str, unit: str) -> Column:
    """The number is read twice: whole ones keep every digit, others have fractions."""
    scale = UNITS[unit]
    whole = f"TRY_CAST({raw} AS BIGINT)" if kind in INTEGERS else "NULL::BIGINT"
    if kind == TEXT:
        whole = f"(CASE WHEN regexp_matches({raw}, '{WHOLE}') THEN TRY_CAST({raw} AS BIGINT) END)"
    exact = f"{whole} // 1000" if unit == "ns" else f"{whole} * {scale}"
    float_ = f"TRY_CAST({raw} AS DOUBLE)"
    fits = f"isfinite({float_}) AND abs({float_}) * {scale} < {_FARTHEST}::DOUBLE"
    value = (
        f"CASE WHEN {fits} THEN CASE WHEN {whole} IS NOT NULL THEN {exact} "
        f"ELSE CAST(floor({float_} * {scale}) AS BIGINT) END END"
    )
    missing = f"lower(trim({raw})) IN {MISSING}" if kind == TEXT else "false"
    if kind in FLOATS:
        missing = f"isnan({raw})"
    bad = f"({raw} IS NOT NULL AND {value} IS NULL AND NOT {missing})"
    return Column(raw, value, bad, f"is no time in {unit}; mend it")


def _words(raw: str, value: str) -> Column:
    bad = f"coalesce(contains(CAST({raw} AS {TEXT}), chr(0)), false)"
    return Column(raw, value, bad, "holds a NUL byte; write the file as UTF-8 text")
