"""Online Retail II of the UCI repository: two years of invoices of a British gift shop.

UCI's zip holds one xlsx of two sheets whose periods overlap (1 to 9 December 2010); the mirror is
the table of both as Parquet. Choices: a line of the first sheet that the second holds too, equal in
all eight columns, is left out, copy by copy, so that the overlap stands once while a line repeated
within a sheet stays repeated (preparation drops those). The mirror has one line fewer than UCI's
own count of 1,044,848: what joining UCI's file gives is not verified here, and if that line is
usable the two differ in identity.

Usable is a line with a customer that is no cancellation (an invoice number starting with C) and
whose quantity is positive; prices may be 0. The invoice is the session; its lines keep their order.
Times are local, name no zone and are taken as UTC. Description and price of an item are those of
its first usable line in time, never later ones; a customer's country is an event feature.
"""

from __future__ import annotations

from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.engine import engine, literal, parquet
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources.archive import only_member, unpack
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.sources.download import expect, find_in_mirror, retrieve
from behavior_scaling.data.sources.workbook import sheet_rows
from behavior_scaling.data.tables import FeatureSchema, Query, Tables

URL = "https://archive.ics.uci.edu/static/public/502/online+retail+ii.zip"
ZIP = "online+retail+ii.zip"
MIRROR = "online_retail_ii.parquet"
MIRROR_SHA256 = "30d8b9237dea89b1ac2940379f0b52379bd061787ce28c665164fb97e59f8406"
SHEETS = ("Year 2009-2010", "Year 2010-2011")
COLUMNS = {  # UCI's names to those of the first release, which the mirror has
    "Invoice": ("InvoiceNo", pa.string()),
    "StockCode": ("StockCode", pa.string()),
    "Description": ("Description", pa.string()),
    "Quantity": ("Quantity", pa.int32()),
    "InvoiceDate": ("InvoiceDate", pa.timestamp("us")),
    "Price": ("UnitPrice", pa.float64()),
    "Customer ID": ("CustomerID", pa.int32()),
    "Country": ("Country", pa.string()),
}
USABLE = "CustomerID IS NOT NULL AND NOT starts_with(InvoiceNo, 'C') AND Quantity > 0"
SCHEMA = FeatureSchema(
    (("price", "numeric"), ("description", "text")),
    (("quantity", "numeric"), ("price", "numeric"), ("country", "categorical")),
)
_BATCH = 50_000  # rows


class OnlineRetailII:
    """Invoice lines of 5,881 customers, 1 December 2009 to 9 December 2011."""

    info = SourceInfo(
        name="online-retail-ii",
        version="UCI 502",
        origin=URL,
        licence="CC BY 4.0",
        citation=(
            "D. Chen (2012). Online Retail II. UCI Machine Learning Repository. doi "
            "10.24432/C5CG6D; D. Chen, S. L. Sain and K. Guo (2012). Data mining for the online "
            "retail industry. Journal of Database Marketing and Customer Strategy Management "
            "19(3), 197-208. doi 10.1057/dbm.2012.17"
        ),
        verified="loaded in full",
        schema="https://archive.ics.uci.edu/dataset/502/online+retail+ii",
        n_events=791_114,
        n_users=5_881,
        n_items=4_631,
    )

    def __init__(self, config: DataConfig) -> None: ...

    def fetch(self, cache: Path, mirror: Path | None) -> Path:
        """Get the mirror's Parquet file, its zip, or UCI's zip; see Source.fetch."""
        found = find_in_mirror(mirror, [MIRROR, ZIP])
        if found is None:
            return retrieve(self.info.name, URL, self.info.sha256, cache / self.info.name, ZIP)
        if found.name == MIRROR:
            expect(found, MIRROR_SHA256)
        return found

    def load(self, raw: Path, work: Path) -> Tables:
        """Read the Parquet file, or the zip's sheets into one; see Source.load."""
        lines = raw if raw.suffix == ".parquet" else _joined(raw, work)
        source = f"{parquet([lines])} WHERE {USABLE}"
        events = (
            f"SELECT CustomerID AS user_id, StockCode AS item_id, InvoiceDate AS timestamp, "
            f"InvoiceNo AS session_id, Quantity AS quantity, UnitPrice AS price, "
            f"Country AS country, line FROM {source}"
        )
        items = (
            f"SELECT StockCode AS item_id, UnitPrice AS price, Description AS description "
            f"FROM {source} QUALIFY row_number() OVER "
            f"(PARTITION BY StockCode ORDER BY InvoiceDate, line) = 1"
        )
        return Tables(Query(events, (lines,)), Query(items, (lines,)), SCHEMA)


