"""Online Retail II: the mirror's counts, two overlapping sheets joined, items as first seen."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data import sources
from behavior_scaling.data.engine import engine, view
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.sources import online_retail_ii as source
from behavior_scaling.data.sources.workbook import sheet_rows

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
HEADER = ("Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price",
          "Customer ID", "Country")  # fmt: skip
UK = "United Kingdom"
FRANCE = "France"


def at(day: int, hour: int, minute: int = 0, month: int = 12, year: int = 2010) -> datetime:
    return datetime(year, month, day, hour, minute)


SHARED = (536365, "85123A", "WHITE HEART", 6, at(1, 8, 26), 2.55, 17850, UK)
FIRST = [  # 'Year 2009-2010'
    (489434, 85048, "GLASS BALL", 12, at(1, 7, 45, year=2009), 6.95, 13085, UK),
    (489434, 85048, "GLASS BALL", 12, at(1, 7, 45, year=2009), 6.95, 13085, UK),
    ("C489449", 85048, "GLASS BALL", -1, at(1, 9, year=2009), 6.95, 13085, UK),
    (489450, 85048, "ball?", 3, at(1, 9, 30, year=2009), 6.95, None, UK),
    (489451, 22138, None, -3, at(1, 10, year=2009), 0, 13085, UK),
    SHARED,
    SHARED,  # twice here, once in the other sheet: one of the two is left out
    (536366, "M", "Manual", 1, at(1, 0), 0.0, 17850, UK),  # in this sheet only, at midnight
]
SECOND = [  # 'Year 2010-2011'
    SHARED,
    (536367, 85048, " BALL, <GLASS> ", 2, at(1, 8, 34), 7.5, 12680, FRANCE),
    (536367, 85048, " BALL, <GLASS> ", 2, at(1, 8, 34), 7.5, 12680, FRANCE),
]


def column_letter(number: int) -> str:
    return chr(ord("A") + number)


def cell(value: Any, reference: str) -> str:
    """A cell's XML; dates are days since 30 December 1899 in style 1."""
    if value is None:
        return ""
    if isinstance(value, str):
        text = f'<is><t xml:space="preserve">{escape(value)}</t></is>'
        return f'<c r="{reference}" t="inlineStr">{text}</c>'
    if isinstance(value, datetime):
        days = (value - datetime(1899, 12, 30)) / timedelta(days=1)
        return f'<c r="{reference}" s="1"><v>{days!r}</v></c>'
    return f'<c r="{reference}"><v>{value!r}</v></c>'


def sheet_xml(rows: Sequence[Sequence[Any]], extra: str = "") -> str:
    lines = "".join(
        f'<row r="{n}">'
        + "".join(cell(value, f"{column_letter(k)}{n}") for k, value in enumerate(row))
        + "</row>"
        for n, row in enumerate(rows, 1)
    )
    return f'<worksheet xmlns="{MAIN}"><sheetData>{lines}{extra}</sheetData></worksheet>'


def write_xlsx(path: Path, sheets: dict[str, str]) -> Path:
    """The smallest workbook: sheets by name to their XML."""
    names = list(enumerate(sheets, 1))
    listed = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in names)
    links = "".join(
        f'<Relationship Id="r{n}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n, _ in names
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
            f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        opened.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{listed}</sheets></workbook>',
        )
        opened.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships">{links}</Relationships>',
        )
        opened.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="22"/></cellXfs>'
            f"</styleSheet>",
        )
        for n, name in names:
            opened.writestr(f"xl/worksheets/sheet{n}.xml", sheets[name])
    return path


def write_zip(folder: Path, sheets: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    book = write_xlsx(folder / "online_retail_II.xlsx", sheets)
    with zipfile.ZipFile(folder / source.ZIP, "w") as opened:
        opened.write(book, book.name)
    book.unlink()
    return folder / source.ZIP


def both(first: Sequence[Any] = FIRST, second: Sequence[Any] = SECOND) -> dict[str, str]:
    return {
        "Year 2009-2010": sheet_xml([HEADER, *first]),
        "Year 2010-2011": sheet_xml([HEADER, *second]),
    }


def retail() -> sources.Source:
    return sources.get(DataConfig(source="online-retail-ii"))


def load(raw: Path, work: Path) -> tuple[list[Any], list[Any]]:
    """Events in line order and items by id."""
    work.mkdir()
    tables = retail().load(raw, work)
    with engine(work, threads=1) as connection:
        view(connection, "events", tables.events)
        view(connection, "items", tables.items)
        events = connection.sql("SELECT * EXCLUDE (line) FROM events ORDER BY line").fetchall()
        items = connection.sql("SELECT item_id, price, description FROM items ORDER BY item_id")
        return events, items.fetchall()


def mirror() -> Path:
    folder = sources.mirror_folder()
    if folder is None or not (folder / source.MIRROR).is_file():
        pytest.skip(f"{source.MIRROR} is in no BEHAVIOR_SCALING_MIRROR")
    return folder


def test_two_sheets_are_joined_and_the_overlap_stands_once(tmp_path: Path) -> None:
    events, items = load(write_zip(tmp_path / "raw", both()), tmp_path / "work")

    glass = (13085, "85048", at(1, 7, 45, year=2009), "489434", 12, 6.95, UK)
    heart = (17850, "85123A", at(1, 8, 26), "536365", 6, 2.55, UK)
    ball = (12680, "85048", at(1, 8, 34), "536367", 2, 7.5, FRANCE)
    manual = (17850, "M", at(1, 0), "536366", 1, 0.0, UK)
    assert events == [glass, glass, heart, manual, heart, ball, ball]
    assert items == [("85048", 6.95, "GLASS BALL"), ("85123A", 2.55, "WHITE HEART"),
                     ("M", 0.0, "Manual")]  # fmt: skip


def test_an_item_has_the_text_and_price_of_its_first_time_not_its_first_line(
    tmp_path: Path,
) -> None:
    later = (1, "X", "renamed", 1, at(9, 9), 2.0, 7, UK)
    same_time = (3, "X", "second line", 1, at(2, 9), 3.0, 7, UK)
    first = (2, "X", "name", 1, at(2, 9), 1.0, 7, UK)
    unusable = (4, "X", "damaged?", -1, at(1, 9), 0.5, 7, UK)

    _, items = load(
        write_zip(tmp_path / "raw", both([unusable, later, first, same_time])), tmp_path / "work"
    )

    assert ("X", 1.0, "name") in items


def test_the_zip_gives_the_table_that_the_mirror_holds(tmp_path: Path) -> None:
    """The same lines as Parquet in the mirror's columns give the same events."""
    raw = write_zip(tmp_path / "raw", both([], FIRST[:5]))
    rows = [(str(row[0]), str(row[1]), *row[2:5], float(row[5]), *row[6:]) for row in FIRST[:5]]
    schema = pa.schema(list(source.COLUMNS.values()))
    columns = [pa.array(list(column), f.type) for column, f in zip(zip(*rows), schema)]  # noqa: B905
    pq.write_table(pa.table(columns, schema=schema), tmp_path / "mirror.parquet")

    assert load(raw, tmp_path / "a") == load(tmp_path / "mirror.parquet", tmp_path / "b")


@pytest.mark.parametrize(
    ("sheets", "message"),
    [
        ({"Year 2009-2010": sheet_xml([HEADER])}, "has no sheet 'Year 2010-2011'; there are"),
        (
            both() | {"Year 2010-2011": sheet_xml([(*HEADER[:-2], "CustomerID", "Country")])},
            "sheet 'Year 2010-2011': column 'Customer ID' is missing; there are",
        ),
        (both() | {"Year 2010-2011": sheet_xml([])}, "column 'Invoice' is missing"),
        (
            both([(*FIRST[0][:4], "yesterday", *FIRST[0][5:])]),
            r"sheet 'Year 2009-2010': row 2: InvoiceDate: 'yesterday' is no timestamp\[us\]",
        ),
        (both([(*FIRST[0][:3], 1.5, *FIRST[0][4:])]), "row 2: Quantity: 1.5 is no int32"),
        (both([(*FIRST[0][:3], 1e308, *FIRST[0][4:])]), "row 2: Quantity: 1e[+]308 is no int32"),
        (both([(*FIRST[0][:5], "free", *FIRST[0][6:])]), "row 2: Price: 'free' is no double"),
    ],
)
def test_a_changed_workbook_is_refused_by_sheet_row_and_column(
    tmp_path: Path, sheets: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(write_zip(tmp_path / "raw", sheets), tmp_path / "work")


@pytest.mark.parametrize("reference", ["XFD1048576", "AA1", "A10000000"])
def test_a_cell_far_out_is_refused_before_memory_is_reserved(
    tmp_path: Path, reference: str
) -> None:
    far = f'<row r="9"><c r="{reference}"><v>1</v></c></row>'
    book = write_xlsx(tmp_path / "a.xlsx", {"S": sheet_xml([HEADER], far)})

    with pytest.raises(DataError, match=rf"sheet1\.xml names the cell '.*{reference}', beyond"):
        next(sheet_rows(book, "S", HEADER))


def test_a_far_cell_is_seen_across_the_pieces_that_are_read(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("behavior_scaling.data.sources.workbook._PIECE", 64)
    for shift in range(64):
        far = f"<!--{'x' * shift}--><row r='9'><c r='AB1'><v>1</v></c></row>"
        book = write_xlsx(tmp_path / "a.xlsx", {"S": sheet_xml([HEADER], far)})
        with pytest.raises(DataError, match="AB1"):
            next(sheet_rows(book, "S", HEADER))


def test_a_file_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_text("<html>404</html>")
    with pytest.raises(DataError, match=r"a\.xlsx: not a readable xlsx file"):
        next(sheet_rows(tmp_path / "a.xlsx", "S", HEADER))
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w") as opened:
        opened.writestr("content.txt", "no workbook")
    with pytest.raises(DataError, match=r"b\.xlsx: not a readable xlsx file"):
        next(sheet_rows(tmp_path / "b.xlsx", "S", HEADER))
    (tmp_path / "raw.zip").write_bytes((tmp_path / "b.xlsx").read_bytes())
    with pytest.raises(DataError, match=r"raw\.zip: holds 0 members that end with \.xlsx"):
        load(tmp_path / "raw.zip", tmp_path / "work")


def test_a_mirror_that_was_altered_is_refused(tmp_path: Path) -> None:
    (tmp_path / source.MIRROR).write_text("altered")

    with pytest.raises(DataError, match=r"online_retail_ii\.parquet: has SHA-256"):
        retail().fetch(tmp_path / "cache", tmp_path)


def test_the_zip_in_the_mirror_is_used(tmp_path: Path) -> None:
    made = write_zip(tmp_path / "mirror", both())

    assert retail().fetch(tmp_path / "cache", tmp_path / "mirror") == made


def test_the_mirror_holds_the_lines_customers_and_items_that_are_stated(tmp_path: Path) -> None:
    raw = retail().fetch(tmp_path / "cache", mirror())
    tables = retail().load(raw, tmp_path)

    with engine(tmp_path, threads=1) as connection:
        assert pq.ParquetFile(raw).metadata.num_rows == 1_044_847
        view(connection, "events", tables.events)
        view(connection, "items", tables.items)
        counted = connection.sql(
            "SELECT count(*), count(DISTINCT user_id), count(DISTINCT item_id), "
            "min(timestamp), max(timestamp) FROM events"
        ).fetchall()[0]
        items = connection.sql("SELECT count(*), count(description), count(price) FROM items")
        unknown = connection.sql("SELECT count(*) FROM events ANTI JOIN items USING (item_id)")
        assert items.fetchall() == [(4_631, 4_631, 4_631)]
        assert unknown.fetchall() == [(0,)]
    info = retail().info
    assert counted == (791_114, 5_881, 4_631, at(1, 7, 45, year=2009), at(9, 12, 50, year=2011))
    assert counted[:3] == (info.n_events, info.n_users, info.n_items)