def _joined(archive: Path, work: Path) -> Path:
    """Write the lines of both sheets, the overlap once, as the mirror's table."""
    member = only_member(archive, ".xlsx")
    unpack(archive, {member: None}, work)
    book = work / Path(member).name
    sheets = [_sheet(book, name, work / f"sheet_{n}.parquet") for n, name in enumerate(SHEETS)]
    joined = work / MIRROR
    columns = ", ".join(name for name, _ in COLUMNS.values())
    same = " AND ".join(
        f"a.{name} IS NOT DISTINCT FROM b.{name}"
        for name in [*(name for name, _ in COLUMNS.values()), "copy"]
    )
    sql = (
        f"WITH numbered AS MATERIALIZED (SELECT *, line >> 40 AS sheet, row_number() OVER "
        f"(PARTITION BY line >> 40, {columns} ORDER BY line) AS copy FROM {parquet(sheets)}) "
        f"SELECT {columns} FROM numbered a WHERE sheet = 1 OR NOT EXISTS "
        f"(SELECT 1 FROM numbered b WHERE b.sheet = 1 AND {same}) ORDER BY line"
    )
    with engine(work) as connection:
        connection.execute(f"COPY ({sql}) TO {literal(str(joined))} (FORMAT parquet)")
    return joined


def _sheet(book: Path, sheet: str, out: Path) -> Path:
    """Write a sheet as Parquet, in batches."""
    schema = pa.schema(list(COLUMNS.values()))
    with pq.ParquetWriter(out, schema) as writer:
        batch: list[list[Any]] = []
        for number, row in sheet_rows(book, sheet, list(COLUMNS)):
            where = f"{book}: sheet {sheet!r}: row {number}"
            values = zip(COLUMNS.items(), row, strict=True)
            batch.append(
                [_value(value, kind, f"{where}: {column}") for (column, (_, kind)), value in values]
            )
            if len(batch) == _BATCH:
                _write(writer, schema, batch)
                batch = []
        _write(writer, schema, batch)
    return out


def _write(writer: pq.ParquetWriter, schema: pa.Schema, batch: list[list[Any]]) -> None:
    columns = zip(*batch, strict=True) if batch else [[] for _ in schema]
    arrays = [pa.array(list(c), field.type) for c, field in zip(columns, schema, strict=True)]
    writer.write_batch(pa.record_batch(arrays, schema=schema))


def _value(value: Any, kind: pa.DataType, where: str) -> Any:
    """A cell as its column's kind; empty ones are None."""
    if value == "":
        return None
    if kind == pa.string():
        whole = isinstance(value, float) and value.is_integer()
        return str(int(value)) if whole else str(value)
    if kind == pa.timestamp("us") and isinstance(value, date):  # midnight is read as a date
        return value if isinstance(value, datetime) else datetime.combine(value, time())
    if kind == pa.float64() and isinstance(value, float | int):
        return value
    if (
        kind == pa.int32()
        and isinstance(value, float | int)
        and abs(value) < 2**31
        and value % 1 == 0
    ):
        return int(value)
    raise DataError(f"{where}: {value!r} is no {kind}; is this UCI's file?")
